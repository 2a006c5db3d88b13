# Postgres away, slow, or gone in the middle; too many requests for its connections; clients that leave. What needs no
# Postgres goes on, the rest gets a clear 503, and everything comes back by itself.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);
use Whale;
use Whale::Telegram qw(message_update);

my %patient = (whale_web_queue => 3, whale_web_queue_timeout => '10s', whale_web_statement_timeout => '10s');
# at first the queue waits only as long as it takes to see that it is of no use
my $whale = Whale->new(pool => 2, directives => { %patient, whale_web_queue_timeout => '200ms' }, settings => ['deadlock_timeout=1s']);
my $ann = $whale->add_user(tier => 'ELITE');
my $me = '/api/v1/users/me';
my $positions = '/api/v1/trades/positions';
my $price = '/api/v1/prices/binance/usdm/BTCUSDT';
$whale->sql("insert into whales (venue, leader_id, name) select 'binance', 'L' || i, 'W' || i from generate_series(1, 50) i");
$whale->shm('price binance:usdm:BTCUSDT mark=5 bid=5 keep=1');
$whale->shm("user id=$ann->{id} telegram=$ann->{telegram_id}");
$whale->shm('loaded on');

sub refused {
    my ($answer, $code, $what) = @_;
    is($answer->status, 503, $what) or diag $answer->body;
    is($answer->code, $code, '... with the error object');
    ok($answer->header('Retry-After'), '... and says when to try again');
}
sub part { return $whale->ops('/health')->json->{parts}{database} }
sub configure {
    my (%directives) = @_;
    $whale->{options}{directives} = { %patient, %directives };
    $whale->write_configuration;
    $whale->hup;
    $whale->wait_for('the pool', sub { part()->{connections} == 2 });
}
# A request that is sent, and answered later.
sub begin {
    my (%request) = @_;
    my $client = $whale->client;
    $client->write(Whale::Client::format_request(path => $me, headers => $whale->headers_for($ann), %request));
    return $client;
}
sub pool_is_whole {
    my ($what) = @_;
    $whale->wait_for('idle connections', sub { my $part = part(); $part->{connections} == 2 && $part->{busy} == 0 && $part->{waiting} == 0 });
    is($whale->get($me, $ann)->status, 200, "$what: the pool is whole");
    is($whale->sql("select count(*) from pg_stat_activity where usename = 'whale_web' and state like 'idle in transaction%'"), 0, '... and no transaction is left open');
    is($whale->sql("select count(*) from pg_stat_activity where usename = 'whale_web'"), 2, '... nor a connection too many');
}
sub without_postgres {
    my ($what) = @_;
    subtest $what => sub {
        refused($whale->get($me, $ann), 'unavailable', 'a profile');
        refused($whale->post('/api/v1/auth/telegram', $ann), 'unavailable', 'sign-in');
        refused($whale->post('/api/v1/whales/1/follow', $ann, {}), 'unavailable', 'following');
        refused($whale->webhook(message_update($ann->{telegram_id}, '/follow 1')), 'unavailable', 'following by the bot: Telegram will ask again');
        is($whale->get($price)->status, 200, 'prices go on');
        is($whale->get($positions, $ann)->json->{stale}, JSON::PP::false, 'so do positions');
        is($whale->webhook(message_update($ann->{telegram_id}, '/positions'))->json->{text}, 'Nothing is open.', 'and the bot tells them');
        like($whale->webhook(message_update(5_000_000_999, '/whales'))->json->{text}, qr/down/, 'or says in a sentence that it cannot');
        is($whale->ops('/health/ready')->status, 503, 'the server is not ready');
        is($whale->ops('/health')->json->{status}, 'degraded', 'but degraded, not down');
        is(part()->{status}, 'down', '... and names the part');
        is($whale->ops('/health/live')->status, 200, 'it lives');
    };
}
sub comes_back {
    my ($what) = @_;
    $whale->wait_for('Postgres to be noticed', sub { $whale->get($me, $ann)->status == 200 });
    pass("$what: it comes back by itself");
    $whale->wait_for('readiness', sub { $whale->ops('/health/ready')->status == 200 && part()->{connections} == 2 });
}

