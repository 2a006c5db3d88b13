# Who asks: initData against the public vectors and a stricter policy, and session tokens made from it.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64url);
use Test::More;
use Whale;
use Whale::Telegram qw(init_data init_data_key init_data_of sign_pairs);

my $whale = Whale->new(clock => 1, directives => { whale_init_data_max_age => '24h', whale_session_lifetime => '1h' });
my $sign_in = '/api/v1/auth/telegram';
my $me = '/api/v1/users/me';

sub by { my ($data, %more) = @_; return { 'X-Telegram-Init-Data' => $data, %more } }
sub refused {
    my ($answer, $code, $what) = @_;
    is($answer->status, 401, $what);
    is($answer->code, $code, '... with the error object');
}

subtest 'the vectors of a public library' => sub {
    my $vectors = JSON::PP->new->utf8->decode(Whale::read_text("$Whale::ROOT/tests/data/core/telegram_initdata.json"));
    my %by_token;
    push @{ $by_token{ $_->{bot_token} } }, $_ for @{ $vectors->{cases} };
    for my $token (sort keys %by_token) {
        # a bot's key is changed by a reload
        $whale->write_file('keys/init-data-key', init_data_key($token) . "\n");
        $whale->own($whale->{dir});
        $whale->hup;
        for my $case (@{ $by_token{$token} }) {
            $whale->set_clock($case->{now});
            # keys want initData of five minutes: the same address with a body that is refused only afterwards
            my $fresh = $case->{expires_in} == 300;
            my $answer = $fresh ? $whale->post('/api/v1/users/me/api-keys', by($case->{init_data}), {})
                : $whale->post($sign_in, by($case->{init_data}));
            if ($case->{strict_policy} eq 'accept') {
                is($answer->status, $fresh ? 400 : 200, "$case->{id} accepted: $case->{note}") or diag $answer->body;
                my ($user) = map { JSON::PP->new->decode($_) } $case->{data_check_string} =~ /^user=(.*)$/m;
                is($answer->json->{user}{telegram_id}, $user->{id}, '... as the user it names') unless $fresh;
                next;
            }
            is($answer->status, 401, "$case->{id} refused: $case->{note}") or diag $answer->body;
            my $stale = ($case->{library_result} eq 'ExpiredError' && $case->{note} !~ /negative/);
            is($answer->code, $stale ? 'init_data_stale' : $case->{init_data} eq '' ? $answer->code : 'init_data_invalid', '... and why');
        }
    }
    $whale->write_file('keys/init-data-key', init_data_key($whale->{bot_token}) . "\n");
    $whale->own($whale->{dir});
    $whale->set_clock(0);
    $whale->hup;
};

my $token = $whale->{bot_token};
my $ann = $whale->add_user(username => 'ann');
my $user = { id => $ann->{telegram_id}, first_name => 'Ann', username => 'ann' };

subtest 'signed data that two parsers could read in two ways' => sub {
    my %pairs = (auth_date => time, query_id => 'q', user => JSON::PP->new->canonical->utf8->encode($user));
    my $good = init_data_of($token, %pairs);
    is($whale->post($sign_in, by($good))->status, 200, 'the data itself is good');
    my $hash = sign_pairs($token, %pairs);
    refused($whale->post($sign_in, by("$good&query_id=q")), 'init_data_invalid', 'a key given twice');
    refused($whale->post($sign_in, by("$good&hash=$hash")), 'init_data_invalid', 'the hash given twice');
    refused($whale->post($sign_in, by("$good&")), 'init_data_invalid', 'nothing behind an ampersand');
    refused($whale->post($sign_in, by("$good&x")), 'init_data_invalid', 'a key without a value');
    refused($whale->post($sign_in, by(init_data($token, $user, 'X-y' => 1))), 'init_data_invalid', 'a key of other letters');
    refused($whale->post($sign_in, by(init_data($token, $user, auth_date => time . 'x'))), 'init_data_invalid', 'a date with letters behind it');
    refused($whale->post($sign_in, by(init_data($token, $user, auth_date => '+' . time))), 'init_data_invalid', 'a date with a sign');
    refused($whale->post($sign_in, by(init_data($token, $user, auth_date => '9' x 30))), 'init_data_invalid', 'a date beyond all numbers');
    refused($whale->post($sign_in, by(init_data($token, $user, auth_date => time + 3600))), 'init_data_invalid', 'a date in the future');
    is($whale->post($sign_in, by(init_data($token, $user, auth_date => time + 200)))->status, 200, 'but clocks may differ by some minutes');
    for my $bad ('{}', '[]', '7', '{"id":"7"}', '{"id":0}', '{"id":-7}', '{"id":1.5}', '{"id":99999999999999999999}', '{"id":7', '{"first_name":"x"}') {
        refused($whale->post($sign_in, by(init_data($token, $user, user => $bad))), 'init_data_invalid', "a user that is $bad");
    }
    refused($whale->post($sign_in, by(init_data($token, $user, map { ("k$_" => 1) } 1 .. 40))), 'init_data_invalid', 'more pairs than any client sends');
    refused($whale->post($sign_in, by(init_data($token, $user, start_param => 'x' x 5000))), 'init_data_invalid', 'more bytes than any client sends');
    refused($whale->post($sign_in, { 'X-Telegram-Init-Data' => [$good, $good] }), 'init_data_invalid', 'the header twice');
    refused($whale->post($sign_in, by('%00%ff&&&==')), 'init_data_invalid', 'bytes');
};

