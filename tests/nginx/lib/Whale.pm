package Whale;

# An nginx with the module, its own Postgres and a scripted segment, in a fresh directory on free ports, for one test
# file. Every test ends with `finish`, which holds the server to the contract: no alert, no crash, no sanitizer's word in
# the log, and no process left.
#
# WHALE_NGINX_MODE: plain; hup (the server reloads before each request); asan (the module is instrumented).
use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use Fcntl qw(:flock :DEFAULT);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Handle;
use IO::Socket::INET;
use POSIX qw(:sys_wait_h _exit setgid setuid setsid);
use Test::More;
use Time::HiRes qw(sleep time);

use Whale::Client;
use Whale::Telegram ();

our $ROOT = abs_path(dirname(__FILE__) . '/../../..');
our $BUILT = "$ROOT/build/nginx";
our $MODE = $ENV{WHALE_NGINX_MODE} || 'plain';
my $PATIENCE = 15; # seconds until a condition that must come true counts as one that does not
my %running; # what `finish` was not reached for

# ---- what the harness itself needs compiled ----------------------------------------------------------------------
sub build_helpers {
    mkdir "$ROOT/build";
    mkdir $BUILT;
    open my $lock, '>', "$BUILT/lock" or die "$BUILT/lock: $!";
    flock $lock, LOCK_EX;
    my @shared = (glob("$ROOT/core/*.c $ROOT/shm/*.c"), map { "$ROOT/workerd/$_.c" } qw(mirror/mirror_rows mirror/mirror_text net/net_pg_value));
    my @flags = (qw(-std=gnu11 -O2 -g -Wall -Werror -D_GNU_SOURCE), "-I$ROOT", "-I$ROOT/build/gen", '-I/usr/include/postgresql');
    run_quietly('make', '-s', '-C', $ROOT, 'build/gen/queries.c') if !-e "$ROOT/build/gen/queries.c" || is_older("$ROOT/build/gen/queries.c", glob "$ROOT/queries/*/*.sql");
    compile("$BUILT/segment", @flags, "$ROOT/tests/nginx/segment.c", @shared, "$ROOT/build/gen/queries.c", qw(-lpq -lcrypto -lm));
    compile("$BUILT/clock.so", qw(-shared -fPIC), @flags, "$ROOT/tests/nginx/clock.c");
    return;
}

sub is_older {
    my ($file, @sources) = @_;
    my $made = (stat $file)[9] // 0;
    return scalar grep { (stat $_)[9] >= $made } @sources;
}

sub compile {
    my ($out, @arguments) = @_;
    return unless is_older($out, grep({ /\.c\z/ } @arguments), glob "$ROOT/core/*.h $ROOT/shm/*.h $ROOT/workerd/mirror/*.h");
    run_quietly('cc', '-o', "$out.new", @arguments);
    rename "$out.new", $out or die "$out: $!";
}

sub run_quietly {
    my (@command) = @_;
    my $said = qx{@{[map { quotemeta } @command]} 2>&1};
    $? == 0 or die "@command: $said";
    return $said;
}

sub module {
    return $MODE eq 'asan' ? "$ROOT/build/module-asan/ngx_http_whale_module.so" : "$ROOT/build/module/ngx_http_whale_module.so";
}

# Servers do not run as root.
sub server_user {
    return () if $> != 0;
    my @entry = getpwnam('postgres') or die 'no user postgres to run servers as';
    return @entry[2, 3];
}

# ---- life --------------------------------------------------------------------------------------------------------
# Options: workers; pool, directives (more of whale.conf); http, server (more of nginx.conf); postgres => 0, segment => 0:
# leave it out; settings: of Postgres, as name=value; clock => 1: the test moves the server's date; cpu => N: pin nginx
# there; ready => 0: do not wait.
sub new {
    my ($class, %options) = @_;
    build_helpers();
    -e module() or croak module() . ' is not built: make module';
    my $dir = tempdir('whale-nginx-XXXXXX', DIR => '/tmp', CLEANUP => 1);
    chmod 0755, $dir;
    my $self = bless {
        dir => $dir, owner => $$, options => { workers => 1, postgres => 1, segment => 1, ready => 1, %options },
        shm => sprintf('/dev/shm/whale-nginx-%d-%d', $$, rand 1e9),
        bot_token => '7000000001:AAThrowAwayTokenForTestsOnly__0123456',
        webhook_secret => 'hook_' . int rand 1e9, next_user => 800_000_001, told => 0,
    }, $class;
    $running{$self} = $self;
    ($self->{uid}, $self->{gid}) = server_user();
    mkdir "$dir/$_" for qw(keys nginx);
    $self->write_keys;
    $self->write_file('clock', pack 'q', 0);
    $self->start_segment if $self->{options}{segment};
    $self->prepare_postgres if $self->{options}{postgres};
    $self->start;
    return $self;
}

