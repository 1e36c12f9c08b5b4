#!/usr/bin/env bash
# eval: metrics of lines, and lines that do not fit.
. "$(dirname "$0")/lib.sh"

expect 64 "$echelon" eval translaton a.txt
one_line err
says err "translation"
expect 66 "$echelon" eval translation none.txt --reference none.txt
printf 'one\ntwo\n' >two.txt
printf 'one\n' >one.txt
expect 64 "$echelon" eval translation two.txt
says err "a --reference was expected"
expect 65 "$echelon" eval translation two.txt --reference one.txt
says err "one.txt ends after line 1, two.txt goes on"
printf 'one\nt\377o\n' >bad.txt
expect 65 "$echelon" eval translation bad.txt --reference two.txt
says err "bad.txt, line 2: byte 2 is not UTF-8"
: >empty.txt
expect 65 "$echelon" eval translation empty.txt --reference empty.txt
says err "no lines"
expect 0 "$echelon" eval translation two.txt --reference two.txt
says out "chrF  100.00"
