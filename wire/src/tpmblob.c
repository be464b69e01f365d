#include <wire/tpmblob.h>

static void put_sized(struct buf *out, struct span s)
{
    size_t mark = buf_open_u16(out);
    buf_put(out, s);
    buf_close_u16(out, mark);
}

void tpmblob_write(struct buf *out, const struct tpmblob *blob)
{
    put_sized(out, blob->credential);
    put_sized(out, blob->credential_secret);
    put_sized(out, blob->duplicate);
    put_sized(out, blob->duplicate_secret);
    put_sized(out, blob->public_area);
    put_sized(out, blob->trailer);
}

enum err tpmblob_read(struct span bytes, struct tpmblob *ret_blob)
{
    struct rd r = rd_over(bytes);
    struct tpmblob blob;
    blob.credential = rd_sized_u16(&r);
    blob.credential_secret = rd_sized_u16(&r);
    blob.duplicate = rd_sized_u16(&r);
    blob.duplicate_secret = rd_sized_u16(&r);
    blob.public_area = rd_sized_u16(&r);
    blob.trailer = rd_sized_u16(&r);
    TRY(rd_end(&r));
    if (!blob.credential.len || !blob.credential_secret.len || !blob.duplicate.len ||
        !blob.duplicate_secret.len || !blob.public_area.len)
        return ERR_PROTOCOL;
    *ret_blob = blob;
    return ERR_OK;
}

#define UNIQUE_LEN 32
static const uint8_t identity_prefix[TPMBLOB_IDENTITY_PUBLIC_LEN - UNIQUE_LEN] = {
    0x00, 0x08,             /* KEYEDHASH */
    0x00, 0x0b,             /* name algorithm SHA-256 */
    0x00, 0x04, 0x04, 0x40, /* sign | noDA | userWithAuth */
    0x00, 0x00,             /* no policy */
    0x00, 0x05, 0x00, 0x0b, /* HMAC with SHA-256 */
    0x00, UNIQUE_LEN,
};

void tpmblob_identity_public_write(struct buf *out, const uint8_t unique[32])
{
    buf_put(out, SPAN_ARRAY(identity_prefix));
    buf_put(out, span_of(unique, UNIQUE_LEN));
}

enum err tpmblob_identity_public_check(struct span public_area)
{
    bool good = public_area.len == TPMBLOB_IDENTITY_PUBLIC_LEN &&
                span_starts_with(public_area, SPAN_ARRAY(identity_prefix));
    return good ? ERR_OK : ERR_KEY_ROLE;
}
