#!/usr/bin/env bash
# perl: interpreter threads that clone the whole heap, fork, sorting, regular expressions and big data structures.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require PERL perl

cat >work.pl <<'SCRIPT'
use strict;
use warnings;
use Config;
use Digest::MD5 qw(md5_hex);
use Storable qw(freeze thaw dclone);

sub mapped { open my $f, '<', '/proc/self/maps' or die; local $/; return index(<$f>, $ARGV[0]) >= 0 }
print STDERR "the library is mapped\n" if mapped();

my %count;
my ($state, $text) = (42, '');
for my $i (1 .. 25000) {
    $state = ($state * 1103515245 + 12345) % 2147483648;
    my $word = join '', map { chr(97 + ($state >> $_) % 26) } 3, 7, 11, 15;
    $count{substr $word, 0, 3}{$word} .= "$i,";
    $text .= $word . ($i % 11 ? ' ' : "\n");
}
my $flat = join ';', map { my $k = $_; map { "$k=$_:$count{$k}{$_}" } sort keys %{$count{$k}} } sort keys %count;
print "words ", length $flat, " ", md5_hex($flat), "\n";

my %vowels;
$vowels{$1}++ while $text =~ /\b([a-z]*([aeiou])[a-z]*\2)\b/g;
print "regex ", scalar keys %vowels, " ", md5_hex(join ',', map { "$_$vowels{$_}" } sort keys %vowels), "\n";
(my $copy = $text) =~ s/(\w+) (\w+)/$2 $1/g;
print "substitution ", md5_hex($copy), "\n";
print "sort ", md5_hex(join ' ', sort { substr($b, 1) cmp substr($a, 1) or $a cmp $b } split /\s+/, $text), "\n";

my $tree = {map { $_ => [1 .. $_ % 50, {name => "n$_", pad => 'x' x ($_ % 700)}] } 1 .. 4000};
my $again = thaw(freeze(dclone($tree)));
print "storable ", join(',', map { $again->{$_}[-1]{name} . @{$again->{$_}} } 7, 77, 3999), "\n";
undef $again;

# A string that grows a little at a time, and one that grows in large steps.
my ($small, $large) = ('', '');
$small .= chr(65 + $_ % 26) for 1 .. 300000;
$large .= $small x 2 for 1 .. 8;
print "growth ", length $small, " ", length $large, " ", md5_hex($large), "\n";

my @sums;
for my $n (1 .. 10) {
    pipe my $r, my $w or die;
    my $pid = fork // die;
    if (!$pid) {
        delete @count{grep { ord($_) % 2 } keys %count};
        my $left = 0;
        $left += keys %$_ for values %count;
        print $w $left * $n, "\n";
        close $w;
        exit 0;
    }
    close $w;
    chomp(my $line = <$r>);
    waitpid $pid, 0;
    die "child failed: $?" if $?;
    push @sums, $line;
}
print "fork @sums\n";

if ($Config{useithreads}) {
    require threads;
    require threads::shared;
    my %shared;
    &threads::shared::share(\%shared);
    for my $round (1 .. 2) {
        my @threads = map { my $n = $_; threads->create(sub {
            my $length = 0;
            $length += length $count{$_}{(sort keys %{$count{$_}})[0]} for keys %count;
            my @own = map { "t$n-$_" x ($_ % 20) } 1 .. 5000;
            { lock(%shared); $shared{"$round-$n"} = md5_hex("@own") }
            return $length;
        }) } 1 .. 3;
        print "threads ", join(',', map { $_->join } @threads), "\n";
    }
    print "shared ", md5_hex(join ',', map { "$_$shared{$_}" } sort keys %shared), "\n";
}
SCRIPT
preloaded "$PERL" work.pl "$QUARRY_LIB" >first.out 2>first.err
grep -q 'the library is mapped' first.err
export PERL_HASH_SEED=0
run_both_ok work "$PERL" work.pl /no/such/library
assert_same work.preloaded.out first.out
