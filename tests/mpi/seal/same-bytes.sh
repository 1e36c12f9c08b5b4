#!/usr/bin/env bash
# same-bytes.sh SEAL RANKS ROWS RECORD SHARD_BYTES: the same spools sealed by 1, 2, 3, 4 and 7 ranks: equal
# shards, equal manifests less provenance, equal indices and hashes of files.
set -eu
seal=$1 ranks=$2
shift 2
first=
for n in 1 2 3 4 7; do
  said=$("$ranks" "$n" "$seal" "out-$n" "$@")
  [ -e "out-$n.partial-test" ] && { echo "a partial folder is left over" >&2; exit 1; }
  found=$(echo "$said"; cd "out-$n"; sha256sum shard-*.h5 2>/dev/null || true; sed '/^provenance:/,$d' dataset.yaml)
  [ -n "$first" ] || first=$found
  if [ "$found" != "$first" ]; then
    echo "$n ranks made something else than 1 rank:" >&2
    diff <(echo "$first") <(echo "$found") >&2
    exit 1
  fi
done
echo "$first" | grep -q '^sealed' || { echo "the program said nothing" >&2; exit 1; }