subtest 'nobody' => sub {
    for my $route (['GET', $me], ['GET', '/api/v1/trades'], ['GET', '/api/v1/trades/positions'], ['GET', '/api/v1/signals'], ['GET', '/api/v1/whales'],
        ['POST', $sign_in], ['POST', '/api/v1/users/me/api-keys'], ['POST', '/api/v1/whales/1/follow'], ['DELETE', '/api/v1/whales/1/follow']) {
        my $answer = $whale->request(method => $route->[0], path => $route->[1]);
        refused($answer, 'unauthenticated', "@$route wants a user");
        is($answer->header('WWW-Authenticate'), 'Bearer', '... and says how');
    }
    refused($whale->get($me, { Authorization => $_ }), 'unauthenticated', "Authorization: $_") for 'Basic YTpi', 'Bearer', 'bearer', 'Token x';
};

subtest 'sign-in' => sub {
    my $new = { id => 5_000_000_000_123, first_name => "Zo\x{eb} \x{1f40b} <b>", username => 'zoe', language_code => 'de' };
    my $answer = $whale->post($sign_in, by(init_data($token, $new)));
    is($answer->status, 200, 'somebody new is taken in');
    my $json = $answer->json;
    ok($json->{created}, 'as somebody new');
    is($json->{user}{telegram_id}, '5000000000123', 'with an id beyond 32 bits, as a string');
    is($json->{user}{first_name}, $new->{first_name}, 'whatever the name');
    is($json->{user}{language}, 'de', 'in their language');
    is($json->{user}{subscription_tier}, 'FREE', 'on the free plan');
    like($json->{expires_at}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\z/, 'until a time');
    ok(!$whale->post($sign_in, by(init_data($token, $new)))->json->{created}, 'and only once');
    is($whale->sql("select count(*) from user_settings s join users u on u.id = s.user_id where telegram_id = 5000000000123"), 1, 'with settings');
    is($whale->get($me, by(init_data($token, { id => 5_000_000_000_124, first_name => 'x' })))->status, 200, 'any address makes a user');
    is($whale->post($sign_in, by(init_data($token, $new)), { extra => 1 })->code, 'bad_field', 'a field that there is not is refused');
    refused($whale->post($sign_in, $whale->token($ann)), 'init_data_stale', 'a session does not make another session');
    refused($whale->post($sign_in, by(init_data($token, $new, auth_date => time - 25 * 3600))), 'init_data_stale', 'nor does yesterday\'s data');
};

subtest 'session tokens' => sub {
    my $session = $whale->token($ann);
    is($whale->get($me, $session)->json->{telegram_id}, $ann->{telegram_id}, 'are the user that signed in');
    is($whale->get($me, { Authorization => "bearer $session" })->status, 200, 'the scheme in any case');

    my $bytes = decode_base64url($session);
    my $accepted = 0;
    for my $at (0 .. length($bytes) - 1) {
        my $changed = $bytes;
        substr($changed, $at, 1) ^= chr(1 << $at % 8);
        $accepted++ if $whale->get($me, encode_base64url($changed))->status != 401;
    }
    is($accepted, 0, 'no byte can be changed');
    refused($whale->get($me, $_->[0]), 'session_invalid', $_->[1])
        for [substr($session, 0, -1), 'one letter less'], ["${session}A", 'one letter more'], ["$session=", 'padding'], ['A' x 76, 'zeros'], ['x', 'a letter'], ['A' x 3000, 'a long one'];

    my $other = $whale->add_user;
    my $forged = $bytes;
    substr($forged, 1, 8) = pack 'q>', $other->{id};
    refused($whale->get($me, encode_base64url($forged)), 'session_invalid', 'another user\'s id');

    $whale->set_clock(time + 3599);
    is($whale->get($me, $session)->status, 200, 'they live for an hour');
    $whale->set_clock(time + 3601);
    refused($whale->get($me, $session), 'session_invalid', 'and no longer');
    $whale->set_clock(0);

    $whale->sql("update users set session_epoch = session_epoch + 1 where id = $ann->{id}");
    refused($whale->get($me, $session), 'session_invalid', 'raising the epoch revokes them');
    is($whale->get($me, $whale->token($ann))->status, 200, 'until the next sign-in');

    my $next = $whale->token($ann);
    $whale->write_file('keys/session.key', 'ab' x 32 . "\n");
    $whale->own($whale->{dir});
    $whale->hup;
    refused($whale->get($me, $next), 'session_invalid', 'another key revokes everybody\'s');
};

