/* .npy headers: see npy.h. The dictionary is read by a small cursor for exactly the literals NumPy writes:
 * strings, True/False, and tuples of integers. */
#include "data/npy.h"

#include <stdio.h>
#include <string.h>

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

int ech_npy_header_bytes(const void *start, size_t bytes, size_t *header_bytes, struct ech_err *err)
{
    const unsigned char *p = start;
    if (bytes < 10 || memcmp(p, magic, sizeof magic) != 0)
        return ech_fail(err, ECH_DATA, "not a .npy file: it does not begin with \\x93NUMPY and a version");
    if (p[6] < 1 || p[6] > 3)
        return ech_fail(err, ECH_DATA, ".npy version %d.%d, versions 1 to 3 are known", p[6], p[7]);
    size_t prologue = p[6] == 1 ? 10 : 12;
    if (bytes < prologue)
        return ech_fail(err, ECH_DATA, "the .npy header is cut off after %zu bytes", bytes);
    size_t length = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1)
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > ECH_NPY_HEADER_MAX)
        return ech_fail(err, ECH_DATA, "the .npy header claims %zu bytes, more than %d", length,
                        ECH_NPY_HEADER_MAX);
    *header_bytes = prologue + length;
    return ECH_OK;
}

struct cursor {
    const char *p, *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n'))
        c->p++;
}

static bool take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

/* A string without escapes, in either kind of quotes. */
static bool take_string(struct cursor *c, char *out, size_t size)
{
    skip_blanks(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"'))
        return false;
    char quote = *c->p++;
    size_t length = 0;
    while (c->p < c->end && *c->p != quote && *c->p != '\\' && length + 1 < size)
        out[length++] = *c->p++;
    out[length] = '\0';
    return take(c, quote);
}

static bool take_word(struct cursor *c, const char *word)
{
    skip_blanks(c);
    size_t length = strlen(word);
    if ((size_t)(c->end - c->p) < length || memcmp(c->p, word, length) != 0)
        return false;
    c->p += length;
    return true;
}

static bool take_size(struct cursor *c, int64_t *out)
{
    skip_blanks(c);
    const char *start = c->p;
    int64_t value = 0;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *c->p - '0', &value))
            return false;
    if (c->p == start)
        return false;
    take(c, 'L'); /* written by Python 2 */
    *out = value;
    return true;
}

enum { DIMS_MAX = 32 };

static bool take_shape(struct cursor *c, int64_t shape[DIMS_MAX], int *dims)
{
    if (!take(c, '('))
        return false;
    *dims = 0;
    while (!take(c, ')')) {
        if (*dims == DIMS_MAX || !take_size(c, &shape[*dims]))
            return false;
        ++*dims;
        if (!take(c, ',')) {
            return *dims > 1 && take(c, ')'); /* "(5)" is no tuple */
        }
    }
    return true;
}

static int set_type(const char *descr, struct ech_npy *out, struct ech_err *err)
{
    static const char *const known[] = {"<f2", "<f4", "<f8", "<i8", "<i4", "<i2", "|i1",
                                        "<u8", "<u4", "<u2", "|u1", "|b1", "<i1", "<u1"};
    if (descr[0] == '>')
        return ech_fail(err, ECH_DATA, "the values are big-endian (%s): save them as little-endian", descr);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(descr, known[i]) == 0) {
            out->kind = descr[1];
            out->item_bytes = descr[2] - '0';
            return ECH_OK;
        }
    return ech_fail(err, ECH_DATA, "values of type %s: f2, f4, f8, i1 to i8, u1 to u8 and b1 can be imported",
                    descr);
}

static int set_shape(const int64_t *shape, int dims, struct ech_npy *out, struct ech_err *err)
{
    if (dims < 1 || dims > 2)
        return ech_fail(err, ECH_DATA, "an array of %d dimensions: 1 or 2 were expected (rows, values a row)",
                        dims);
    out->rows = shape[0];
    out->dim = dims == 2 ? shape[1] : 1;
    int64_t bytes;
    if (out->dim < 1)
        return ech_fail(err, ECH_DATA, "the rows hold no values (shape (%lld, 0))", (long long)out->rows);
    if (__builtin_mul_overflow(out->rows, out->dim, &bytes) || __builtin_mul_overflow(bytes, 8, &bytes))
        return ech_fail(err, ECH_DATA, "the shape (%lld, %lld) is larger than any file", (long long)out->rows,
                        (long long)out->dim);
    return ECH_OK;
}

