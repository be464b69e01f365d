/* Purpose: how bytes and numbers are written as text on the wire. Strict on reading: each value has
 * exactly one accepted spelling (save the case of percent-escape digits), since a second spelling
 * would let one key look like two.
 */
#ifndef WIRE_TEXT_H
#define WIRE_TEXT_H

#include <wire/bytes.h>

/* base64, RFC 4648 section 4, padded. Reading refuses white space, the URL alphabet, missing or
 * surplus padding and non-zero bits after the last byte (ERR_ENCODING); ERR_FULL if out is small. */
#define BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)
void base64_write(struct buf *out, struct span bytes);
MUST_USE enum err base64_read(struct span text, struct buf *out);

/* base32, RFC 4648 section 6, lower case, no padding; writing only. */
#define BASE32_LEN(bytes) (((bytes) * 8 + 4) / 5)
void base32_write(struct buf *out, struct span bytes);

void hex_write(struct buf *out, struct span bytes);        /* lower case */

/* RFC 3986 section 2.1. Writing escapes all but unreserved characters, upper-case hex digits.
 * Reading refuses an incomplete escape and a NUL, escaped or not; '+' is itself. A failed read, here
 * and in base64, leaves out->len as it was. */
void percent_write(struct buf *out, struct span bytes);
MUST_USE enum err percent_read(struct span text, struct buf *out);

/* Digits only, no sign, no leading zero but "0" itself, at most INT64_MAX. */
MUST_USE enum err decimal_read(struct span text, int64_t *ret_value);

/* Seconds since 1970 as "2022-08-31T22:02:50.0000000Z" (28 characters), and as an HTTP date
 * "Wed, 31 Aug 2022 22:02:50 GMT" (29 characters, RFC 9110 section 5.6.7). Times before 1970 and
 * after 9999 are written as the first and last second between. */
void time_iso_write(struct buf *out, int64_t wall_s);
void time_http_write(struct buf *out, int64_t wall_s);
MUST_USE enum err time_http_read(struct span text, int64_t *ret_wall_s);

#endif
