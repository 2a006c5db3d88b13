package Whale::Load;

# Clients that ask all the time while something is done to the server. Each is a process of its own, and tells at the end
# how many answers it got and which of them it should not have got.
use strict;
use warnings;
use IO::Select;
use POSIX qw(_exit);

use Whale::Client;

# requests: [request, status that it must have], as Whale::Client::format_request takes them. Half of the clients make a
# connection a request, the other half keep theirs as long as the server does.
sub new {
    my ($class, %options) = @_;
    pipe my $until, my $go or die; # children end when the parent closes it: a signal would cut an answer short
    my $self = bless { children => [], go => $go }, $class;
    for my $number (0 .. ($options{clients} // 4) - 1) {
        pipe my $read, my $write or die;
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            close $_ for $read, $go;
            eval { client($write, $until, $number, %options); 1 } or print {$write} "client died: $@";
            close $write;
            _exit(0);
        }
        close $write;
        push @{ $self->{children} }, { pid => $pid, out => $read };
    }
    return $self;
}

sub client {
    my ($out, $until, $number, %options) = @_;
    my ($kept, %failed);
    my $count = 0;
    until (IO::Select->new($until)->can_read(0)) {
        my ($request, $expected) = @{ $options{requests}[($count + $number) % @{ $options{requests} }] };
        my $keeps = $number % 2;
        my $headers = { %{ $request->{headers} // {} }, ($keeps ? () : (Connection => 'close')) };
        my $said = eval {
            my $reused = $kept;
            $kept ||= Whale::Client->new($options{port});
            $kept->write(Whale::Client::format_request(%$request, headers => $headers));
            my $answer = eval { $kept->read_answer($request->{method}) };
            # a server may close a connection that is idle; a client that used it before then asks once more, as all do
            if (!$answer && $reused) {
                $kept = Whale::Client->new($options{port});
                $kept->write(Whale::Client::format_request(%$request, headers => $headers));
                $answer = $kept->read_answer($request->{method});
            }
            undef $kept if !$keeps || !$answer || ($answer->header('Connection') // '') eq 'close';
            $answer ? $answer->status : 'closed';
        } // "died: $@";
        $failed{"$request->{path}: $said"}++ if $said ne $expected;
        $count++;
    }
    print {$out} "$count\n", map { "$failed{$_} x $_\n" } sort keys %failed;
}

# (answers in all, what was wrong with some of them)
sub finish {
    my ($self) = @_;
    close delete $self->{go};
    my ($total, @wrong) = (0);
    for my $child (@{ $self->{children} }) {
        my $out = $child->{out};
        my ($count, @lines) = <$out>;
        waitpid $child->{pid}, 0;
        chomp($count, @lines);
        $count =~ /\A\d+\z/ ? ($total += $count) : unshift @lines, $count;
        push @wrong, @lines;
    }
    return ($total, join "\n", @wrong);
}

1;
