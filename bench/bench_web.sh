#!/usr/bin/env bash
# What the module costs beside nginx itself: requests a second of one worker, against `return 200` of the very same bytes
# with the same headers, asked for by the same requests, in alternation, so that other load on the machine meets both.
#
#   bench/bench_web.sh [price|positions|positions_session|webhook ...]
#
# price: one price. positions: ten open positions, each request with other initData, so that every signature is computed.
# positions_session: the same by a session token. webhook: the bot's /positions, answered in the webhook's response.
#
# Prints `bench NAME VALUE req/s baseline VALUE ratio R`: medians of the rounds, the ratio that of the rounds' ratios. On
# stderr, behind #, the worker's own CPU time a request, which other load hardly moves, and how busy it was: where that is far
# below 100 %, the client was the limit, and only the CPU ratio says something. Settings: WEB_ROUNDS (7), WEB_SECONDS (2),
# WEB_CONNECTIONS (64).
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
command -v wrk >/dev/null || { echo 'bench_web: wrk is missing' >&2; exit 1; }
# The rest is Perl, since the servers are those of the tests; -x takes this file from the line that names it.
exec perl -x -Itests/nginx/lib bench/bench_web.sh "$@"
#!perl
use strict;
use warnings;
use Test::More ();
use Time::HiRes qw(time);
use Whale;
use Whale::Telegram;

