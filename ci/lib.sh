# Sourced by the scripts of this folder: the tree's root, messages, --help, root and Open MPI.
# A script's help is its own first comment, so the two cannot differ.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
me=ci/$(basename "$0")

say() { printf '%s: %s\n' "$me" "$*" >&2; }

# die STATUS TEXT: statuses follow sysexits (64 usage, 65 data, 69 a program is missing, 74 I/O).
die() {
    local status=$1
    shift
    say "$*"
    exit "$status"
}

help() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

have() { command -v "$1" >/dev/null 2>&1; }

# Open MPI refuses to start as root unless it is told twice; containers have no other user.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
