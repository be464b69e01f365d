/* Purpose: reading DER (X.690) element by element, over struct rd and as sticky as it: what is not
 * the element asked for sets `bad` and yields an empty span. Lengths are definite, minimal and at
 * most 24 bits; tags have one byte. (Writing is the service's der.h.)
 */
#ifndef ATTEST_DER_READ_H
#define ATTEST_DER_READ_H

#include <wire/bytes.h>

enum der_tag {
    DER_TAG_BOOLEAN = 0x01,
    DER_TAG_INTEGER = 0x02,
    DER_TAG_BITS = 0x03,
    DER_TAG_OCTETS = 0x04,
    DER_TAG_NULL = 0x05,
    DER_TAG_OID = 0x06,
    DER_TAG_UTC_TIME = 0x17,
    DER_TAG_GENERAL_TIME = 0x18,
    DER_TAG_SEQUENCE = 0x30,
    DER_TAG_SET = 0x31,
};
#define DER_TAG_CONTEXT(n) (0xa0 + (n))           /* constructed */
#define DER_TAG_CONTEXT_PRIMITIVE(n) (0x80 + (n))

struct der_element {
    uint8_t tag;
    struct span whole; /* with tag and length */
    struct span content;
};

int der_peek(const struct rd *r); /* the next tag; -1 at the end */
struct der_element der_next(struct rd *r);
struct span der_take(struct rd *r, uint8_t tag);                 /* the content */
struct span der_take_whole(struct rd *r, uint8_t tag);
bool der_take_if(struct rd *r, uint8_t tag, struct span *ret_content); /* false: not there */
struct rd der_open(struct rd *r, uint8_t tag);                   /* a reader over the content */
/* The end of an inner reader: what is wrong or left over in it makes the outer one bad. */
void der_close(struct rd *r, const struct rd *inner);

bool der_bool(struct rd *r);                                     /* ff or 00, nothing else */
struct span der_bits(struct rd *r);                              /* whole bytes only */
/* A non-negative INTEGER without its sign byte; bad when negative, empty or not minimal. */
struct span der_unsigned(struct rd *r);
uint32_t der_small(struct rd *r);                                /* such a one below 2^31 */
/* UTCTime or GeneralizedTime in RFC 5280's form (seconds, Z), in seconds since 1970. */
int64_t der_time(struct rd *r);

#endif
