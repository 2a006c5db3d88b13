# The list of whales, one whale, and following: filters, pages, limits, fields, and requests that come twice.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use MIME::Base64 qw(decode_base64url encode_base64url);
use Test::More;
use utf8;
use Whale;

my $whale = Whale->new;
my $list = '/api/v1/whales';
my ($false, $true) = (JSON::PP::false, JSON::PP::true);
my $ann = $whale->add_user(tier => 'PRO');
my $bob = $whale->add_user;

sub refused {
    my ($answer, $status, $code, $what) = @_;
    is($answer->status, $status, $what) or diag $answer->body;
    is($answer->code, $code, '... with the error object');
}
sub ids { return join ' ', map { $_->{id} } @{ $_[0]->json->{items} } }
sub page { return $whale->get("$list?$_[0]", $ann) }

# Scores 0.5 apart, with equal ones among them; every third is without figures.
$whale->sql(q{insert into whales (venue, market, leader_id, name, rank, score, status, win_rate, pnl_7d, roi_7d, pnl_30d, roi_30d, trades_seen, followers, leader_followers)
    select case when i % 5 = 0 then 'okx' else 'binance' end, 'usdm', 'L' || i, 'Whale <' || i || '> "é"',
        (array['BRONZE', 'SILVER', 'GOLD', 'PLATINUM', 'DIAMOND'])[1 + i % 5]::whale_rank, 40 + (i / 2) * 0.5,
        case when i = 7 then 'RATE_LIMITED' else 'ACTIVE' end::data_status, case when i % 3 > 0 then i end, case when i % 3 > 0 then -1000 + i end,
        case when i % 3 > 0 then i * 1.5 end, case when i % 3 > 0 then 1000000.5 * i end, case when i % 3 > 0 then 100 - i end, i, i % 4, i * 10
    from generate_series(1, 30) i});

subtest 'a page' => sub {
    my $answer = $whale->get($list, $ann);
    is($answer->status, 200, 'is served');
    is(ids($answer), join(' ', 30, (map { ($_ * 2, $_ * 2 + 1) } reverse 6 .. 14), 10), 'of the twenty best, the older ones first among equals');
    my ($first) = @{ $answer->json->{items} };
    is_deeply([@$first{qw(id name venue score rank roi_30d trades followers leader_followers followed)}],
        ['30', 'Whale <30> "é"', 'okx', '47.5', 'BRONZE', undef, 30, 2, 300, $false], 'with its figures, unknown ones null');
    is(scalar(grep { /^_/ } keys %$first), 0, 'and nothing internal');
    is($whale->get($list, $whale->token($ann))->body, $answer->body, 'the same by session');
};

subtest 'pages follow one another' => sub {
    for my $order (qw(score roi_7d roi_30d pnl_7d pnl_30d win_rate followers)) {
        my (@seen, $cursor);
        do {
            my $json = page("order=$order&limit=7" . ($cursor ? "&cursor=$cursor" : ''))->json;
            push @seen, map { $_->{id} } @{ $json->{items} };
            $cursor = $json->{next};
        } while ($cursor && @seen < 100);
        my $expected = $whale->sql("select string_agg(id::text, ' ' order by $order desc nulls last, id) from whales");
        is(join(' ', @seen), $expected, "by $order: each once, in order, unknown ones last");
    }
    my $all = page('limit=100')->json;
    is(scalar @{ $all->{items} }, 30, 'all on one page');
    is($all->{next}, undef, 'have no next');
    is(page('limit=30')->json->{next}, undef, 'nor has a page that ends with the last');
};