subtest 'sessions against the segment' => sub {
    # the segment knows the epoch as well: no statement is needed to refuse
    my $session = $whale->token($ann);
    my $epoch = $whale->sql("select session_epoch from users where id = $ann->{id}");
    my $positions = sub { $whale->get('/api/v1/trades/positions', $session) };
    $whale->shm("user id=$ann->{id} telegram=$ann->{telegram_id} epoch=$epoch");
    $whale->shm('loaded on');
    my $before = $whale->metric('whale_web_db_transactions_total');
    is($positions->()->status, 200, 'a session of this epoch is served');
    $whale->shm(sprintf 'user id=%d telegram=%d epoch=%d', $ann->{id}, $ann->{telegram_id}, $epoch + 1);
    refused($positions->(), 'session_invalid', 'of an earlier one not');
    $whale->shm(sprintf 'user id=%d telegram=%d epoch=%d flags=2', $ann->{id}, $ann->{telegram_id}, $epoch);
    my $answer = $positions->();
    is($answer->status, 403, 'nor a banned user');
    is($answer->code, 'user_inactive', '... who is told');
    is($whale->metric('whale_web_db_transactions_total'), $before, 'all this without Postgres');
    $whale->shm("remove $ann->{id}");
    $whale->shm('loaded off');
};

subtest 'credentials that were seen before' => sub {
    # the worker may remember what it found of these very bytes; that must change nothing
    my $positions = '/api/v1/trades/positions';
    my $began = time;
    my $data = init_data($token, $user, auth_date => $began);
    is($whale->get($positions, by($data))->status, 200, 'good data, again and again') for 1 .. 3;
    for my $at (0, 20, length($data) - 1) {
        my $changed = $data;
        substr($changed, $at, 1) = substr($changed, $at, 1) eq 'a' ? 'b' : 'a';
        refused($whale->get($positions, by($changed)), 'init_data_invalid', "one letter at $at is another");
    }
    $whale->set_clock($began + 24 * 3600 - 2);
    is($whale->get($positions, by($data))->status, 200, 'it is good for a day here');
    $whale->set_clock($began + 24 * 3600 + 2);
    refused($whale->get($positions, by($data)), 'init_data_stale', '... and no longer, however often it was seen');
    $whale->set_clock(0);
    my $session = $whale->token($ann);
    is($whale->get($positions, $session)->status, 200, 'the same of a session') for 1 .. 3;
    $whale->set_clock(time + 3601);
    refused($whale->get($positions, $session), 'session_invalid', '... that ends');
    $whale->set_clock(0);
    is($whale->get($positions, $session)->status, 200, '... with the hour');
    $whale->sql("update users set session_epoch = session_epoch + 1 where id = $ann->{id}");
    refused($whale->get($positions, $session), 'session_invalid', '... or is revoked');
    $whale->sql("insert into whales (venue, leader_id) values ('binance', 'L')");
    refused($whale->post('/api/v1/whales/1/follow', $session, {}), 'session_invalid', '... and then writes nothing');
    is($whale->sql('select count(*) from follows'), 0, '... nothing at all');
    is($whale->get('/api/v1/users/me/api-keys', by(init_data($token, $user, auth_date => time - 400)))->status, 200, 'what is too old for keys still reads');
    my $old = by(init_data($token, $user, auth_date => time - 400));
    is($whale->get($positions, $old)->status, 200, 'seen as good enough for reading');
    refused($whale->post('/api/v1/users/me/api-keys', $old, {}), 'init_data_stale', '... it is not so for keys');
};

subtest 'accounts that may not' => sub {
    my $banned = $whale->add_user(state => 'BANNED');
    my $suspended = $whale->add_user(state => 'SUSPENDED');
    for my $path ($me, '/api/v1/trades', '/api/v1/trades/positions', '/api/v1/whales', '/api/v1/signals', '/api/v1/users/me/api-keys') {
        my $answer = $whale->get($path, $banned);
        is($answer->status, 403, "a banned user may not GET $path");
        is($answer->code, 'user_inactive', '... and is told why');
        is($whale->get($path, $suspended)->status, 200, '... a suspended one may look');
    }
    is($whale->patch('/api/v1/users/me/settings', $suspended, { auto_copy => JSON::PP::false })->code, 'user_inactive', 'but not change');
    is($whale->sql("select auto_copy from user_settings where user_id = $suspended->{id}"), 't', '... anything');
};

subtest 'refusals are counted' => sub {
    my $before = $whale->metric('whale_web_auth_refused_total');
    $whale->get($me) for 1 .. 3;
    is($whale->metric('whale_web_auth_refused_total'), $before + 3, 'one by one');
};

subtest 'what must not be in the log' => sub {
    my $log = $whale->log_text;
    unlike($log, qr/hash=|auth_date=|Bearer /, 'no sign-in data, no session');
};

$whale->finish;
done_testing;
