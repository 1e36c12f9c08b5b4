#include "tests/harness.h"
static void x(void **state) { (void)state; }
static const struct CMUnitTest tests[] = {cmocka_unit_test(x)};
ECH_TEST_MAIN(tests)
