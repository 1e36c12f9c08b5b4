/* Characters: see unicode.h. */
#include "text/unicode.h"

#include <stdatomic.h>
#include <utf8proc.h>

enum {
    C = ECH_CHAR_CONTROL,
    S = ECH_CHAR_SPACE,
    P = ECH_CHAR_PUNCT,
    W = ECH_CHAR_WORD,
    A = ECH_CHAR_WORD | ECH_CHAR_LETTER,
    D = ECH_CHAR_WORD | ECH_CHAR_NUMBER
};

/* The vertical tab and the form feed are both control characters and White_Space. */
const uint8_t ech_ascii_class[128] = {
    C, C, C, C, C, C, C, C, C, S, S, C | S, C | S, S, C, C,     /* 00 */
    C, C, C, C, C, C, C, C, C, C, C, C,     C,     C, C, C,     /* 10 */
    S, P, P, P, P, P, P, P, P, P, P, P,     P,     P, P, P,     /* 20 */
    D, D, D, D, D, D, D, D, D, D, P, P,     P,     P, P, P,     /* 30 */
    P, A, A, A, A, A, A, A, A, A, A, A,     A,     A, A, A,     /* 40 */
    A, A, A, A, A, A, A, A, A, A, A, P,     P,     P, P, P | W, /* 50 */
    P, A, A, A, A, A, A, A, A, A, A, A,     A,     A, A, A,     /* 60 */
    A, A, A, A, A, A, A, A, A, A, A, P,     P,     P, P, C,     /* 70 */
};

struct span {
    int32_t first, last;
};

/* Cf, P* or Mn in Unicode 15, none of them in Unicode 8 (assigned or moved since). */
static const struct span later[] = {
    {0x61D, 0x61D},     {0x7FD, 0x7FD},     {0x890, 0x891},     {0x898, 0x89F},     {0x8CA, 0x8E2},
    {0x9FD, 0x9FE},     {0xA76, 0xA76},     {0xAFA, 0xAFF},     {0xB55, 0xB55},     {0xC04, 0xC04},
    {0xC3C, 0xC3C},     {0xC77, 0xC77},     {0xC84, 0xC84},     {0xD00, 0xD00},     {0xD3B, 0xD3C},
    {0xD81, 0xD81},     {0xEBA, 0xEBA},     {0xECE, 0xECE},     {0x180F, 0x180F},   {0x1885, 0x1886},
    {0x1ABF, 0x1ACE},   {0x1B7D, 0x1B7E},   {0x1DF6, 0x1DFB},   {0x2E43, 0x2E4F},   {0x2E52, 0x2E5D},
    {0xA82C, 0xA82C},   {0xA8C5, 0xA8C5},   {0xA8FF, 0xA8FF},   {0xA9BD, 0xA9BD},   {0x10D24, 0x10D27},
    {0x10EAB, 0x10EAD}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F55, 0x10F59}, {0x10F82, 0x10F89},
    {0x11070, 0x11070}, {0x11073, 0x11074}, {0x110C2, 0x110C2}, {0x110CD, 0x110CD}, {0x111C9, 0x111C9},
    {0x111CF, 0x111CF}, {0x1123E, 0x1123E}, {0x11241, 0x11241}, {0x1133B, 0x1133B}, {0x11438, 0x1143F},
    {0x11442, 0x11444}, {0x11446, 0x11446}, {0x1144B, 0x1144F}, {0x1145A, 0x1145B}, {0x1145D, 0x1145E},
    {0x11660, 0x1166C}, {0x116B9, 0x116B9}, {0x1182F, 0x11837}, {0x11839, 0x1183B}, {0x1193B, 0x1193C},
    {0x1193E, 0x1193E}, {0x11943, 0x11946}, {0x119D4, 0x119D7}, {0x119DA, 0x119DB}, {0x119E0, 0x119E0},
    {0x119E2, 0x119E2}, {0x11A01, 0x11A0A}, {0x11A33, 0x11A38}, {0x11A3B, 0x11A47}, {0x11A51, 0x11A56},
    {0x11A59, 0x11A5B}, {0x11A8A, 0x11A96}, {0x11A98, 0x11A9C}, {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09},
    {0x11C30, 0x11C36}, {0x11C38, 0x11C3D}, {0x11C3F, 0x11C3F}, {0x11C41, 0x11C45}, {0x11C70, 0x11C71},
    {0x11C92, 0x11CA7}, {0x11CAA, 0x11CB0}, {0x11CB2, 0x11CB3}, {0x11CB5, 0x11CB6}, {0x11D31, 0x11D36},
    {0x11D3A, 0x11D3A}, {0x11D3C, 0x11D3D}, {0x11D3F, 0x11D45}, {0x11D47, 0x11D47}, {0x11D90, 0x11D91},
    {0x11D95, 0x11D95}, {0x11D97, 0x11D97}, {0x11EF3, 0x11EF4}, {0x11EF7, 0x11EF8}, {0x11F00, 0x11F01},
    {0x11F36, 0x11F3A}, {0x11F40, 0x11F40}, {0x11F42, 0x11F4F}, {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2},
    {0x13430, 0x13440}, {0x13447, 0x13455}, {0x16E97, 0x16E9A}, {0x16F4F, 0x16F4F}, {0x16FE2, 0x16FE2},
    {0x16FE4, 0x16FE4}, {0x1CF00, 0x1CF2D}, {0x1CF30, 0x1CF46}, {0x1E000, 0x1E006}, {0x1E008, 0x1E018},
    {0x1E01B, 0x1E021}, {0x1E023, 0x1E024}, {0x1E026, 0x1E02A}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136},
    {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E944, 0x1E94A}, {0x1E95E, 0x1E95F},
};

