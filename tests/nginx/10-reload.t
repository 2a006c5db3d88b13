# Under load: nginx reloads again and again, the segment's writer is replaced and killed. No request fails that could have
# been served, and old workers leave nothing behind.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);
use Whale;
use Whale::Load;
use Whale::Telegram qw(message_update);

my $whale = Whale->new(workers => 2, pool => 2);
my $ann = $whale->add_user(tier => 'PRO');
my $price = '/api/v1/prices/binance/usdm/BTCUSDT';
$whale->sql("insert into whales (venue, leader_id, name) values ('binance', 'L', 'W')");

sub fill {
    $whale->shm('price binance:usdm:BTCUSDT bid=1 mark=60000 keep=1');
    $whale->shm('position id=1 key=binance:usdm:BTCUSDT quantity=1 notional=60000 margin=6000 text="id":"1"');
    $whale->shm("user id=$ann->{id} telegram=$ann->{telegram_id}");
    $whale->shm('loaded on');
}
fill();
my $session = $whale->token($ann);
my $as = { Authorization => "Bearer $session" };
my $json = JSON::PP->new->utf8->canonical;
my @requests = (
    [{ method => 'GET', path => $price }, 200],
    [{ method => 'GET', path => '/api/v1/trades/positions', headers => $as }, 200],
    [{ method => 'GET', path => '/api/v1/users/me', headers => $as }, 200],
    [{ method => 'GET', path => $price }, 200],
    [{ method => 'POST', path => '/api/v1/whales/1/follow', headers => $as, body => '{"leverage":3}' }, 200],
    [{ method => 'GET', path => '/api/v1/whales', headers => $whale->headers_for($ann) }, 200],
    [{ method => 'GET', path => '/api/v1/prices/binance/usdm/NOSUCH' }, 404],
    [{ method => 'POST', path => '/webhook/telegram', headers => { 'X-Telegram-Bot-Api-Secret-Token' => $whale->{webhook_secret} }, body => $json->encode(message_update($ann->{telegram_id}, '/positions')) }, 200],
);
$whale->post('/api/v1/whales/1/follow', $session, {});

# What happens, while clients ask; nothing of it may show.
sub under_load {
    my ($what, $storm, @which) = @_;
    my $load = Whale::Load->new(port => $whale->{port}, requests => @which ? \@which : \@requests);
    sleep 0.2;
    $storm->();
    sleep 0.2;
    my ($total, $wrong) = $load->finish;
    is($wrong, '', "$what: every answer is as it should be");
    cmp_ok($total, '>', 50, "... of $total");
}

subtest 'reloads' => sub {
    under_load('a reload', sub { $whale->hup });
    under_load('a storm of reloads', sub { for (1 .. 8) { kill 'HUP', $whale->{nginx}; sleep 0.15 } });
    under_load('a reload with another configuration', sub {
        $whale->{options}{directives} = { whale_web_pool => 1, whale_price_stale => '7s' };
        $whale->write_configuration;
        $whale->hup;
    });
    under_load('reloads of what nginx refuses', sub {
        $whale->write_file('whale.conf', "whale_nonsense;\n", 0644);
        for (1 .. 3) { kill 'HUP', $whale->{nginx}; sleep 0.1 }
        $whale->write_configuration;
    });
    like($whale->log_text, qr/unknown directive "whale_nonsense"/, 'a bad configuration is told, and the old one kept');
    # that word alone is an emergency; the contract must not take it for one of ours
    $whale->write_file('error.log', $whale->log_text =~ s/^.*whale_nonsense.*\n//mgr, 0644);
    kill 'USR1', $whale->{nginx};
};

subtest 'old workers' => sub {
    $whale->wait_for('the old ones to be gone', sub { workers() == 2 });
    my $log = $whale->log_text;
    my @codes = $log =~ /worker process \d+ exited with code (\d+)/g;
    cmp_ok(scalar @codes, '>=', 20, 'many have ended');
    is(scalar(grep { $_ != 0 } @codes), 0, 'all of them by themselves');
    unlike($log, qr/open socket|shutdown_timeout/, 'and with nothing left open');
    $whale->wait_for('their connections to be gone', sub { $whale->sql("select count(*) from pg_stat_activity where usename = 'whale_web'") <= 2 });
    pass('as are their connections to Postgres');
    cmp_ok($whale->metric('whale_web_requests_total{route="price",class="2xx"}'), '>', 50, 'what was counted before goes on');
};
sub workers { return scalar grep { ((Whale::read_text($_) =~ /^PPid:\s*(\d+)/m)[0] // 0) == $whale->{nginx} } glob '/proc/[0-9]*/status' }

subtest 'a worker that is told to go finishes what it has' => sub {
    my $holder = $whale->hold('lock table users in access exclusive mode');
    my @clients = map { my $client = $whale->client; $client->write(Whale::Client::format_request(path => '/api/v1/users/me', headers => $as)); $client } 1 .. 4;
    $whale->wait_for('blocked statements', sub { $whale->sql("select count(*) from pg_stat_activity where usename = 'whale_web' and wait_event_type = 'Lock'") >= 1 });
    sleep 0.1;
    $whale->hup;
    $whale->release($holder);
    is($_->read_answer->status, 200, 'a request that was under way is answered') for @clients;
    $whale->wait_for('the old workers to be gone', sub { workers() == 2 });
};

subtest 'the segment\'s writer' => sub {
    under_load('a new generation', sub { for (1 .. 4) { $whale->shm('create'); fill(); sleep 0.2 } });
    under_load('a larger one', sub { $whale->shm('create instruments=512 users=512'); fill() });
    under_load('a writer that is killed and comes again', sub {
        for (1 .. 3) {
            $whale->stop_segment('KILL');
            sleep 0.1;
            $whale->start_segment;
            fill();
        }
    });
    is($whale->get($price)->json->{stale}, JSON::PP::false, 'prices are fresh afterwards');
};

$whale->finish;
done_testing;
