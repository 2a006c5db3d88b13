# Open positions with profit and loss to the last digit, from shared memory and from Postgres alike; trades and signals.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use utf8;
use Whale;
use Whale::Decimal qw(figures);

my $whale = Whale->new(directives => { whale_price_stale => '60s' });
my ($false, $true) = (JSON::PP::false, JSON::PP::true);
my $address = '/api/v1/trades/positions';
my $ann = $whale->add_user(tier => 'PRO');
my $bob = $whale->add_user;

sub refused {
    my ($answer, $status, $code, $what) = @_;
    is($answer->status, $status, $what) or diag $answer->body;
    is($answer->code, $code, '... with the error object');
}
sub fallbacks { return $whale->metric('whale_web_segment_fallbacks_total') }
sub without_ages { return $_[0] =~ s/"price_age_ms":\d+/"price_age_ms":0/gr }

$whale->sql(q{insert into whales (venue, leader_id, name) values ('binance', 'A', 'Plain'), ('binance', 'B', repeat('Ünïcödé "quoted" ', 10)), ('binance', 'C', '')});
for my $row (['binance:usdm:BTCUSDT', 1], ['binance:usdm:ETHUSDT', 1], ['okx:usdm:BTC-USDT-SWAP', '0.01'], ['binance:usdm:NOPRICE', 1], ["polymarket:outcome:" . '7' x 78, 1]) {
    my ($venue, $market, $native) = split /:/, $row->[0];
    $whale->sql("insert into instruments (name, venue, market, native, underlying, base_asset, quote_asset, settle_asset, price_tick, quantity_step, quantity_min, quantity_max,
        market_quantity_step, market_quantity_min, market_quantity_max, contract_size)
        values ('$row->[0]', '$venue', '$market', '$native', 'X', 'X', 'USDT', 'USDT', 0.1, 0.001, 0.001, 1000, 0.001, 0.001, 100, $row->[1])");
}
my $account = $whale->sql("insert into venue_accounts (user_id, ref, venue) values ($ann->{id}, gen_random_uuid(), 'binance') returning id");

# user's position rows: instrument, whale, quantity, entry notional, margin, leverage
my @rows = ([1, 1, '0.5', '30000.25', '6000.05', 5], [2, 2, '-12.345', '37035.123456789012', '3703.5', 10], [3, 1, '7', '4200.7', '420', 10],
    [1, 'null', '0.000000000001', '0.00000006', '0.000000006', 10], [4, 3, '1', '100', '10', 10], [5, 2, '1000', '610', '610', 1]);
