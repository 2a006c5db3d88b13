# Some of the tests again, on a module with AddressSanitizer and UBSan: the contract then also finds reads and writes out
# of bounds, and what is used after it was freed.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Whale;

plan skip_all => 'this is that pass' if $ENV{WHALE_NGINX_MODE};

my $said = do { local $ENV{FLAVOUR} = 'asan'; qx{$Whale::ROOT/scripts/build-module.sh 2>&1} };
is($?, 0, 'the instrumented module is built') or BAIL_OUT($said);

# All at once: they wait most of the time, each for a server of its own.
local $ENV{WHALE_NGINX_MODE} = 'asan';
my %running = map {
    my $pid = open my $out, '-|', "exec $^X $Bin/$_.t 2>&1" or die;
    ($_ => $out)
} qw(02-prices 04-users-and-keys 05-whales-and-follow 06-positions-and-lists 07-bodies 08-webhook 09-postgres);
for my $test (sort keys %running) {
    my $out = $running{$test};
    my $said = do { local $/; <$out> };
    close $out;
    is($? >> 8, 0, $test) or diag $said =~ s/^ *ok .*\n//mgr;
}

done_testing;
