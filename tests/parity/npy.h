/* Golden arrays: .npy version 1, C order, little endian, f32 or i64. A file that is not that fails the test.
 */
#ifndef ECH_TESTS_PARITY_NPY_H
#define ECH_TESTS_PARITY_NPY_H

#include "tests/harness.h"

struct npy {
    int dims;
    int64_t shape[4], elements;
    float *f; /* one of the two */
    int64_t *i;
};

static inline struct npy npy_read(const char *path)
{
    struct npy a = {.elements = 1};
    unsigned char head[10];
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing", path);
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    assert_memory_equal(head, "\x93NUMPY\x01", 7);
    size_t length = (size_t)head[8] | (size_t)head[9] << 8;
    char *text = calloc(length + 1, 1);
    assert_int_equal(fread(text, 1, length, file), length);
    assert_non_null(strstr(text, "'fortran_order': False"));
    const char *p = strstr(text, "'shape': (");
    assert_non_null(p);
    for (p += 10; *p && *p != ')';) {
        char *end;
        int64_t n = strtoll(p, &end, 10);
        if (end == p)
            break;
        assert_true(a.dims < 4);
        a.shape[a.dims++] = n;
        a.elements *= n;
        p = *end == ',' ? end + 1 : end;
        while (*p == ' ')
            p++;
    }
    size_t size = strstr(text, "'<f4'") ? 4 : 8;
    assert_true(size == 4 || strstr(text, "'<i8'"));
    void *data = malloc((size_t)a.elements * size + 1);
    assert_int_equal(fread(data, size, (size_t)a.elements, file), (size_t)a.elements);
    fclose(file);
    free(text);
    if (size == 4)
        a.f = data;
    else
        a.i = data;
    return a;
}

static inline void npy_free(struct npy *a)
{
    free(a->f);
    free(a->i);
}

#endif
