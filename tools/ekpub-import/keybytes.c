#include "keybytes.h"

#include <ekcert.h>

#define TPM_ALG_RSA 0x0001
#define TPM_ALG_NULL 0x0010
#define TPM_ALG_ECC 0x0023
#define DER_SEQUENCE 0x30
#define DER_INTEGER 0x02
#define DER_OID 0x06
#define STORED_CERTIFICATE 0x1001 /* TCG_TAG_PCCLIENT_STORED_CERT, TPM 1.2 */

static enum err refuse(enum err e, struct import_reason *ret_reason, const char *why)
{
    import_reason_set(ret_reason, "%s", why);
    return e;
}

static enum err refuse_kind(struct import_reason *ret_reason, const char *kind)
{
    import_reason_set(ret_reason,
                      "the key is %s: the challenge serves RSA-2048 with exponent 65537 and P-256",
                      kind);
    return ERR_KEY_SHAPE;
}

/* ---- what it is ---- */

/* The content of the element that s begins with, as far as it is there. */
static struct span der_inside(struct span s)
{
    if (s.len < 2)
        return span_slice(s, s.len, 0);
    size_t len_bytes = s.at[1] < 0x80 ? 0 : (size_t)(s.at[1] & 0x7f);
    return span_slice(s, 2 + len_bytes, s.len);
}

static int first_byte(struct span s)
{
    return s.len > 0 ? s.at[0] : -1;
}

/* A key's algorithm begins with its identifier, a certificate's body with version or serial. */
static enum keybytes_kind guess_der(struct span bytes)
{
    struct span inner = der_inside(bytes);
    if (first_byte(inner) == DER_INTEGER)
        return KEYBYTES_DER_KEY;
    if (first_byte(inner) != DER_SEQUENCE)
        return KEYBYTES_UNKNOWN;
    return first_byte(der_inside(inner)) == DER_OID ? KEYBYTES_DER_KEY : KEYBYTES_CERTIFICATE;
}

static bool is_key_type(uint16_t type)
{
    return type == TPM_ALG_RSA || type == TPM_ALG_ECC;
}

enum keybytes_kind keybytes_guess(struct span bytes)
{
    struct rd r = rd_over(bytes);
    uint16_t first = rd_u16(&r);
    uint16_t second = rd_u16(&r);
    if (r.bad)
        return KEYBYTES_UNKNOWN;
    if (bytes.at[0] == DER_SEQUENCE && (bytes.at[1] >= 0x80 || bytes.at[1] + 2u == bytes.len))
        return guess_der(bytes); /* text that begins with a zero has another length */
    if (first == STORED_CERTIFICATE)
        return KEYBYTES_CERTIFICATE;
    if (is_key_type(first) && second >= 0x0004 && second <= 0x0029) /* a name algorithm */
        return is_key_type(second) && first == bytes.len - 2 ? KEYBYTES_TPM2B_PUBLIC
                                                             : KEYBYTES_TPMT_PUBLIC;
    return is_key_type(second) && first >= 16 ? KEYBYTES_TPM2B_PUBLIC : KEYBYTES_UNKNOWN;
}

/* ---- TPM structures ---- */

/* What a TPMT_PUBLIC that was refused is of, if it is of another kind. TPM 2.0 Part 2, 12.2.4. */
static const char *tpmt_other_kind(struct span tpmt)
{
    struct rd r = rd_over(tpmt);
    uint16_t type = rd_u16(&r);
    (void)rd_u16(&r);       /* name algorithm */
    (void)rd_u32(&r);       /* attributes */
    (void)rd_sized_u16(&r); /* policy */
    if (rd_u16(&r) != TPM_ALG_NULL)
        (void)rd_u32(&r); /* symmetric key bits and mode */
    if (rd_u16(&r) != TPM_ALG_NULL)
        (void)rd_u16(&r); /* the scheme's hash */
    uint16_t size = rd_u16(&r);
    if (r.bad || !is_key_type(type))
        return NULL;
    if (type == TPM_ALG_RSA)
        return size == 3072   ? "RSA-3072"
               : size == 4096 ? "RSA-4096"
               : size == 1024 ? "RSA-1024"
                              : NULL;
    return size == 4 ? "P-384" : size == 5 ? "P-521" : NULL;
}