subtest 'filters' => sub {
    my %expected = (
        'venue=okx&limit=3' => '30 25 20', 'rank=DIAMOND' => '29 24 19 14 9 4', 'status=RATE_LIMITED' => '7', 'min_score=47' => '30 28 29',
        'min_roi_30d=98' => '2 1', 'min_win_rate=28&order=win_rate' => '29 28', 'venue=nowhere' => '', 'followed=true' => '', 'rank=GOLD&venue=okx' => '',
    );
    is(ids(page($_)), $expected{$_}, $_) for sort keys %expected;
    my @cases = (['limit=0', 'limit'], ['limit=101', 'limit'], ['limit=x', 'limit'], ['limit=', 'limit'], ['limit=1&limit=2', 'limit'], ['order=name', 'order'],
        ['rank=gold', 'rank'], ['min_score=-1', 'min_score'], ['min_score=101', 'min_score'], ['min_roi_30d=x', 'min_roi_30d'], ['followed=1', 'followed'],
        ['page=2', 'page'], ['venue=%zz', 'venue'], ['venue=%00', 'venue'], ['venue=' . 'x' x 100, 'venue'], ['%3Cscript%3E=1', 'field']);
    for my $case (@cases) {
        my $answer = page($case->[0]);
        refused($answer, 400, 'bad_field', $case->[0]);
        like($answer->message, qr/\Q$case->[1]\E/, '... and is named');
        unlike($answer->message, qr/</, '... without a stranger\'s markup');
    }
};