for my $row (@rows) {
    $whale->sql("insert into positions (user_id, account_id, instrument_id, whale_id, quantity, entry_notional, margin, leverage, opened_at)
        values ($ann->{id}, $account, @{[join ', ', @$row]}, '2026-11-20 09:10:11.123456+00')");
}
$whale->sql("insert into positions (user_id, account_id, instrument_id, quantity, entry_notional, margin, leverage, state, closed_at)
    values ($ann->{id}, $account, 1, 0, 0, 0, 5, 'CLOSED', now())");
my %mark = ('BTCUSDT' => '60123.456789012345', 'ETHUSDT' => '2999.87', 'BTC-USDT-SWAP' => '60100.1', '7' x 78 => '0.615');
$whale->shm("price binance:usdm:BTCUSDT mark=$mark{BTCUSDT} flags=1 keep=1");
$whale->shm("price binance:usdm:ETHUSDT mark=$mark{ETHUSDT} keep=1");
$whale->shm("price okx:usdm:BTC-USDT-SWAP mark=$mark{'BTC-USDT-SWAP'} age_ms=61000");
$whale->shm("price polymarket:outcome:@{['7' x 78]} mark=0.615 keep=1");

my $from_postgres;
subtest 'from Postgres, while shared memory holds no users' => sub {
    my $before = fallbacks();
    my $answer = $whale->get($address, $ann);
    is($answer->status, 200, 'positions are served');
    is(fallbacks(), $before + 1, 'by a statement');
    $from_postgres = $answer->body;
    my $json = $answer->json;
    is($json->{stale}, $false, 'as they are');
    is(scalar @{ $json->{items} }, @rows, 'all that are open, and only those');
    for my $i (0 .. $#rows) {
        my ($item, $row) = ($json->{items}[$i], $rows[$i]);
        my $contract = $item->{symbol} eq 'BTC-USDT-SWAP' ? '0.01' : '1';
        my $quantity = Whale::Decimal::text(Whale::Decimal::divide_half_even(Whale::Decimal::units($row->[2]) * Whale::Decimal::units($contract), Whale::Decimal::units('1')));
        is($item->{side}, $row->[2] < 0 ? 'SHORT' : 'LONG', "$item->{symbol}: side");
        is($item->{quantity}, $row->[2] =~ s/-//r, '... quantity');
        my $entry = Whale::Decimal::divide_half_even(Whale::Decimal::units($row->[3]) * Whale::Decimal::units('1'), Whale::Decimal::units($quantity =~ s/-//r));
        is($item->{entry_price}, Whale::Decimal::text($entry), '... entry price, of a base unit');
        is($item->{margin}, $row->[4], '... margin');
        is($item->{opened_at}, '2026-11-20T09:10:11.123456Z', '... since when');
        my $mark = $mark{ $item->{symbol} };
        if (!defined $mark) {
            is_deeply([@$item{qw(mark_price notional unrealised_pnl roi price_age_ms stale)}], [(undef) x 5, $true], '... without a price nothing is claimed');
            next;
        }
        is_deeply({ map { $_ => $item->{$_} } qw(notional unrealised_pnl roi) }, figures(quantity => $quantity, entry_notional => $row->[3], margin => $row->[4], mark => $mark),
            '... figures to the last digit');
        is($item->{mark_price}, $mark, '... by this mark');
        is($item->{mark_source}, $item->{symbol} eq 'BTCUSDT' ? 'synthetic' : 'venue', '... of this source');
        is($item->{stale}, $item->{symbol} eq 'BTC-USDT-SWAP' ? $true : $false, '... fresh or not');
    }
    is($json->{items}[3]{whale_name}, undef, 'a position that is no copy has no whale');
    is($json->{items}[3]{whale_id}, undef, '... nor its id');
    like($json->{items}[1]{whale_name}, qr/\AÜnïcödé "quoted"/, 'a long name is there');
};

subtest 'in pages, where pages are asked for' => sub {
    my (@seen, $cursor, $pages);
    do {
        my $json = $whale->get("$address?limit=2" . ($cursor ? "&cursor=$cursor" : ''), $ann)->json;
        push @seen, map { $_->{id} } @{ $json->{items} };
        $cursor = $json->{next};
    } while ($cursor && ++$pages < 100);
    is(scalar @seen, scalar @rows, 'each position once');
    is_deeply(\@seen, [sort { $a <=> $b } @seen], 'oldest first');
    refused($whale->get("$address?cursor=dGQ6NQ", $ann), 400, 'bad_cursor', 'a cursor of another list');
};

subtest 'from shared memory' => sub {
    $whale->shm('mirror ' . $whale->conninfo('whale_worker'));
    my $before = fallbacks();
    my $answer = $whale->get($address, $ann);
    is(without_ages($answer->body), without_ages($from_postgres), 'the same bytes, but for ages');
    is(without_ages($whale->get($address, $whale->token($ann))->body), without_ages($from_postgres), 'and by session');
    is($whale->get($address, $bob)->body, '{"items":[],"next":null,"stale":false,"age_ms":0}', 'nobody else\'s');
    is(fallbacks(), $before, 'without a statement');
    is($whale->request(method => 'HEAD', path => $address, headers => $whale->headers_for($bob))->header('Content-Length'), 49, 'HEAD tells the length');
    refused($whale->get("$address?$_", $ann), 400, 'bad_field', "?$_ is not taken") for 'limit=0', 'limit=x', 'symbol=BTCUSDT', 'order=asc';
    refused($whale->post($address, $ann, {}), 405, 'method_not_allowed', 'nor a POST');
};

subtest 'figures to the last digit, whatever the size' => sub {
    srand 20261120;
    my $digits = sub { my ($whole, $fraction) = @_; my $t = join('', map { int rand 10 } 1 .. $whole) . '.' . join('', map { int rand 10 } 1 .. $fraction); $t =~ s/\A0+(?=\d)//r };
    my @cases;
    for (1 .. 60) {
        push @cases, { quantity => (rand() < 0.5 ? '-' : '') . $digits->(1 + rand 6, rand() < 0.5 ? 3 : 12), mark => $digits->(1 + rand 6, rand() < 0.5 ? 2 : 12),
            entry_notional => $digits->(1 + rand 9, rand() < 0.5 ? 2 : 12), margin => $digits->(1 + rand 7, 2) };
    }
    # halves at the eighth place and at the fourth of a percent; products beyond 64 bits; next to nothing; a loss of everything
    push @cases, map { my %c; @c{qw(quantity mark entry_notional margin)} = @$_; \%c } ['1', '0.000000005', '0', '1'], ['1', '0.000000015', '0', '1'], ['-1', '0.000000025', '0', '1'],
        ['1', '1.0000005', '1', '1'], ['1', '1.0000015', '1', '1'], ['3', '1', '2', '3'], ['9999999999.999999999999', '9999999999.999999999999', '0', '1'],
        ['123456789.123456789012', '987654321.987654321098', '5', '0.01'], ['0.000000000001', '0.000000000001', '0', '0.000000000001'], ['1', '0.000000000001', '99999999999999', '1'],
        ['-5', '2', '1', '0'], ['18446744.073709551615', '18446744.073709551616', '1', '1'], ['4.611686018427', '1', '0', '1'];
    my $wrong = 0;
    while (my @part = splice @cases, 0, 20) {
        for my $i (0 .. $#part) {
            $whale->shm("price test:usdm:T$i mark=$part[$i]{mark} keep=1");
            $whale->shm("position id=@{[$i + 1]} key=test:usdm:T$i quantity=$part[$i]{quantity} notional=$part[$i]{entry_notional} margin=$part[$i]{margin} text=\"id\":\"$i\"");
        }
        $whale->shm("user id=$ann->{id} telegram=$ann->{telegram_id}");
        my $items = $whale->get($address, $ann)->json->{items};
        for my $i (0 .. $#part) {
            my $expected = figures(%{ $part[$i] });
            next if join('|', map { $_ // 'null' } @{ $items->[$i] }{qw(notional unrealised_pnl roi)}) eq join('|', map { $_ // 'null' } @$expected{qw(notional unrealised_pnl roi)});
            is_deeply({ map { $_ => $items->[$i]{$_} } keys %$expected }, $expected, JSON::PP->new->canonical->encode($part[$i]));
            $wrong++;
        }
    }
    is($wrong, 0, 'all as computed with big integers');
    $whale->shm('price test:usdm:HUGE mark=99999999999999999999 keep=1');
    $whale->shm('position id=1 key=test:usdm:HUGE quantity=99999999999 notional=1 margin=1 text="id":"1"');
    $whale->shm("user id=$ann->{id} telegram=$ann->{telegram_id}");
    is($whale->get($address, $ann)->json->{items}[0]{notional}, undef, 'what no number holds is not claimed');
};

subtest 'more positions than a user has in shared memory' => sub {
    my $rich = $whale->add_user(tier => 'ELITE');
    $whale->sql("insert into venue_accounts (user_id, ref, venue) values ($rich->{id}, gen_random_uuid(), 'binance')");
    $whale->sql("insert into whales (venue, leader_id, name) select 'binance', 'M' || i, repeat('M' || i, 30) from generate_series(1, 450) i");
    $whale->sql("insert into positions (user_id, account_id, instrument_id, whale_id, quantity, entry_notional, margin, leverage)
        select $rich->{id}, 1, 1, w.id, 1, 60000, 6000, 10 from whales w where leader_id like 'M%'");
    $whale->shm('mirror ' . $whale->conninfo('whale_worker'));
    my $before = fallbacks();
    my $answer = $whale->get($address, $rich);
    is(scalar @{ $answer->json->{items} }, 450, 'come from Postgres, all of them');
    cmp_ok(length $answer->body, '>', 150_000, 'in a result that does not come in one piece');
    is(fallbacks(), $before + 1, 'by a statement');
    is(scalar @{ $whale->get($address, $ann)->json->{items} }, @rows, 'the others are not touched by that');
    is(fallbacks(), $before + 1, '... and need none');

    my $all = $answer->json->{items};
    my (@seen, $cursor);
    do {
        my $json = $whale->get("$address?limit=100" . ($cursor ? "&cursor=$cursor" : ''), $rich)->json;
        push @seen, @{ $json->{items} };
        $cursor = $json->{next};
    } while ($cursor && @seen < 1000);
    is_deeply([map { $_->{id} } @seen], [map { $_->{id} } @$all], 'page by page they are the same');
    refused($whale->get("$address?cursor=$_", $rich), 400, 'bad_cursor', "cursor=$_") for 'AAAA', $whale->get('/api/v1/whales?limit=1', $rich)->json->{next};
    is_deeply([map { $_->{id} } @{ $whale->get("$address?limit=2", $ann)->json->{items} }], [1, 2], 'fewer may be asked for');
};

subtest 'a mirror that died' => sub {
    $whale->shm('age mirror 4000');
    my $before = fallbacks();
    $whale->wait_for('a fallback', sub { $whale->get($address, $ann); fallbacks() > $before });
    is($whale->get($address, $ann)->json->{stale}, $false, 'Postgres is asked instead, and not stale');
    $whale->shm('beat mirror on');
    $whale->wait_for('no fallback', sub { my $now = fallbacks(); $whale->get($address, $ann); fallbacks() == $now });
    pass('until it lives again');
};

# ---- lists ----
$whale->sql("insert into signals (whale_id, instrument_id, native, position_side, whale_version, kind, side, closes, quantity_before, quantity_after, fraction, leverage, price, notional, state, detected_at)
    select 1 + i % 2, 1, case when i % 3 = 0 then 'ETHUSDT' else 'BTCUSDT' end, 'BOTH', i, (array['OPEN', 'INCREASE', 'REDUCE', 'CLOSE'])[1 + i % 4]::signal_kind, 'BUY', i % 4 > 1,
        0, 1.5, 1, 5, 60000.1, 90000.15, 'PENDING', timestamptz '2026-11-20 10:00:00+00' + i * interval '1 minute' from generate_series(1, 25) i");
for my $user ($ann, $bob) {
    $whale->sql("insert into trades (user_id, signal_id, whale_id, account_id, instrument_id, side, state, unfinished, reason, size, leverage, price, quantity, client_order_id, reserved_at)
        select $user->{id}, s.id, s.whale_id, 1, 1 + s.id % 2, 'BUY', case when s.id % 5 = 0 then 'FAILED' else 'PENDING' end::trade_state, s.id % 5 <> 0,
            case when s.id % 5 = 0 then 'venue_funds' end, 10.5, 5, 60000, 0.001, 'w' || $user->{id} || '-' || s.id, timestamptz '2026-11-20 10:00:00+00' + s.id * interval '1 minute'
        from signals s order by s.id");
}
sub page { my ($path, $user) = @_; return $whale->get("/api/v1/$path", $user // $ann)->json }
sub ids { return map { $_->{id} } @{ $_[0]{items} } }

subtest 'trades' => sub {
    my @mine = split /\n/, $whale->sql("select id from trades where user_id = $ann->{id} order by id desc");
    is_deeply([ids(page('trades'))], [@mine[0 .. 19]], 'the newest twenty, of the user alone');
    my ($cursor, @seen);
    do {
        my $json = page('trades?order=asc&limit=9' . ($cursor ? "&cursor=$cursor" : ''));
        push @seen, ids($json);
        $cursor = $json->{next};
    } while $cursor;
    is_deeply(\@seen, [reverse @mine], 'or from the oldest, page by page');
    my $next = page('trades?limit=9')->{next};
    is_deeply([ids(page("trades?limit=9&cursor=$next"))], [@mine[9 .. 17]], 'a cursor goes on');
    is(scalar(grep { my $id = $_; grep { $_ == $id } @mine } ids(page("trades?limit=9&cursor=$next", $bob))), 0, 'with another user\'s cursor one sees one\'s own');
    is(scalar ids(page('trades?state=FAILED')), 5, 'by state');
    is(page('trades?state=FAILED')->{items}[0]{reason}, 'venue_funds', 'with a reason');
    is(scalar ids(page('trades?symbol=ETHUSDT&limit=100')), 13, 'by symbol');
    is(scalar ids(page('trades?whale_id=2&limit=100')), 13, 'by whale');
    is(scalar ids(page('trades?from=2026-11-20T10:20:00Z&limit=100')), 6, 'from a time');
    is(scalar ids(page('trades?from=2026-11-20T12:20:00%2B02:00&to=2026-11-20T10:22:00Z&limit=100')), 2, 'to a time, in any zone');
    my ($item) = @{ page('trades?limit=1')->{items} };
    is_deeply([@$item{qw(size quantity price filled_quantity average_price fee reduce_only venue symbol)}], ['10.5', '0.001', '60000', '0', undef, '0', $false, 'binance', 'ETHUSDT'], 'values are exact strings');
    ok(!exists $item->{$_}, "$_ is nobody's business") for qw(client_order_id venue_order_id owner lease_until hold);
    for my $case ('state=DONE', 'symbol=', 'whale_id=0', 'whale_id=x', 'from=yesterday', 'to=2026-13-01T00:00:00Z', 'order=up', 'user_id=1') {
        refused($whale->get("/api/v1/trades?$case", $ann), 400, 'bad_field', $case);
    }
};

subtest 'signals' => sub {
    is_deeply([ids(page('signals'))], [reverse 6 .. 25], 'the newest twenty');
    is_deeply([ids(page('signals', $bob))], [reverse 6 .. 25], 'for everybody');
    is_deeply([ids(page('signals?cursor=' . page('signals')->{next}))], [reverse 1 .. 5], 'then the others');
    is_deeply([ids(page('signals?kind=CLOSE'))], [23, 19, 15, 11, 7, 3], 'by kind');
    is_deeply([ids(page('signals?whale_id=2&symbol=ETHUSDT'))], [21, 15, 9, 3], 'by whale and symbol');
    is_deeply([ids(page('signals?status=PROCESSED'))], [], 'by status');
    is_deeply([ids(page('signals?from=2026-11-20T10:03:00Z&to=2026-11-20T10:05:00Z'))], [4, 3], 'by time: from, and up to');
    my ($item) = @{ page('signals?limit=1')->{items} };
    is_deeply([@$item{qw(id whale_id kind price notional status detected_at closes)}], ['25', '2', 'INCREASE', '60000.1', '90000.15', 'PENDING', '2026-11-20T10:25:00.000000Z', $false], 'with its values');
    refused($whale->get("/api/v1/signals?$_", $ann), 400, 'bad_field', $_) for 'kind=BUY', 'limit=1000', 'state=PENDING';
};

$whale->finish;
done_testing;