struct fields {
    char descr[64];
    bool has_descr, has_order, has_shape, fortran;
    int64_t shape[DIMS_MAX];
    int dims;
};

static bool take_field(struct cursor *c, struct fields *f)
{
    char key[32];
    if (!take_string(c, key, sizeof key) || !take(c, ':'))
        return false;
    if (strcmp(key, "descr") == 0)
        return f->has_descr = take_string(c, f->descr, sizeof f->descr);
    if (strcmp(key, "fortran_order") == 0) {
        f->fortran = take_word(c, "True");
        return f->has_order = f->fortran || take_word(c, "False");
    }
    if (strcmp(key, "shape") == 0)
        return f->has_shape = take_shape(c, f->shape, &f->dims);
    return false;
}

static bool take_dictionary(struct cursor *c, struct fields *f)
{
    if (!take(c, '{'))
        return false;
    while (!take(c, '}')) {
        if (!take_field(c, f))
            return false;
        if (!take(c, ','))
            return take(c, '}');
    }
    return true;
}

int ech_npy_parse(const void *header, size_t bytes, struct ech_npy *out, struct ech_err *err)
{
    size_t whole;
    int code = ech_npy_header_bytes(header, bytes, &whole, err);
    if (code != ECH_OK)
        return code;
    if (whole > bytes)
        return ech_fail(err, ECH_DATA, "the .npy header is cut off after %zu of %zu bytes", bytes, whole);
    const char *text = header;
    struct cursor c = {text + (text[6] == 1 ? 10 : 12), text + whole};
    struct fields f = {0};
    struct ech_npy npy = {.header_bytes = (int64_t)whole};
    if (!take_dictionary(&c, &f) || !f.has_descr || !f.has_order || !f.has_shape)
        return ech_fail(err, ECH_DATA,
                        "the .npy header cannot be read at byte %zu: {'descr': one of f2 f4 f8 i1 .. u8 b1, "
                        "'fortran_order': False, 'shape': (rows, dim)} was expected",
                        (size_t)(c.p - text));
    if ((code = set_type(f.descr, &npy, err)) != ECH_OK ||
        (code = set_shape(f.shape, f.dims, &npy, err)) != ECH_OK)
        return code;
    if (f.fortran && npy.dim > 1 && npy.rows > 1)
        return ech_fail(err, ECH_DATA, "the array is in Fortran order: save it with numpy.ascontiguousarray");
    *out = npy;
    return ECH_OK;
}

struct ech_column ech_npy_column(const struct ech_npy *npy, const char *name)
{
    struct ech_column column = {.type = npy->kind == 'f' ? ECH_TENSOR : ECH_INTS, .dim = npy->dim};
    snprintf(column.name, sizeof column.name, "%s", name);
    column.dtype = npy->kind != 'f'       ? ECH_I64
                   : npy->item_bytes == 2 ? ECH_F16
                   : npy->item_bytes == 4 ? ECH_F32
                                          : ECH_F64;
    return column;
}

void ech_npy_put_header(struct ech_str *out, const struct ech_column *column, int64_t rows)
{
    static const char *const types[] = {"|u1", "<f2", "<f4", "<f8", "<i8"}; /* by enum ech_dtype */
    char text[160], shape[64];
    if (column->dim == 1)
        snprintf(shape, sizeof shape, "(%lld,)", (long long)rows);
    else
        snprintf(shape, sizeof shape, "(%lld, %lld)", (long long)rows, (long long)column->dim);
    int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                          types[column->dtype], shape);
    int padded = (10 + length + 1 + 63) / 64 * 64 - 10; /* the values begin at a multiple of 64 */
    char prologue[10] = {0};
    memcpy(prologue, magic, sizeof magic);
    prologue[6] = 1;
    prologue[8] = (char)(padded & 255);
    prologue[9] = (char)(padded >> 8);
    ech_str_add(out, prologue, sizeof prologue);
    ech_str_addf(out, "%s%*s\n", text, padded - length - 1, "");
}
