/* verb [--self] VERB ARGS...: one verb of `data` over MPI ranks, or alone. What the rank program does, for
 * tests of the library. */
#include "comm/comm.h"
#include "data/verbs.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_comm *comm = NULL;
    bool self = argc > 1 && strcmp(argv[1], "--self") == 0;
    int skip = self ? 2 : 1;
    int code = self ? ech_comm_open_self(&comm, &err) : ech_comm_open_mpi(NULL, &comm, &err);
    if (code == ECH_OK)
        code = ech_data_verb(argc - skip, argv + skip, comm, stdout, &err);
    if (code != ECH_OK && (!comm || ech_comm_rank(comm) == 0)) {
        char text[4096];
        fprintf(stderr, "%s\n", ech_err_print(&err, text, sizeof text));
    }
    if (comm)
        ech_comm_close(comm);
    return code;
}
