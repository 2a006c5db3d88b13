package Whale::Decimal;

# Exact decimals by Math::BigInt, for figures that the server is expected to show. Twelve places inside, as in the
# database; rounding is half-even, as reports are.
use strict;
use warnings;
use Exporter qw(import);
use Math::BigInt;

our @EXPORT_OK = qw(figures);

sub units {
    my ($text) = @_;
    my ($sign, $whole, $fraction) = $text =~ /\A(-?)(\d+)(?:\.(\d{1,12}))?\z/ or die "not a decimal: $text";
    return Math::BigInt->new($sign . $whole . substr(($fraction // '') . '0' x 12, 0, 12));
}

sub divide_half_even {
    my ($n, $d) = @_;
    my $negative = ($n < 0) != ($d < 0);
    my ($quotient, $rest) = $n->copy->babs->bdiv($d->copy->babs);
    my $order = ($rest * 2)->bcmp($d->copy->babs);
    $quotient++ if $order > 0 || ($order == 0 && $quotient->is_odd);
    return $negative ? -$quotient : $quotient;
}

# "1.5": no needless zeros, as the API shows numbers.
sub text {
    my ($units) = @_;
    my $digits = $units->copy->babs->bstr;
    $digits = ('0' x (13 - length $digits)) . $digits if length $digits < 13;
    my $text = substr($digits, 0, -12) . '.' . substr $digits, -12;
    $text =~ s/\.?0+\z//;
    return ($units < 0 ? '-' : '') . $text;
}

sub rounded {
    my ($units, $places) = @_;
    my $step = Math::BigInt->new(10)->bpow(12 - $places);
    return text(divide_half_even($units, $step) * $step);
}

# What a position is worth at this mark: quantity is signed, entry is the sum of |quantity| x price.
sub figures {
    my (%position) = @_;
    my ($quantity, $entry, $margin, $mark) = map { units($position{$_}) } qw(quantity entry_notional margin mark);
    my $one = Math::BigInt->new(10)->bpow(12);
    my $notional = divide_half_even($quantity->copy->babs * $mark, $one);
    my $pnl = $quantity < 0 ? $entry - $notional : $notional - $entry;
    my $roi = $margin > 0 ? divide_half_even($pnl * 1_000_000, $margin) * 100_000_000 : undef; # percent, four places
    return {
        notional => rounded($notional, 8),
        unrealised_pnl => rounded($pnl, 8),
        roi => defined $roi ? text($roi) : undef,
    };
}

1;