sub write_file {
    my ($self, $name, $text, $mode) = @_;
    my $path = "$self->{dir}/$name";
    open my $file, '>:raw', $path or die "$path: $!";
    print $file $text;
    close $file;
    chmod $mode // 0600, $path;
    return $path;
}

sub write_keys {
    my ($self) = @_;
    my $random = sub { join '', map { sprintf '%02x', int rand 256 } 1 .. 32 };
    $self->write_file('keys/init-data-key', Whale::Telegram::init_data_key($self->{bot_token}) . "\n");
    $self->write_file('keys/session.key', $random->() . "\n");
    $self->write_file('keys/webhook-secret', "$self->{webhook_secret}\n");
    $self->write_file('keys/seal.private', $random->() . "\n");
    $self->write_file('keys/seal.public', $self->seal_public . "\n", 0644);
}

# OpenSSL's command line wants PKCS8 around the 32 bytes; the prefix is always the same.
sub seal_public {
    my ($self) = @_;
    open my $file, '<', "$self->{dir}/keys/seal.private" or die;
    chomp(my $hex = <$file>);
    $self->write_file('keys/seal.der', pack 'H*', '302e020100300506032b656e04220420' . $hex);
    my $der = qx{openssl pkey -inform DER -in $self->{dir}/keys/seal.der -pubout -outform DER};
    unlink "$self->{dir}/keys/seal.der";
    length $der > 32 or die 'openssl made no public key';
    return unpack 'H*', substr $der, -32;
}

