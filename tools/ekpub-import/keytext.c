#include "keytext.h"

#include <string.h>
#include <wire/text.h>

#define PEM_BEGIN "-----BEGIN "
#define PEM_BEGIN_KEY "-----BEGIN PUBLIC KEY-----"
#define PEM_END_KEY "-----END PUBLIC KEY-----"
#define DER_CAP 600 /* RSA-4096 takes 550: room to say what is wrong with it */

/* SubjectPublicKeyInfo up to the modulus of an RSA-2048 key, what follows it (65537), and up to the
 * coordinates of an uncompressed P-256 point. */
static const uint8_t rsa_before[] = {0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a,
                                     0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
                                     0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01,
                                     0x0a, 0x02, 0x82, 0x01, 0x01, 0x00};
static const uint8_t rsa_after[] = {0x02, 0x03, 0x01, 0x00, 0x01};
static const uint8_t p256_before[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

static enum err refuse(enum err e, struct import_reason *ret_reason, const char *why)
{
    import_reason_set(ret_reason, "%s", why);
    return e;
}

static struct span trim(struct span s)
{
    while (s.len > 0 && memchr(" \t\r\n", s.at[0], 4) != NULL)
        s = span_slice(s, 1, s.len);
    while (s.len > 0 && memchr(" \t\r\n", s.at[s.len - 1], 4) != NULL)
        s.len--;
    return s;
}

/* The base64 between the two PEM lines, without its line breaks. */
static enum err pem_body(struct span text, struct buf *ret_base64, struct import_reason *ret_reason)
{
    struct span begin = SPAN_LITERAL(PEM_BEGIN_KEY);
    struct span end = SPAN_LITERAL(PEM_END_KEY);
    text = trim(text);
    if (!span_starts_with(text, begin))
        return refuse(ERR_ENCODING, ret_reason, "the PEM is not a PUBLIC KEY");
    text = span_slice(text, begin.len, text.len);
    if (text.len < end.len || !span_equal(span_slice(text, text.len - end.len, end.len), end))
        return refuse(ERR_ENCODING, ret_reason, "the PEM has no end line");
    text.len -= end.len;
    for (size_t i = 0; i < text.len; i++)
        if (memchr(" \t\r\n", text.at[i], 4) == NULL)
            buf_put_u8(ret_base64, text.at[i]);
    if (ret_base64->full)
        return refuse(ERR_KEY_SHAPE, ret_reason, "the key is neither RSA-2048 nor P-256");
    return ERR_OK;
}

static enum err spki_read(struct span der, enum tpm_key_role role, struct tpm_public *ret_pub,
                          struct import_reason *ret_reason)
{
    struct span rsa = SPAN_ARRAY(rsa_before), ecc = SPAN_ARRAY(p256_before);
    size_t rsa_len = rsa.len + TPM_RSA_LEN + sizeof rsa_after;
    enum err e = ERR_KEY_SHAPE;
    if (der.len == rsa_len && span_starts_with(der, rsa) &&
        span_equal(span_slice(der, rsa.len + TPM_RSA_LEN, der.len), SPAN_ARRAY(rsa_after)))
        e = tpm_public_from_key(role, TPM_KEY_RSA_2048, span_slice(der, rsa.len, TPM_RSA_LEN),
                                ret_pub);
    else if (der.len == ecc.len + 2 * TPM_ECC_LEN && span_starts_with(der, ecc))
        e = tpm_public_from_key(role, TPM_KEY_ECC_P256, span_slice(der, ecc.len, 2 * TPM_ECC_LEN),
                                ret_pub);
    else
        return refuse(ERR_KEY_SHAPE, ret_reason,
                      "the key is neither RSA-2048 with exponent 65537 nor an uncompressed P-256 "
                      "point");
    return e == ERR_OK ? e : refuse(e, ret_reason, err_text(e));
}

static enum err pem_read(struct span text, enum tpm_key_role role, struct tpm_public *ret_pub,
                         struct import_reason *ret_reason)
{
    uint8_t base64_bytes[BASE64_LEN(DER_CAP)], der_bytes[DER_CAP];
    struct buf base64 = BUF_OVER(base64_bytes), der = BUF_OVER(der_bytes);
    TRY(pem_body(text, &base64, ret_reason));
    if (base64_read(buf_span(&base64), &der) != ERR_OK)
        return refuse(ERR_ENCODING, ret_reason, "the PEM is not canonical base64");
    return spki_read(buf_span(&der), role, ret_pub, ret_reason);
}

static enum err base64_key_read(struct span text, struct tpm_public *ret_pub,
                                struct import_reason *ret_reason)
{
    uint8_t bytes[TPM_PUBLIC_CAP];
    struct buf out = BUF_OVER(bytes);
    if (text.len > BASE64_LEN(TPM_PUBLIC_CAP))
        return refuse(ERR_KEY_SHAPE, ret_reason, "too long for a TPM2B_PUBLIC of a supported kind");
    if (base64_read(text, &out) != ERR_OK)
        return refuse(ERR_ENCODING, ret_reason, "neither canonical base64 nor PEM");
    enum err e = tpm_public_read(buf_span(&out), ret_pub);
    return e == ERR_OK ? e : refuse(e, ret_reason, err_text(e));
}

enum err keytext_read(struct span text, enum tpm_key_role role, struct tpm_public *ret_pub,
                      struct import_reason *ret_reason)
{
    struct tpm_public pub;
    if (span_starts_with(trim(text), SPAN_LITERAL(PEM_BEGIN)))
        TRY(pem_read(text, role, &pub, ret_reason));
    else
        TRY(base64_key_read(text, &pub, ret_reason));
    enum err e = tpm_public_check_role(&pub, role);
    if (e != ERR_OK)
        return refuse(e, ret_reason, err_text(e));
    *ret_pub = pub;
    return ERR_OK;
}
