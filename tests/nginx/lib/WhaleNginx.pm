package WhaleNginx;

# nginx with the module, a segment and a Postgres of its own, for one test file.
#
#   my $t = WhaleNginx->new(database => 1);    a fresh prefix, free ports; everything stops with the test
#   my $r = $t->get('/api/v1/whales', user => 900000001);
#
# Contract: whatever a test does, its error log ends without [alert], without [emerg] (unless expected), without "exited on
# signal" and without a sanitizer's line. WHALE_NGINX_ASAN=1 runs the instrumented module.

use strict;
use warnings;
use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex);
use Encode ();
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64 decode_base64);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

our $ROOT = abs_path(dirname(__FILE__) . '/../../..');
our $TOKEN = '7000000001:AAThrowAwayTokenForVectorsOnly_0123456';
our $SECRET = 'hook_Secret-1';
our $SEAL_PRIVATE = '77076d0a7318a57d3c16c17251b26645df4cb5a5e6c9a9d0b6bd8dd1a8d1c9b2';
our $SEAL_PUBLIC = 'f98e9d888856ad1ea9d69311c38461bd95af82fb4c73d90a2acad47c9b453c5a';
my $ASAN = $ENV{WHALE_NGINX_ASAN};
my $JSON = JSON::PP->new->utf8;
my @alive;

sub free_port { return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport }

sub new {
    my ($class, %options) = @_;
    my $self = bless {%options, serial => 0}, $class;
    $self->{dir} = tempdir('whale-nginx-XXXXXX', DIR => '/tmp');
    chmod 0755, $self->{dir};
    mkdir "$self->{dir}/$_" for qw(keys temp log);
    $self->{shm} = "/dev/shm/whale-nginx-$$-" . int(rand 1e9);
    $self->{port} = free_port();
    $self->{ops_port} = free_port();
    $self->{workers} //= 1;
    push @alive, $self;
    $self->write_keys;
    $self->start_postgres if $self->{database};
    $self->start_feeder unless $self->{no_segment};
    $self->write_conf;
    $self->start unless $self->{no_start};
    return $self;
}

# ---- files -------------------------------------------------------------------------------------------------------

sub write_file {
    my ($self, $name, $text, $mode) = @_;
    my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";
    open my $file, '>', $path or die "$path: $!";
    print {$file} $text;
    close $file;
    chmod $mode, $path if defined $mode;
    return $path;
}

sub read_file {
    my ($self, $name) = @_;
    open my $file, '<', $name =~ m{^/} ? $name : "$self->{dir}/$name" or return '';
    local $/;
    return scalar <$file>;
}

sub write_keys {
    my ($self) = @_;
    $self->write_file('keys/init-data', hmac_sha256_hex($TOKEN, 'WebAppData') . "\n", 0600);
    $self->write_file('keys/session', ('5a' x 32) . "\n", 0600);
    $self->write_file('keys/webhook', "$SECRET\n", 0600);
    # X25519: the private half is what the tests open sealed keys with
    $self->write_file('keys/seal', "$SEAL_PUBLIC\n", 0644);
}

