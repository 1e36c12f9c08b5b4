/* Lines of JSON in a text, one after the other. */
#ifndef ECH_TESTS_PARITY_LINES_H
#define ECH_TESTS_PARITY_LINES_H

#include "tests/harness.h"

#include "base/json.h"

/* The next line, parsed, and *at behind it; NULL behind the last. */
static inline json_t *next_line(char **at)
{
    struct ech_err err = ECH_ERR_NONE;
    json_t *root;
    char *end = strchr(*at, '\n');
    if (!end)
        return NULL;
    if (ech_json_parse("line", *at, (size_t)(end - *at), &root, &err) != ECH_OK)
        fail_msg("%s", err.text);
    *at = end + 1;
    return root;
}

#endif
