/* Checking a dataset's content: every block against its hash, the hashes against the manifest's roots,
 * offsets that ascend; text that is not valid UTF-8 is noted. What is damaged is named by shard, column and
 * rows. */
#ifndef ECH_DATA_VERIFY_H
#define ECH_DATA_VERIFY_H

#include "data/dataset.h"

struct ech_damage {
    const char *file; /* of the shard */
    const char *column;
    int64_t shard;
    int64_t first_row, end_row; /* of the dataset, [first, end) */
    const char *text;           /* what is wrong */
    bool note; /* text that is not UTF-8 but as it was written (an import may keep it): no damage */
};

struct ech_verify {
    int64_t blocks, bytes; /* compared */
    int64_t rows;          /* whose text or offsets were looked at, summed over columns */
    int64_t damages, notes;
};

/* Part `part` of `parts` (0 of 1: all of it); the parts of all ranks together cover the dataset, each byte
 * once. `report` (may be NULL) hears of each damage. A rank needs 2 MiB and its largest row. Calls   Local;
 * ranks sum their results. Errors  of reading (ECH_IO, ECH_UNAVAILABLE). Damage is no error here:
 * out->damages counts it. */
int ech_verify(const struct ech_dataset *ds, int part, int parts,
               void (*report)(const struct ech_damage *damage, void *context), void *context,
               struct ech_verify *out, struct ech_err *err);

#endif
