#include "config/precision.h"

#include <stdio.h>
#include <string.h>

static const char *const names[] = {"auto", "f32", "bf16", "f16", "int8", "int4"};

/* In order of preference where one part is not given. */
static const struct {
    int weights, compute;
    bool word; /* the name of the weights alone means this pair */
} pairs[] = {
    {ECH_PRECISION_F32, ECH_PRECISION_F32, true},   {ECH_PRECISION_BF16, ECH_PRECISION_F32, false},
    {ECH_PRECISION_BF16, ECH_PRECISION_BF16, true}, {ECH_PRECISION_F16, ECH_PRECISION_F16, true},
    {ECH_PRECISION_INT8, ECH_PRECISION_INT8, true}, {ECH_PRECISION_INT4, ECH_PRECISION_INT8, true},
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

bool ech_precision_resolve(int *weights, int *compute)
{
    for (int i = 0; i < PAIRS; i++) {
        bool w = *weights == ECH_PRECISION_AUTO || *weights == pairs[i].weights;
        bool c = *compute == ECH_PRECISION_AUTO || *compute == pairs[i].compute;
        bool alone = *weights == ECH_PRECISION_AUTO && *compute != ECH_PRECISION_AUTO;
        if (w && c && (!alone || pairs[i].weights == *compute)) {
            *weights = pairs[i].weights;
            *compute = pairs[i].compute;
            return true;
        }
    }
    return false;
}

const char *ech_precision_name(int precision)
{
    return precision >= 0 && precision < (int)(sizeof names / sizeof names[0]) ? names[precision] : "?";
}

void ech_precision_list(char *out, size_t bytes)
{
    size_t used = 0;
    for (int i = 0; i < PAIRS && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s with %s", i ? ", " : "",
                                 names[pairs[i].weights], names[pairs[i].compute]);
}

const char *ech_precision_compute_of(const char *word)
{
    for (int i = 0; i < PAIRS; i++)
        if (pairs[i].word && strcmp(names[pairs[i].weights], word) == 0)
            return names[pairs[i].compute];
    return NULL;
}
