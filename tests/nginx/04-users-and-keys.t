# The user's profile and settings, and API keys of exchanges: sealed on the way in, never to be read again by the web.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use utf8;
use Whale;

# Postgres logs whatever it is sent, so that the log shows what reached it.
my $whale = Whale->new(settings => ['log_statement=all', 'log_parameter_max_length=-1', 'log_parameter_max_length_on_error=-1']);
my $me = '/api/v1/users/me';
my $keys = "$me/api-keys";
my ($false, $true) = (JSON::PP::false, JSON::PP::true);
my @secrets = ('AKplain0123456789apikey', 'SKplain"quoted\\secret' . "\n-----END", 'PPplain-passphrase');

sub refused {
    my ($answer, $status, $code, $what) = @_;
    is($answer->status, $status, $what) or diag $answer->body;
    is($answer->code, $code, '... with the error object');
}

my $ann = $whale->add_user(username => 'ann', first_name => 'Ann', tier => 'PRO');
my $bob = $whale->add_user;

subtest 'profile' => sub {
    my $answer = $whale->get($me, $ann);
    is($answer->status, 200, 'is served');
    my $json = $answer->json;
    is($json->{id}, "$ann->{id}", 'the id is a string');
    is($json->{subscription_tier}, 'PRO', 'the plan');
    is($json->{$_}, '0', "$_ of nobody's account") for qw(total_balance available_balance held_balance position_margin);
    is($json->{settings}{default_leverage}, 5, 'settings are part of it');
    refused($whale->get("$me?x=1", $ann), 400, 'bad_field', 'a query is not');
};

