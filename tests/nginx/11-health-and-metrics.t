# What operators ask: live, ready, health part by part, and metrics in Prometheus' format.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Whale;

my $whale = Whale->new(workers => 2);
my $ann = $whale->add_user;
my $health = sub { $whale->ops('/health')->json };

subtest 'where they are' => sub {
    is($whale->ops($_)->status, 200, "$_ is there") for qw(/health /health/live /health/ready /metrics /api/v1/health/websocket);
    is($whale->get($_)->status, 404, "... and not on the public address") for qw(/health /health/live /health/ready /metrics /api/v1/health/websocket);
    is($whale->ops('/api/v1/users/me')->code, 'not_found', 'nor the API on the operators\'');
    my $answer = $whale->request(method => 'POST', path => '/metrics', ops => 1, body => '{}');
    is($answer->status, 405, 'they are read only');
    is($answer->header('Allow'), 'GET, HEAD', '... as is told');
    is($whale->request(method => 'HEAD', path => '/health/live', ops => 1)->body, '', 'HEAD has no body');
};

subtest 'health' => sub {
    $whale->shm("config $whale->{dir}/whale.conf");
    my $json = $health->();
    is($json->{status}, 'ok', 'all is well') or diag $whale->ops('/health')->body;
    is($json->{parts}{segment}{state}, 'live', 'the segment');
    is($json->{parts}{database}{status}, 'ok', 'Postgres');
    is($json->{parts}{configuration}{status}, 'ok', 'the configuration is workerd\'s');
    is($json->{parts}{configuration}{nginx}, $json->{parts}{configuration}{workerd}, '... by its hash');
    is_deeply([sort map { $_->{role} } @{ $json->{parts}{roles} }], [qw(feed master mirror)], 'the roles');
    is($whale->ops('/health/ready')->json->{status}, 'ok', 'ready');
};

subtest 'another configuration' => sub {
    $whale->{options}{directives} = { whale_price_stale => '7s' };
    $whale->write_configuration;
    $whale->hup;
    my $json = $health->();
    is($json->{status}, 'degraded', 'nginx with other values than workerd');
    is($json->{parts}{configuration}{status}, 'mismatch', '... is named');
    is($whale->ops('/health')->status, 200, '... and still serves');
    $whale->shm("config $whale->{dir}/whale.conf");
    is($health->()->{status}, 'ok', 'until workerd reads it too');
};

subtest 'a role that is silent' => sub {
    $whale->shm('beat trade on');
    is($health->()->{status}, 'ok', 'one more role');
    $whale->shm('age trade 4000');
    my $json = $health->();
    is($json->{status}, 'degraded', 'silent');
    my ($trade) = grep { $_->{role} eq 'trade' } @{ $json->{parts}{roles} };
    is($trade->{status}, 'down', '... is named');
    cmp_ok($trade->{heartbeat_age_ms}, '>=', 4000, '... with its age');
    is($whale->ops('/health/ready')->status, 200, 'the web is ready all the same');
    $whale->shm('beat trade on');
};

subtest 'the segment\'s writer is dead' => sub {
    $whale->shm('age master 4000');
    is($whale->ops('/health/ready')->status, 503, 'not ready');
    ok($whale->ops('/health/ready')->header('Retry-After'), '... with a time to ask again');
    is($health->()->{parts}{segment}{state}, 'stale', 'the segment is stale');
    is($health->()->{status}, 'degraded', '... and Postgres there: degraded');
    $whale->stop_postgres;
    $whale->wait_for('both to be down', sub { $health->()->{status} eq 'down' });
    is($whale->ops('/health')->status, 503, 'with nothing left: down');
    is($whale->ops('/health/live')->status, 200, 'nginx lives');
    $whale->start_postgres;
    $whale->shm('beat master on');
    $whale->wait_for('both to be up', sub { $health->()->{status} eq 'ok' });
    $whale->wait_for('every worker', sub { 10 == grep { $whale->ops('/health/ready')->status == 200 } 1 .. 10 });
};

subtest 'websocket' => sub {
    $whale->shm('price binance:usdm:A bid=1 keep=1');
    $whale->shm('price binance:usdm:B bid=1 flags=2');
    $whale->shm('claim binance:usdm:C');
    $whale->shm('count feed_frames_total 17');
    my $json = $whale->ops('/api/v1/health/websocket')->json;
    is_deeply([@$json{qw(active_subscriptions connected_subscriptions message_count)}], [3, 1, 17], 'subscriptions and frames');
    is($json->{websocket_connected}, JSON::PP::true, 'connected');
    $whale->shm('age feed 4000');
    $whale->wait_for('its end', sub { !$whale->ops('/api/v1/health/websocket')->json->{streamer_connected} });
    pass('or not');
    $whale->shm('beat feed on');
};

