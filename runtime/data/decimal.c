/* Decimal text: see decimal.h. The fast paths work on integers below 2^53 and powers of ten that a double
 * holds exactly, so one division or multiplication rounds once; where that could round twice (a double that
 * lies on the border between two floats), the C library decides. */
#include "data/decimal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* True where a double that stands for a decimal near it may round to another float than the decimal. */
static bool on_border(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x1FFFFFFF) == 0x10000000;
}

static int print_special(double value, char *out)
{
    const char *text = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
    strcpy(out, text);
    return (int)strlen(text);
}

/* "12" becomes "12.0": a float stays one when it is read again. */
static int mark_float(char *out, int length)
{
    if (strcspn(out, ".e") != (size_t)length)
        return length;
    strcpy(out + length, ".0");
    return length + 2;
}

/* digits / 10^places as plain text. */
static int print_fixed(bool negative, int64_t digits, int places, char *out)
{
    char reversed[24];
    int count = 0, length = 0;
    while (digits > 0 || count <= places) {
        reversed[count++] = (char)('0' + digits % 10);
        digits /= 10;
    }
    if (negative)
        out[length++] = '-';
    while (count > places)
        out[length++] = reversed[--count];
    out[length++] = '.';
    if (places == 0)
        out[length++] = '0';
    while (count > 0)
        out[length++] = reversed[--count];
    out[length] = '\0';
    return length;
}

static int print_f32_slow(float value, char *out)
{
    int length = 0;
    for (int digits = 6; digits <= 9; digits++) {
        length = snprintf(out, ECH_DECIMAL_MAX, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value && (float)strtod(out, NULL) == value)
            break;
    }
    return mark_float(out, length);
}

int ech_print_f32(float value, char *out)
{
    if (!isfinite(value))
        return print_special((double)value, out);
    bool negative = signbit(value);
    double size = fabs((double)value);
    if (size == 0)
        return print_fixed(negative, 0, 1, out);
    if (!(size >= 1e-5 && size < 1e7))
        return print_f32_slow(value, out);
    for (int places = 1; places <= 14; places++) {
        double scaled = size * powers[places];
        if (scaled >= 1e10)
            break;
        int64_t digits = llrint(scaled);
        double back = (double)digits / powers[places];
        if ((float)back == (float)size && !on_border(back))
            return print_fixed(negative, digits, places, out);
    }
    return print_f32_slow(value, out);
}

int ech_print_f64(double value, char *out)
{
    if (!isfinite(value))
        return print_special(value, out);
    int length = 0;
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(out, ECH_DECIMAL_MAX, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return mark_float(out, length);
}

/* The number as mantissa * 10^exponent where both are small enough for exact arithmetic. */
static bool read_small(const char *text, size_t bytes, int64_t *mantissa, int *exponent, bool *negative)
{
    const char *p = text, *end = text + bytes;
    int64_t m = 0;
    int digits = 0, places = 0, e = 0;
    *negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    for (bool fraction = false; p < end && (*p == '.' || (*p >= '0' && *p <= '9')); p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        m = m * 10 + (*p - '0');
        digits += m > 0;
        places += fraction;
        if (digits > 15 || places > 40)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool minus = ++p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+'))
            p++;
        for (; p < end && *p >= '0' && *p <= '9'; p++)
            if ((e = e * 10 + (*p - '0')) > 1000)
                return false;
        e = minus ? -e : e;
    }
    *mantissa = m;
    *exponent = e - places;
    return p == end && bytes > 0 && *exponent >= -22 && *exponent <= 22;
}

static bool read_fast(const char *text, size_t bytes, double *out)
{
    int64_t mantissa;
    int exponent;
    bool negative;
    if (!read_small(text, bytes, &mantissa, &exponent, &negative))
        return false;
    double value = exponent < 0 ? (double)mantissa / powers[-exponent] : (double)mantissa * powers[exponent];
    *out = negative ? -value : value;
    return true;
}

static bool read_special(const char *text, size_t bytes, double *out)
{
    bool negative = bytes > 0 && text[0] == '-';
    const char *word = text + negative;
    if (bytes - negative == 3 && memcmp(word, "NaN", 3) == 0)
        *out = NAN;
    else if (bytes - negative == 8 && memcmp(word, "Infinity", 8) == 0)
        *out = negative ? -(double)INFINITY : (double)INFINITY;
    else
        return false;
    return true;
}

double ech_read_f64(const char *text, size_t bytes)
{
    double value;
    if (read_fast(text, bytes, &value) || read_special(text, bytes, &value))
        return value;
    return strtod(text, NULL);
}

float ech_read_f32(const char *text, size_t bytes)
{
    double value;
    if (read_special(text, bytes, &value))
        return (float)value;
    if (read_fast(text, bytes, &value) && !on_border(value) && (value == 0 || fabs(value) > 1e-30) &&
        fabs(value) < 1e30)
        return (float)value;
    return strtof(text, NULL);
}

bool ech_read_i64(const char *text, size_t bytes, int64_t *out)
{
    bool negative = bytes > 0 && text[0] == '-';
    size_t i = bytes > 0 && (text[0] == '-' || text[0] == '+');
    int64_t value = 0;
    if (i == bytes)
        return false;
    for (; i < bytes; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value)) /* counts down: INT64_MIN fits */
            return false;
    }
    if (!negative && value == INT64_MIN)
        return false;
    *out = negative ? value : -value;
    return true;
}

uint16_t ech_f16_from_f64(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double size = fabs(value);
    if (isnan(value))
        return 0x7E00;
    if (size >= 65520) /* half way from the largest half to 65536 */
        return sign | 0x7C00;
    if (size < 6.103515625e-05) /* below 2^-14: multiples of 2^-24 */
        return (uint16_t)(sign | (unsigned)llrint(size * 16777216.0));
    int exponent;
    double fraction = frexp(size, &exponent);                /* [0.5, 1) */
    unsigned mantissa = (unsigned)llrint(fraction * 2048.0); /* 1024..2048: a carry moves into the exponent */
    return (uint16_t)(sign | (((unsigned)(exponent + 14) << 10) + (mantissa - 1024)));
}

float ech_f16_to_f32(uint16_t half)
{
    int exponent = (half >> 10) & 31, mantissa = half & 1023;
    float size = exponent == 31  ? (mantissa ? NAN : INFINITY)
                 : exponent == 0 ? (float)mantissa * 0x1p-24f
                                 : ldexpf((float)(mantissa + 1024), exponent - 25);
    return half & 0x8000 ? -size : size;
}
