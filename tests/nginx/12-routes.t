# docs/API.md and the table of routes name the same addresses, and each of them is there when it is asked for.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Whale;

my $table = Whale::read_text("$Whale::ROOT/ngx_whale_module/whale_route.h");
my $docs = Whale::read_text("$Whale::ROOT/docs/API.md");
$table =~ s/\\\n\s*/ /g;
my @routes = map { { name => $_->[0], method => $_->[1], path => $_->[2], access => $_->[3] } } map { [/(\w+), (\w+), "([^"]+)", (\w+)/] } $table =~ /X\((\w+, \w+, "[^"]+", \w+)\)/g;
my %routes = map { ("$_->{method} $_->{path}" => 1) } @routes;

subtest 'documentation' => sub {
    cmp_ok(scalar @routes, '>', 15, 'the table was read');
    my %documented = map { $_ => 1 } $docs =~ /\b((?:GET|POST|PUT|PATCH|DELETE) \/[\w\/{}-]+)/g;
    ok($documented{$_}, "$_ is documented") for sort keys %routes;
    ok($routes{$_}, "$_, which is documented, exists") for sort keys %documented;
};

subtest 'every route answers' => sub {
    my $whale = Whale->new;
    my $ann = $whale->add_user;
    for my $route (@routes) {
        my $path = $route->{path} =~ s/\{id\}/999/r =~ s/\{\w+\}/x/gr;
        my $ops = $route->{access} eq 'OPERATOR';
        my $headers = $route->{access} eq 'TELEGRAM' ? { 'X-Telegram-Bot-Api-Secret-Token' => $whale->{webhook_secret} } : $route->{access} eq 'PUBLIC' || $ops ? {} : $whale->headers_for($ann);
        my $answer = $whale->request(method => $route->{method}, path => $path, ops => $ops, headers => $headers, ($route->{method} eq 'GET' ? () : (body => '{}')));
        ok($answer->status < 500 && $answer->status != 405, "$route->{method} $route->{path}: " . $answer->status) or diag $answer->body;
        # what needs a user says so to everybody else
        next if $route->{access} !~ /USER|FRESH/;
        is($whale->request(method => $route->{method}, path => $path)->code, 'unauthenticated', '... and wants a user');
    }
    $whale->finish;
};

done_testing;