# name{label="value",…} -> value, and name -> [type, help]; dies where Prometheus would.
sub metrics {
    my $answer = $whale->ops('/metrics');
    is($answer->header('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8', 'the type that Prometheus takes');
    my (%value, %type, $last);
    for my $line (split /\n/, $answer->body) {
        if ($line =~ /\A# HELP (\S+) (.+)\z/) { $last = $1; die "twice: $1" if $type{$1}; $type{$1} = ['', $2]; next }
        if ($line =~ /\A# TYPE (\S+) (counter|gauge|histogram)\z/) { die "no help: $line" unless $1 eq $last; $type{$1}[0] = $2; next }
        my ($name, $labels, $value) = $line =~ /\A([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)\z/ or die "not a sample: $line";
        $value =~ /\A(?:[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|[-+]Inf|NaN)\z/ or die "not a number: $line";
        my $family = $type{$name} ? $name : $name =~ s/_(?:bucket|sum|count)\z//r;
        die "not of the family before: $line" unless $family eq $last;
        die "twice: $line" if exists $value{ $name . ($labels // '') };
        $value{ $name . ($labels // '') } = $value;
    }
    like($answer->body, qr/\n\z/, 'ends with a new line');
    return (\%value, \%type);
}

subtest 'metrics' => sub {
    $whale->shm("observe feed_tick_seconds $_") for 50, 100, 100_000, 3_000_000_000_000;
    my ($value, $type) = metrics();
    is(scalar(grep { $type->{$_}[0] eq 'counter' && !/_total\z/ } keys %$type), 0, 'counters end with _total');
    is(scalar(grep { !/\Awhale_/ } keys %$type), 0, 'all are whale\'s');
    is($value->{whale_feed_frames_total}, 17, 'workerd\'s counters are among them');

    my @buckets = map { [/le="([^"]+)"/ ? $1 : '', $value->{$_}] } grep { /\Awhale_feed_tick_seconds_bucket/ } keys %$value;
    @buckets = sort { ($a->[0] eq '+Inf' ? 9e99 : $a->[0]) <=> ($b->[0] eq '+Inf' ? 9e99 : $b->[0]) } @buckets;
    is(scalar(grep { $buckets[$_][1] < $buckets[$_ - 1][1] } 1 .. $#buckets), 0, 'buckets of a histogram add up');
    is($buckets[-1][1], 4, '... to all');
    is($value->{whale_feed_tick_seconds_count}, 4, '... as does the count');
    cmp_ok(abs($value->{whale_feed_tick_seconds_sum} - 3000.00010015), '<', 1e-6, '... and the sum');
    is($value->{'whale_feed_tick_seconds_bucket{le="6.4e-08"}'}, 1, 'what took 50 ns is below 64 ns');

    my %before = %$value;
    $whale->shm('price binance:usdm:BTCUSDT bid=1');
    $whale->get('/api/v1/prices/binance/usdm/BTCUSDT') for 1 .. 5;
    $whale->get('/api/v1/prices/binance/usdm/NOSUCH') for 1 .. 3;
    $whale->get('/api/v1/users/me', $ann) for 1 .. 4;
    $whale->get('/api/v1/users/me') for 1 .. 2;
    $whale->get('/nowhere');
    ($value) = metrics();
    my $more = sub { ($value->{ $_[0] } // 0) - ($before{ $_[0] } // 0) };
    is($more->('whale_web_requests_total{route="price",class="2xx"}'), 5, 'answers are counted, whichever worker gave them');
    is($more->('whale_web_requests_total{route="price",class="4xx"}'), 3, '... by class');
    is($more->('whale_web_requests_total{route="me",class="2xx"}'), 4, '... by route');
    is($more->('whale_web_requests_total{route="none",class="4xx"}'), 1, '... none among them');
    is($more->('whale_web_db_transactions_total'), 4, 'transactions');
    is($more->('whale_web_auth_refused_total'), 2, 'refusals');
    is(scalar(grep { /\A\w+_total\b/ && $value->{$_} < ($before{$_} // 0) } keys %$value), 0, 'nothing counts backwards');

    $whale->hup;
    my ($after) = metrics();
    is($after->{'whale_web_requests_total{route="price",class="2xx"}'}, $value->{'whale_web_requests_total{route="price",class="2xx"}'}, 'a reload keeps what was counted');
    is(scalar(grep { /api_key|secret|token|$whale->{bot_token}/i } keys %$after), 0, 'nothing of it is secret');
};

$whale->finish;
done_testing;
