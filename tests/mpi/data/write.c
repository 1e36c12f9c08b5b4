/* Writes the test dataset on the ranks it is started with:
 *   write OUT ROWS SHARD_BYTES SLICE [--skew] [--append ROWS]
 * --skew: rank 0 and every third rank hold nothing, the rest shares the rows. */
#include "tests/mpi/check.h"
#include "tests/unit/data/make.h"

int main(int argc, char **argv)
{
    struct ech_comm *comm = NULL;
    bool skew = false;
    int64_t more = -1;
    CHECK(argc >= 5, "usage: write OUT ROWS SHARD_BYTES SLICE [...]");
    for (int i = 5; i < argc; i++) {
        skew |= strcmp(argv[i], "--skew") == 0;
        if (strcmp(argv[i], "--append") == 0 && i + 1 < argc)
            more = atoll(argv[++i]);
    }
    OK(ech_comm_open_mpi(NULL, &comm, &err));
    int size = ech_comm_size(comm);
    check_rank = ech_comm_rank(comm);
    struct make_plan plan = {.rows = atoll(argv[2]), .shard_bytes = atoll(argv[3]), .slice = atoll(argv[4])};
    int64_t *cuts = calloc((size_t)size + 1, sizeof *cuts);
    int holders = 0, placed = 0;
    for (int r = 0; r < size; r++)
        holders += r % 3 != 0;
    for (int r = 0; r < size; r++) {
        cuts[r] = holders ? plan.rows * placed / holders : 0;
        placed += r % 3 != 0;
    }
    cuts[size] = plan.rows;
    plan.cuts = skew ? cuts : NULL;
    char partial[4096], provenance[64];
    snprintf(partial, sizeof partial, "%s.partial-test", argv[1]);
    snprintf(provenance, sizeof provenance, "  ranks: %d\n", size);
    struct ech_publish how = {.target = argv[1], .provenance = provenance};
    OK(make_dataset(comm, &plan, partial, &how, &err));
    if (more >= 0) {
        plan = (struct make_plan){
            .rows = more, .shard_bytes = plan.shard_bytes, .slice = plan.slice, .first_row = plan.rows};
        how = (struct ech_publish){.append_to = argv[1], .provenance = provenance};
        OK(make_dataset(comm, &plan, partial, &how, &err));
    }
    free(cuts);
    ech_comm_close(comm);
    return 0;
}
