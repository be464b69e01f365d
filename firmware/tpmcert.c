#include "tpmcert.h"

#include "tpmsys.h"

#include <string.h>

#define NV_CERTIFICATE_RSA 0x01C00002u /* TCG EK Credential Profile 2.5, 2.2.1.4 */
#define NV_CERTIFICATE_ECC 0x01C0000Au
#define NV_CHUNK 512                   /* what every TPM gives at once */
#define HEAD_LEN 4                     /* tag and length of the whole */

/* ---- NV ---- */
static enum err nv_size(struct tpmdev *d, TPM2_HANDLE index, uint16_t *ret_len)
{
    TPM2B_NV_PUBLIC area = {0};
    TPM2B_NAME name = {0};
    TRY(tpmsys_outcome_of_lookup(
        d, Tss2_Sys_NV_ReadPublic(tpmsys_of(d), index, NULL, &area, &name, NULL)));
    *ret_len = area.nvPublic.dataSize;
    return ERR_OK;
}

static enum err nv_read(struct tpmdev *d, TPM2_HANDLE index, uint16_t at, uint16_t want,
                        struct buf *out)
{
    TPM2B_MAX_NV_BUFFER chunk = {0};
    TSS2_RC rc = Tss2_Sys_NV_Read(tpmsys_of(d), index, index, &tpmsys_empty_password, want, at,
                                  &chunk, NULL);
    if (rc == TPM2_RC_NV_UNINITIALIZED)
        return ERR_ABSENT;
    if (rc == TPM2_RC_NV_RANGE)
        return ERR_TRUNCATED;
    TRY(tpmsys_outcome_of_lookup(d, rc));
    if (chunk.size != want)
        return ERR_TPM;
    buf_put(out, span_of(chunk.buffer, want));
    return buf_end(out);
}

/* Most certificates are longer than a chunk: only for one that is not its size is asked. */
static enum err nv_begin(struct tpmdev *d, TPM2_HANDLE index, struct buf *out)
{
    uint16_t len = 0;
    enum err e = nv_read(d, index, 0, NV_CHUNK, out);
    if (e != ERR_TRUNCATED)
        return e;
    TRY(nv_size(d, index, &len));
    return len < NV_CHUNK ? nv_read(d, index, 0, len, out) : ERR_PROTOCOL;
}

/* ---- what is read ---- */

/* A SEQUENCE with a length of two bytes, as every certificate of such a key has; after it padding. */
static enum err certificate_len(struct span nv, uint16_t *ret_len)
{
    struct rd r = rd_over(nv);
    uint16_t tag = rd_u16(&r), inside = rd_u16(&r);
    if (r.bad || tag != 0x3082 || inside == 0 || inside > TPMDEV_CERTIFICATE_CAP - HEAD_LEN)
        return ERR_PROTOCOL;
    *ret_len = (uint16_t)(HEAD_LEN + inside);
    return ERR_OK;
}

static struct span after(struct span bytes, struct span head)
{
    const uint8_t *at = memmem(bytes.at, bytes.len, head.at, head.len);
    return at ? span_slice(bytes, (size_t)(at - bytes.at) + head.len, bytes.len) : span_of(NULL, 0);
}

/* The key as a certificate's BIT STRING has it: an RSAPublicKey of 2048 bits with exponent 65537, or
 * an uncompressed point of P-256 behind the curve's name. */
