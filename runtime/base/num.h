/* Numbers as people write them. Every parser reads the whole text and refuses what is left over. */
#ifndef ECH_BASE_NUM_H
#define ECH_BASE_NUM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Decimal integer ("012" is twelve, "1e3" and "0x10" are refused). false: not one, or out of int64. */
bool ech_parse_int(const char *text, int64_t *out);
/* Finite decimal number; nan, inf and hexadecimal are refused. */
bool ech_parse_float(const char *text, double *out);
/* "90" and "90s", "15m", "2h", "1d", "1:30" (minutes:seconds), "1:30:00", "2-12:00:00" (days): seconds. */
bool ech_parse_time(const char *text, double *seconds);
/* "4096", "16GiB", "16G" (= GiB), "1.5 GiB", "200MB" (= 10^6): bytes. */
bool ech_parse_bytes(const char *text, int64_t *bytes);
/* true/false/yes/no/on/off in any case. */
bool ech_parse_bool(const char *text, bool *out);

/* "1.5 GiB", "1:30:00", "12,345" for people. out >= 32 bytes; returned. */
const char *ech_print_bytes(int64_t bytes, char *out, size_t size);
const char *ech_print_time(double seconds, char *out, size_t size);
const char *ech_print_count(int64_t count, char *out, size_t size);

/* The one way from int64 to int (MPI counts, BLAS sizes). */
int ech_to_int(int64_t value, int *out, struct ech_err *err);
static inline int64_t ech_min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t ech_max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
