# GET /api/v1/prices/{venue}/{market}/{symbol}: one slot of shared memory, and what happens when its writer does not.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Whale;

my $whale = Whale->new(postgres => 0, directives => { whale_price_stale => '5s' });
my $btc = '/api/v1/prices/binance/usdm/BTCUSDT';
my $hour = 3600 * 1000;

sub price { return $whale->get("/api/v1/prices/$_[0]") }
sub refused {
    my ($answer, $status, $code, $what) = @_;
    is($answer->status, $status, $what);
    is($answer->code, $code, '... with the error object');
    ok($answer->header('Retry-After'), '... and says when to try again') if $status == 503;
}

subtest 'values are exact' => sub {
    $whale->shm('price binance:usdm:BTCUSDT bid=60123.456789012345 ask=60123.5 bid_size=0.000000000001 ask_size=99999999999999 '
        . 'last=60123.4 mark=60123.478394506172 funding=-0.000125 time_ns=1732096800123456789 received_ns=1732096800200000000');
    my $answer = $whale->get($btc);
    is($answer->status, 200, 'a price is served');
    is($answer->header('Content-Type'), 'application/json', 'is JSON');
    my $json = $answer->json;
    ok(delete $json->{age_ms} > 1000, 'its age is told');
    is_deeply($json, {
        venue => 'binance', market => 'usdm', symbol => 'BTCUSDT', bid => '60123.456789012345', ask => '60123.5',
        bid_size => '0.000000000001', ask_size => '99999999999999', last => '60123.4', mark => '60123.478394506172',
        mark_source => 'venue', funding => '-0.000125', exchange_time => '2024-11-20T10:00:00.123456Z',
        receive_time => '2024-11-20T10:00:00.200000Z', source => 'ws', stale => JSON::PP::true,
    }, 'as strings, with times in UTC');
};

subtest 'what is not known is null' => sub {
    $whale->shm('price binance:usdm:NEWUSDT bid=1 ask=2 mark=1.5 flags=1 source=2');
    my $json = price('binance/usdm/NEWUSDT')->json;
    is($json->{$_}, undef, $_) for qw(bid_size ask_size last funding);
    is($json->{mark_source}, 'synthetic', 'a mark that is our own mid says so');
    is($json->{source}, 'rest', 'and where it came from');
    $whale->shm('claim binance:usdm:EMPTYUSDT');
    refused(price('binance/usdm/EMPTYUSDT'), 404, 'not_found', 'an instrument without any price yet is 404');
};

subtest 'staleness' => sub {
    my $stale = sub { price('binance/usdm/AGEUSDT')->json->{stale} };
    $whale->shm('price binance:usdm:AGEUSDT bid=1 keep=1');
    ok(!$stale->(), 'a fresh price is not stale');
    $whale->shm('price binance:usdm:AGEUSDT bid=1 age_ms=4000');
    ok(!$stale->(), 'below the limit neither');
    $whale->shm('price binance:usdm:AGEUSDT bid=1 age_ms=5001');
    ok($stale->(), 'beyond it is');
    $whale->shm('price binance:usdm:AGEUSDT bid=1 flags=2 keep=1');
    ok($stale->(), 'and so is one whose stream is down, whatever its age');
};

subtest 'addresses' => sub {
    refused(price('binance/usdm/NOSUCH'), 404, 'not_found', 'an unknown symbol');
    refused(price('binance/usdm'), 404, 'not_found', 'a path with a part missing');
    refused(price('binance/usdm/BTCUSDT/x'), 404, 'not_found', 'a path with a part too much');
    refused(price('binance//BTCUSDT'), 404, 'not_found', 'an empty part');
    refused(price('binance/usdm/btcusdt'), 404, 'not_found', 'symbols are written as the venue writes them');
    refused(price('binance/usdm/' . 'A' x 200), 404, 'not_found', 'a symbol longer than any');
    refused(price('binance/usdm/' . 'A' x 4000), 404, 'not_found', 'a symbol longer than any buffer');
    refused(price($_), 404, 'not_found', $_) for 'binance/usdm/BTC%2FUSDT', 'binance:usdm/x/BTCUSDT', 'nope/usdm/BTCUSDT', '../../etc/passwd';
    refused(price('binance/usdm/A%00B'), 400, 'bad_request', 'a NUL, which nginx itself refuses');
    refused(price('binance/usdm/%zz'), 400, 'bad_request', 'an escape that is none');
    refused(price('binance/usdm/BTCUSDT?x=1'), 400, 'bad_field', 'a query, which this address does not take');
    refused($whale->get('/api/v2/anything'), 404, 'not_found', 'an address that there is not');
    $whale->shm('price polymarket:outcome:71321045679252212594626385532706912750 bid=0.61');
    is(price('polymarket/outcome/71321045679252212594626385532706912750')->json->{bid}, '0.61', 'a long token id');
    $whale->shm('price binance:usdm:1000PEPE:USDT bid=7');
    is(price('binance/usdm/1000PEPE%3AUSDT')->json->{symbol}, '1000PEPE:USDT', 'a colon in the native name');
    is(price('binance/usdm/%42TCUSDT')->status, 200, 'an escaped letter is that letter');
};

subtest 'methods' => sub {
    my $head = $whale->request(method => 'HEAD', path => $btc);
    is($head->status, 200, 'HEAD is answered');
    is($head->body, '', 'without a body');
    cmp_ok($head->header('Content-Length'), '>', 100, 'but with its length');
    for my $method (qw(POST PUT PATCH DELETE OPTIONS)) {
        my $answer = $whale->request(method => $method, path => $btc, body => '{}');
        refused($answer, 405, 'method_not_allowed', "$method is refused");
        is($answer->header('Allow'), 'GET, HEAD', '... and what is allowed is told');
    }
    my $answer = $whale->request(method => 'GET', path => '/api/v1/auth/telegram');
    is($answer->header('Allow'), 'POST', 'of each address its own');
};

