# The documentation says what the code says.
use strict;
use warnings;
use Test::More;

sub slurp { my ($path) = @_; open my $f, '<', $path or return ''; local $/; return <$f> }

subtest 'docs/CONFIGURATION.md lists exactly the directives of the table, with their defaults' => sub {
    my $table = slurp('core/directives.h');
    my $docs = slurp('docs/CONFIGURATION.md');
    $table =~ s/\\\n\s*/ /g;
    my %default;
    while ($table =~ /X\((whale_\w+),\s*(\w+),\s*\w+,\s*"((?:[^"\\]|\\.)*)",\s*(RELOAD|RESTART),/g) {
        $default{$1} = [$2, $3, $4];
    }
    cmp_ok(scalar keys %default, '>', 40, 'the table was read');
    my %documented = map { $_ => 1 } $docs =~ /^\| `(whale_\w+)`/mg;
    for my $name (sort keys %default) {
        ok($documented{$name}, "$name is documented") or next;
        my ($kind, $value, $when) = @{ $default{$name} };
        my ($row) = $docs =~ /^(\| `$name`.*)$/m;
        like($row, qr/\Q| \L$when\E |/, "$name says when a change takes effect");
        like($row, qr/\Q`$value`\E/, "$name says its default") if length $value;
    }
    my %nginx_only = map { $_ => 1 } qw(whale_api whale_webhook whale_operator);
    for my $name (sort keys %documented) {
        ok($default{$name} || $nginx_only{$name}, "$name exists");
    }
};

subtest 'docs/API.md lists every error code' => sub {
    my $table = slurp('core/errors.h');
    my $docs = slurp('docs/API.md');
    $table =~ s/\\\n\s*/ /g;
    while ($table =~ /X\(\w+, "(\w+)", (\d+),/g) {
        next if $1 eq 'none';
        like($docs, qr/`$1`/, "$1 is listed");
    }
};

subtest 'docs/ARCHITECTURE.md names every folder' => sub {
    my $docs = slurp('docs/ARCHITECTURE.md');
    for my $folder (qw(core/ shm/ venues/ workerd/ ngx_whale_module/ migrations/ queries/ conf/ scripts/ tests/ bench/ docs/),
        map { s{workerd/}{}r } grep { -d } glob('workerd/*')) {
        like($docs, qr/\Q$folder\E/, "$folder is on the map");
    }
};

done_testing;
