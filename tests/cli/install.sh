#!/usr/bin/env bash
# cmake --install under a prefix, without root; what is there works from there.
build=$1
export ECH_BIN=$build/bin
. "$(dirname "$0")/lib.sh" ""
unset ECHELON_RANK
cmake --install "$build" --prefix "$PWD/prefix" >install.txt 2>&1 || { fail "cmake --install"; tail -5 install.txt; }
[ -x prefix/bin/echelon ] || fail "bin/echelon is missing"
expect 0 prefix/bin/echelon --help
same out <"$ECH_SOURCE/tests/cli/golden/help.txt"
head -1 prefix/share/man/man1/echelon.1 | grep -q '^.TH ECHELON 1' || fail "the manual page is missing"
says prefix/share/modulefiles/echelon/* '#%Module1.0'
if [ -x "$ECH_BIN/echelon-rank" ]; then
    [ -x prefix/bin/echelon-rank ] || fail "bin/echelon-rank is missing"
fi
ldd prefix/bin/echelon | grep -E 'libmpi|hdf5|cuda|openblas' && fail "the command links what a login node lacks"
done_testing