static enum err tpm2b_read(struct span bytes, struct tpm_public *ret_pub,
                           struct import_reason *ret_reason)
{
    enum err e = tpm_public_read(bytes, ret_pub);
    if (e == ERR_OK)
        return ERR_OK;
    const char *kind = tpmt_other_kind(span_slice(bytes, 2, bytes.len));
    return kind != NULL ? refuse_kind(ret_reason, kind) : refuse(e, ret_reason, err_text(e));
}

static enum err tpmt_read(struct span bytes, struct tpm_public *ret_pub,
                          struct import_reason *ret_reason)
{
    uint8_t sized[2 + 1024];
    struct buf out = BUF_OVER(sized);
    buf_put_u16(&out, (uint16_t)bytes.len);
    buf_put(&out, bytes);
    if (out.full)
        return refuse(ERR_KEY_SHAPE, ret_reason, "longer than any TPMT_PUBLIC");
    return tpm2b_read(buf_span(&out), ret_pub, ret_reason);
}

/* ---- DER ---- */

/* One of these keys with the default template of the role. */
static enum err from_ekcert(const struct ekcert *c, enum tpm_key_role role,
                            struct tpm_public *ret_pub, struct import_reason *ret_reason)
{
    if (!c->challengeable)
        return refuse_kind(ret_reason, ekcert_key_text(c->key));
    if (role == TPM_ROLE_EK) {
        *ret_pub = c->ek;
        return ERR_OK;
    }
    struct span key = span_of(c->ek.key, c->ek.key_len);
    enum err e = tpm_public_from_key(role, c->ek.kind, key, ret_pub);
    return e == ERR_OK ? e : refuse(e, ret_reason, err_text(e));
}

static enum err certificate_key(struct span bytes, enum tpm_key_role role,
                                struct tpm_public *ret_pub, struct import_reason *ret_reason)
{
    struct ekcert c;
    if (role != TPM_ROLE_EK)
        return refuse(ERR_KEY_ROLE, ret_reason, "a certificate, where only a key is expected");
    enum err e = ekcert_read(bytes, &c);
    if (e != ERR_OK)
        return refuse(e, ret_reason, err_text(e));
    return from_ekcert(&c, role, ret_pub, ret_reason);
}

static enum err any_read(struct span bytes, enum tpm_key_role role, struct tpm_public *ret_pub,
                         struct import_reason *ret_reason)
{
    struct ekcert c;
    switch (keybytes_guess(bytes)) {
    case KEYBYTES_TPM2B_PUBLIC:
        return tpm2b_read(bytes, ret_pub, ret_reason);
    case KEYBYTES_TPMT_PUBLIC:
        return tpmt_read(bytes, ret_pub, ret_reason);
    case KEYBYTES_CERTIFICATE:
        return certificate_key(bytes, role, ret_pub, ret_reason);
    case KEYBYTES_DER_KEY:
        ekcert_public_key_read(bytes, &c);
        return from_ekcert(&c, role, ret_pub, ret_reason);
    default:
        return refuse(ERR_KEY_SHAPE, ret_reason,
                      "neither TPM2B_PUBLIC, TPMT_PUBLIC, public key nor certificate");
    }
}

enum err keybytes_read(struct span bytes, enum tpm_key_role role, struct tpm_public *ret_pub,
                       struct import_reason *ret_reason)
{
    struct tpm_public pub;
    TRY(any_read(bytes, role, &pub, ret_reason));
    enum err e = tpm_public_check_role(&pub, role);
    if (e != ERR_OK)
        return refuse(e, ret_reason, err_text(e));
    *ret_pub = pub;
    return ERR_OK;
}
