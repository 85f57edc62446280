#!/bin/sh
# Replaces FROM by TO at its occurrence number NUMBER in a text, however that is laid out in lines and blanks; fails where
# there is none.
#
#   dev/mutants/plant.sh FROM TO NUMBER <IN >OUT
FROM=$1 TO=$2 WANTED=$3 exec perl -0777 -e '
    my $text = <STDIN>;
    my $from = join "\\s*", map quotemeta, $ENV{FROM} =~ /\w+|[^\w\s]/g;
    for (my $k = 1; $text =~ /$from/g; $k++) {
        my ($begin, $end) = ($-[0], $+[0]);
        if ($k == $ENV{WANTED}) {
            substr($text, $begin, $end - $begin) = $ENV{TO};
            print $text;
            exit 0;
        }
        pos($text) = $begin + 1;
    }
    exit 1'
