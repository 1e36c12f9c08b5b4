/* The bytes of a spool file, for the files of this folder that read or write them (spool.h has the list).
 * Pure: no I/O here. Nothing from a file is believed before its checksum and its lengths were checked. */
#ifndef ECH_JOB_SPOOL_FORMAT_H
#define ECH_JOB_SPOOL_FORMAT_H

#include "job/spool.h"

#include <endian.h>
#include <string.h>

#define ECH_SPOOL_MAGIC  "ECHSPOOL"
#define ECH_RECORD_MAGIC "ECHRECRD"
enum {
    ECH_SPOOL_VERSION = 1,
    ECH_SPOOL_HEAD_BYTES = 256,
    ECH_RECORD_FIXED_BYTES = 80,
    ECH_RECORD_HEAD_MAX = ECH_RECORD_FIXED_BYTES + 8 * ECH_COLUMNS_MAX + 8
};

/* A record's head, parsed. */
struct ech_spool_record {
    int64_t first, rows, errors, tokens;
    uint64_t payload; /* bytes, without padding */
    struct ech_hash hash;
    uint64_t column_bytes[ECH_COLUMNS_MAX];
};

static inline size_t ech_record_head_bytes(int columns)
{
    return ECH_RECORD_FIXED_BYTES + 8 * (size_t)columns + 8;
}
static inline uint64_t ech_get_u64(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}
static inline uint32_t ech_get_u32(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}
static inline void ech_put_u64(unsigned char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}
static inline void ech_put_u32(unsigned char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

/* Hash of the columns' names, types and dims, in order. */
struct ech_hash ech_spool_columns_hash(const struct ech_spool_head *head);
/* The 256 bytes of a file's head against what is expected. *attempt is set where *good; a head that is torn
 * or damaged is success with *good false. ECH_DATA: another version, job, numerics class or column set. */
int ech_spool_parse_head(const char *name, const unsigned char *data, const struct ech_spool_head *expected,
                         bool *good, int32_t *attempt, struct ech_err *err);
/* A record's head (ech_record_head_bytes long): true where its checksum is good and its numbers agree with
 * each other and with the columns. Whether the payload lies in the file is the caller's check. */
bool ech_spool_parse_record(const unsigned char *data, const struct ech_spool_head *head,
                            struct ech_spool_record *out);
/* Bytes of the record this block becomes, padding included. ECH_BUG: the block does not fit the columns. */
int ech_spool_record_bytes(const struct ech_spool_head *head, const struct ech_block *block, uint64_t *bytes,
                           struct ech_err *err);

/* A file to scan, in memory or on disk. view: at least `least` bytes (<= ECH_RECORD_HEAD_MAX, inside the
 * file) at `offset`, and as many more as are at hand. The pointer is good until the next view. */
struct ech_spool_source {
    const char *name;
    uint64_t bytes;
    void *context;
    int (*view)(void *context, uint64_t offset, size_t least, const unsigned char **data, size_t *got,
                struct ech_err *err);
};
int ech_spool_scan_source(const struct ech_spool_source *source, const struct ech_spool_head *expected,
                          int32_t file, struct ech_spool_index *index, struct ech_err *err);

#endif
