package Whale::Telegram;

# What Telegram would send: initData signed with a bot's token, and updates of the bot.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex);
use Encode qw(encode_utf8);
use Exporter qw(import);
use JSON::PP ();

our @EXPORT_OK = qw(init_data init_data_key init_data_of sign_pairs message_update);

my $update_id = 100_000 + int rand 1_000_000;

# The key that checks initData: nginx holds this, and never the token.
sub init_data_key { return hmac_sha256_hex($_[0], 'WebAppData') }

sub escape {
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

sub sign_pairs {
    my ($token, %pairs) = @_;
    my $text = join "\n", map { "$_=$pairs{$_}" } sort keys %pairs;
    return hmac_sha256_hex($text, hmac_sha256($token, 'WebAppData'));
}

# init_data($token, { id => 7, first_name => 'Ann' }, auth_date => time, ...): more pairs may be added or replaced.
sub init_data {
    my ($token, $user, %more) = @_;
    my %pairs = (
        auth_date => time,
        query_id => 'AAHdF6IQAAAAAN0XohDhrOrc',
        user => JSON::PP->new->canonical->utf8->encode($user),
        %more,
    );
    return init_data_of($token, %pairs);
}

sub init_data_of {
    my ($token, %pairs) = @_;
    return join '&', map({ $_ . '=' . escape($pairs{$_}) } sort keys %pairs), 'hash=' . sign_pairs($token, %pairs);
}

# A message to the bot, in private unless told otherwise: message_update($from, '/start', %parts of the message).
sub message_update {
    my ($from, $text, %more) = @_;
    my $id = delete $more{update_id} // ++$update_id;
    my %message = (
        message_id => 5,
        date => time,
        ($from ? (from => { is_bot => JSON::PP::false, first_name => 'T', ref $from ? %$from : (id => $from) }) : ()),
        chat => { id => ref $from ? $from->{id} : $from, type => 'private' },
        text => $text,
        %more,
    );
    if ($text =~ m{\A(/\S+)}) {
        $message{entities} = [{ type => 'bot_command', offset => 0, length => length $1 }];
    }
    return { update_id => $id, message => \%message };
}

1;
