#include "der.h"

#include <wire/text.h>

void der_put(struct buf *out, uint8_t tag, struct span content)
{
    ERR_ASSERT(content.len <= UINT16_MAX);
    buf_put_u8(out, tag);
    if (content.len >= 0x100) {
        buf_put_u8(out, 0x82);
        buf_put_u16(out, (uint16_t)content.len);
    } else {
        if (content.len >= 0x80)
            buf_put_u8(out, 0x81);
        buf_put_u8(out, (uint8_t)content.len);
    }
    buf_put(out, content);
}

void der_put_bits(struct buf *out, struct span bytes, uint8_t unused_bits)
{
    uint8_t content[256];
    struct buf b = BUF_OVER(content);
    buf_put_u8(&b, unused_bits);
    buf_put(&b, bytes);
    ERR_ASSERT(!b.full);
    der_put(out, DER_BIT_STRING, buf_span(&b));
}

void der_put_time(struct buf *out, int64_t wall_s)
{
    char iso[32], digits[16];
    struct buf i = BUF_OVER(iso), d = BUF_OVER(digits);
    time_iso_write(&i, wall_s); /* "2022-08-31T22:02:50.…" */
    ERR_ASSERT(!i.full && i.len >= 19);
    for (size_t at = 0; at < 19; at++)
        if (iso[at] >= '0' && iso[at] <= '9')
            buf_put_u8(&d, (uint8_t)iso[at]);
    buf_put_u8(&d, 'Z');
    bool utc = iso[0] == '1' || (iso[1] == '0' && iso[2] < '5');
    struct span all = buf_span(&d);
    der_put(out, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME, utc ? span_slice(all, 2, 13) : all);
}

void der_put_pem(struct buf *out, const char *label, struct span der)
{
    buf_put_text(out, "-----BEGIN ");
    buf_put_text(out, label);
    buf_put_text(out, "-----\n");
    for (size_t at = 0; at < der.len; at += 48) {
        base64_write(out, span_slice(der, at, 48));
        buf_put_u8(out, '\n');
    }
    buf_put_text(out, "-----END ");
    buf_put_text(out, label);
    buf_put_text(out, "-----\n");
}