static const struct span cjk[] = {
    {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
    {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F},
};

static bool within(const struct span *spans, size_t count, int32_t c)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > spans[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && c >= spans[low].first;
}

static bool white_space(int32_t c)
{
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static unsigned category_class(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
        return ECH_CHAR_CONTROL;
    case UTF8PROC_CATEGORY_PC:
        return ECH_CHAR_PUNCT | ECH_CHAR_WORD;
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return ECH_CHAR_PUNCT;
    case UTF8PROC_CATEGORY_MN:
        return ECH_CHAR_MARK | ECH_CHAR_WORD;
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return ECH_CHAR_WORD | ECH_CHAR_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
        return ECH_CHAR_WORD | ECH_CHAR_NUMBER;
    case UTF8PROC_CATEGORY_NO:
        return ECH_CHAR_NUMBER;
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return ECH_CHAR_WORD;
    default:
        return 0;
    }
}

/* Alphabetic without being letters (circled and squared ones), and the two joiners. */
static bool word_by_property(int32_t c)
{
    return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
           (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

static unsigned class_of(int32_t c)
{
    unsigned found = category_class(c);
    if ((found & (ECH_CHAR_CONTROL | ECH_CHAR_PUNCT | ECH_CHAR_MARK)) &&
        within(later, sizeof later / sizeof *later, c))
        found &= ~(unsigned)(ECH_CHAR_CONTROL | ECH_CHAR_PUNCT | ECH_CHAR_MARK);
    if (c == 0xFFFD)
        found |= ECH_CHAR_CONTROL;
    if (c == 0x166D || c == 0x111C9) /* were Po, became So and Mn */
        found |= ECH_CHAR_PUNCT;
    if (c == 0x1734) /* was Mn, became Mc */
        found |= ECH_CHAR_MARK;
    if (word_by_property(c))
        found |= ECH_CHAR_WORD;
    if (white_space(c))
        found |= ECH_CHAR_SPACE;
    if (c >= 0x3400 && within(cjk, sizeof cjk / sizeof *cjk, c))
        found |= ECH_CHAR_CJK;
    return found;
}

/* Each class as it was found, by blocks of 256: a page of memory is touched only where such characters come.
 * Threads that fill the same block write the same values. */
static _Atomic uint8_t table[0x110000];
static atomic_bool filled[0x1100];

unsigned ech_char_class(int32_t c)
{
    int32_t block = c >> 8;
    if (c < 128)
        return ech_ascii_class[c];
    if (!atomic_load_explicit(&filled[block], memory_order_acquire)) {
        for (int32_t i = block << 8; i < (block + 1) << 8; i++)
            atomic_store_explicit(&table[i], (uint8_t)(i < 128 ? ech_ascii_class[i] : class_of(i)),
                                  memory_order_relaxed);
        atomic_store_explicit(&filled[block], true, memory_order_release);
    }
    return atomic_load_explicit(&table[c], memory_order_relaxed);
}

size_t ech_char_put(int32_t c, unsigned char *out)
{
    return (size_t)utf8proc_encode_char(c, out);
}

int ech_char_lower(int32_t c, int32_t out[2])
{
    if (c == 0x130) { /* capital I with a dot: i and the dot above */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = utf8proc_tolower(c);
    return 1;
}

static int decompose(int32_t c, int32_t out[18], utf8proc_option_t options)
{
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(c, out, 18, options, &boundary);
    if (count < 1 || count > 18) {
        out[0] = c;
        return 1;
    }
    return (int)count;
}

int ech_char_decompose(int32_t c, int32_t out[18])
{
    return decompose(c, out, UTF8PROC_DECOMPOSE);
}

int ech_char_decompose_compat(int32_t c, int32_t out[18])
{
    return decompose(c, out, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
}

size_t ech_char_compose(int32_t *text, size_t count)
{
    utf8proc_ssize_t left =
        utf8proc_normalize_utf32(text, (utf8proc_ssize_t)count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    return left < 0 ? count : (size_t)left;
}

/* Unlike punctuation and control characters, the reference's marks are of a Unicode between 9 and 10. */
bool ech_char_is_mark(int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    if (c == 0x1CF2 || c == 0x1CF3) /* were Mc, became Lo */
        return true;
    if (c == 0x111C9) /* was Po, became Mn */
        return false;
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

int ech_char_combining(int32_t c)
{
    return utf8proc_get_property(c)->combining_class;
}