subtest 'settings' => sub {
    my $answer = $whale->patch("$me/settings", $ann, { default_size => '12.5', auto_copy => $false, maximum_positions => 7, mode => 'SPOT' });
    is($answer->status, 200, 'are changed') or diag $answer->body;
    is_deeply([@{ $answer->json }{qw(default_size auto_copy maximum_positions mode default_leverage)}], ['12.5', $false, 7, 'SPOT', 5],
        'as given; the others stay');
    is($whale->patch("$me/settings", $ann, { default_size => undef })->json->{default_size}, undef, 'null takes a limit away');
    is($whale->patch("$me/settings", $ann, {})->json->{maximum_positions}, 7, 'nothing changes nothing');
    for my $case (['mode', 'BOTH'], ['default_leverage', 0], ['default_leverage', 126], ['default_leverage', undef], ['default_leverage', 2.5], ['auto_copy', 'yes'],
        ['stop_loss_percent', '100.1'], ['stop_loss_percent', '0'], ['default_size', '-1'], ['default_size', '1e99'], ['default_size', '0.0000000000001'],
        ['default_size', { x => 1 }], ['auto_copy_delay_s', 3601], ['maximum_positions', '9999999999999999999'], ['tier', 'ELITE'], ['session_epoch', 1]) {
        my $bad = $whale->patch("$me/settings", $ann, { $case->[0] => $case->[1] });
        refused($bad, 400, 'bad_field', "$case->[0] cannot be " . ($case->[1] // 'null'));
        like($bad->message, qr/"$case->[0]"/, '... and is named');
    }
    is($whale->sql("select tier from users where id = $ann->{id}"), 'PRO', 'nobody raises their own plan');
    is($whale->get($me, $bob)->json->{settings}{mode}, 'FUTURES', 'nobody else\'s settings have changed');
};

my $body = { venue => 'binance', label => 'Main ‹1›', api_key => $secrets[0], secret => $secrets[1], passphrase => $secrets[2], testnet => $true };

subtest 'a key is added' => sub {
    my $answer = $whale->post($keys, $ann, $body);
    is($answer->status, 201, 'and made') or diag $answer->body;
    my $json = $answer->json;
    is($json->{state}, 'NEW', 'it is still to be checked');
    is($json->{key_hint}, substr($secrets[0], -4), 'four letters are kept to know it by');
    is_deeply([sort keys %$json], [sort qw(id venue market label key_hint testnet state created_at)], 'nothing else comes back');

    my ($ref, $sealed) = split /\|/, $whale->sql("select ref, encode(sealed, 'hex') from venue_accounts where user_id = $ann->{id}");
    my $plain = $whale->shm("unseal $whale->{dir}/keys/seal.private $ann->{id}|$ref|credentials $sealed");
    is_deeply(JSON::PP->new->utf8->decode($plain), { api_key => $secrets[0], secret => $secrets[1], passphrase => $secrets[2] },
        'who has the private key opens what was stored');
    ok(!eval { $whale->shm("unseal $whale->{dir}/keys/seal.private $bob->{id}|$ref|credentials $sealed") }, 'but not under another user\'s name');
    ok(!eval { $whale->shm("unseal $whale->{dir}/keys/session.key $ann->{id}|$ref|credentials $sealed") }, 'nor with another key');
};

subtest 'the plain text is nowhere' => sub {
    $whale->sql('checkpoint');
    for my $secret (@secrets) {
        my ($part) = $secret =~ /\A(.{7})/;
        is(qx{grep -rlaF -e '$part' $whale->{dir}/pg $whale->{dir}/nginx $whale->{dir}/error.log $whale->{dir}/stderr.log}, '', "not $part, in no file");
    }
    like(Whale::read_text("$whale->{dir}/pg/log"), qr/insert into venue_accounts/, 'though Postgres logged the statement');
};

subtest 'what the web may not read' => sub {
    my $run = sub { my ($sql) = @_; open my $old, '>&', \*STDERR; open STDERR, '>', '/dev/null'; my $said = eval { $whale->sql($sql, 'whale_web') }; open STDERR, '>&', $old; $said };
    is($run->("select count(id) from venue_accounts"), 0, 'without a user there are no rows');
    for my $column (qw(sealed secret key_id)) {
        is($run->("select $column from venue_accounts"), undef, "$column is refused");
    }
    is($run->("set whale.user_id = '$ann->{id}'; select count(*) from ledger_entries where false; select * from venue_accounts"), undef, 'so is the whole row');
    is($run->("set whale.user_id = '$ann->{id}'; update venue_accounts set sealed = 'x'"), undef, 'and writing it anew');
    is($run->("update users set tier = 'ELITE'"), undef, 'and the plan');
    is($run->("select * from audit_log"), undef, 'and the audit log');
};

subtest 'keys are listed' => sub {
    my $json = $whale->get($keys, $ann)->json;
    is(scalar @{ $json->{items} }, 1, 'one');
    is($json->{items}[0]{label}, 'Main ‹1›', 'by label');
    is($json->{items}[0]{testnet}, $true, 'testnet or not');
    is(scalar(grep { /secret|sealed|api_key|passphrase/ } keys %{ $json->{items}[0] }), 0, 'without a secret');
    is_deeply($whale->get($keys, $bob)->json->{items}, [], 'and only to their owner');
};

subtest 'refusals' => sub {
    refused($whale->post($keys, $ann, $body), 409, 'conflict', 'a second account of the same exchange');
    is($whale->sql("select count(*) from venue_accounts"), 1, 'is not stored');
    my $stale = { 'X-Telegram-Init-Data' => $whale->init_data($bob, auth_date => time - 301) };
    refused($whale->post($keys, $stale, $body), 401, 'init_data_stale', 'sign-in data older than five minutes');
    refused($whale->post($keys, $whale->token($bob), $body), 401, 'init_data_stale', 'a session, which may be stolen');
    refused($whale->remove("$keys/1", $whale->token($bob)), 401, 'init_data_stale', '... nor does it remove one');
    refused($whale->post($keys, undef, $body), 401, 'unauthenticated', 'nobody');
    for my $case (['venue', undef, 'missing'], ['api_key', undef, 'missing'], ['secret', undef, 'missing'], ['venue', 'nasdaq', 'unknown'], ['market', 'spot', 'one that is not traded here'],
        ['market', 'moon', 'no market'], ['api_key', 'short', 'too short'], ['api_key', 'x' x 257, 'too long'], ['secret', 'tab' . "\t" x 10, 'with control characters'],
        ['api_key', 1234567890, 'a number'], ['label', 'x' x 65, 'too long'], ['testnet', 'true', 'a string'], ['sealed', 'xx', 'no field']) {
        my ($name, $value, $what) = @$case;
        my %bad = (%$body, $name => $value);
        delete $bad{$name} unless defined $value;
        my $answer = $whale->post($keys, $bob, \%bad);
        refused($answer, 400, 'bad_field', "$name: $what");
        like($answer->message, qr/"(?:$name|venue)"/, '... and is named');
        is(scalar(grep { index($answer->body, substr $_, 0, 12) >= 0 } @secrets), 0, '... without repeating what was sent');
    }
    is($whale->sql("select count(*) from venue_accounts where user_id = $bob->{id}"), 0, 'nothing was stored');
};

subtest 'the same request twice' => sub {
    my $first = $whale->post($keys, $bob, $body, 'Idempotency-Key' => 'k-1');
    is($first->status, 201, 'is done once');
    my $second = $whale->post($keys, $bob, $body, 'Idempotency-Key' => 'k-1');
    is($second->status, 201, 'and answered twice');
    is($second->body, $first->body, 'alike');
    refused($whale->post($keys, $bob, { %$body, label => 'x' }, 'Idempotency-Key' => 'k-1'), 409, 'idempotency_mismatch', 'another request with its key is refused');
    is($whale->sql("select count(*) from venue_accounts where user_id = $bob->{id}"), 1, 'there is one account');
    is($whale->sql("select count(*) from idempotency where body like '%plain%'"), 0, 'and what is kept holds no secret');
};

subtest 'a key is removed' => sub {
    my ($mine) = $whale->get($keys, $ann)->json->{items}[0]{id};
    refused($whale->remove("$keys/$mine", $bob), 404, 'not_found', 'not by another user');
    refused($whale->remove("$keys/$_", $ann), 404, 'not_found', "there is no key $_") for '0', '-1', 'x', '999999', '1' x 30, "$mine;drop";
    my $instrument = $whale->sql("insert into instruments (name, venue, market, native, underlying, base_asset, quote_asset, settle_asset, price_tick, quantity_step, quantity_min,
        quantity_max, market_quantity_step, market_quantity_min, market_quantity_max) values ('binance:usdm:BTCUSDT', 'binance', 'usdm', 'BTCUSDT', 'BTC', 'BTC', 'USDT', 'USDT',
        0.1, 0.001, 0.001, 1000, 0.001, 0.001, 100) returning id");
    $whale->sql("insert into positions (user_id, account_id, instrument_id, quantity, entry_notional, margin, leverage) values ($ann->{id}, $mine, $instrument, 1, 100, 10, 10)");
    refused($whale->remove("$keys/$mine", $ann), 409, 'conflict', 'not while a position of it is open');
    $whale->sql("update positions set state = 'CLOSED', quantity = 0, margin = 0, entry_notional = 0, closed_at = now()");
    $whale->sql("insert into trades (user_id, account_id, instrument_id, side, quantity, client_order_id) values ($ann->{id}, $mine, $instrument, 'BUY', 1, 'w1')");
    refused($whale->remove("$keys/$mine", $ann), 409, 'conflict', 'nor while an order is under way');
    $whale->sql("update trades set state = 'FAILED', unfinished = false, reason = 'venue_rejected'");
    my $answer = $whale->remove("$keys/$mine", $ann);
    is($answer->status, 200, 'then it is') or diag $answer->body;
    is_deeply($whale->get($keys, $ann)->json->{items}, [], 'and gone from the list');
    refused($whale->remove("$keys/$mine", $ann), 404, 'not_found', 'it is removed once');
    is($whale->post($keys, $ann, $body)->status, 201, 'and there is room for another');
};

subtest 'balances' => sub {
    my $account = $whale->get($keys, $bob)->json->{items}[0]{id};
    $whale->sql("insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, reason) values
        ($bob->{id}, $account, 'USDT', 'EXTERNAL', 'AVAILABLE', 1000.123456789012, 'DEPOSIT'),
        ($bob->{id}, $account, 'USDT', 'AVAILABLE', 'HELD', 100, 'RESERVE'),
        ($bob->{id}, $account, 'USDT', 'AVAILABLE', 'POSITION', 50.5, 'MARGIN'),
        ($bob->{id}, $account, 'BNB', 'EXTERNAL', 'AVAILABLE', 3, 'DEPOSIT')");
    my $json = $whale->get($me, $bob)->json;
    is_deeply([@$json{qw(total_balance available_balance held_balance position_margin)}], ['1000.123456789012', '849.623456789012', '100', '50.5'], 'are exact');
    is($whale->get($me, $ann)->json->{total_balance}, '0', 'and nobody else\'s');
    is($whale->remove("$keys/$account", $bob)->status, 200, 'without its account');
    is($whale->get($me, $bob)->json->{total_balance}, '0', 'the money of an account counts no more, as in shared memory');
};

$whale->finish;
done_testing;
