# Perl at work on records: hashes, lists, strings and regular expressions. Usage: records.pl COUNT
use strict;
use warnings;

my $seed = 7;

sub draw {
    my ($limit) = @_;
    $seed = ($seed * 1103515245 + 12345) % 2147483648;
    return ($seed >> 8) % $limit;
}

my $check = 0;
for my $round (1 .. 3) {
    my %by_customer;
    my @lines;
    for my $number (1 .. $ARGV[0]) {
        my @items = map { { part => "part-" . draw(5000), price => 100 + draw(900), count => 1 + draw(9) } }
            0 .. draw(8);
        push @{ $by_customer{ "customer " . draw(1000) } }, { number => $number, items => \@items };
        push @lines, join ";", map { "$_->{part}=$_->{count}x$_->{price}" } @items;
    }
    for my $line (@lines) {
        while ($line =~ /part-(\d+)=(\d+)x(\d+)/g) {
            $check += $1 + $2 * $3;
        }
    }
    my %counts;
    $counts{$_}++ for map { map { (split /=/)[0] } split /;/ } @lines;
    for my $part (sort { $counts{$a} <=> $counts{$b} || $a cmp $b } keys %counts) {
        $check += $counts{$part} * length $part;
    }
    for my $customer (sort keys %by_customer) {
        my @orders = sort { $b->{number} <=> $a->{number} } @{ $by_customer{$customer} };
        $check += $orders[0]{number};
    }
    $check %= 1000000007;
}
print "$check\n";
