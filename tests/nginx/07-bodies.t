# How a request arrives: malformed, too large, in pieces, several at once, of a wrong type. Always a clear answer, and never
# the next request taken for the rest of this one.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Whale;

my $whale = Whale->new;
my $ann = $whale->add_user;
my $path = '/api/v1/users/me/settings';
my $headers = { %{ $whale->headers_for($ann) }, 'Content-Type' => 'application/json' };

sub text { return Whale::Client::format_request(method => 'PATCH', path => $path, headers => $headers, @_) }
sub refused {
    my ($answer, $status, $code, $what) = @_;
    is($answer->status, $status, $what) or diag $answer->body;
    is($answer->code, $code, '... with the error object');
}
# Sends the pieces; the answer, and whether the connection still serves another request.
sub exchange {
    my ($what, @pieces) = @_;
    my $client = $whale->client;
    $client->write(@pieces);
    my $answer = $client->read_answer('PATCH');
    if (($answer->header('Connection') // '') eq 'close') {
        shutdown $client->{socket}, 1; # nginx reads on for seconds, so that its answer is not lost to a reset
        ok($client->closed, "$what: the connection is closed, as said");
    } else {
        $client->write(text(body => '{"default_leverage":9}'));
        is($client->read_answer('PATCH')->status, 200, "$what: the connection goes on");
    }
    return $answer;
}

subtest 'malformed JSON' => sub {
    for my $bad ('{', '}', '{"mode":}', '{"mode":"SPOT",}', '{mode:"SPOT"}', "{'mode':'SPOT'}", '{"mode":"SPOT"} x', '{"mode":"SPOT"}{}', 'null x', '{"mode":"SP', "{\"mode\":\"a\x00b\"}",
        "{\"mode\":\"\xff\xfe\"}", '{"mode":"\\x"}', '[' x 100, '[' x 5000, '{"a":' x 3000, '"' x 3, "\xef\xbb\xbf{}", '{"default_leverage":01}', '{"default_leverage":+1}', '{"default_leverage":NaN}') {
        refused(exchange('bad', text(body => $bad)), 400, 'bad_json', substr $bad, 0, 20);
    }
    refused(exchange('many', text(body => '{' . join(',', map { "\"k$_\":1" } 1 .. 1000) . '}')), 400, 'bad_json', 'more members than any request has');
    is($whale->sql("select mode from user_settings where user_id = $ann->{id}"), 'FUTURES', 'nothing was changed');
};

subtest 'an empty body' => sub {
    is(exchange('empty', text(body => ''))->status, 200, 'is an empty object');
    is(exchange('none', text())->status, 200, 'so is none');
    is(exchange('blank', text(body => '{}'))->status, 200, 'as is one');
    refused(exchange('spaces', text(body => "  \r\n ")), 400, 'bad_json', 'blanks are not JSON');
};

subtest 'the type' => sub {
    my $with = sub { text(body => '{}', headers => { %$headers, 'Content-Type' => $_[0] }) };
    refused(exchange($_, $with->($_)), 415, 'unsupported_media', "Content-Type: $_") for 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'application/json-seq', 'multipart/form-data; boundary=x', '';
    is(exchange($_, $with->($_))->status, 200, "Content-Type: $_") for 'application/json; charset=utf-8', 'Application/JSON', 'application/json;charset=UTF-8';
    my $without = text(body => '{}') =~ s/Content-Type: [^\r]*\r\n//r;
    refused(exchange('no type', $without), 415, 'unsupported_media', 'none');
};

subtest 'too large' => sub {
    my $large = '{"mode":"' . 'x' x 17_000 . '"}';
    refused(exchange('over', text(body => $large)), 413, 'body_too_large', 'beyond what the API takes');
    refused(exchange('over, chunked', text(headers => { %$headers, 'Transfer-Encoding' => 'chunked' }, body => sprintf "%x\r\n%s\r\n0\r\n\r\n", length $large, $large)),
        413, 'body_too_large', 'the same in chunks, whose length is known only at the end');
    my $huge = 'x' x 1_000_000;
    refused(exchange('far over', text(body => $huge)), 413, 'body_too_large', 'beyond what nginx takes');
    refused(exchange('far over, chunked', text(headers => { %$headers, 'Transfer-Encoding' => 'chunked' }, body => sprintf "%x\r\n%s\r\n0\r\n\r\n", length $huge, $huge)),
        413, 'body_too_large', 'and in chunks');
    my $fits = '{"mode":"SPOT"' . ' ' x (16 * 1024 - 15) . '}';
    is(length $fits, 16 * 1024, 'a body of exactly 16 KiB');
    is(exchange('limit', text(body => $fits))->status, 200, 'is taken');
    refused(exchange('limit + 1', text(body => "$fits ")), 413, 'body_too_large', 'a byte more is not');
    refused(exchange('promise', text(headers => { %$headers, 'Content-Length' => '99999999999' }, body => '{}')), 413, 'body_too_large', 'a promise of more is enough');
};

subtest 'chunks' => sub {
    my $chunked = { %$headers, 'Transfer-Encoding' => 'chunked' };
    is(exchange('chunks', text(headers => $chunked, body => "5\r\n{\"mod\r\nc;x=y\r\ne\":\"FUTURES\"\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n"))->status, 200, 'are put together');
    is(exchange('zero', text(headers => $chunked, body => "0\r\n\r\n"))->status, 200, 'none at all is an empty body');
    for my $bad ("zz\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "ffffffffffffffff1\r\n{}\r\n0\r\n\r\n") {
        refused(exchange('bad chunk', text(headers => $chunked, body => $bad)), 400, 'bad_request', 'a size that is none: ' . substr $bad, 0, 5);
    }
    my $both = { %$chunked, 'Content-Length' => 2 };
    is(exchange('both', text(headers => $both, body => "2\r\n{}\r\n0\r\n\r\n"))->status, 400, 'a length beside chunks is refused, or the next request could be hidden');
    is(exchange('two lengths', text(headers => { %$headers, 'Content-Length' => [2, 3] }, body => '{}'))->status, 400, 'so are two lengths');
};

subtest 'in pieces' => sub {
    my $whole = text(body => '{"default_leverage":7}');
    my ($head, $body) = $whole =~ /\A(.*?\r\n\r\n)(.*)\z/s;
    is(exchange('letters', $head, split //, $body)->status, 200, 'a body letter by letter');
    is(exchange('head and body', $head, $body)->status, 200, 'head, then body');
    is(exchange('head in two', substr($head, 0, 40), substr($head, 40) . $body)->status, 200, 'a head cut in two');
    is(exchange('cut everywhere', map { substr $whole, $_ * 37, 37 } 0 .. length($whole) / 37)->status, 200, 'cut anywhere');
    my $long = '{"mode":"SPOT"' . ' ' x 16_000 . '}';
    ($head, $body) = text(body => $long) =~ /\A(.*?\r\n\r\n)(.*)\z/s;
    is(exchange('16 KiB', $head, unpack '(a1460)*', $body)->status, 200, 'a long body, packet by packet');
};

subtest 'several at once' => sub {
    my $client = $whale->client;
    my @leverages = map { 1 + $_ % 20 } 1 .. 60;
    $client->write(join '', map { text(body => "{\"default_leverage\":$_}") } @leverages);
    is_deeply([map { $client->read_answer('PATCH')->json->{default_leverage} } @leverages], \@leverages, 'are answered in order');

    my $get = sub { Whale::Client::format_request(method => 'GET', path => $_[0], headers => $headers) };
    $whale->shm('price binance:usdm:BTCUSDT bid=5 keep=1');
    my @mix = ('/api/v1/users/me', '/api/v1/prices/binance/usdm/BTCUSDT', '/api/v1/nothing', '/api/v1/trades', '/api/v1/prices/binance/usdm/NO', '/api/v1/trades/positions', '/api/v1/trades?limit=0');
    $client = $whale->client;
    $client->write(join '', map { $get->($_) } (@mix) x 5);
    is_deeply([map { $client->read_answer('GET')->status } (@mix) x 5], [(200, 200, 404, 200, 404, 200, 400) x 5], 'from memory, from Postgres and errors alike');

    # the body of a refused request must not become the next one
    my $inner = "GET /api/v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n";
    for my $case (['wrong type', { %$headers, 'Content-Type' => 'text/plain' }, 415], ['nobody', { 'Content-Type' => 'application/json' }, 401], ['no such address', $headers, 404, '/x']) {
        $client = $whale->client;
        $client->write(text(headers => $case->[1], body => $inner, path => $case->[3] // $path) . $get->('/api/v1/users/me'));
        is($client->read_answer('PATCH')->status, $case->[2], "$case->[0]: refused");
        is($client->read_answer('GET')->status, 200, '... and what follows is the next request');
    }
    $client = $whale->client;
    $client->write(Whale::Client::format_request(method => 'GET', path => '/api/v1/users/me', headers => $headers, body => $inner) . $get->('/api/v1/trades'));
    is($client->read_answer->json->{id}, "$ann->{id}", 'a GET with a body is answered');
    is($client->read_answer->json->{next}, undef, '... and its body left out');
};

subtest 'Expect: 100-continue' => sub {
    my $whole = text(headers => { %$headers, Expect => '100-continue' }, body => '{"default_leverage":3}');
    my ($head, $body) = $whole =~ /\A(.*?\r\n\r\n)(.*)\z/s;
    my $client = $whale->client;
    $client->write($head);
    is($client->read_answer->status, 100, 'the client is told to go on');
    $client->write($body);
    is($client->read_answer('PATCH')->status, 200, 'and answered');
    my $refused = text(headers => { %$headers, Expect => '100-continue', 'Content-Length' => 10_000_000 });
    $client = $whale->client;
    $client->write($refused);
    is($client->read_answer('PATCH')->status, 413, 'or told at once that it is too much');
};

subtest 'a client that leaves in the middle' => sub {
    my $whole = text(body => '{"default_leverage":13}');
    for my $cut (1, 30, length($whole) - 25, length($whole) - 1) {
        my $client = $whale->client;
        $client->write(substr $whole, 0, $cut);
        $cut % 2 ? $client->abort : $client->close;
    }
    is($whale->get('/api/v1/users/me', $ann)->json->{settings}{default_leverage}, 3, 'has changed nothing');
};

subtest 'HTTP/1.0 and long heads' => sub {
    my $client = $whale->client;
    $client->write("GET /api/v1/users/me HTTP/1.0\r\nX-Telegram-Init-Data: $headers->{'X-Telegram-Init-Data'}\r\n\r\n");
    is($client->read_answer->status, 200, 'an old client is served');
    ok($client->closed, '... and the connection closed');
    refused($whale->request(method => 'GET', path => $path . '?' . 'x' x 20_000), 414, 'bad_request', 'an address longer than nginx takes');
    refused($whale->request(method => 'GET', path => '/api/v1/users/me', headers => { 'X-Telegram-Init-Data' => 'x' x 20_000 }), 400, 'bad_request', 'a header longer than nginx takes');
};

$whale->finish;
done_testing;