subtest 'a writer that died' => sub {
    $whale->shm('age feed 4000');
    $whale->shm('price binance:usdm:BTCUSDT bid=1');
    $whale->wait_for('a stale mark', sub { $whale->get($btc)->json->{stale} });
    is($whale->get($btc)->json->{bid}, '1', 'its last prices are served, marked stale');
    $whale->shm('age feed 61000');
    $whale->wait_for('a 503', sub { $whale->get($btc)->status == 503 });
    refused($whale->get($btc), 503, 'unavailable', 'after a minute no more');
    $whale->shm('beat feed on');
    $whale->shm('price binance:usdm:BTCUSDT bid=2 keep=1');
    $whale->wait_for('prices to be back', sub { $whale->get($btc)->status == 200 });
    ok(!$whale->get($btc)->json->{stale}, 'a new writer is noticed');

    $whale->shm('price binance:usdm:GONEUSDT bid=2');
    $whale->shm('release binance:usdm:GONEUSDT');
    refused(price('binance/usdm/GONEUSDT'), 404, 'not_found', 'an instrument that was released is gone');
    $whale->shm('price binance:usdm:TORN bid=2');
    $whale->shm('tear binance:usdm:TORN');
    refused(price('binance/usdm/TORN'), 503, 'unavailable', 'a price that was left half written');
    $whale->shm('mend binance:usdm:TORN');
    is(price('binance/usdm/TORN')->status, 200, 'until it is written again');
};

subtest 'a new generation of the segment' => sub {
    $whale->shm('price binance:usdm:GENUSDT bid=1');
    is(price('binance/usdm/GENUSDT')->json->{bid}, '1', 'the old one');
    $whale->shm('create instruments=256');
    $whale->shm('price binance:usdm:GENUSDT bid=2');
    $whale->wait_for('the new segment', sub { price('binance/usdm/GENUSDT')->json->{bid} eq '2' });
    pass('the new one is read without a reload');
};

subtest 'no segment, and files that are none' => sub {
    my $state = sub { $whale->ops('/health/ready')->json->{segment} };
    my $good = Whale::read_text($whale->{shm});
    my $becomes = sub {
        my ($bytes, $expected, $what) = @_;
        # renamed into place, as every new generation is
        open my $file, '>:raw', "$whale->{shm}.new" or die;
        print $file $bytes;
        close $file;
        chmod 0644, "$whale->{shm}.new";
        rename "$whale->{shm}.new", $whale->{shm};
        $whale->wait_for("$what to be noticed", sub { $state->() =~ $expected });
        refused($whale->get($btc), 503, 'unavailable', $what);
    };
    unlink $whale->{shm};
    # a mapping outlives its file; nginx keeps what it has until there is another one
    $whale->shm('age feed 61000');
    $whale->shm('age master 61000');
    $whale->wait_for('an answer', sub { $whale->get($btc)->status == 503 });
    refused($whale->get($btc), 503, 'unavailable', 'no file and no writer');
    $whale->stop_segment;
    $becomes->('', qr/initialising|stale|absent/, 'an empty file');
    $becomes->('x' x 100, qr/./, 'a short file');
    $becomes->('x' x 10000, qr/./, 'a file of something else');
    $becomes->(substr($good, 0, 4096) . "\0" x 4096, qr/./, 'a header that promises more than there is');
    $becomes->(substr($good, 0, 8) . "\1" x 8 . substr($good, 16), qr/./, 'the segment of another build');
    $becomes->(("\0" x 4096) . substr($good, 4096), qr/./, 'a segment that is being made');
    ok($whale->ops('/health/live')->status == 200, 'and the server lives');
    unlink $whale->{shm};
    $whale->start_segment;
    $whale->shm('price binance:usdm:BTCUSDT bid=3 keep=1');
    $whale->wait_for('prices to be back', sub { $whale->get($btc)->status == 200 });
    is($whale->get($btc)->json->{bid}, '3', 'a good segment is taken as soon as it is there');
};

subtest 'an nginx that starts first' => sub {
    $whale->stop;
    $whale->stop_segment;
    unlink $whale->{shm};
    $whale->start;
    refused($whale->get($btc), 503, 'unavailable', 'says so');
    $whale->start_segment;
    $whale->shm('price binance:usdm:BTCUSDT bid=4 keep=1');
    $whale->wait_for('prices', sub { $whale->get($btc)->status == 200 });
    pass('and finds the segment when it comes');
};

subtest 'hostile bytes in a live segment' => sub {
    my %seen;
    for my $seed (1 .. 60) {
        $whale->shm(sprintf 'noise %d 4096 %d', $seed * 7919, 20 * $seed);
        for my $path ($btc, '/api/v1/prices/binance/usdm/OTHER') {
            my $answer = $whale->get($path);
            $seen{ $answer->status }++;
            next if $answer->status == 200 ? $answer->json->{symbol} : $answer->code;
            fail("seed $seed: neither a price nor an error: " . $answer->body);
        }
    }
    note join ', ', map { "$_: $seen{$_}" } sort keys %seen;
    is(join(' ', grep { !/^(200|404|503)$/ } keys %seen), '', 'every answer is a price, 404 or 503');
    is($whale->ops('/metrics')->status, 200, 'and /metrics can still add up');
    is($whale->ops('/health')->header('Content-Type'), 'application/json', 'and /health tell');
};

$whale->finish;
done_testing;