sub conf_whale {
    my ($self) = @_;
    my $host = $self->{pg} // $self->{dir};
    my $conf = <<"EOF";
whale_web_database "host=$host dbname=whale user=whale_web";
whale_shm $self->{shm};
whale_venue binance:usdm rest=http://127.0.0.1:1 stream=ws://127.0.0.1:1;
whale_venue okx:usdm rest=http://127.0.0.1:1 stream=ws://127.0.0.1:1;
whale_init_data_key_file $self->{dir}/keys/init-data;
whale_session_key_file $self->{dir}/keys/session;
whale_webhook_secret_file $self->{dir}/keys/webhook;
whale_seal_public_key_file $self->{dir}/keys/seal;
EOF
    return $conf . ($self->{whale_conf} // '');
}

sub write_conf {
    my ($self) = @_;
    my $module = $ASAN ? 'module-asan' : 'module';
    my $extra = $self->{server_conf} // '';
    my $locations = $self->{locations}
        // "location / { whale_api; }\n        location = /webhook/telegram { whale_webhook; }";
    my $main = $self->{main_conf} // '';
    $self->write_file('whale.conf', $self->conf_whale);
    $self->write_file('nginx.conf', <<"EOF");
daemon off;
worker_processes $self->{workers};
pid $self->{dir}/nginx.pid;
error_log $self->{dir}/log/error.log info;
load_module $ROOT/build/$module/ngx_http_whale_module.so;
worker_shutdown_timeout 5s;
$main
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $self->{dir}/temp;
    proxy_temp_path $self->{dir}/temp;
    fastcgi_temp_path $self->{dir}/temp;
    uwsgi_temp_path $self->{dir}/temp;
    scgi_temp_path $self->{dir}/temp;
    keepalive_requests 1000000;
    include $self->{dir}/whale.conf;
    server {
        listen 127.0.0.1:$self->{port};
        $locations
        $extra
    }
    server {
        listen 127.0.0.1:$self->{ops_port};
        location / { whale_operator; }
    }
}
EOF
}

# ---- processes ---------------------------------------------------------------------------------------------------

sub run_nginx {
    my ($self, @arguments) = @_;
    local $ENV{LD_PRELOAD} = $ASAN ? libasan() : '';
    local $ENV{ASAN_OPTIONS} = "detect_leaks=0:log_path=$self->{dir}/log/asan";
    local $ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';
    exec 'nginx', '-c', "$self->{dir}/nginx.conf", '-p', $self->{dir}, @arguments;
}

sub libasan {
    chomp(my $path = `gcc -print-file-name=libasan.so`);
    chomp(my $ubsan = `gcc -print-file-name=libubsan.so`);
    return "$path $ubsan";
}

sub start {
    my ($self) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', "$self->{dir}/log/stdout";
        open STDERR, '>', "$self->{dir}/log/stderr";
        $self->run_nginx;
        POSIX::_exit(1);
    }
    $self->{nginx} = $pid;
    my $until = $self->{database} || $self->{no_segment} ? '/health/ready' : '/health/live';
    $until = '/health/live' if $self->{no_segment} || $self->{no_wait};
    $self->wait_for('nginx', sub {
        my $r = eval { $self->ops($until) };
        return $r && $r->{status} == 200;
    }, 15);
}

# nginx -t; its words and whether it was content.
sub check {
    my ($self) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        $self->run_nginx('-t', '-e', "$self->{dir}/log/check.log");
        POSIX::_exit(1);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? == 0, $text);
}

