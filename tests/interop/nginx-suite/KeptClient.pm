# SPDX-License-Identifier: LGPL-2.1-or-later
package KeptClient;

# Changes the client of nginx's own test suite, Test::Nginx, which sends HTTP/1.0 with bare line feeds and lets the
# server close. Here it sends HTTP/1.1 with CRLF, and one connection has the requests of many tests. A test sees the
# response as it would be without that. Loaded by perl -MKeptClient.
#
# SUITE_REQUESTS is a file that gets a word about each request, SUITE_PATHS the paths of the second nginx.

use strict;
use warnings;

use IO::Select;
use Scalar::Util qw(refaddr);

my %idle;     # connections that wait for a request, by the address of the server
my %exchange; # the request that a connection has, by refaddr()
my ($start, $end);
sub http_end($;%);
my %second = map { $_ => 1 } split / /, $ENV{SUITE_PATHS} // '';

sub note_request {
        my ($word, $text) = @_;

        open my $f, '>>', $ENV{SUITE_REQUESTS} or die "$ENV{SUITE_REQUESTS}: $!";
        print {$f} $word, ' ', $text // '', "\n";
}

# Returns a connection that waits for a request, and 1, or nothing.
sub take_idle {
        my ($address) = @_;

        while (my $s = pop @{ $idle{$address} }) {
                # The server has closed it, or begins to.
                return $s unless IO::Select->new($s)->can_read(0);
        }
        return;
}

# Splits a request into its head, without the empty line, and its body. Returns nothing if it is none, or several.
sub split_request {
        my ($request) = @_;

        my ($head, $body) = $request =~ m{\A(\S+ \S+ HTTP/1\.[01]\r?\n.*?)\r?\n\r?\n(.*)\z}s or return;
        return if $body =~ m{ HTTP/1\.[01]\r?$}m;
        return ($head, $body);
}

sub is_whole {
        my ($head, $body) = @_;

        return $body =~ /(?:\A|\n)0\r\n\r\n\z/ if $head =~ /^transfer-encoding:/mi;
        return length $body == ($head =~ /^content-length:\s*(\d+)/mi ? $1 : 0);
}

