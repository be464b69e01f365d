/* What every unit test needs: cmocka behind the headers it wants, errors compared by name, and
 * poison, to see that a function which fails leaves its outputs alone. */
#ifndef SUPPORT_UNIT_H
#define SUPPORT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <wire/bytes.h>
#include <wire/err.h>

#define assert_err(expected, actual) assert_string_equal(err_name(expected), err_name(actual))
#define assert_ok(actual) assert_err(ERR_OK, actual)
/* The same in a table: says which row. */
#define assert_err_of(what, expected, actual)                                                      \
    do {                                                                                           \
        enum err actual_ = (actual);                                                               \
        if (actual_ != (expected))                                                                 \
            fail_msg("%s: %s, not %s", (what), err_name(actual_), err_name(expected));             \
    } while (0)

#define assert_span_equal(expected, actual)                                                        \
    do {                                                                                           \
        struct span expected_ = (expected), actual_ = (actual);                                    \
        assert_int_equal(expected_.len, actual_.len);                                              \
        if (expected_.len)                                                                         \
            assert_memory_equal(expected_.at, actual_.at, expected_.len);                          \
    } while (0)
#define assert_text(expected, span) assert_span_equal(span_text(expected), (span))

#define POISON_BYTE 0xa5
#define POISON(object) memset(&(object), POISON_BYTE, sizeof(object))
#define assert_poisoned(object) assert_true(is_poisoned(&(object), sizeof(object)))

static inline bool is_poisoned(const void *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((const uint8_t *)at)[i] != POISON_BYTE)
            return false;
    return true;
}

/* Hexadecimal text to bytes; spaces are skipped. What is not hexadecimal fails the test. */
static inline struct span unhex(const char *text, uint8_t *at, size_t cap)
{
    size_t digits = 0;
    for (; *text; text++) {
        static const char alphabet[] = "0123456789abcdef";
        if (*text == ' ')
            continue;
        const char *digit = strchr(alphabet, *text);
        assert_non_null(digit);
        assert_true(digits / 2 < cap);
        unsigned value = (unsigned)(digit - alphabet);
        at[digits / 2] = (uint8_t)(digits % 2 ? at[digits / 2] | value : value << 4);
        digits++;
    }
    assert_int_equal(digits % 2, 0);
    return span_of(at, digits / 2);
}
#define UNHEX(text, array) unhex((text), (array), sizeof(array))

#endif