sub wait_for {
    my ($self, $what, $check, $seconds) = @_;
    my $end = time + ($seconds // 10);
    while (time < $end) {
        my $value = $check->();
        return $value if $value;
        sleep 0.05;
    }
    diag($self->read_file('log/error.log'), $self->read_file('log/stderr'));
    die "waited in vain for $what\n";
}

sub worker_pids {
    my ($self) = @_;
    open my $children, '<', "/proc/$self->{nginx}/task/$self->{nginx}/children" or return ();
    return split ' ', <$children> // '';
}

sub reload { my ($self) = @_; kill 'HUP', $self->{nginx} }

# Graceful. True where nginx ended in time and of its own.
sub stop {
    my ($self, $signal) = @_;
    return 1 unless $self->{nginx};
    kill $signal // 'QUIT', $self->{nginx};
    my $end = time + 12;
    while (time < $end) {
        if (waitpid($self->{nginx}, WNOHANG) != 0) {
            delete $self->{nginx};
            return 1;
        }
        sleep 0.02;
    }
    kill 'KILL', $self->{nginx};
    waitpid $self->{nginx}, 0;
    delete $self->{nginx};
    return 0;
}

sub start_postgres {
    my ($self) = @_;
    $self->{pg_dir} //= tempdir('whale-pg-XXXXXX', DIR => '/tmp');
    my $out = `$ROOT/tests/support/postgres.sh start $self->{pg_dir} 2>&1`;
    die "postgres: $out" if $?;
    $self->{pg} = $self->{pg_dir};
    return if $self->{migrated}++;
    for my $migration (sort glob "$ROOT/migrations/*.sql") {
        $out = `psql -X -q -v ON_ERROR_STOP=1 -1 -h $self->{pg} -U whale -d whale -f $migration 2>&1`;
        die "$migration: $out" if $?;
    }
}

sub stop_postgres { my ($self) = @_; system "$ROOT/tests/support/postgres.sh stop $self->{pg_dir} >/dev/null 2>&1" }

# Rows of one statement, as lines with | between columns.
sub sql {
    my ($self, $text) = @_;
    open my $psql, '-|', 'psql', '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', $self->{pg}, '-U', 'whale', '-d', 'whale', '-c', $text
        or die "psql: $!";
    local $/;
    my $out = <$psql> // '';
    close $psql;
    die "psql failed: $text" if $?;
    chomp $out;
    return $out;
}

sub build_feeder {
    my $feeder = "$ROOT/build/module/shm_feeder";
    my @sources = ("$ROOT/tests/nginx/shm_feeder.c", glob("$ROOT/shm/*.c $ROOT/core/*.c"));
    my @all = (@sources, glob("$ROOT/shm/*.h $ROOT/core/*.h"));
    return $feeder if -x $feeder && !grep { (stat $_)[9] > (stat $feeder)[9] } @all;
    mkdir "$ROOT/build";
    mkdir "$ROOT/build/module";
    my $temporary = "$feeder.$$";
    system('cc', qw(-std=gnu11 -O1 -g -D_GNU_SOURCE), "-I$ROOT", '-o', $temporary, @sources, '-lcrypto') == 0 or die 'the feeder does not build';
    rename $temporary, $feeder;
    return $feeder;
}

sub start_feeder {
    my ($self) = @_;
    my $feeder = build_feeder();
    pipe(my $in, $self->{feeder_in}) or die;
    pipe($self->{feeder_out}, my $out) or die;
    my $pid = fork // die;
    if ($pid == 0) {
        open STDIN, '<&', $in;
        open STDOUT, '>&', $out;
        close $self->{feeder_in};
        exec $feeder, $self->{shm};
        POSIX::_exit(1);
    }
    $self->{feeder} = $pid;
    $self->{feeder_in}->autoflush(1);
    my $line = readline $self->{feeder_out};
    die 'the feeder did not start' unless defined $line && $line eq "ok\n";
    $self->feed('config ' . ('0' x 16));
}

sub feed {
    my ($self, @commands) = @_;
    my $told;
    for my $command (@commands) {
        print { $self->{feeder_in} } "$command\n";
        my $answer = readline($self->{feeder_out}) // 'nothing';
        chomp $answer;
        ($told) = $answer =~ /^ok ?(.*)$/ or die "the feeder says $answer to: $command";
    }
    return $told;
}

sub stop_feeder {
    my ($self, $signal) = @_;
    return unless $self->{feeder};
    if ($signal) { kill $signal, $self->{feeder} }
    close $self->{feeder_in};
    waitpid $self->{feeder}, 0;
    delete $self->{feeder};
}

# A whale; returns its id.
sub add_whale {
    my ($self, $name, $score) = @_;
    $score //= 50;
    (my $quoted = $name) =~ s/'/''/g;
    return $self->sql("insert into whales (venue, leader_id, name, score) values ('binance', 'L' || (select count(*) from whales), '$quoted', $score) returning id");
}

# A signed-in user by Telegram id; returns the user's id.
sub add_user {
    my ($self, $telegram, $tier) = @_;
    my $r = $self->post('/api/v1/auth/telegram', user => $telegram);
    die "sign-in: $r->{status} $r->{body}" unless $r->{status} == 200;
    $self->sql("update users set tier = '$tier' where telegram_id = $telegram") if $tier;
    return $r->{json}{user}{id};
}

# ---- what clients send -----------------------------------------------------------------------------------------

sub init_data {
    my ($self, $telegram, %change) = @_;
    my $token = delete $change{token} // $TOKEN;
    my %user = (id => $telegram, first_name => 'Ann', username => "ann_$telegram", language_code => 'en');
    my $user = JSON::PP->new->canonical->encode(\%user);
    $user =~ s/("id"):"?(\d+)"?/$1:$2/;
    my %pairs = (auth_date => int time, query_id => 'AAHdF6IQAAAAAN0XohDhrOrc', user => $user, %change);
    my $text = join "\n", map { "$_=$pairs{$_}" } sort keys %pairs;
    $pairs{hash} = hmac_sha256_hex($text, hmac_sha256($token, 'WebAppData'));
    return join '&', map { "$_=" . escape($pairs{$_}) } sort keys %pairs;
}

sub escape { my ($text) = @_; $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge; return $text }

sub session {
    my ($self, $user, $epoch, $expires, $key) = @_;
    my $body = pack('C', 1) . pack('q>q>q>', $user, $epoch, $expires // int(time) + 3600);
    my $text = encode_base64($body . hmac_sha256($body, $key // ("\x5a" x 32)), '');
    $text =~ tr{+/}{-_};
    $text =~ s/=+$//;
    return $text;
}

sub open_socket {
    my ($self, $port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port // $self->{port}, Timeout => 5) or die "connect: $!";
    $socket->autoflush(1);
    return $socket;
}

# One answer off a connection: {status, headers (lower case), body, json}. Dies after `seconds`.
sub read_answer {
    my ($self, $socket, %options) = @_;
    my ($text, $end) = ('', time + ($options{seconds} // 10));
    my $select = IO::Select->new($socket);
    my $more = sub {
        $select->can_read($end - time > 0 ? $end - time : 0) or die "no answer in time\n";
        sysread($socket, $text, 65536, length $text) or die "the connection was closed\n";
    };
    $more->() until $text =~ /\r\n\r\n/;
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($first, @lines) = split /\r\n/, $head;
    my %headers;
    for (@lines) { my ($name, $value) = split /:\s*/, $_, 2; $headers{lc $name} = $value }
    my ($status) = $first =~ m{^HTTP/1\.\d (\d+)} or die "not HTTP: $first\n";
    if (!$options{head} && defined(my $length = $headers{'content-length'})) {
        while (length $body < $length) {
            my $before = length $text;
            $more->();
            $body .= substr $text, $before;
        }
        die "more than the length says\n" if length $body > $length && !$options{pipelined};
        $self->{rest} = substr $body, $length, length $body, '';
    }
    my %answer = (status => $status, headers => \%headers, body => $body);
    $answer{json} = eval { $JSON->decode($body) } if $body =~ /^[\[{]/;
    return \%answer;
}

# request('GET', path, user => telegram id | session => token, headers => [...], json => {...} | body => '...', port => n)
sub request {
    my ($self, $method, $path, %o) = @_;
    my @headers = @{$o{headers} // []};
    push @headers, 'X-Telegram-Init-Data: ' . $self->init_data($o{user}) if $o{user};
    push @headers, "Authorization: Bearer $o{session}" if $o{session};
    push @headers, "Idempotency-Key: $o{key}" if defined $o{key};
    my $body = defined $o{json} ? JSON::PP->new->utf8->canonical->encode($o{json}) : $o{body};
    if (defined $body) {
        push @headers, 'Content-Type: application/json' unless grep { /^Content-Type:/i } @headers;
        push @headers, 'Content-Length: ' . length $body unless grep { /^(Content-Length|Transfer-Encoding):/i } @headers;
    } elsif ($method =~ /^(POST|PATCH)$/ && !grep { /^(Content-Length|Transfer-Encoding):/i } @headers) {
        push @headers, 'Content-Length: 0';
    }
    my $socket = $self->open_socket($o{port});
    print {$socket} join("\r\n", "$method $path HTTP/1.1", 'Host: localhost', 'Connection: close', @headers, '', '') . ($body // '');
    return $self->read_answer($socket, head => $method eq 'HEAD', seconds => $o{seconds});
}

sub get { my ($self, $path, %o) = @_; return $self->request('GET', $path, %o) }
sub post { my ($self, $path, %o) = @_; return $self->request('POST', $path, %o) }
sub ops { my ($self, $path) = @_; return $self->request('GET', $path, port => $self->{ops_port}) }

sub metric {
    my ($self, $name) = @_;
    my $text = $self->ops('/metrics')->{body};
    my ($value) = $text =~ /^\Q$name\E (\S+)$/m;
    return $value;
}

sub message {
    my ($self, $id, $text, %o) = @_;
    my $user = $o{user} // 900000001;
    return {update_id => $id + 0, message => {message_id => 5, date => 1790000000,
        from => {id => $user + 0, is_bot => JSON::PP::false, first_name => $o{name} // 'Ann'},
        chat => {id => ($o{chat} // $user) + 0, type => $o{type} // 'private'}, text => $text}};
}

sub webhook {
    my ($self, $update, %o) = @_;
    return $self->post('/webhook/telegram', headers => ['X-Telegram-Bot-Api-Secret-Token: ' . ($o{secret} // $SECRET)],
        ref $update ? (json => $update) : (body => $update), %o);
}

# One error, in the one form.
sub error_is {
    my ($self, $answer, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $error = ref $answer->{json} eq 'HASH' ? $answer->{json}{error} : undef;
    my $good = $answer->{status} == $status && $error && ($error->{code} // '') eq $code
        && ($error->{message} // '') ne '' && ($error->{request_id} // '') =~ /^[0-9a-f]{32}$/
        && keys %{$answer->{json}} == 1 && ($answer->{headers}{'content-type'} // '') =~ m{^application/json}
        && ($status != 503 || $answer->{headers}{'retry-after'});
    ok($good, "$name: $status $code") or diag("got $answer->{status} $answer->{body}");
}

# ---- the end -----------------------------------------------------------------------------------------------------

# What must never be in the log. Call once per test object, at the end; also stops everything.
sub finish {
    my ($self, %o) = @_;
    return if $self->{finished}++;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($self->stop, 'nginx ends by itself') unless $self->{no_start};
    my $log = $self->read_file('log/error.log') . $self->read_file('log/stderr');
    $log .= $self->read_file($_) for glob "$self->{dir}/log/asan*";
    my @bad = grep { /\[alert\]|exited on signal|Sanitizer|runtime error:|\[emerg\]|\[crit\]/ } split /\n/, $log;
    @bad = grep { $_ !~ $o{but} } @bad if $o{but};
    is(join("\n", @bad[0 .. ($#bad > 9 ? 9 : $#bad)]), '', 'nothing alarming in the log');
    unlike($log, qr/\Q$TOKEN\E|\Q$SECRET\E|5a5a5a5a5a/, 'no secret in the log');
}

sub clean {
    my ($self) = @_;
    $self->stop('KILL') if $self->{nginx};
    $self->stop_feeder('KILL') if $self->{feeder};
    system "$ROOT/tests/support/postgres.sh clean $self->{pg_dir} >/dev/null 2>&1" if $self->{pg_dir};
    unlink $self->{shm};
    remove_tree($self->{dir}) unless $ENV{WHALE_NGINX_KEEP};
}

END {
    my $status = $?;
    $_->clean for @alive;
    $? = $status;
}
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

1;
