/* What libFuzzer calls; replay.c calls it for each file of a corpus. */
#ifndef ECH_TESTS_FUZZ_H
#define ECH_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
