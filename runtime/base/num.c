/* Numbers: see num.h. */
#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool ech_parse_int(const char *text, int64_t *out)
{
    const char *p = text;
    if (*p == '+' || *p == '-')
        p++;
    if (!*p || strspn(p, "0123456789") != strlen(p))
        return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno)
        return false;
    *out = value;
    return true;
}

bool ech_parse_float(const char *text, double *out)
{
    if (!*text || strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    char *end;
    double value = strtod(text, &end);
    if (*end || !isfinite(value))
        return false;
    *out = value;
    return true;
}

/* "a:b" or "a:b:c", each part digits; days before a '-'. */
static bool parse_clock(const char *text, double *seconds)
{
    double days = 0, part[3];
    int parts = 0;
    const char *dash = strchr(text, '-');
    if (dash) {
        char *end;
        days = (double)strtol(text, &end, 10);
        if (end != dash || !isdigit((unsigned char)text[0]))
            return false;
        text = dash + 1;
    }
    for (;;) {
        char *end;
        if (parts == 3 || !isdigit((unsigned char)*text))
            return false;
        part[parts++] = (double)strtol(text, &end, 10);
        if (!*end)
            break;
        if (*end != ':')
            return false;
        text = end + 1;
    }
    if (parts < 2 || part[parts - 1] >= 60 || (parts == 3 && part[1] >= 60))
        return false;
    *seconds = days * 86400 + (parts == 3 ? part[0] * 3600 + part[1] * 60 + part[2] : part[0] * 60 + part[1]);
    return true;
}

/* Number, optional blanks, then a unit of the table. */
struct unit {
    const char *name;
    double factor;
};

static bool parse_unit(const char *text, const struct unit *units, double *out)
{
    size_t digits = strspn(text, "0123456789.");
    char number[64];
    double value;
    if (digits == 0 || digits >= sizeof number)
        return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    if (!ech_parse_float(number, &value))
        return false;
    text += digits + strspn(text + digits, " ");
    for (; units->name; units++)
        if (strcasecmp(text, units->name) == 0) {
            *out = value * units->factor;
            return true;
        }
    return false;
}

bool ech_parse_time(const char *text, double *seconds)
{
    static const struct unit units[] = {{"", 1},     {"s", 1},    {"ms", 1e-3}, {"m", 60},
                                        {"min", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};
    if (strchr(text, ':'))
        return parse_clock(text, seconds);
    return parse_unit(text, units, seconds);
}

bool ech_parse_bytes(const char *text, int64_t *bytes)
{
    static const struct unit units[] = {{"", 1},
                                        {"B", 1},
                                        {"K", 1024.0},
                                        {"M", 1048576.0},
                                        {"G", 1073741824.0},
                                        {"T", 1099511627776.0},
                                        {"KiB", 1024.0},
                                        {"MiB", 1048576.0},
                                        {"GiB", 1073741824.0},
                                        {"TiB", 1099511627776.0},
                                        {"kB", 1e3},
                                        {"MB", 1e6},
                                        {"GB", 1e9},
                                        {"TB", 1e12},
                                        {NULL, 0}};
    double value;
    if (!parse_unit(text, units, &value) || !(value < 9e18))
        return false;
    *bytes = (int64_t)value;
    return true;
}

bool ech_parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    return false;
}

const char *ech_print_bytes(int64_t bytes, char *out, size_t size)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (fabs(value) >= 1024 && unit + 1 < sizeof names / sizeof names[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(out, size, unit ? "%.1f %s" : "%.0f %s", value, names[unit]);
    return out;
}

const char *ech_print_time(double seconds, char *out, size_t size)
{
    long long whole = (long long)(seconds + 0.5);
    if (!(seconds >= 0 && seconds < 1e12))
        snprintf(out, size, "?");
    else if (seconds < 60)
        snprintf(out, size, "%.1f s", seconds);
    else if (whole < 3600)
        snprintf(out, size, "%lld:%02lld", whole / 60, whole % 60);
    else
        snprintf(out, size, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    return out;
}

const char *ech_print_count(int64_t count, char *out, size_t size)
{
    char digits[24], text[32];
    snprintf(digits, sizeof digits, "%lld", (long long)count);
    size_t length = strlen(digits), n = 0;
    for (size_t i = 0; i < length; i++) {
        text[n++] = digits[i];
        size_t left = length - 1 - i;
        if (left && left % 3 == 0 && digits[i] != '-')
            text[n++] = ',';
    }
    text[n] = '\0';
    snprintf(out, size, "%s", text);
    return out;
}

int ech_to_int(int64_t value, int *out, struct ech_err *err)
{
    if (value < INT_MIN || value > INT_MAX)
        return ech_fail(err, ECH_DATA, "%lld does not fit an int", (long long)value);
    *out = (int)value;
    return ECH_OK;
}
