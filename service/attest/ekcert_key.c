#include "ekcert_inner.h"

#define OID_RSA "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
#define OID_RSA_OAEP "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07"
#define OID_EC "\x2a\x86\x48\xce\x3d\x02\x01"
#define OID_P256 "\x2a\x86\x48\xce\x3d\x03\x01\x07"
#define OID_P384 "\x2b\x81\x04\x00\x22"
#define OID_P521 "\x2b\x81\x04\x00\x23"

static size_t bits_of(struct span number)
{
    size_t bits = number.len * 8;
    for (uint8_t top = number.len > 0 ? number.at[0] : 0x80; top < 0x80; top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

/* PKCS#1 RSAPublicKey. */
static enum ekcert_key rsa_read(struct span content, struct ekcert *c)
{
    struct rd all = rd_over(content);
    struct rd r = der_open(&all, DER_TAG_SEQUENCE);
    struct span modulus = der_unsigned(&r);
    struct span exponent = der_unsigned(&r);
    der_close(&all, &r);
    if (rd_end(&all) != ERR_OK || exponent.at[0] == 0 || modulus.at[0] == 0 ||
        modulus.at[modulus.len - 1] % 2 == 0 || exponent.at[exponent.len - 1] % 2 == 0)
        return EKCERT_KEY_BAD;
    c->modulus = modulus;
    c->exponent = exponent;
    if (!OID_IS(exponent, "\x01\x00\x01"))
        return EKCERT_KEY_RSA_OTHER;
    switch (bits_of(modulus)) {
    case 2048:
        return EKCERT_KEY_RSA_2048;
    case 3072:
        return EKCERT_KEY_RSA_3072;
    case 4096:
        return EKCERT_KEY_RSA_4096;
    default:
        return EKCERT_KEY_RSA_OTHER;
    }
}

static enum ekcert_key ec_read(struct rd *parameters, struct span content, struct ekcert *c)
{
    static const struct {
        struct span oid;
        enum ekcert_key key;
        size_t len;
    } curves[] = {
        {{(const uint8_t *)OID_P256, sizeof OID_P256 - 1}, EKCERT_KEY_ECC_P256, 65},
        {{(const uint8_t *)OID_P384, sizeof OID_P384 - 1}, EKCERT_KEY_ECC_P384, 97},
        {{(const uint8_t *)OID_P521, sizeof OID_P521 - 1}, EKCERT_KEY_ECC_P521, 133},
    };
    struct span curve = der_take(parameters, DER_TAG_OID);
    if (rd_end(parameters) != ERR_OK)
        return EKCERT_KEY_OTHER; /* a curve spelled out instead of named is not looked into */
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        if (!span_equal(curve, curves[i].oid))
            continue;
        if (content.len != curves[i].len || content.at[0] != 4)
            return EKCERT_KEY_BAD;
        c->point = content;
        return curves[i].key;
    }
    return EKCERT_KEY_OTHER;
}

static enum ekcert_key kind_read(struct span spki, struct ekcert *c)
{
    struct rd all = rd_over(spki);
    struct rd r = der_open(&all, DER_TAG_SEQUENCE);
    struct rd algorithm = der_open(&r, DER_TAG_SEQUENCE);
    struct span oid = der_take(&algorithm, DER_TAG_OID);
    struct span content = der_bits(&r);
    der_close(&all, &r);
    if (rd_end(&all) != ERR_OK || algorithm.bad)
        return EKCERT_KEY_BAD;
    if (OID_IS(oid, OID_EC))
        return ec_read(&algorithm, content, c);
    if (OID_IS(oid, OID_RSA_OAEP))
        c->oddities |= EKCERT_ODD_OAEP_KEY;
    else if (!OID_IS(oid, OID_RSA))
        return EKCERT_KEY_OTHER;
    return rsa_read(content, c);
}

/* The key as the TPM has it. What tpm_public_read refuses cannot be challenged. */
static enum ekcert_key ek_make(enum ekcert_key kind, struct ekcert *c)
{
    if (kind != EKCERT_KEY_RSA_2048 && kind != EKCERT_KEY_ECC_P256)
        return kind;
    bool rsa = kind == EKCERT_KEY_RSA_2048;
    struct span key = rsa ? c->modulus : span_slice(c->point, 1, c->point.len);
    enum tpm_key_kind tpm_kind = rsa ? TPM_KEY_RSA_2048 : TPM_KEY_ECC_P256;
    if (tpm_public_from_key(TPM_ROLE_EK, tpm_kind, key, &c->ek) != ERR_OK)
        return EKCERT_KEY_BAD;
    c->challengeable = true;
    return kind;
}

static void key_set(enum ekcert_key kind, struct ekcert *c)
{
    c->key = ek_make(kind, c);
    if (c->key == EKCERT_KEY_BAD) /* nobody is to verify with half a key */
        c->modulus = c->exponent = c->point = (struct span){0};
}

void ekcert_key_read(struct span spki, struct ekcert *c)
{
    key_set(kind_read(spki, c), c);
}

void ekcert_public_key_read(struct span der, struct ekcert *ret_key)
{
    struct ekcert c = {0};
    struct rd all = rd_over(der);
    struct rd r = der_open(&all, DER_TAG_SEQUENCE);
    if (der_peek(&r) == DER_TAG_INTEGER)
        key_set(rsa_read(der, &c), &c);
    else
        ekcert_key_read(der, &c);
    *ret_key = c;
}

const char *ekcert_key_text(enum ekcert_key key)
{
    static const char *const texts[] = {
        [EKCERT_KEY_RSA_2048] = "RSA-2048",   [EKCERT_KEY_ECC_P256] = "P-256",
        [EKCERT_KEY_RSA_3072] = "RSA-3072",   [EKCERT_KEY_RSA_4096] = "RSA-4096",
        [EKCERT_KEY_RSA_OTHER] = "RSA of another size or exponent",
        [EKCERT_KEY_ECC_P384] = "P-384",      [EKCERT_KEY_ECC_P521] = "P-521",
        [EKCERT_KEY_OTHER] = "of another kind", [EKCERT_KEY_BAD] = "malformed",
    };
    return (size_t)key < sizeof texts / sizeof *texts ? texts[key] : "of another kind";
}