my %budget = (price => 0.95, positions => 0.8, positions_session => 0.9, webhook => 0.5);
my @names = @ARGV ? @ARGV : qw(price positions positions_session webhook);
my ($rounds, $seconds, $connections) = ($ENV{WEB_ROUNDS} // 7, $ENV{WEB_SECONDS} // 2, $ENV{WEB_CONNECTIONS} // 64);
die "bench_web: unknown name: $_\n" for grep { !$budget{$_} } @names;

# nginx on core 0, wrk on core 1; everything else goes where it likes.
my $whale = Whale->new(cpu => 0, postgres => 0, directives => { whale_web_pool => 1 });
my $user = { id => 1, telegram_id => 900_000_001 };
my $positions = '/api/v1/trades/positions';

# A heavy user: ten positions at ten prices.
my %prices = (BTCUSDT => '97123.45', ETHUSDT => '3456.78', SOLUSDT => '234.567', BNBUSDT => '678.9', XRPUSDT => '2.3456', DOGEUSDT => '0.38765',
    ADAUSDT => '1.0567', AVAXUSDT => '45.678', LINKUSDT => '23.456', '1000PEPEUSDT' => '0.0198765');
my $number = 0;
for my $symbol (sort keys %prices) {
    my ($price, $id, $key) = ($prices{$symbol}, ++$number, "binance:usdm:$symbol");
    $whale->shm("price $key bid=$price ask=$price bid_size=1.5 ask_size=2.25 last=$price mark=$price funding=0.0001 flags=1 keep=1");
    my ($side, $quantity) = $id % 2 ? ('LONG', "$id.5") : ('SHORT', "-$id.5");
    $whale->shm("position id=$id key=$key quantity=$quantity notional=@{[1000 + $id]}.123456 margin=@{[200 + $id]}.024691 text=\"id\":\"$id\",\"venue\":\"binance\","
        . "\"market\":\"usdm\",\"symbol\":\"$symbol\",\"side\":\"$side\",\"quantity\":\"$id.5\",\"entry_price\":\"$price\",\"leverage\":5,\"margin\":\"@{[200 + $id]}.024691\","
        . "\"whale_id\":\"$id\",\"whale_name\":\"Whale $id\",\"opened_at\":\"2026-11-20T09:10:11.123456Z\"");
}
$whale->shm("user id=$user->{id} telegram=$user->{telegram_id} total=12345.678 available=2345.6789 tier=1");
$whale->shm('loaded on');

# A session as the module makes them; Postgres, which would, is not there.
sub session {
    require Digest::SHA;
    require MIME::Base64;
    my $key = pack 'H*', Whale::read_text("$whale->{dir}/keys/session.key") =~ s/\s//gr;
    my $body = pack 'Cq>q>q>', 1, $user->{id}, 1, time + 3600;
    return MIME::Base64::encode_base64url($body . Digest::SHA::hmac_sha256($body, $key));
}

# What real clients send: some 600 bytes with the escapes, members in this order.
sub init_data {
    return Whale::Telegram::init_data_of($whale->{bot_token}, auth_date => int time, query_id => sprintf('AAHdF6IQAAAAAN0XohDhr%04d', $_[0]),
        user => qq({"id":$user->{telegram_id},"first_name":"Test","last_name":"User","username":"test_user","language_code":"en","allows_write_to_pm":true,)
            . q("photo_url":"https:\/\/t.me\/i\/userpic\/320\/x.svg"}),
        chat_instance => '-3788475317572404878', chat_type => 'private', signature => 'c2lnbmF0dXJl' x 7);
}
$whale->write_file('credentials', join '', map { init_data($_) . "\n" } 1 .. 1024);

my %request = (
    price => { method => 'GET', path => '/api/v1/prices/binance/usdm/BTCUSDT' },
    positions => { method => 'GET', path => $positions, headers => { 'X-Telegram-Init-Data' => init_data(1) }, credentials => "$whale->{dir}/credentials" },
    positions_session => { method => 'GET', path => $positions, headers => { Authorization => 'Bearer ' . session() } },
    webhook => { method => 'POST', path => '/webhook/telegram', headers => { 'Content-Type' => 'application/json', 'X-Telegram-Bot-Api-Secret-Token' => $whale->{webhook_secret} },
        body => qq({"update_id":1,"message":{"message_id":5,"from":{"id":$user->{telegram_id},"is_bot":false,"first_name":"Test","last_name":"User","username":"test_user","language_code":"en"},)
            . qq("chat":{"id":$user->{telegram_id},"first_name":"Test","last_name":"User","username":"test_user","type":"private"},"date":1790000000,"text":"/positions",)
            . '"entities":[{"offset":0,"length":10,"type":"bot_command"}]}}' },
);

# The baseline says the bytes of this very moment; ages may have a digit more or less later.
my $baselines = '';
for my $name (@names) {
    $whale->wait_for("an answer for $name", sub { $whale->request(%{ $request{$name} })->status == 200 });
    my $answer = $whale->request(%{ $request{$name} });
    my $body = $answer->body;
    die "bench_web: $name: no profit and loss in $body\n" if $name ne 'price' && $body !~ /unrealised_pnl":"|P&amp;L/;
    # what nginx sends by itself it sends here too; anything else is added
    my %more = %{ $answer->{headers} };
    delete @more{qw(server date content-type content-length connection)};
    my $added = join ' ', map { "add_header $_ '$more{$_}';" } sort keys %more;
    $baselines .= "location = /baseline/$name { $added " . constant($name, $body) . " }\n";
}
$whale->{options}{server} = $baselines;
$whale->{options}{http} = 'default_type application/json;';
$whale->write_configuration;
$whale->hup;

# A word in nginx's configuration has less than 4096 bytes: a longer text is put together from parts.
sub constant {
    my ($name, $body) = @_;
    my @parts = map { s/(['\\])/\\$1/gr } unpack '(a4050)*', $body;
    return "return 200 '$parts[0]';" if @parts == 1;
    return join(' ', map { "set \$${name}_$_ '$parts[$_]';" } 0 .. $#parts) . " return 200 \"" . join('', map { "\${${name}_$_}" } 0 .. $#parts) . '";';
}

sub ticks {
    my ($worker) = reverse $whale->log_text =~ /start worker process (\d+)/g;
    my @fields = split / /, Whale::read_text("/proc/$worker/stat") =~ s/\A.*\) //r;
    return $fields[11] + $fields[12];
}

# (requests a second, worker's CPU microseconds a request, busy percent)
sub run {
    my ($request, $path) = @_;
    local $ENV{BENCH_METHOD} = $request->{method};
    local $ENV{BENCH_HEADERS} = join "\n", map { "$_: $request->{headers}{$_}" } sort keys %{ $request->{headers} // {} };
    local @ENV{qw(BENCH_BODY BENCH_CREDENTIALS)} = @$request{qw(body credentials)};
    delete $ENV{$_} for grep { !defined $ENV{$_} } qw(BENCH_BODY BENCH_CREDENTIALS);
    my ($ticks, $began) = (ticks(), time);
    my $said = qx{taskset -c 1 wrk -t1 -c$connections -d${seconds}s -s bench/web.lua http://127.0.0.1:$whale->{port}$path};
    my ($spent, $took) = ((ticks() - $ticks) / 100, time - $began);
    die "bench_web: $path: $said\n" if $? || $said =~ /Non-2xx|Socket errors/;
    my ($count) = $said =~ /(\d+) requests in/;
    my ($rate) = $said =~ m{Requests/sec:\s*([\d.]+)};
    return ($rate, $spent * 1e6 / $count, $spent * 100 / $took);
}

sub median { my @sorted = sort { $a <=> $b } @_; return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2 }

$| = 1;
printf STDERR "# 1 worker, %d connections, %d rounds of %s s, load %s\n", $connections, $rounds, $seconds, Whale::read_text('/proc/loadavg') =~ /(\S+)/;
for my $name (@names) {
    my (@ours, @base);
    run($request{$name}, $request{$name}{path}); # warms both sides up
    for (1 .. $rounds) {
        push @ours, [run($request{$name}, $request{$name}{path})];
        push @base, [run($request{$name}, "/baseline/$name")];
    }
    my $of = sub { my ($rows, $column) = @_; return median(map { $_->[$column] } @$rows) };
    my $ratio = median(map { $ours[$_][0] / $base[$_][0] } 0 .. $#ours);
    printf "bench %s %.0f req/s baseline %.0f ratio %.2f\n", $name, $of->(\@ours, 0), $of->(\@base, 0), $ratio;
    printf STDERR "# %s: budget %.2f; CPU %.2f us a request, baseline %.2f, ratio %.2f; worker busy %.0f %%, baseline %.0f %%\n", $name, $budget{$name}, $of->(\@ours, 1), $of->(\@base, 1),
        median(map { $base[$_][1] / $ours[$_][1] } 0 .. $#ours), $of->(\@ours, 2), $of->(\@base, 2);
}
$whale->clean;
