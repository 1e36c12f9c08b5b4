#!/usr/bin/env bash
# same-bytes.sh WRITE RANKS ROWS SHARD_BYTES SLICE: the dataset written by 1, 2, 3, 4 and 7 ranks, with all ranks
# and with some empty-handed: equal shards, equal manifests less provenance.
set -eu
write=$1 ranks=$2 rows=$3 shard=$4 slice=$5
sum() { (cd "$1" && sha256sum shard-*.h5 2>/dev/null; sed '/^provenance:/,$d' dataset.yaml | sha256sum) | sha256sum; }
first=
for n in 1 2 3 4 7; do
  for skew in "" --skew; do
    [ "$skew" = --skew ] && [ "$n" != 3 ] && [ "$n" != 7 ] && continue
    "$ranks" "$n" "$write" "out-$n$skew" "$rows" "$shard" "$((slice * n))" $skew --append "$((rows / 2))"
    [ -e "out-$n$skew.partial-test" ] && { echo "a partial folder is left over" >&2; exit 1; }
    found=$(sum "out-$n$skew")
    [ -n "$first" ] || first=$found
    if [ "$found" != "$first" ]; then
      echo "$n ranks $skew wrote other bytes than 1 rank" >&2
      (cd out-1 && ls -l && sha256sum *; cd "../out-$n$skew" && ls -l && sha256sum *) >&2
      exit 1
    fi
  done
done
[ "$rows" = 0 ] || [ "$(ls out-1/shard-*.h5 | wc -l)" -ge 2 ] || { echo "no shards?" >&2; exit 1; }