static struct span key_find(struct span bytes, enum tpm_key_kind kind)
{
    static const uint8_t modulus_head[] = {0x30, 0x82, 0x01, 0x0A, 0x02, 0x82, 0x01, 0x01, 0x00};
    static const uint8_t exponent[] = {0x02, 0x03, 0x01, 0x00, 0x01};
    static const uint8_t point_head[] = {0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03,
                                         0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    bool rsa = kind == TPM_KEY_RSA_2048;
    size_t key_len = rsa ? TPM_RSA_LEN : 2 * TPM_ECC_LEN, end_len = rsa ? sizeof exponent : 0;
    struct span rest = after(bytes, rsa ? SPAN_ARRAY(modulus_head) : SPAN_ARRAY(point_head));
    if (rest.len < key_len + end_len ||
        !span_equal(span_slice(rest, key_len, end_len), span_of(exponent, end_len)))
        return span_of(NULL, 0);
    return span_slice(rest, 0, key_len);
}

/* Reads on until there is a key, or with all until the end. */
static enum err read_into(struct tpmdev *d, enum tpm_key_kind kind, bool all, struct buf *out,
                          struct tpmcert *c)
{
    TRY(nv_begin(d, c->nv_index, out));
    TRY(certificate_len(buf_span(out), &c->len));
    struct span key = key_find(buf_span(out), kind);
    while (out->len < c->len && (all || key.len == 0)) {
        size_t want = c->len - out->len;
        TRY(nv_read(d, c->nv_index, (uint16_t)out->len,
                    (uint16_t)(want < NV_CHUNK ? want : NV_CHUNK), out));
        key = key_find(buf_span(out), kind);
    }
    if (key.len > 0)
        memcpy(c->key, key.at, key.len);
    c->key_len = key.len;
    return ERR_OK;
}

static enum err read_kind(struct tpmdev *d, enum tpm_key_kind kind, bool all, struct buf *out,
                          struct tpmcert *ret)
{
    struct tpmcert c = {
        .nv_index = kind == TPM_KEY_RSA_2048 ? NV_CERTIFICATE_RSA : NV_CERTIFICATE_ECC};
    c.why = read_into(d, kind, all, out, &c);
    if (c.why == ERR_TRUNCATED || c.why == ERR_FULL) /* shorter, or longer, than it says of itself */
        c.why = ERR_PROTOCOL;
    if (c.why != ERR_OK)
        c.len = 0;
    *ret = c;
    return c.why == ERR_TPM_TRANSPORT ? c.why : ERR_OK;
}

enum err tpmcert_read(struct tpmdev *d, enum tpm_key_kind kind, struct tpmcert *ret)
{
    uint8_t bytes[TPMDEV_CERTIFICATE_CAP];
    struct buf out = BUF_OVER(bytes);
    return read_kind(d, kind, false, &out, ret);
}

bool tpmcert_is_of(const struct tpmcert *c, const struct tpm_public *key)
{
    return c->why == ERR_OK && c->key_len != 0 &&
           span_equal(span_of(c->key, c->key_len), span_of(key->key, key->key_len));
}

/* ---- the EK's ---- */
static void remember(struct tpmdev *d, const struct tpmcert *c)
{
    d->certificate_known = true;
    d->certificate_error = c->why;
    d->certificate = (struct tpmdev_certificate){
        .nv_index = c->nv_index, .len = c->len, .is_of_ek = tpmcert_is_of(c, &d->ek)};
}

static enum err remembered(const struct tpmdev *d, struct tpmdev_certificate *ret_certificate)
{
    TRY(d->certificate_error);
    *ret_certificate = d->certificate;
    return ERR_OK;
}

enum err tpmdev_ek_certificate(struct tpmdev *d, struct tpmdev_certificate *ret_certificate)
{
    ERR_ASSERT(d->keys_known);
    if (!d->certificate_known) {
        struct tpmcert c;
        TRY(tpmcert_read(d, d->ek.kind, &c));
        remember(d, &c);
    }
    return remembered(d, ret_certificate);
}

enum err tpmdev_ek_certificate_read(struct tpmdev *d, uint8_t ret_bytes[TPMDEV_CERTIFICATE_CAP],
                                    struct tpmdev_certificate *ret_certificate)
{
    ERR_ASSERT(d->keys_known);
    struct tpmcert c;
    struct buf out = buf_over(ret_bytes, TPMDEV_CERTIFICATE_CAP);
    TRY(read_kind(d, d->ek.kind, true, &out, &c));
    remember(d, &c);
    return remembered(d, ret_certificate);
}