subtest 'Postgres stops' => sub {
    $whale->stop_postgres;
    $whale->wait_for('a refusal', sub { $whale->get($me, $ann)->status == 503 });
    $whale->wait_for('all connections to be gone', sub { part()->{connections} == 0 });
    sleep 0.3; # beyond the queue's patience, so that the first request is refused at once
    without_postgres('meanwhile');
    $whale->start_postgres;
    comes_back('restarted');
};

subtest 'nginx starts before Postgres' => sub {
    $whale->stop;
    $whale->stop_postgres;
    $whale->{options}{ready} = 0;
    $whale->start;
    $whale->wait_for('the segment', sub { $whale->get($price)->status == 200 });
    sleep 0.3;
    without_postgres('meanwhile');
    $whale->start_postgres;
    comes_back('started');
};

subtest 'Postgres is killed' => sub {
    for my $round (1 .. 2) {
        my $holder = $whale->hold('lock table users in access exclusive mode');
        my @waiting = map { begin() } 1 .. 2;
        $whale->wait_for('busy connections', sub { part()->{busy} == 2 });
        $whale->kill_postgres;
        refused($_->read_answer, 'unavailable', 'a request that was under way') for @waiting;
        refused($whale->get($me, $ann), 'unavailable', 'and those that come');
        eval { $whale->release($holder) };
        $whale->start_postgres;
        comes_back("killed $round");
    }
    pool_is_whole('after that');
};

subtest 'connections are cut' => sub {
    for my $round (1 .. 3) {
        my $holder = $whale->hold('lock table user_settings in access exclusive mode');
        my $waiting = begin();
        $whale->wait_for('a busy connection', sub { part()->{busy} == 1 });
        $whale->sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'whale_web'");
        refused($waiting->read_answer, 'unavailable', 'what was under way');
        $whale->release($holder);
        comes_back("cut $round");
    }
    $whale->wait_for('both connections', sub { part()->{connections} == 2 });
    pool_is_whole('after that');
};

subtest 'positions while both mirror and Postgres are away' => sub {
    $whale->stop_postgres;
    $whale->shm('age mirror 5000');
    $whale->wait_for('a stale answer', sub { my $answer = $whale->get($positions, $ann); $answer->status == 200 && $answer->json->{stale} });
    cmp_ok($whale->get($positions, $ann)->json->{age_ms}, '>=', 5000, 'are served with their age');
    is($whale->get($price)->json->{stale}, JSON::PP::false, 'prices are another matter');
    $whale->shm('age mirror 61000');
    $whale->wait_for('a refusal', sub { $whale->get($positions, $ann)->status == 503 });
    refused($whale->get($positions, $ann), 'unavailable', 'for a minute, then no more');
    $whale->shm('beat mirror on');
    $whale->start_postgres;
    comes_back('restarted');
    $whale->shm("user id=$ann->{id} telegram=$ann->{telegram_id}");
    $whale->shm('loaded on');
};

subtest 'too many requests' => sub {
    configure();
    my $holder = $whale->hold('lock table users in access exclusive mode');
    my @served = map { begin() } 1 .. 2;
    $whale->wait_for('busy connections', sub { part()->{busy} == 2 });
    push @served, map { begin() } 1 .. 3;
    $whale->wait_for('a full queue', sub { part()->{waiting} == 3 });
    refused($whale->get($me, $ann), 'overloaded', 'one more than the queue holds');
    refused($whale->post('/api/v1/whales/1/follow', $ann, {}), 'overloaded', 'whatever it is');
    is($whale->get($price)->status, 200, 'prices go on');
    is($whale->get($positions, $ann)->status, 200, 'so do positions');
    $served[4]->abort;
    $whale->wait_for('a place', sub { part()->{waiting} == 2 });
    pass('who leaves makes room');
    $whale->release($holder);
    is($served[$_]->read_answer->status, 200, 'who waited is served') for 0 .. 3;
    is($whale->sql('select count(*) from follows'), 0, 'what was refused was not done');
    cmp_ok($whale->metric('whale_web_db_overloaded_total'), '>=', 2, 'refusals are counted');
    pool_is_whole('after that');
};

