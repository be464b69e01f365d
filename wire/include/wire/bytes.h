/* Purpose: the three types through which every byte from outside goes, and the one for secrets.
 *
 *   struct span    borrowed, const. Lives as long as what it points into; never stored past a call
 *                  unless the header says into what it points.
 *   struct buf     a writer over the caller's memory. Sticky: after one put that does not fit,
 *                  `full` stays set and nothing more is written. Any number of puts, one check.
 *   struct rd      a reader over a span. Sticky: taking past the end yields an empty span and zero;
 *                  rd_end() reports that, and trailing bytes too.
 *   struct secret  up to 64 bytes of key, wiped when its owner goes out of scope (SECRET).
 *
 * Read fields in separate statements: C leaves the order inside one initialiser open.
 * No heap, no I/O. Integers on the wire are big-endian.
 */
#ifndef WIRE_BYTES_H
#define WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wire/err.h>

/* ---- span ---- */
struct span {
    const uint8_t *at;
    size_t len;
};

static inline struct span span_of(const void *at, size_t len)
{
    return (struct span){.at = (const uint8_t *)at, .len = len};
}
#define SPAN_LITERAL(text) span_of("" text, sizeof(text) - 1)
#define SPAN_ARRAY(array) span_of((array), sizeof(array))

struct span span_text(const char *text);                   /* without the NUL; NULL gives empty */
bool span_equal(struct span a, struct span b);             /* not for secrets */
bool span_equal_constant_time(struct span a, struct span b); /* lengths are not secret */
bool span_equal_ignoring_case(struct span a, struct span b); /* ASCII letters only */
bool span_starts_with(struct span s, struct span prefix);
/* From `from` to the end or at most `len` bytes; clipped, never past the end. */
struct span span_slice(struct span s, size_t from, size_t len);
/* Cuts *s at the first `mark`: returns what precedes it, leaves in *s what follows. Without a mark
 * returns all of *s and leaves it empty with at == NULL. */
struct span span_cut(struct span *s, uint8_t mark);
/* Copies into a C string, refusing NUL bytes (ERR_ENCODING) and what does not fit (ERR_FULL). */
MUST_USE enum err span_to_text(struct span s, char *ret_text, size_t cap);

/* ---- buf ---- */
struct buf {
    uint8_t *at;
    size_t cap;
    size_t len;
    bool full;
};

struct buf buf_over(void *at, size_t cap);
#define BUF_OVER(array) buf_over((array), sizeof(array))

void buf_put(struct buf *b, struct span s);
void buf_put_text(struct buf *b, const char *text);        /* without the NUL */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_decimal(struct buf *b, int64_t v);
uint8_t *buf_reserve(struct buf *b, size_t len);           /* NULL when it does not fit */
/* A 16-bit length known only afterwards: open returns the mark that close takes. */
size_t buf_open_u16(struct buf *b);
void buf_close_u16(struct buf *b, size_t mark);
struct span buf_span(const struct buf *b);
MUST_USE enum err buf_end(const struct buf *b);            /* ERR_FULL or ERR_OK */
/* Ends the text with a NUL that is not counted in len; ERR_FULL if that did not fit. */
MUST_USE enum err buf_end_text(struct buf *b);
void buf_wipe(struct buf *b);                              /* zeroes all cap bytes, len = 0 */

/* ---- rd ---- */
struct rd {
    struct span rest;
    bool bad;
};

struct rd rd_over(struct span s);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
struct span rd_take(struct rd *r, size_t len);
struct span rd_sized_u16(struct rd *r);                    /* a 16-bit length, then that many */
MUST_USE enum err rd_end(const struct rd *r);              /* ERR_TRUNCATED, ERR_TRAILING, ERR_OK */

/* ---- secret ---- */
#define SECRET_CAP 64
struct secret {
    uint8_t at[SECRET_CAP];
    size_t len;
};
#define SECRET __attribute__((cleanup(secret_wipe))) struct secret

void secret_wipe(struct secret *s);
struct span secret_span(const struct secret *s);
MUST_USE enum err secret_set(struct secret *s, struct span bytes); /* ERR_FULL past SECRET_CAP */
void bytes_wipe(void *at, size_t len);                     /* not removed by the optimiser */

#endif
