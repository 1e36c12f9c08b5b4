#!/usr/bin/env bash
# full-disk.sh WRITE RANKS: a file system of 2 MiB, datasets that need more: on 1 and 3 ranks a clear error, no
# dataset, and an old one stays as it is.
set -u
write=$1 ranks=$2
skip() { echo "SKIP root: $1" >&2; exit 77; }
[ "$(id -u)" = 0 ] || skip "mounting a small tmpfs needs root"
mkdir small
mount -t tmpfs -o size=2m tmpfs small 2>/dev/null || skip "this machine cannot mount a tmpfs"
trap 'cd /; umount "$OLDPWD/small" 2>/dev/null || umount -l "$OLDPWD/small"' EXIT
"$ranks" 1 "$write" small/old 100 100000 10 || { echo "a small dataset does not fit" >&2; exit 1; }
before=$(cat small/old/* | sha256sum)
for n in 1 3; do
  if "$ranks" "$n" "$write" small/new 30000 1000000 1000 2>err; then
    echo "$n ranks wrote 8 MB to a disk of 2 MiB" >&2
    exit 1
  fi
  grep -q "the file system is full: free space" err || { echo "no clear error:" >&2; cat err >&2; exit 1; }
  [ ! -e small/new ] || { echo "a half-made dataset was published" >&2; exit 1; }
  rm -rf small/new.partial-test
done
[ "$before" = "$(cat small/old/* | sha256sum)" ] || { echo "the old dataset changed" >&2; exit 1; }
