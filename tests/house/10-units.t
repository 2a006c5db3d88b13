# The systemd unit: valid, and hardened enough.
use strict;
use warnings;
use Test::More;
use File::Temp qw(tempdir);

my $unit = 'conf/systemd/whale.service';
plan skip_all => 'systemd-analyze is not installed' if system('command -v systemd-analyze >/dev/null') != 0;

subtest 'the unit is valid' => sub {
    # given a copy whose programs exist on this machine
    my $dir = tempdir(CLEANUP => 1);
    open my $in, '<', $unit or die;
    my $text = do { local $/; <$in> };
    $text =~ s{/usr/sbin/workerd}{/bin/true}g;
    open my $out, '>', "$dir/whale.service" or die;
    print $out $text;
    close $out;
    # when / then
    my $said = `systemd-analyze verify $dir/whale.service 2>&1`;
    is($? >> 8, 0, 'systemd-analyze verify accepts it') or diag $said;
    unlike($said, qr/whale\.service.*(Unknown|Failed|ignoring)/i, 'and has nothing to say about it') or diag $said;
};

subtest 'the unit leaves little to attack' => sub {
    my $said = `systemd-analyze security --offline=true --threshold=20 $unit 2>&1`;
    is($? >> 8, 0, 'exposure is at most 2.0') or diag $said;
    note((split /\n/, $said)[-1]);
};

done_testing;