sub whale_conf {
    my ($self) = @_;
    my $keys = "$self->{dir}/keys";
    my %value = (
        whale_database => qq{"host=$self->{dir}/pg dbname=whale user=whale_worker"},
        whale_web_database => qq{"host=$self->{dir}/pg dbname=whale user=whale_web"},
        whale_web_pool => $self->{options}{pool} // 2,
        whale_shm => $self->{shm},
        whale_venue => 'binance:usdm rest=http://127.0.0.1:1 stream=ws://127.0.0.1:1',
        whale_init_data_key_file => "$keys/init-data-key",
        whale_session_key_file => "$keys/session.key",
        whale_webhook_secret_file => "$keys/webhook-secret",
        whale_seal_public_key_file => "$keys/seal.public",
        %{ $self->{options}{directives} // {} },
    );
    return join '', map { defined $value{$_} ? "$_ $value{$_};\n" : '' } sort keys %value;
}

sub nginx_conf {
    my ($self) = @_;
    my ($dir, $options) = @$self{qw(dir options)};
    my ($http, $server, $main) = map { $options->{$_} // '' } qw(http server main);
    my $module = module();
    return <<"CONF";
daemon off;
worker_processes $options->{workers};
pid $dir/nginx/nginx.pid;
error_log $dir/error.log notice;
load_module $module;
worker_shutdown_timeout 5s;
$main
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $dir/nginx/body;
    proxy_temp_path $dir/nginx/proxy;
    fastcgi_temp_path $dir/nginx/fastcgi;
    uwsgi_temp_path $dir/nginx/uwsgi;
    scgi_temp_path $dir/nginx/scgi;
    client_max_body_size 64k;
    client_body_buffer_size 64k;
    large_client_header_buffers 4 16k;
    keepalive_requests 10000000;
    $http
    include $dir/whale.conf;
    server {
        listen 127.0.0.1:$self->{port};
        location / { whale_api; }
        location = /webhook/telegram { whale_webhook; }
        $server
    }
    server {
        listen 127.0.0.1:$self->{ops_port};
        location / { whale_operator; }
    }
}
CONF
}

sub write_configuration {
    my ($self) = @_;
    $self->write_file('whale.conf', $self->whale_conf, 0644);
    $self->write_file('nginx.conf', $self->nginx_conf, 0644);
    $self->own($self->{dir});
}

sub own {
    my ($self, @paths) = @_;
    return unless defined $self->{uid};
    system 'chown', '-R', "$self->{uid}:$self->{gid}", grep { -e } map { glob "$_/{nginx,keys,*.conf,*.log,clock}" } @paths;
    chown $self->{uid}, $self->{gid}, @paths;
}

# Outside the range that outgoing connections take their ports from, or one of them could have it by the time that
# nginx binds; whoever else tests on this machine may still, so `start` tries again.
sub free_port {
    for (1 .. 200) {
        my $port = 15_000 + int rand 17_000;
        return $port if IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port", Listen => 1, ReuseAddr => 1);
    }
    die 'no free port';
}

sub environment {
    my ($self) = @_;
    my @preload;
    if ($MODE eq 'asan') {
        chomp(my $asan = qx{cc -print-file-name=libasan.so});
        push @preload, $asan;
        $ENV{ASAN_OPTIONS} = 'detect_leaks=0:detect_odr_violation=0';
        $ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';
    }
    if ($self->{options}{clock}) {
        push @preload, "$BUILT/clock.so";
        $ENV{WHALE_TEST_CLOCK} = "$self->{dir}/clock";
    }
    $ENV{LD_PRELOAD} = join ':', @preload if @preload;
}

# A child in a process group of its own, as the unprivileged user; `setup` runs in it, before the program.
sub spawn {
    my ($self, $setup, @command) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    setsid();
    $setup->() if $setup;
    if (defined $self->{uid}) {
        $( = $) = "$self->{gid} $self->{gid}";
        setgid($self->{gid});
        setuid($self->{uid});
    }
    chdir $self->{dir};
    exec @command or print STDERR "$command[0]: $!\n";
    _exit(127);
}

sub start {
    my ($self) = @_;
    for my $try (1 .. 5) {
        ($self->{port}, $self->{ops_port}) = (free_port(), free_port());
        $self->write_configuration;
        my @pin = defined $self->{options}{cpu} ? ('taskset', '-c', $self->{options}{cpu}) : ();
        $self->{nginx} = $self->spawn(
            sub {
                $self->environment;
                open STDIN, '<', '/dev/null';
                open STDOUT, '>>', "$self->{dir}/stderr.log";
                open STDERR, '>&', \*STDOUT;
            },
            @pin, '/usr/sbin/nginx', '-p', "$self->{dir}/nginx", '-c', "$self->{dir}/nginx.conf",
        );
        last if $self->wait_listening;
        croak "nginx did not start:\n" . $self->log_text unless $self->log_text =~ /bind\(\) .* failed/;
        unlink "$self->{dir}/error.log";
    }
    $self->wait_for('a ready server', sub { $self->ops('/health/ready')->status == 200 })
        if $self->{options}{ready} && $self->{options}{segment} && $self->{options}{postgres};
    return $self;
}

sub wait_listening {
    my ($self) = @_;
    for (1 .. 400) {
        return 1 if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{ops_port}") && -s "$self->{dir}/nginx/nginx.pid";
        if (waitpid($self->{nginx}, WNOHANG) > 0) {
            delete $self->{nginx};
            return 0;
        }
        sleep 0.02;
    }
    return 0;
}

sub log_text {
    my ($self) = @_;
    return join '', map { read_text("$self->{dir}/$_") } qw(error.log stderr.log);
}

# ---- the contract ------------------------------------------------------------------------------------------------
sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{nginx} or return 1;
    kill $signal // 'QUIT', $pid;
    my $ended = eval { $self->wait_for('nginx to end', sub { waitpid($pid, WNOHANG) > 0 }) };
    # workers are of the master's group: with the group gone none is left
    my $alone = eval { $self->wait_for('workers to end', sub { !kill 0, -$pid }, 5) };
    kill 'KILL', -$pid;
    waitpid $pid, 0;
    return $ended && $alone;
}

sub finish {
    my ($self) = @_;
    my $stopped = $self->stop;
    $self->stop_segment;
    my $log = $self->log_text;
    my @bad = grep { /\[(?:alert|emerg)\]|exited on signal|Sanitizer|runtime error:/ } split /\n/, $log;
    ok($stopped, 'contract: nginx ended when told to, and left no process');
    is(join("\n", @bad), '', 'contract: no alert, no crash and no sanitizer in the log') or diag substr $log, -4000;
    $self->clean;
    return;
}

