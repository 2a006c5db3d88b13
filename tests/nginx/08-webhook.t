# The bot: updates of Telegram, answered in the body of the webhook's response.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use utf8;
use Whale;
use Whale::Telegram qw(message_update);

my $whale = Whale->new;
my $secret = 'X-Telegram-Bot-Api-Secret-Token';
my $id = 5_000_000_100; # of Telegram's users: beyond 32 bits

sub refused {
    my ($answer, $status, $code, $what) = @_;
    is($answer->status, $status, $what) or diag $answer->body;
    is($answer->code, $code, '... with the error object');
}
# What the bot says to this message; the answer must be a call that Telegram would make.
sub reply {
    my ($from, $text, %more) = @_;
    return said($whale->webhook(message_update($from, $text, %more)), $more{chat}{id} // (ref $from ? $from->{id} : $from));
}
sub said {
    my ($answer, $chat) = @_;
    is($answer->status, 200, 'an update is accepted') or diag $answer->body;
    my $json = $answer->json;
    is($answer->header('Content-Type'), 'application/json', '... as JSON');
    is($json->{method}, 'sendMessage', '... with a message');
    is($json->{parse_mode}, 'HTML', '... in HTML');
    is($answer->body =~ /"chat_id":(-?\d+)/ && $1, $chat, '... to the chat it came from') if defined $chat;
    is_well_formed($json->{text});
    return $json->{text};
}
# Telegram refuses a text with tags that do not close, and one of more than 4096 UTF-16 units.
sub is_well_formed {
    my ($text) = @_;
    my @open;
    for ($text =~ m{<(/?\w+)>}g) {
        if (m{\A/(.*)}) { fail("</$1> closes nothing") unless @open && pop(@open) eq $1 }
        else { push @open, $_ }
    }
    is(scalar @open, 0, '... whose tags close');
    unlike($text =~ s{</?(?:b|i|code)>|&(?:lt|gt|amp|quot);}{}gr, qr/[<>&]/, '... and everything else is escaped');
    my $units = 0;
    $units += ord > 0xffff ? 2 : 1 for split //, $text;
    ok($units > 0 && $units <= 4096, '... and fits a message');
}
sub ignored {
    my ($answer, $what) = @_;
    is($answer->status, 200, "$what is acknowledged") or diag $answer->body;
    is($answer->body, '', '... without a reply');
}

subtest 'the secret, before anything else' => sub {
    my $update = message_update($id, '/start');
    refused($whale->webhook($update, $secret => undef), 401, 'unauthenticated', 'without');
    my $wrong = $whale->{webhook_secret};
    substr($wrong, -1) ^= "\1";
    refused($whale->webhook($update, $secret => $_), 403, 'forbidden', 'a wrong one')
        for $wrong, "$whale->{webhook_secret}x", substr($whale->{webhook_secret}, 0, -1), '', 'x' x 5000, uc $whale->{webhook_secret};
    refused($whale->webhook($update, $secret => [$whale->{webhook_secret}, 'x']), 403, 'forbidden', 'two');
    refused($whale->webhook('{not json', $secret => $wrong), 403, 'forbidden', 'what a stranger sends is not even parsed');
    refused($whale->webhook('x' x 60_000, $secret => $wrong), 403, 'forbidden', '... however long');
    my $get = $whale->request(method => 'GET', path => '/webhook/telegram', headers => { $secret => $whale->{webhook_secret} });
    refused($get, 405, 'method_not_allowed', 'only POST');
    is($get->header('Allow'), 'POST', '... as is told');
    is($whale->sql('select count(*) from users'), 0, 'nothing came of all this');
};

subtest 'malformed updates' => sub {
    refused($whale->webhook($_), 400, 'bad_json', "'" . substr($_, 0, 30) . "'") for '', '{', '[]', '7', '{}', '{"update_id":"x"}', '{"message":{}}', "{\"update_id\":1,\"x\":\"\xff\"}";
    refused($whale->webhook('{"update_id":1,"x":"' . 'x' x 66_000 . '"}'), 413, 'body_too_large', 'larger than any update');
    refused($whale->webhook(message_update($id, '/start'), 'Content-Type' => 'text/plain'), 415, 'unsupported_media', 'of a wrong type');
};

subtest '/start' => sub {
    my $from = { id => $id, first_name => '<b>Ann</b> & "co" 🐋', username => 'ann', language_code => 'de' };
    my $update = message_update($from, '/start ref_1');
    my $first = $whale->webhook($update);
    my $text = said($first, $id);
    like($text, qr/Welcome, &lt;b&gt;Ann&lt;\/b&gt; &amp; .*co.* 🐋/, 'greets by name, escaped');
    like($text, qr{/whales}, 'and says what there is');
    is($whale->sql("select username || ' ' || language from users where telegram_id = $id"), 'ann de', 'the user is known from then on');
    is($whale->webhook($update)->body, $first->body, 'a retry gets the same reply');
    is($whale->sql("select count(*) from telegram_updates"), 1, 'and the write stands once, with its update');
    like(reply($from, '/start'), qr/Welcome back/, 'later somebody is welcomed back');

    my $once = message_update(5_000_000_101, '/start');
    my @clients = map { $whale->client } 1 .. 6;
    $_->write(Whale::Client::format_request(method => 'POST', path => '/webhook/telegram', body => JSON::PP->new->utf8->encode($once), headers => { $secret => $whale->{webhook_secret} })) for @clients;
    my %bodies = map { my $answer = $_->read_answer; ($answer->status . $answer->body => 1) } @clients;
    is(scalar keys %bodies, 1, 'deliveries at the same time get one reply') or diag join "\n", keys %bodies;
    is($whale->sql("select count(*) from telegram_updates where update_id = $once->{update_id}"), 1, 'of one write');
    my $repeats = $whale->metric('whale_web_updates_repeated_total');
    cmp_ok($repeats, '>=', 6, 'repeats are counted');
};

$whale->sql(q{insert into whales (venue, leader_id, name, score, roi_30d, rank) select 'binance', 'L' || i, case when i = 1 then '<i>Moby</i> & Dick' else 'W' || i end, 90 - i, i * 2.5, 'GOLD' from generate_series(1, 12) i});

subtest '/whales' => sub {
    my $text = reply($id, '/whales');
    like($text, qr{<b>1</b> &lt;i&gt;Moby&lt;/i&gt; &amp; Dick · binance · GOLD · score 89 · ROI 2.5 %}, 'the best first, escaped');
    is(scalar(() = $text =~ /^<b>\d+<\/b>/mg), 10, 'ten of them');
    my $page = JSON::PP->new->canonical->utf8->encode([map { { id => "$_", venue => 'okx', rank => 'GOLD', name => "{\"P\"} <$_> 🐋", score => '50', roi_30d => undef } } 1 .. 40]);
    $whale->shm("whales $page");
    $whale->wait_for('the page of the segment', sub { reply_quietly('/whales') =~ /okx/ });
    $text = reply($id, '/whales');
    like($text, qr/^<b>10<\/b> \{.*P.*\} &lt;10&gt; 🐋 · okx · GOLD · score 50$/m, 'from shared memory, once mirror has put them there; what is unknown is left out');
    is($text, reply(5_000_000_999, '/whales@WhaleBot'), 'the same for anybody, even in a group with the bot\'s name behind it');
};
sub reply_quietly { return $whale->webhook(message_update($id, $_[0]))->json->{text} }

subtest '/follow' => sub {
    my $follows = sub { $whale->sql("select string_agg(whale_id || ':' || coalesce(size_value::float::text, '-') || ':' || active, ' ' order by whale_id) from follows f join users u on u.id = f.user_id where telegram_id = $id") };
    my $update = message_update($id, '/follow 1 12.5');
    my $first = $whale->webhook($update);
    like(said($first, $id), qr{You follow <b>&lt;i&gt;Moby&lt;/i&gt; &amp; Dick</b>.*12\.5 USDT}, 'says whom and with how much');
    is($follows->(), '1:12.5:true', 'and it is so');
    $whale->sql('update follows set size_value = 99');
    is($whale->webhook($update)->body, $first->body, 'a retry gets the same reply');
    is($follows->(), '1:99:true', 'and writes nothing');
    like(reply($id, '/follow 2'), qr/size of your settings/, 'without an amount the size is the user\'s own');
    reply($id, '/follow@WhaleBot   3    7');
    is($follows->(), '1:99:true 2:-:true 3:7:true', 'blanks and the bot\'s name do not matter');
    like(reply($id, "/follow $_"), qr{/follow 7 100}, "'/follow $_' gets told how") for '', 'x', '0', '-1', '1 0', '1 -5', '1 1e12', '1 x', '1 2 3', '1;drop table whales', '9' x 30, '1 ' . '9' x 400;
    like(reply($id, '/follow 9999'), qr/no such whale/, 'there is no such whale');
    reply($id, "/follow $_") for 4, 5;
    like(reply($id, '/follow 6'), qr/plan/, 'beyond the plan\'s limit');
    is(scalar(split / /, $follows->()), 5, 'nothing is followed');
};

subtest '/positions' => sub {
    my $user = $whale->sql("select id from users where telegram_id = $id");
    is(reply($id, '/positions'), 'Nothing is open.', 'none, from Postgres');
    $whale->shm('price binance:usdm:BTCUSDT mark=60100.5 keep=1');
    $whale->shm('price binance:usdm:OLD mark=2 age_ms=3600000');
    my $position = sub { my ($n, $symbol, $side, $rest) = @_; $whale->shm("position id=$n $rest text=\"id\":\"$n\",\"venue\":\"binance\",\"market\":\"usdm\",\"symbol\":\"$symbol\",\"side\":\"$side\",\"quantity\":\"0.5\",\"entry_price\":\"60000\",\"leverage\":5,\"whale_name\":\"a\\\"},{<\"") };
    $position->(1, 'BTCUSDT', 'LONG', 'key=binance:usdm:BTCUSDT quantity=0.5 notional=30000 margin=6000');
    $position->(2, 'BTCUSDT', 'SHORT', 'key=binance:usdm:BTCUSDT quantity=-0.5 notional=30000 margin=6000');
    $position->(3, 'OLD<&>', 'LONG', 'key=binance:usdm:OLD quantity=1 notional=1 margin=1');
    $position->(4, 'NOPRICE', 'LONG', 'quantity=1 notional=1 margin=1');
    $whale->shm("user id=$user telegram=$id");
    my $before = $whale->metric('whale_web_db_transactions_total');
    my $text = reply($id, '/positions');
    is($whale->metric('whale_web_db_transactions_total'), $before, 'from shared memory, without Postgres');
    like($text, qr{<b>BTCUSDT</b> LONG 0\.5 at 60000, now 60100\.5\nP&amp;L <b>\+50\.25</b> USDT \(\+0\.84 %\)}, 'a gain');
    like($text, qr{<b>BTCUSDT</b> SHORT 0\.5 at 60000, now 60100\.5\nP&amp;L <b>-50\.25</b> USDT \(-0\.84 %\)}, 'a loss');
    like($text, qr{<b>OLD&lt;&amp;&gt;</b>.*\n.*price is old}, 'an old price says so');
    like($text, qr{<b>NOPRICE</b>.*\nno price}, 'no price says so');
    is($whale->webhook(message_update($id, '/positions', update_id => 77))->json->{text}, $text, 'a retry ...');
    $whale->shm('price binance:usdm:BTCUSDT mark=60101 keep=1');
    isnt($whale->webhook(message_update($id, '/positions', update_id => 77))->json->{text}, $text, '... is computed anew');

    $position->($_, 'A' x 80, 'LONG', 'key=binance:usdm:BTCUSDT quantity=0.5 notional=30000 margin=6000') for 1 .. 64;
    $whale->shm("user id=$user telegram=$id");
    like(reply($id, '/positions'), qr/and \d+ more/, 'many are cut, and counted');

    $whale->shm('loaded on');
    like(reply(5_000_000_555, '/positions'), qr{/start}, 'somebody unknown is asked to start');
    is($whale->sql("select count(*) from users where telegram_id = 5000000555"), 0, '... and not made');
    $whale->shm("user id=$user telegram=$id flags=2");
    like(reply($id, '/positions'), qr/not active/, 'a banned user is told so');
    $whale->shm("remove $user");
    $whale->shm('loaded off');
};

subtest 'somebody banned' => sub {
    $whale->sql("update users set state = 'BANNED' where telegram_id = $id");
    like(reply($id, $_), qr/not active/, "$_: a sentence, or Telegram would ask for a day") for '/start', '/follow 7', '/positions';
    $whale->sql("update users set state = 'ACTIVE' where telegram_id = $id");
};

subtest 'groups' => sub {
    my %group = (chat => { id => -1001234567890123, type => 'supergroup', title => 'x' });
    like(reply($id, $_, %group), qr/private/, "$_ is no matter for a group") for '/positions', '/positions@WhaleBot', '/follow 1', '/start';
    reply($id, '/whales@WhaleBot', %group);
    my %channel = (chat => { id => -1001234567890123, type => 'channel' });
    ignored($whale->webhook(message_update(undef, '/positions', %channel)), 'a post without an author');
    ignored($whale->webhook({ update_id => 5, channel_post => message_update($id, '/start', %channel)->{message} }), 'a post in a channel');
};

subtest 'what is not for the bot' => sub {
    ignored($whale->webhook(message_update($id, $_)), "'" . substr($_, 0, 10) . "'") for 'hello', 'start', ' /start', 'x' x 4096, "/start" x 700;
    my $message = message_update($id, '/start')->{message};
    ignored($whale->webhook({ update_id => 6, edited_message => $message }), 'an edited message');
    ignored($whale->webhook({ update_id => 7, callback_query => { id => '1', from => { id => $id }, message => $message, data => 'b:1' } }), 'a button of another bot');
    ignored($whale->webhook({ update_id => 8, my_chat_member => { chat => { id => $id }, new_chat_member => { status => 'kicked' } } }), 'a membership');
    ignored($whale->webhook({ update_id => 9, something_new => { deep => [[[[{ x => 1 }]]]] } }), 'an update of a kind yet unknown');
    ignored($whale->webhook({ update_id => 10, message => { %$message, text => undef, photo => [] } }), 'a picture');
    ignored($whale->webhook({ update_id => 11, message => { %$message, from => { id => 1, is_bot => JSON::PP::true, first_name => 'x' } } }), 'a bot');
    ignored($whale->webhook({ update_id => 12, message => { %$message, text => { x => 1 } } }), 'a text that is none');
    ignored($whale->webhook({ update_id => 13, message => { %$message, from => { first_name => 'x' } } }), 'somebody without an id');
    ignored($whale->webhook({ update_id => 14, message => { %$message, chat => {} } }), 'nowhere');
    ignored($whale->webhook({ update_id => 15, message => [] }), 'a list');
    like(reply($id, '/help'), qr{/whales}, 'a command that there is not gets told which there are');
    like(reply($id, '/START'), qr{/whales}, '... capitals too');
    like(reply($id, '/'), qr{/whales}, '... and a mere slash');
};

subtest 'large numbers' => sub {
    my $user = 4_503_599_627_370_495; # 52 bits, as Telegram says
    like(reply({ id => $user, first_name => 'x' }, '/start', update_id => 2_147_483_648), qr/Welcome/, 'an id of 52 bits');
    is($whale->sql("select count(*) from users where telegram_id = $user"), 1, '... is kept as it is');
    my $body = JSON::PP->new->utf8->encode(message_update($id, '/start')) =~ s/"id":\d+/"id":99999999999999999999999/gr;
    ignored($whale->webhook($body), 'an id of 77 bits');
    reply($id, '/start', update_id => 9_223_372_036_854_775_807);
    my $beyond = JSON::PP->new->utf8->encode(message_update($id, '/start')) =~ s/"update_id":\d+/"update_id":9223372036854775808/r;
    refused($whale->webhook($beyond), 400, 'bad_json', 'an update_id beyond 63 bits');
};

$whale->finish;
done_testing;
