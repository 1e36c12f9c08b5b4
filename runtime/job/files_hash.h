/* The cache behind ech_files_hash: one small file an entry, named after the path it speaks of, so that a
 * changed file replaces its entry. An entry (96 bytes, little endian) counts only where every field of the
 * file's state is equal and its own checksum is good; anything else is ignored, and so is every failure.
 *     0  char[8]  "ECHHASH1"
 *     8  i64      inode, size, mtime seconds, nanoseconds, ctime seconds, nanoseconds
 *    56  u128     hash of the real path
 *    72  u128     root of the file's blocks
 *    88  u64      low half of XXH3-128 over bytes 0..87 */
#ifndef ECH_JOB_FILES_HASH_H
#define ECH_JOB_FILES_HASH_H

#include "base/hash.h"

struct ech_file_state {
    int64_t inode, bytes, mtime_s, mtime_ns, ctime_s, ctime_ns;
};
/* What the file is now. ECH_NOINPUT: missing or not a regular file. */
int ech_file_state_read(const char *path, struct ech_file_state *out, struct ech_err *err);

bool ech_hash_cache_get(const char *path, const struct ech_file_state *state, struct ech_hash *root);
/* Kept only where the file still is in that state, and has been for long enough that its times would tell a
 * later change. */
void ech_hash_cache_put(const char *path, const struct ech_file_state *state, struct ech_hash root);

#endif
