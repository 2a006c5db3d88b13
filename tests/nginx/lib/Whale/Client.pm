package Whale::Client;

# HTTP/1.1 over a plain socket, so that tests decide every byte and when it is sent: requests cut in pieces, several in
# one, half a body, a client that leaves. Dies where an answer is not HTTP, so that no test has to look for that.
use strict;
use warnings;
use Carp qw(croak);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

our $PATIENCE = 20; # seconds for an answer, before the test gives up; no test waits for this on purpose

sub new {
    my ($class, $port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 5) or croak "connect to port $port: $!";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1; # pieces are to arrive as pieces
    return bless { socket => $socket, buffer => '' }, $class;
}

# The bytes of a request. Without a body there is no Content-Length, as browsers do it.
sub format_request {
    my (%request) = @_;
    my %headers = (Host => 'whale.test', %{ $request{headers} // {} });
    my $text = sprintf "%s %s HTTP/1.1\r\n", $request{method} // 'GET', $request{path} // '/';
    if (defined $request{body}) {
        $headers{'Content-Length'} //= length $request{body} unless exists $headers{'Transfer-Encoding'};
        $headers{'Content-Type'} //= 'application/json';
    }
    for my $name (sort keys %headers) {
        for my $value (ref $headers{$name} ? @{ $headers{$name} } : $headers{$name}) {
            $text .= "$name: $value\r\n" if defined $value;
        }
    }
    return "$text\r\n" . ($request{body} // '');
}

sub write {
    my ($self, @pieces) = @_;
    local $SIG{PIPE} = 'IGNORE';
    for my $i (0 .. $#pieces) {
        sleep 0.01 if $i > 0; # lets the first piece be read alone
        my $at = 0;
        while ($at < length $pieces[$i]) {
            my $done = syswrite $self->{socket}, $pieces[$i], length($pieces[$i]) - $at, $at;
            return 0 unless defined $done; # the server has answered and closed; what it said can still be read
            $at += $done;
        }
    }
    return 1;
}

sub fill {
    my ($self) = @_;
    my $wait = IO::Select->new($self->{socket});
    $wait->can_read($PATIENCE) or croak 'no answer';
    my $got = sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer};
    return $got ? 1 : 0;
}

# One answer; `method` is that of the request, since HEAD has no body. undef: the server closed instead.
sub read_answer {
    my ($self, $method) = @_;
    until ($self->{buffer} =~ /\r\n\r\n/) {
        return if !$self->fill && $self->{buffer} eq '';
        croak "half an answer: $self->{buffer}" if !$self->{buffer};
    }
    $self->{buffer} =~ s/\A(.*?)\r\n\r\n//s;
    my ($first, @lines) = split /\r\n/, $1;
    $first =~ m{\AHTTP/1\.[01] (\d{3})} or croak "not HTTP: $first";
    my $answer = bless { status => 0 + $1, headers => {}, body => '', first => $first }, 'Whale::Answer';
    for (@lines) {
        /\A([^:]+):\s*(.*)\z/ or croak "not a header: $_";
        my $name = lc $1;
        $answer->{headers}{$name} = exists $answer->{headers}{$name} ? "$answer->{headers}{$name}, $2" : $2;
    }
    return $answer if $answer->{status} < 200;
    $answer->{body} = $self->read_body($answer, $method // 'GET');
    return $answer;
}

sub read_body {
    my ($self, $answer, $method) = @_;
    return '' if $method eq 'HEAD' || $answer->{status} == 204;
    my $length = $answer->{headers}{'content-length'};
    if (defined $length) {
        while (length $self->{buffer} < $length) {
            $self->fill or croak "body of $length bytes ends after " . length $self->{buffer};
        }
        return substr $self->{buffer}, 0, $length, '';
    }
    croak 'neither length nor chunks' unless ($answer->{headers}{'transfer-encoding'} // '') eq 'chunked';
    my $body = '';
    for (;;) {
        until ($self->{buffer} =~ /\A([0-9a-f]+)\r\n/i && length $self->{buffer} >= length($1) + hex($1) + 4) {
            $self->fill or croak 'chunks end early';
        }
        $self->{buffer} =~ s/\A([0-9a-f]+)\r\n//i;
        $body .= substr $self->{buffer}, 0, hex $1, '';
        $self->{buffer} =~ s/\A\r\n//;
        return $body if hex $1 == 0;
    }
}

# True where the server has closed, and said nothing more.
sub closed {
    my ($self) = @_;
    return $self->{buffer} eq '' && !$self->fill;
}

# As a phone that loses its network: the connection is reset, not closed.
sub abort {
    my ($self) = @_;
    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    CORE::close($self->{socket});
}

sub close { CORE::close($_[0]{socket}) }

# ---- what came back ---------------------------------------------------------------------------------------------
package Whale::Answer;

sub status { $_[0]{status} }
sub body { $_[0]{body} }
sub header { $_[0]{headers}{ lc $_[1] } }

sub json {
    my ($self) = @_;
    return $self->{json} //= eval { JSON::PP->new->utf8->decode($self->{body}) } // die "not JSON: $self->{body}\n";
}

# The error's code, where the answer is an error object with all that belongs into one; else undef.
sub code {
    my ($self) = @_;
    my $json = eval { $self->json };
    return unless ref $json eq 'HASH' && ref $json->{error} eq 'HASH';
    my $error = $json->{error};
    return unless join(' ', sort keys %$error) eq 'code message request_id';
    return unless length $error->{message} && ($error->{request_id} // '') =~ /\A[0-9a-f]{32}\z/;
    return unless ($self->header('Content-Type') // '') eq 'application/json';
    return $error->{code};
}

sub message { $_[0]->json->{error}{message} }

1;
