# whale.conf as nginx reads it: what is wrong is refused by `nginx -t`, with file and line, in the words of `workerd -t`.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Whale;

my $whale = Whale->new(postgres => 0, segment => 0);
my $dir = $whale->{dir};
my $good = $whale->whale_conf;
my $workerd = "$Whale::ROOT/build/release/workerd";

# What a program says of the configuration: (0 or 1, its reasons).
sub verdict {
    my (@command) = @_;
    pipe my $read, my $write or die;
    my $pid = $whale->spawn(sub { $whale->environment; open STDOUT, '>&', $write; open STDERR, '>&', $write }, @command);
    close $write;
    my $said = do { local $/; <$read> // '' };
    waitpid $pid, 0;
    return ($? == 0 ? 1 : 0, join "\n", $said =~ /\[emerg\] (?:\d+#\d+: )?(.*)$/mg);
}

sub nginx_says {
    my ($whale_conf, $nginx_conf) = @_;
    $whale->write_file('whale.conf', $whale_conf, 0644);
    $whale->write_file('nginx.conf', $nginx_conf // $whale->nginx_conf, 0644);
    return verdict('/usr/sbin/nginx', '-t', '-q', '-p', "$dir/nginx", '-c', "$dir/nginx.conf");
}

# The line of the text that holds this word.
sub line_of {
    my ($text, $word) = @_;
    my @before = split /\n/, substr $text, 0, rindex $text, $word;
    return scalar @before;
}

subtest 'a good configuration' => sub {
    my ($fine, $said) = nginx_says($good);
    ok($fine, 'is accepted') or diag $said;
    is($said, '', 'without a word');
    ok(!-e $whale->{shm}, 'and a test of it leaves nothing behind');
    for my $more ("whale_hosts 2;\nwhale_web_queue_timeout 1s500ms;", "whale_log_level debug;\nwhale_paper on;\nwhale_paper_listen 127.0.0.1:9000;", "whale_paper_replay /a;\nwhale_paper_replay /b;") {
        ($fine, $said) = nginx_says("$good$more\n");
        ok($fine, $more =~ s/\n/ /r) or diag $said;
    }
    ($fine, $said) = nginx_says("whale_hosts 2;\n", "load_module @{[Whale::module()]};\npid $dir/nginx/t.pid;\nevents {}\nhttp { access_log off; client_body_temp_path $dir/nginx/body; proxy_temp_path $dir/nginx/proxy; fastcgi_temp_path $dir/nginx/fastcgi; uwsgi_temp_path $dir/nginx/uwsgi; scgi_temp_path $dir/nginx/scgi; include $dir/whale.conf; server { listen 127.0.0.1:$whale->{port}; } }\n");
    ok($fine, 'a server that only loads the module needs no keys') or diag $said;
};

subtest 'nginx and workerd refuse the same, in the same words' => sub {
    my @cases = (
        ['an unknown directive', "whale_web_pol 3;", 'unknown directive "whale_web_pol"'],
        ['a repeated directive', "whale_web_queue 3;\nwhale_web_queue 3;", '"whale_web_queue" directive is duplicate'],
        ['a count below its least', 'whale_web_queue 0;', 'invalid value "0" in "whale_web_queue" directive'],
        ['a count that is none', 'whale_web_queue many;', 'invalid value "many" in "whale_web_queue" directive'],
        ['a time that is none', 'whale_price_stale 5x;', 'invalid value "5x" in "whale_price_stale" directive'],
        ['a flag that is none', 'whale_paper yes;', qr/invalid value "yes" in "whale_paper" directive/],
        ['no value', 'whale_web_queue;', 'invalid number of arguments in "whale_web_queue" directive'],
        ['two values', 'whale_web_queue 1 2;', 'invalid number of arguments in "whale_web_queue" directive'],
        ['a relative path', 'whale_bot_token_file keys/token;', qr/"whale_bot_token_file"/],
        ['a venue without an address', 'whale_venue okx:usdm rest=nowhere stream=ws://127.0.0.1:1;', qr/"whale_venue"/],
        ['a missing semicolon', 'whale_web_queue 1', qr/unexpected end of file|is not terminated/],
        ['a quote that does not end', 'whale_host_name "a;', qr/unexpected end of file/],
        ['a venue named twice', 'whale_venue binance:usdm rest=http://x stream=ws://x;', 'duplicate venue "binance:usdm" in "whale_venue" directive'],
        ['a variable', 'whale_log_level $host;', 'variables are not supported in "whale_log_level" directive'],
        ['a block', 'whale_hosts {', 'directive "whale_hosts" is not terminated by ";"'],
        ['a directive of a location', 'whale_api;', qr/whale_api/],
    );
    for my $case (@cases) {
        my ($what, $text, $words) = @$case;
        my $conf = $good =~ s/\z/$text\n/r;
        my ($fine, $said) = nginx_says($conf);
        my ($same, $says) = verdict($workerd, '-t', '-c', "$dir/whale.conf");
        my $line = $conf =~ tr/\n//;
        ok(!$fine, "nginx refuses $what");
        like($said, ref $words ? $words : qr/\A\Q$words\E/, '... and says what is wrong');
        like($said, qr{ in \Q$dir/whale.conf\E:\d+\z}, '... and where');
        like($said, qr/:$line\z/, '... to the line') unless $what =~ /missing|does not end/;
        ok(!$same, "workerd refuses $what");
        is($says, $said, '... in the same words') unless $what =~ /of a location/;
    }
};

subtest 'what only several directives show' => sub {
    my $conf = $good . "whale_trade_lease 2s;\nwhale_receive_window 2s;\n";
    my ($fine, $said) = nginx_says($conf);
    my (undef, $says) = verdict($workerd, '-t', '-c', "$dir/whale.conf");
    ok(!$fine, 'is refused too');
    like($said, qr/\A"whale_receive_window" must be at least 1s below "whale_trade_lease"/, 'by name');
    like($says, qr/\A"whale_receive_window" must be at least 1s below "whale_trade_lease"/, 'and workerd says the same');
};

subtest 'directives in the wrong place' => sub {
    my $conf = $whale->nginx_conf;
    my $server = $conf =~ s/(location \/ \{ whale_api; \})/whale_web_queue 5;\n        $1/r;
    my (undef, $said) = nginx_says($good, $server);
    my $line = line_of($server, 'whale_web_queue');
    like($said, qr{\A"whale_web_queue" directive is not allowed here in \Q$dir/nginx.conf\E:$line\z}, 'a setting in a server');

    my $http = $conf =~ s/(server \{)/whale_api;\n    $1/r;
    (undef, $said) = nginx_says($good, $http);
    like($said, qr{\A"whale_api" directive is not allowed here in \Q$dir/nginx.conf\E:\d+\z}, 'an endpoint outside a location');

    my $twice = $conf =~ s/whale_api;/whale_api; whale_webhook;/r;
    (undef, $said) = nginx_says($good, $twice);
    like($said, qr{"whale_webhook" .* in \Q$dir/nginx.conf\E:\d+\z}, 'two endpoints in one location');

    my $again = $conf =~ s/whale_api;/whale_api; whale_api;/r;
    (undef, $said) = nginx_says($good, $again);
    like($said, qr{\A"whale_api" directive is duplicate in \Q$dir/nginx.conf\E:\d+\z}, 'one endpoint twice');

    my $outside = $conf =~ s/(events \{)/whale_shm \/x;\n$1/r;
    (undef, $said) = nginx_says($good, $outside);
    like($said, qr{\A"whale_shm" directive is not allowed here in \Q$dir/nginx.conf\E:\d+\z}, 'a setting outside of http');

    my $argument = $conf =~ s/whale_api;/whale_api on;/r;
    (undef, $said) = nginx_says($good, $argument);
    like($said, qr{\Ainvalid number of arguments in "whale_api" directive in \Q$dir/nginx.conf\E:\d+\z}, 'an endpoint with a value');
};

subtest 'key files' => sub {
    my $key = "$dir/keys/session.key";
    for my $name (qw(whale_init_data_key_file whale_session_key_file whale_seal_public_key_file whale_webhook_secret_file)) {
        my ($fine, $said) = nginx_says($good =~ s/^$name .*\n//mr);
        ok(!$fine, "a configuration without $name is refused");
        like($said, qr/"whale_(api|webhook)" needs "$name"/, '... by name');
        ($fine, $said) = nginx_says($good =~ s/^$name .*$/$name $dir\/keys\/nothing;/mr);
        ok(!$fine, "a $name that is not there is refused");
        like($said, qr{"$name".*\Q$dir/keys/nothing\E}, '... by name and path');
    }

    chmod 0644, $key;
    my ($fine, $said) = nginx_says($good);
    ok(!$fine, 'a secret that others may read is refused');
    like($said, qr{"whale_session_key_file".*\Q$key\E}, '... by name and path');
    chmod 0600, $key;

    my $secret = Whale::read_text($key);
    $whale->write_file('keys/session.key', substr $secret, 0, 40);
    $whale->own($dir);
    ($fine, $said) = nginx_says($good);
    ok(!$fine, 'a key of the wrong length is refused');
    like($said, qr{\Q$key\E}, '... by path');
    unlike($said, qr/\Q@{[substr $secret, 0, 16]}\E/, '... without showing it');

    $whale->write_file('keys/session.key', $secret);
    $whale->write_file('keys/webhook-secret', "not allowed!\n");
    $whale->own($dir);
    ($fine, $said) = nginx_says($good);
    ok(!$fine, 'a webhook secret that Telegram would not take is refused');
    like($said, qr{"whale_webhook_secret_file".*\Q$dir/keys/webhook-secret\E}, '... by name and path');
    unlike($said, qr/not allowed!/, '... without showing it');
    $whale->write_file('keys/webhook-secret', "$whale->{webhook_secret}\n");
    $whale->own($dir);
};

subtest 'the database of nginx' => sub {
    my $with = sub { $good =~ s/^whale_web_database .*$/whale_web_database "$_[0]";/mr };
    my ($fine, $said) = nginx_says($with->('host=db.example.org dbname=whale'));
    ok(!$fine, 'a host name is refused: looking it up would stop a worker');
    like($said, qr/"whale_web_database"/, '... by name');
    ($fine, $said) = nginx_says($with->('host=/x pasword=hunter2'));
    ok(!$fine, 'a misspelt option is refused');
    unlike($said, qr/hunter2/, '... without repeating the string, which may hold a password');
    ($fine, $said) = nginx_says($with->('host=/x password=hunter2'));
    ok(!$fine, 'a password is refused: it has a file of its own');
    like($said, qr/"whale_web_database_password_file"/, '... which is named');
    unlike($said, qr/hunter2/, '... unlike the password');
    for my $database ('hostaddr=10.0.0.1 dbname=whale', 'host=10.0.0.1', 'host=/run/postgresql', 'dbname=whale') {
        ($fine, $said) = nginx_says($with->($database));
        ok($fine, "$database is taken") or diag $said;
    }
};

subtest 'nginx -T' => sub {
    nginx_says($good);
    open my $out, '-|', '/usr/sbin/nginx', '-T', '-q', '-p', "$dir/nginx", '-c', "$dir/nginx.conf";
    my $said = do { local $/; <$out> };
    like($said, qr/whale_session_key_file/, 'prints the configuration');
    for my $name (qw(session.key init-data-key webhook-secret)) {
        my $secret = Whale::read_text("$dir/keys/$name");
        chomp $secret;
        is(index($said, $secret), -1, "without what is in $name");
    }
};

$whale->write_configuration;
$whale->finish;
done_testing;
