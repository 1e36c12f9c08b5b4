/* Numbers as decimal text: printing that reads back as the same bits, and reading that rounds once.
 * Not for what people type (base/num.h): these are the inner loops of import and export. */
#ifndef ECH_DATA_DECIMAL_H
#define ECH_DATA_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ECH_DECIMAL_MAX = 32 };

/* Decimal text of a value, always with '.', 'e' or a letter, so that it cannot be taken for an integer:
 * "1.0", "1e+20", "NaN", "-Infinity". Returns its length; out holds ECH_DECIMAL_MAX bytes.
 * Exactness  Reading it as f32 (or f64, or f64 then f32) gives the same bits, NaN payloads excepted. */
int ech_print_f32(float value, char *out);
int ech_print_f64(double value, char *out);

/* A number that a scanner has accepted: [-+]digits[.digits][e[-+]digits], NaN, Infinity, -Infinity.
 * text[bytes] must be readable and no part of the number. Correctly rounded, once. Beyond the range: inf. */
double ech_read_f64(const char *text, size_t bytes);
float ech_read_f32(const char *text, size_t bytes);
/* [-+]digits; false: it does not fit. */
bool ech_read_i64(const char *text, size_t bytes, int64_t *out);

/* Half precision, rounded to nearest even. */
uint16_t ech_f16_from_f64(double value);
float ech_f16_to_f32(uint16_t half);

#endif