subtest 'nobody waits for ever' => sub {
    configure(whale_web_queue_timeout => '300ms', whale_web_statement_timeout => '1s');
    my $holder = $whale->hold('lock table users in access exclusive mode');
    my @slow = map { begin() } 1 .. 2;
    $whale->wait_for('busy connections', sub { part()->{busy} == 2 });
    refused($whale->get($me, $ann), 'overloaded', 'not in the queue');
    refused($_->read_answer, 'unavailable', 'not for a statement') for @slow;
    $whale->wait_for('Postgres to give up too', sub { $whale->sql("select count(*) from pg_stat_activity where usename = 'whale_web'") <= 2 });
    pass('nor does Postgres for what nobody waits for');
    $whale->release($holder);
    pool_is_whole('after that');
    configure();
};

subtest 'clients that leave' => sub {
    my $before = $whale->metric('whale_web_client_aborts_total');
    for my $round (1 .. 8) {
        my $holder = $whale->hold('lock table users in access exclusive mode');
        my @clients = map { begin($_ % 2 ? (method => 'POST', path => "/api/v1/whales/$_/follow", body => '{}', headers => { %{ $whale->headers_for($ann) }, 'Idempotency-Key' => "$round-$_" }) : ()) } 1 .. 5;
        $whale->wait_for('a full house', sub { my $part = part(); $part->{busy} == 2 && $part->{waiting} == 3 });
        $round % 2 ? $_->abort : $_->close for @clients;
        $whale->wait_for('an empty queue', sub { part()->{waiting} == 0 });
        $whale->release($holder);
    }
    pool_is_whole('in the middle of a statement');
    cmp_ok($whale->metric('whale_web_client_aborts_total'), '>', $before, 'they are counted');

    # refusals that cannot be sent: the worker sleeps, so that it meets request and farewell together
    my $holder = $whale->hold('lock table users in access exclusive mode');
    my @full = map { begin() } 1 .. 5;
    $whale->wait_for('a full house', sub { part()->{waiting} == 3 });
    my ($worker) = reverse $whale->log_text =~ /start worker process (\d+)/g;
    kill 'STOP', $worker;
    begin($_ % 2 ? () : (method => 'POST', path => '/api/v1/whales/1/follow', body => '{}'))->abort for 1 .. 20;
    kill 'CONT', $worker;
    $whale->wait_for('the refusals', sub { part()->{waiting} == 3 });
    $whale->release($holder);
    is($_->read_answer->status, 200, 'who waits is served all the same') for @full;
    pool_is_whole('while others are refused');

    srand 7;
    for my $round (1 .. 150) {
        my $client = begin($round % 3 ? (method => 'POST', path => '/api/v1/whales/' . (1 + $round % 50) . '/follow', body => '{}', headers => { %{ $whale->headers_for($ann) }, 'Idempotency-Key' => "r$round" })
            : $round % 2 ? (method => 'POST', path => '/api/v1/users/me/api-keys', body => '{"venue":"binance","api_key":"abcdefghij","secret":"abcdefghij"}') : (path => '/api/v1/whales?limit=100'));
        sleep rand 0.004; # at any moment of it
        $round % 2 ? $client->abort : $client->close;
    }
    pool_is_whole('at any moment');
    my $halves = $whale->sql("select count(*) from idempotency i where status = 201 and key like 'r%' and not exists (select from follows f where f.user_id = i.user_id)");
    is($halves, 0, 'no answer is kept without its write');
};

subtest 'what Postgres refuses' => sub {
    $whale->sql('alter table follows add constraint never check (leverage <> 77)');
    my $answer = $whale->post('/api/v1/whales/9/follow', $ann, { leverage => 77 });
    is($answer->status, 500, 'a statement that fails is our fault');
    is($answer->code, 'internal', '... with the error object');
    like($whale->log_text, qr/whale: Postgres refused a statement: 23514 never/, '... and in the log by state and constraint');
    unlike($whale->log_text, qr/Failing row/, '... without its values');
    $whale->sql('alter table follows drop constraint never');
    is($whale->post('/api/v1/whales/9/follow', $ann, { leverage => 77 })->status < 300, 1, 'then it works');
    pool_is_whole('after that');
};

$whale->finish;
done_testing;