# Makes a request HTTP/1.1 on a connection that is kept. Returns nothing where the test is about something else.
sub keep {
        my ($head, $body, $extra) = @_;

        return if grep { !/^(?:PeerAddr|body)$/ } keys %$extra;
        return unless $head =~ /^host: *\S/mi && is_whole($head, $body . ($extra->{body} // ''));
        return if $head =~ /^(?:upgrade|expect):/mi || $head =~ /^connection:(?! *(?:close|keep-alive)\r?$)/mi;

        my $is_1_0 = $head =~ s{\A([^\n]*)HTTP/1\.0}{${1}HTTP/1.1};
        return if $head =~ ($is_1_0 ? qr/^transfer-encoding:/mi : qr/\A(?!.*^connection: *close)/msi);
        $head =~ s/^connection:[^\n]*\n?//mi;
        $head =~ s/\n\z//;
        return ($head, $is_1_0);
}

sub which {
        my ($path) = @_;

        $path =~ s{^http://[^/?]*}{};
        return $path =~ m{\A(/[A-Za-z0-9_.-]+)(?:[/?]|\z)} && $second{$1} ? 2 : 1;
}

sub http_start($;%) {
        my ($request, %extra) = @_;

        my ($head, $body) = $extra{SSL} ? () : split_request($request);
        return $start->($request, %extra) unless defined $head;

        my ($method, $path) = split / /, $head;
        my ($kept, $is_1_0) = keep($head, $body, \%extra);
        $head = $kept // $head;
        $head =~ s/\r?\n/\r\n/g;

        my $address = $extra{PeerAddr} // '';
        my %e = (method => $method, path => $path, address => $address, is_1_0 => $is_1_0);
        my $word = $kept ? 'first' : 'as-it-was';
        $e{arguments} = [$request, %extra];
        if ($kept && (my $old = take_idle($address))) {
                $e{again} = 1;
                $word = which($path) == which($exchange{ refaddr $old }{path}) ? 'kept' : 'kept,other';
                $extra{socket} = $old;
        }
        my $s = $start->("$head\r\n\r\n$body", %extra);
        note_request($word, $path);
        $exchange{ refaddr $s } = \%e if $s && $kept;
        return $s;
}

# Reads a response to its end. Returns it, and whether the connection is kept.
sub read_response {
        my ($s, $is_head) = @_;
        my ($got, $is_over) = ('', 0);

        while (1) {
                # Interim responses stand before the last one.
                if ($got =~ m{\A((?:HTTP/1\.1 1\d\d.*?\r\n\r\n)*)(HTTP/1\.1 ([2-9]\d\d).*?\r\n\r\n)}s) {
                        my ($head, $status, $n) = ($2, $3, length($1) + length($2));
                        my $kept = $head !~ /^connection: close/mi;
                        if ($is_head || $status == 204 || $status == 304) {
                                return ($got, $kept && length $got == $n);
                        } elsif ($head =~ /^content-length: (\d+)/mi) {
                                return ($got, $kept && length $got == $n + $1) if length $got >= $n + $1;
                        } elsif ($head =~ /^transfer-encoding: chunked/mi) {
                                return ($got, $kept) if $got =~ /\r\n0\r\n(?:[^\r\n]+\r\n)*\r\n\z/;
                        }
                }
                return ($got, 0) unless sysread $s, $got, 65536, length $got;
        }
}

# The response as one to HTTP/1.0 that ends the connection.
sub undo {
        my ($reply, $is_1_0) = @_;

        $reply =~ s/^Server: ngin2/Server: nginx/m;
        $reply =~ s/^Connection: keep-alive\r\n/Connection: close\r\n/m;
        return $reply unless $is_1_0;

        my ($head, $body) = $reply =~ /\A(.*?\r\n\r\n)(.*)\z/s or return $reply;
        if ($head =~ s/^Transfer-Encoding: chunked\r\n//m) {
                my $whole = '';
                while ($body =~ /\G([0-9a-f]+)\r\n/gci && hex $1) {
                        $whole .= substr $body, pos $body, hex $1;
                        pos($body) += hex($1) + 2;
                }
                $body = $whole;
        }
        return $head . $body;
}

sub http_end($;%) {
        my ($s, %extra) = @_;
        my $e = $s ? $exchange{ refaddr $s } : undef;

        return $end->($s, %extra) unless $e && !$e->{is_over};

        my ($reply, $kept);
        eval {
                local $SIG{ALRM} = sub { die "timeout\n" };
                alarm 8;
                ($reply, $kept) = read_response($s, $e->{method} eq 'HEAD');
                alarm 0;
        };
        alarm 0;
        if ($@) {
                note_request('without-end', $e->{path});
                return;
        }
        # The server has closed the connection between two requests: the request is sent again (RFC 9112 section 9.5).
        if ($reply eq '' && $e->{again}) {
                note_request('closed', $e->{path});
                @{ $idle{ $e->{address} } } = ();
                return http_end(http_start($e->{arguments}[0], @{ $e->{arguments} }[1 .. $#{ $e->{arguments} }]));
        }
        if (%second && $reply =~ /^Server: ngin([x2])/m) {
                note_request('wrong', $e->{path}) if ($1 eq '2' ? 2 : 1) != which($e->{path});
        }

        $e->{is_over} = 1;
        if ($kept) {
                push @{ $idle{ $e->{address} } }, $s;
        } else {
                delete $exchange{ refaddr $s };
                $s->close();
        }
        $reply = undo($reply, $e->{is_1_0});
        Test::Nginx::log_in($reply);
        return $reply;
}

# Other programs in Perl that a test starts have no test client.
if ($0 =~ /\.t\z/ && -e 'lib/Test/Nginx.pm') {
        require './lib/Test/Nginx.pm';
        $INC{'Test/Nginx.pm'} = './lib/Test/Nginx.pm';
        ($start, $end) = (\&Test::Nginx::http_start, \&Test::Nginx::http_end);
        no warnings 'redefine';
        *Test::Nginx::http_start = \&http_start;
        *Test::Nginx::http_end = \&http_end;
}

1;