subtest 'cursors' => sub {
    my $next = page('limit=5')->json->{next};
    like($next, qr/\A[A-Za-z0-9_-]+\z/, 'need no escaping');
    is(ids(page("limit=5&cursor=$next")), '24 25 22 23 20', 'lead on');
    refused(page("limit=5&order=roi_7d&cursor=$next"), 400, 'bad_cursor', 'one of another order');
    refused(page("limit=5&order=roi_30d&cursor=" . page('limit=5&order=roi_7d')->json->{next}), 400, 'bad_cursor', 'even of one that looks like it');
    refused($whale->get("/api/v1/trades?cursor=$next", $ann), 400, 'bad_cursor', 'one of another list');
    my $plain = decode_base64url($next);
    my $odd = 0;
    for my $at (0 .. length($plain) - 1) {
        my $changed = $plain;
        substr($changed, $at, 1) ^= "\x10";
        my $answer = page('limit=5&cursor=' . encode_base64url($changed));
        $odd++ unless $answer->status == 200 || ($answer->code // '') eq 'bad_cursor';
    }
    is($odd, 0, 'a changed one is another cursor or none');
    refused(page('cursor=' . encode_base64url($_)), 400, 'bad_cursor', "'$_' is none")
        for 'ws1:0', 'ws1:-1', "ws1' or '1'='1:5", 'ws1:5;drop table whales', 'ws1:999999999999999999999', 'ws:5', 'ws1e999:5', 'w';
    refused(page("cursor=$next="), 400, 'bad_cursor', 'padding');
    refused(page('cursor=' . 'A' x 129), 400, 'bad_field', 'more than any cursor has');
};

subtest 'one whale' => sub {
    my $version = $whale->sql(q{insert into whale_positions (whale_id, native, position_side, quantity, entry_price, leverage) values
        (3, 'ETHUSDT', 'BOTH', -2.5, 3000.25, 10), (3, 'BTCUSDT', 'BOTH', 1, 60000, 20), (3, 'GONE', 'BOTH', 0, 1, 1) returning version});
    my $json = $whale->get("$list/3", $ann)->json;
    is($json->{name}, 'Whale <3> "é"', 'by name');
    is($json->{follow}, undef, 'not followed');
    is_deeply([map { "$_->{symbol} $_->{side} $_->{quantity} $_->{entry_price}" } @{ $json->{positions} }], ['BTCUSDT LONG 1 60000', 'ETHUSDT SHORT 2.5 3000.25'],
        'with what it holds');
    refused($whale->get("$list/$_", $ann), 404, 'not_found', "there is no whale $_") for 31, 0, -1, 'x', '03', '9' x 18, '9' x 40;
};

subtest 'following' => sub {
    my $answer = $whale->post("$list/3/follow", $ann, { size_kind => 'fixed', size_value => '50', leverage => 10, stop_loss_percent => 5 });
    is($answer->status, 201, 'is made') or diag $answer->body;
    is_deeply([@{ $answer->json }{qw(whale_id size_kind size_value leverage stop_loss_percent take_profit_percent auto_copy copy_leverage active)}],
        ['3', 'fixed', '50', 10, '5', undef, $true, $true, $true], 'as asked for');
    is(ids(page('followed=true')), '3', 'shows in the list');
    is($whale->get("$list/3", $ann)->json->{follow}{size_value}, '50', 'and with the whale');
    is(ids($whale->get("$list?followed=true", $bob)), '', 'of that user alone');

    $answer = $whale->post("$list/3/follow", $ann, {});
    is($answer->status, 200, 'once more changes it');
    is($answer->json->{size_kind}, undef, 'to what is asked for then');
    $answer = $whale->patch("$list/3/follow", $ann, { size_kind => 'balance_percent', size_value => '2.5', auto_copy => $false });
    is_deeply([@{ $answer->json }{qw(size_kind size_value auto_copy copy_leverage)}], ['balance_percent', '2.5', $false, $true], 'a change changes what it names');
    is($whale->patch("$list/3/follow", $ann, { size_kind => undef, size_value => undef })->json->{size_value}, undef, 'or takes it away');
    refused($whale->patch("$list/4/follow", $ann, {}), 404, 'not_found', 'there is nothing to change in what is not followed');

    $answer = $whale->remove("$list/3/follow", $ann);
    is($answer->status, 200, 'it ends');
    ok(!$answer->json->{active}, 'and says so');
    is(ids(page('followed=true')), '', 'and is gone from the list');
    refused($whale->remove("$list/3/follow", $ann), 404, 'not_found', 'once');
    refused($whale->remove("$list/3/follow", $bob), 404, 'not_found', 'and only by who follows');
    is($whale->post("$list/3/follow", $ann, {})->status, 200, 'it can begin again');
    is($whale->sql("select count(*) from follows where user_id = $ann->{id}"), 1, 'as the same row');
    is($whale->post("$list/5/follow", $ann)->status, 201, 'a body is not needed');
    $whale->remove("$list/$_/follow", $ann) for 3, 5;
};

subtest 'bad fields' => sub {
    my $follow = sub { $whale->post("$list/3/follow", $ann, $_[0]) };
    for my $case ([{ size_kind => 'all' }, 'size_kind'], [{ size_kind => 'fixed' }, 'size_value'], [{ size_value => '5' }, 'size_kind'],
        [{ size_kind => 'fixed', size_value => undef }, 'size_value'], [{ size_kind => 'fixed', size_value => '0' }, 'size_value'],
        [{ size_kind => 'fixed', size_value => '-5' }, 'size_value'], [{ size_kind => 'fixed', size_value => 'NaN' }, 'size_value'],
        [{ size_kind => 'fixed', size_value => '1000000001' }, 'size_value'], [{ size_kind => 'balance_percent', size_value => '100.5' }, 'size_value'],
        [{ leverage => 126 }, 'leverage'], [{ leverage => 0 }, 'leverage'], [{ leverage => 'x' }, 'leverage'], [{ stop_loss_percent => 101 }, 'stop_loss_percent'],
        [{ auto_copy => 1 }, 'auto_copy'], [{ auto_copy => undef }, 'auto_copy'], [{ sizekind => 'fixed' }, 'sizekind'], [{ user_id => 1 }, 'user_id']) {
        my $answer = $follow->($case->[0]);
        refused($answer, 400, 'bad_field', JSON::PP->new->canonical->encode($case->[0]));
        like($answer->message, qr/"$case->[1]"/, "... names $case->[1]");
    }
    refused($follow->('{"leverage":1,"leverage":2}'), 400, 'bad_field', 'a field given twice');
    refused($follow->('[]'), 400, 'bad_field', 'a list');
    refused($follow->('5'), 400, 'bad_field', 'a number');
    refused($whale->post("$list/$_/follow", $ann, {}), 404, 'not_found', "whale $_") for 31, 'x', '9' x 18;
    is(ids(page('followed=true')), '', 'nothing of all this is followed');
};

subtest 'the plan\'s limit' => sub {
    is($whale->post("$list/$_/follow", $bob, {})->status, 201, "a free user follows whale $_") for 1 .. 5;
    refused($whale->post("$list/6/follow", $bob, {}), 422, 'limit_reached', 'and not a sixth');
    is($whale->post("$list/5/follow", $bob, { leverage => 3 })->status, 200, 'but changes one of the five');
    is($whale->remove("$list/1/follow", $bob)->status, 200, 'or gives one up');
    is($whale->post("$list/6/follow", $bob, {})->status, 201, 'for another');
    refused($whale->post("$list/31/follow", $bob, {}), 404, 'not_found', 'a whale that there is not is no question of limits');

    # two at once, for one place
    $whale->remove("$list/6/follow", $bob);
    my @clients = map { $whale->client } 1 .. 6;
    for my $i (0 .. $#clients) {
        $clients[$i]->write(Whale::Client::format_request(method => 'POST', path => "$list/@{[10 + $i]}/follow", headers => $whale->headers_for($bob)));
    }
    my @statuses = map { $_->read_answer->status } @clients;
    is(scalar(grep { $_ == 201 } @statuses), 1, 'of several at once one is made');
    is(scalar(grep { $_ == 422 } @statuses), 5, 'and the others are refused');
    is($whale->sql("select count(*) from follows where user_id = $bob->{id} and active"), 5, 'so that there are five');

    my $elite = $whale->add_user(tier => 'ELITE');
    is($whale->post("$list/$_/follow", $elite, {})->status, 201, "an elite user follows whale $_") for 1 .. 7;
};

subtest 'Idempotency-Key' => sub {
    my $carl = $whale->add_user;
    my $once = sub { my ($path, $body, $key) = @_; $whale->post($path, $carl, $body, 'Idempotency-Key' => $key) };
    my $first = $once->("$list/9/follow", { leverage => 3 }, 'a');
    is($first->status, 201, 'a request is done');
    $whale->sql("update follows set leverage = 4 where user_id = $carl->{id}");
    my $again = $once->("$list/9/follow", { leverage => 3 }, 'a');
    is($again->status . $again->body, '201' . $first->body, 'repeated, it is answered as before');
    is($whale->sql("select leverage from follows where user_id = $carl->{id}"), 4, 'and does nothing');
    refused($once->("$list/9/follow", { leverage => 5 }, 'a'), 409, 'idempotency_mismatch', 'another body with the same key');
    refused($once->("$list/8/follow", { leverage => 3 }, 'a'), 409, 'idempotency_mismatch', 'another address');
    refused($whale->request(method => 'DELETE', path => "$list/9/follow", headers => { %{ $whale->headers_for($carl) }, 'Idempotency-Key' => 'a' }),
        409, 'idempotency_mismatch', 'another method');
    is($whale->post("$list/9/follow", $ann, { leverage => 3 }, 'Idempotency-Key' => 'a')->status, 201, 'another user\'s keys are another user\'s');

    my $refusal = $once->("$list/31/follow", {}, 'b');
    is($refusal->status, 404, 'a refusal');
    is($once->("$list/31/follow", {}, 'b')->body, $refusal->body, 'is repeated as well, with its first request\'s id');
    is($once->("$list/9/follow", { leverage => 999 }, 'c')->status, 400, 'what is not even read');
    is($once->("$list/9/follow", { leverage => 9 }, 'c')->status, 200, 'leaves its key free');
    refused($once->("$list/9/follow", {}, $_), 400, 'bad_field', 'a key cannot be ' . substr $_, 0, 10) for '', 'x' x 129, 'a b', "\x{e9}";
    is($once->("$list/9/follow", {}, 'x' x 128)->status, 200, 'it may have 128 letters');

    my @clients = map { $whale->client } 1 .. 6;
    my $request = Whale::Client::format_request(method => 'POST', path => "$list/20/follow", body => '{}', headers => { %{ $whale->headers_for($carl) }, 'Idempotency-Key' => 'd' });
    $_->write($request) for @clients;
    my %bodies = map { my $answer = $_->read_answer; ($answer->status . $answer->body => 1) } @clients;
    is(scalar keys %bodies, 1, 'six at once get one answer') or diag join "\n", keys %bodies;
    is($whale->sql("select version from follows where user_id = $carl->{id} and whale_id = 20"), 1, 'and one write');
};

$whale->finish;
done_testing;
