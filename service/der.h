/* Purpose: writing DER (X.690), as little of it as certificates need. Inner values are written first,
 * since an element's length stands before it. Sticky like struct buf.
 */
#ifndef DER_H
#define DER_H

#include <wire/bytes.h>

#define DER_BOOLEAN 0x01
#define DER_INTEGER 0x02
#define DER_BIT_STRING 0x03
#define DER_OCTET_STRING 0x04
#define DER_OID 0x06
#define DER_UTF8 0x0c
#define DER_UTC_TIME 0x17
#define DER_GENERALIZED_TIME 0x18
#define DER_SEQUENCE 0x30
#define DER_SET 0x31
#define DER_CONTEXT(n) (0xa0 + (n))           /* constructed */
#define DER_CONTEXT_PRIMITIVE(n) (0x80 + (n))

void der_put(struct buf *out, uint8_t tag, struct span content);
void der_put_bits(struct buf *out, struct span bytes, uint8_t unused_bits);
/* A time as RFC 5280 4.1.2.5 wants it: UTCTime up to 2049. */
void der_put_time(struct buf *out, int64_t wall_s);
/* "-----BEGIN label-----" and so on. */
void der_put_pem(struct buf *out, const char *label, struct span der);

#endif
