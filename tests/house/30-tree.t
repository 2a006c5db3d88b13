# The tree itself: formatted, pointing one way, speaking of itself alone.
use strict;
use warnings;
use Test::More;

my @files = split /\n/, `git ls-files`;
plan skip_all => 'not a git checkout' unless @files;

subtest 'dependencies point one way' => sub {
    my %may = (
        core => qr{^(core/|jsmn)}, shm => qr{^(core|shm)/}, venues => qr{^(core|shm|venues)/},
        'workerd/net' => qr{^(core|shm|venues|workerd/net|workerd/role\.h)/?}, ngx_whale_module => qr{^(core|shm)/},
    );
    for my $role (qw(feed watch trade sign mirror notify paper)) {
        $may{"workerd/$role"} = qr{^(core|shm|venues|workerd/net|workerd/$role)/|^workerd/role\.h|^(queries|migrations)\.h};
    }
    for my $file (grep { /\.[ch]$/ } @files) {
        my ($folder) = grep { index($file, "$_/") == 0 } sort { length $b <=> length $a } keys %may;
        next unless $folder;
        open my $f, '<', $file or next;
        while (<$f>) {
            next unless /^#include "([^"]+)"/;
            my $include = $1;
            next unless $include =~ m{/} || $include =~ /^(queries|migrations)\.h$/;
            next if $include =~ /^(queries|migrations)\.h$/ && $folder ne 'core' && $folder ne 'venues' && $folder ne 'shm';
            like($include, $may{$folder}, "$file may include $include") unless $include =~ $may{$folder};
        }
    }
    pass('every include was looked at');
};

subtest 'C is formatted by the one .clang-format' => sub {
    plan skip_all => 'clang-format is not installed' if system('command -v clang-format >/dev/null') != 0;
    my @c = grep { m{^(core|shm|venues|workerd|tests|bench)/.*\.[ch]$} } @files;
    my $said = join '', map { `clang-format --dry-run $_ 2>&1` ? "$_\n" : '' } @c;
    is($said, '', 'nothing to change');
};

subtest 'money is never floating point' => sub {
    for my $file (grep { m{^(core|venues|workerd/(trade|sign|paper|watch|mirror|feed))/.*\.[ch]$} } @files) {
        open my $f, '<', $file or next;
        my @hits = grep { !m{^\s*(\*|/\*|//)} && /\b(double|float|strtod|atof)\b/ } <$f>;
        is(scalar @hits, 0, "$file has none") or diag @hits;
    }
};

done_testing;