# The end without a word, for what is no test.
sub clean {
    my ($self) = @_;
    delete $running{$self};
    $self->stop('KILL');
    $self->stop_segment;
    $self->release($_) for keys %{ $self->{holders} // {} };
    system "$ROOT/tests/support/postgres.sh clean $self->{dir}/pg" if -d "$self->{dir}/pg";
    unlink $self->{shm};
}

# A test that died, or was told to, is to leave nothing behind either.
$SIG{$_} //= sub { exit 1 } for qw(INT TERM HUP);
END {
    my $status = $?;
    for (values %running) {
        next if $_->{owner} != $$;
        my $log = $_->log_text;
        $_->clean;
        diag "the end of the log:\n" . substr $log, -3000;
    }
    $? = $status;
}

sub wait_for {
    my ($self, $what, $condition, $patience) = @_;
    my $end = time + ($patience // $PATIENCE);
    for (;;) {
        my $value = $condition->();
        return $value if $value;
        croak "waited in vain for $what\n" . substr $self->log_text, -2000 if time > $end;
        sleep 0.02;
    }
}

# Reloads, and returns when the new workers have started and the old ones know that they are to go.
sub hup {
    my ($self) = @_;
    my $generations = sub { scalar(() = $self->log_text =~ /gracefully shutting down/g) };
    my $before = $generations->();
    kill 'HUP', $self->{nginx};
    $self->wait_for('a reload', sub { $generations->() >= $before + $self->{options}{workers} });
}

sub set_clock {
    my ($self, $seconds) = @_;
    my $offset = $seconds == 0 ? 0 : $seconds - int time;
    open my $file, '+<:raw', "$self->{dir}/clock" or die;
    syswrite $file, pack 'q', $offset * 1_000_000_000;
}

# ---- Postgres ----------------------------------------------------------------------------------------------------
sub prepare_postgres {
    my ($self) = @_;
    $self->start_postgres;
    # workerd would do this; the web server's tests do not need the daemon to be built
    for my $migration (sort glob "$ROOT/migrations/*.sql") {
        run_quietly(qw(psql -X -q -v ON_ERROR_STOP=1 --single-transaction -d), $self->conninfo, '-f', $migration);
    }
}

sub start_postgres {
    my ($self) = @_;
    run_quietly("$ROOT/tests/support/postgres.sh", 'start', "$self->{dir}/pg", @{ $self->{options}{settings} // [] });
}

sub stop_postgres { run_quietly("$ROOT/tests/support/postgres.sh", 'stop', "$_[0]{dir}/pg") }

# As a power cut: no farewell to any client.
sub kill_postgres {
    my ($self) = @_;
    open my $file, '<', "$self->{dir}/pg/data/postmaster.pid" or die;
    chomp(my $pid = <$file>);
    my @children = map { m{/proc/(\d+)/} } grep { ((read_text($_) =~ /^PPid:\s*(\d+)/m)[0] // 0) == $pid } glob '/proc/[0-9]*/status';
    kill 'KILL', $pid, @children;
    $self->wait_for('Postgres to be dead', sub { !grep { kill 0, $_ } $pid, @children });
    unlink "$self->{dir}/pg/data/postmaster.pid", glob "$self->{dir}/pg/.s.PGSQL*";
}

sub read_text {
    my ($path) = @_;
    open my $file, '<:raw', $path or return '';
    local $/;
    return <$file> // '';
}

sub conninfo {
    my ($self, $user) = @_;
    return "host=$self->{dir}/pg dbname=whale user=" . ($user // 'whale');
}

# As the owner, unless a role is named; rows as text, columns split by |.
sub sql {
    my ($self, $text, $user) = @_;
    open my $file, '-|', 'psql', qw(-X -q -At -v ON_ERROR_STOP=1 -d), $self->conninfo($user), '-c', $text or die;
    my $rows = do { local $/; <$file> // '' };
    close $file or croak "psql failed: $text";
    return $rows =~ s/\n\z//r;
}

# A session that holds on to what the statement locks, until `release`.
sub hold {
    my ($self, $statement) = @_;
    my $pid = open my $in, '|-', 'psql', qw(-X -q -At -o), "$self->{dir}/held", '-d', $self->conninfo or die;
    $in->autoflush(1);
    unlink "$self->{dir}/held-now";
    print $in "begin;\n$statement;\n\\! touch $self->{dir}/held-now\n";
    $self->wait_for('a lock', sub { -e "$self->{dir}/held-now" });
    $self->{holders}{$pid} = $in;
    return $pid;
}

sub release {
    my ($self, $pid) = @_;
    close delete $self->{holders}{$pid};
}

# A user as one who has signed in once. Returns { id, telegram_id }; more columns may be named.
sub add_user {
    my ($self, %columns) = @_;
    my $telegram = $columns{telegram_id} //= $self->{next_user}++;
    my @names = sort keys %columns;
    my $values = join ', ', map { "'$columns{$_}'" } @names;
    my $id = $self->sql("with made as (insert into users (@{[join ', ', @names]}) values ($values) returning id),
        settings as (insert into user_settings (user_id) select id from made) select id from made");
    return { id => $id, telegram_id => $telegram };
}

# ---- the segment -------------------------------------------------------------------------------------------------
sub start_segment {
    my ($self) = @_;
    pipe my $to_read, my $to_write or die;
    pipe my $from_read, my $from_write or die;
    $self->{segment} = $self->spawn(
        sub {
            open STDIN, '<&', $to_read;
            open STDOUT, '>&', $from_write;
            close $_ for $to_write, $from_read;
        },
        "$BUILT/segment", $self->{shm},
    );
    close $_ for $to_read, $from_write;
    $to_write->autoflush(1);
    @$self{qw(segment_in segment_out)} = ($to_write, $from_read);
    $self->shm('create ' . ($self->{options}{capacities} // ''));
}

# One command of segment.c; what it answered behind "ok".
sub shm {
    my ($self, $command) = @_;
    print { $self->{segment_in} } "$command\n";
    my $answer = readline($self->{segment_out}) // croak "the segment's writer died at: $command";
    chomp $answer;
    $answer =~ s/\Aok ?// or croak "segment: $command: $answer";
    return $answer;
}

sub stop_segment {
    my ($self, $signal) = @_;
    my $pid = delete $self->{segment} or return;
    if ($signal) { kill $signal, $pid }
    close delete $self->{segment_in};
    waitpid $pid, 0;
    close delete $self->{segment_out};
}

# ---- requests ----------------------------------------------------------------------------------------------------
sub client { return Whale::Client->new($_[0]{port}) }

sub request {
    my ($self, %request) = @_;
    $self->hup if $MODE eq 'hup' && !$request{ops};
    my $client = Whale::Client->new($request{ops} ? $self->{ops_port} : $self->{port});
    $client->write(Whale::Client::format_request(%request, headers => { Connection => 'close', %{ $request{headers} // {} } }));
    my $answer = $client->read_answer($request{method});
    croak "no answer to $request{method} $request{path}" unless $answer;
    croak 'bytes behind the answer: ' . $client->{buffer} unless $client->closed;
    return $answer;
}

# $as: undef (nobody), a user (by initData, fresh), "token ..." a session, or a hash of headers.
sub headers_for {
    my ($self, $as) = @_;
    return {} unless defined $as;
    return { Authorization => "Bearer $as" } unless ref $as;
    return { 'X-Telegram-Init-Data' => $self->init_data($as) } if $as->{telegram_id};
    return $as;
}

sub init_data {
    my ($self, $user, %more) = @_;
    my $name = $user->{name} // 'T';
    return Whale::Telegram::init_data($self->{bot_token}, { id => 0 + $user->{telegram_id}, first_name => $name, language_code => 'en' }, %more);
}

sub get { my ($self, $path, $as) = @_; return $self->request(method => 'GET', path => $path, headers => $self->headers_for($as)) }
sub ops { my ($self, $path) = @_; return $self->request(method => 'GET', path => $path, ops => 1) }

sub send_json {
    my ($self, $method, $path, $as, $body, %headers) = @_;
    $body = JSON::PP->new->canonical->utf8->allow_nonref->encode($body) if ref $body;
    return $self->request(method => $method, path => $path, body => $body, headers => { %{ $self->headers_for($as) }, %headers });
}
sub post { my ($self, @rest) = @_; return $self->send_json('POST', @rest) }
sub patch { my ($self, @rest) = @_; return $self->send_json('PATCH', @rest) }
sub remove { my ($self, @rest) = @_; return $self->send_json('DELETE', @rest) }

sub token {
    my ($self, $user) = @_;
    my $answer = $self->post('/api/v1/auth/telegram', $user);
    croak 'sign-in: ' . $answer->body unless $answer->status == 200;
    return $answer->json->{token};
}

sub webhook {
    my ($self, $update, %headers) = @_;
    return $self->send_json('POST', '/webhook/telegram', { 'X-Telegram-Bot-Api-Secret-Token' => $self->{webhook_secret}, %headers }, $update);
}

# The value of one line of /metrics, 0 where it is not there.
sub metric {
    my ($self, $line) = @_;
    my ($value) = $self->ops('/metrics')->body =~ /^\Q$line\E (\S+)$/m;
    return $value // 0;
}

1;
