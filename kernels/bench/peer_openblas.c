/* OpenBLAS as it comes, called for the whole product at once (measure.h). The `openblas` backend is another
 * thing: it calls in blocks of fixed size, for the sake of equal bits. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/bench/measure.h"

const char *ech_peer_name(void)
{
    static char name[128];
    const char *set = getenv("OPENBLAS_CORETYPE");
    char version[32] = "";
    sscanf(openblas_get_config(), "OpenBLAS %31s", version);
    snprintf(name, sizeof name, "OpenBLAS %s (core type %s%s)", version, openblas_get_corename(),
             set && *set ? ", as OPENBLAS_CORETYPE asks" : "");
    return name;
}

void ech_peer_threads(int threads)
{
    openblas_set_num_threads(threads);
}

void ech_peer_product(int64_t m, int64_t n, int64_t k, const float *x, const float *w, float *y)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, 1.0f, x, (int)k, w, (int)k,
                0.0f, y, (int)n);
}
