/* Verifying with wolfCrypt's primitives, not its certificate code: which digest and which scheme a
 * signature has is decided here, from its algorithm and the issuer's key together. */
#include <wolfssl/options.h>

#include <string.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/sha.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>

#include "ekcert_inner.h"

#define RSA_MAX_LEN (RSA_MAX_SIZE / 8)
#define RSA_MIN_LEN 256
#define EXPONENT_MAX_LEN 8
#define PSS_SALT_MAX 64

#define OID_PKCS1 "\x2a\x86\x48\x86\xf7\x0d\x01\x01"
#define OID_ECDSA_SHA2 "\x2a\x86\x48\xce\x3d\x04\x03"
#define OID_ECDSA_SHA1 "\x2a\x86\x48\xce\x3d\x04\x01"
#define OID_SHA1 "\x2b\x0e\x03\x02\x1a"
#define OID_SHA2 "\x60\x86\x48\x01\x65\x03\x04\x02"

/* ---- AlgorithmIdentifier ---- */

/* The arc after a prefix of one byte less; -1 if oid does not begin so. */
static int arc_after(struct span oid, struct span prefix)
{
    return oid.len == prefix.len + 1 && span_starts_with(oid, prefix) ? oid.at[prefix.len] : -1;
}

static enum ekcert_digest hash_read(struct rd *r)
{
    struct rd hash = der_open(r, DER_TAG_SEQUENCE);
    struct span oid = der_take(&hash, DER_TAG_OID);
    struct span null;
    der_take_if(&hash, DER_TAG_NULL, &null);
    der_close(r, &hash);
    if (OID_IS(oid, OID_SHA1))
        return EKCERT_SHA1;
    switch (arc_after(oid, SPAN_LITERAL(OID_SHA2))) {
    case 1:
        return EKCERT_SHA256;
    case 2:
        return EKCERT_SHA384;
    case 3:
        return EKCERT_SHA512;
    default:
        return EKCERT_DIGEST_UNKNOWN;
    }
}

/* MGF1 over the very digest that is signed; no other is met, and none is needed. */
static bool mask_fits(struct span mask, enum ekcert_digest digest)
{
    struct rd outer = rd_over(mask);
    struct rd r = der_open(&outer, DER_TAG_SEQUENCE);
    struct span oid = der_take(&r, DER_TAG_OID);
    enum ekcert_digest of_mask = hash_read(&r);
    return OID_IS(oid, OID_PKCS1 "\x08") && rd_end(&r) == ERR_OK && rd_end(&outer) == ERR_OK &&
           of_mask == digest;
}

/* RFC 4055, 3.1. The defaults are all SHA-1's. */
static void pss_read(struct rd *parameters, struct ekcert_signature *s)
{
    struct rd r = der_open(parameters, DER_TAG_SEQUENCE);
    struct span field;
    enum ekcert_digest digest = EKCERT_SHA1;
    bool fits = true;
    if (der_take_if(&r, DER_TAG_CONTEXT(0), &field)) {
        struct rd hash = rd_over(field);
        digest = hash_read(&hash);
        fits = rd_end(&hash) == ERR_OK;
    }
    if (der_take_if(&r, DER_TAG_CONTEXT(1), &field))
        fits = fits && mask_fits(field, digest);
    else
        fits = fits && digest == EKCERT_SHA1;
    s->salt_len = 20;
    if (der_take_if(&r, DER_TAG_CONTEXT(2), &field)) {
        struct rd salt = rd_over(field);
        s->salt_len = der_small(&salt);
        fits = fits && rd_end(&salt) == ERR_OK && s->salt_len <= PSS_SALT_MAX;
    }
    if (fits && rd_end(&r) == ERR_OK) {
        s->scheme = EKCERT_RSA_PSS;
        s->digest = digest;
    }
}

static void pkcs1_read(int arc, struct rd *parameters, struct ekcert_signature *s,
                       uint32_t *oddities)
{
    static const struct {
        int arc;
        enum ekcert_digest digest;
    } known[] = {
        {4, EKCERT_MD5},     {5, EKCERT_SHA1},    {11, EKCERT_SHA256},
        {12, EKCERT_SHA384}, {13, EKCERT_SHA512},
    };
    struct span null;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].arc != arc)
            continue;
        if (!der_take_if(parameters, DER_TAG_NULL, &null))
            *oddities |= EKCERT_ODD_NULL;
        s->scheme = EKCERT_RSA_PKCS1;
        s->digest = known[i].digest;
    }
}

static void ecdsa_read(int arc, struct ekcert_signature *s)
{
    if (arc < 2 || arc > 4)
        return;
    s->scheme = EKCERT_ECDSA;
    s->digest = arc == 2 ? EKCERT_SHA256 : arc == 3 ? EKCERT_SHA384 : EKCERT_SHA512;
}

void ekcert_algorithm_read(struct rd *r, struct ekcert_signature *ret_signature,
                           uint32_t *oddities)
{
    struct ekcert_signature s = {0};
    struct rd algorithm = der_open(r, DER_TAG_SEQUENCE);
    struct span oid = der_take(&algorithm, DER_TAG_OID);
    if (algorithm.bad)
        r->bad = true;
    int pkcs1 = arc_after(oid, SPAN_LITERAL(OID_PKCS1));
    if (pkcs1 == 10)
        pss_read(&algorithm, &s);
    else if (pkcs1 >= 0)
        pkcs1_read(pkcs1, &algorithm, &s, oddities);
    else if (OID_IS(oid, OID_ECDSA_SHA1))
        s = (struct ekcert_signature){.scheme = EKCERT_ECDSA, .digest = EKCERT_SHA1};
    else
        ecdsa_read(arc_after(oid, SPAN_LITERAL(OID_ECDSA_SHA2)), &s);
    if (s.scheme != EKCERT_SCHEME_UNKNOWN && rd_end(&algorithm) != ERR_OK)
        s = (struct ekcert_signature){0}; /* parameters that do not belong there */
    *ret_signature = s;
}

/* ---- digests ---- */

struct digest {
    uint8_t bytes[WC_SHA512_DIGEST_SIZE];
    word32 len;
};

static bool digest_make(enum ekcert_digest which, struct span over, struct digest *ret_digest)
{
    struct digest d = {.len = 0};
    int failed = -1;
    switch (which) {
    case EKCERT_SHA1:
        d.len = WC_SHA_DIGEST_SIZE;
        failed = wc_ShaHash(over.at, (word32)over.len, d.bytes);
        break;
    case EKCERT_SHA256:
        d.len = WC_SHA256_DIGEST_SIZE;
        failed = wc_Sha256Hash(over.at, (word32)over.len, d.bytes);
        break;
    case EKCERT_SHA384:
        d.len = WC_SHA384_DIGEST_SIZE;
        failed = wc_Sha384Hash(over.at, (word32)over.len, d.bytes);
        break;
    case EKCERT_SHA512:
        d.len = WC_SHA512_DIGEST_SIZE;
        failed = wc_Sha512Hash(over.at, (word32)over.len, d.bytes);
        break;
    case EKCERT_MD5:
    case EKCERT_DIGEST_UNKNOWN:
        break;
    }
    if (failed)
        return false;
    *ret_digest = d;
    return true;
}

static enum wc_HashType digest_type(enum ekcert_digest which)
{
    return which == EKCERT_SHA1     ? WC_HASH_TYPE_SHA
           : which == EKCERT_SHA256 ? WC_HASH_TYPE_SHA256
           : which == EKCERT_SHA384 ? WC_HASH_TYPE_SHA384
                                    : WC_HASH_TYPE_SHA512;
}

/* ---- RSA ---- */

/* RFC 8017, 9.2: the DigestInfo that must stand there byte for byte; nothing of the signature is
 * parsed. */
static struct span digest_info(enum ekcert_digest which, const struct digest *d, struct buf *out)
{
    static const struct {
        enum ekcert_digest digest;
        struct span prefix;
    } prefixes[] = {
#define PREFIX(digest, text) {digest, {(const uint8_t *)(text), sizeof(text) - 1}}
        PREFIX(EKCERT_SHA1, "\x30\x21\x30\x09\x06\x05" OID_SHA1 "\x05\x00\x04\x14"),
        PREFIX(EKCERT_SHA256, "\x30\x31\x30\x0d\x06\x09" OID_SHA2 "\x01\x05\x00\x04\x20"),
        PREFIX(EKCERT_SHA384, "\x30\x41\x30\x0d\x06\x09" OID_SHA2 "\x02\x05\x00\x04\x30"),
        PREFIX(EKCERT_SHA512, "\x30\x51\x30\x0d\x06\x09" OID_SHA2 "\x03\x05\x00\x04\x40"),
#undef PREFIX
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (prefixes[i].digest == which)
            buf_put(out, prefixes[i].prefix);
    buf_put(out, span_of(d->bytes, d->len));
    return buf_span(out);
}

static bool pkcs1_verify(RsaKey *key, const struct ekcert_signature *s, const struct digest *d)
{
    uint8_t expected[96], work[RSA_MAX_LEN];
    struct buf b = BUF_OVER(expected);
    struct span info = digest_info(s->digest, d, &b);
    uint8_t *found = NULL;
    memcpy(work, s->value.at, s->value.len);
    int len = wc_RsaSSL_VerifyInline(work, (word32)s->value.len, &found, key);
    return len > 0 && found != NULL && span_equal(info, span_of(found, (size_t)len));
}

static bool pss_verify(RsaKey *key, const struct ekcert_signature *s, const struct digest *d)
{
    uint8_t work[RSA_MAX_LEN];
    uint8_t *found = NULL;
    enum wc_HashType type = digest_type(s->digest);
    int mask = wc_hash2mgf(type);
    memcpy(work, s->value.at, s->value.len);
    int len = wc_RsaPSS_VerifyInline_ex(work, (word32)s->value.len, &found, type, mask,
                                        (int)s->salt_len, key);
    return len > 0 && found != NULL &&
           wc_RsaPSS_CheckPadding_ex(d->bytes, d->len, found, (word32)len, type,
                                     (int)s->salt_len, 0) == 0;
}

static enum ekcert_reason rsa_verify(const struct ekcert *issuer, const struct ekcert_signature *s,
                                     const struct digest *d)
{
    struct span n = issuer->modulus, e = issuer->exponent;
    if (n.len < RSA_MIN_LEN || n.len > RSA_MAX_LEN || (n.len == RSA_MIN_LEN && n.at[0] < 0x80) ||
        e.len > EXPONENT_MAX_LEN || (e.len == 1 && e.at[0] < 3))
        return EKCERT_CA_KEY;
    if (s->value.len != n.len)
        return EKCERT_SIGNATURE;
    RsaKey key;
    if (wc_InitRsaKey(&key, NULL) != 0)
        return EKCERT_SIGNATURE;
    bool good = wc_RsaPublicKeyDecodeRaw(n.at, (word32)n.len, e.at, (word32)e.len, &key) == 0 &&
                (s->scheme == EKCERT_RSA_PSS ? pss_verify(&key, s, d) : pkcs1_verify(&key, s, d));
    wc_FreeRsaKey(&key);
    return good ? EKCERT_GOOD : EKCERT_SIGNATURE;
}

/* ---- ECDSA ---- */

/* Two numbers of the curve's size, in DER and nothing else. */
static bool ecdsa_shape(struct span value, size_t len)
{
    struct rd all = rd_over(value);
    struct rd pair = der_open(&all, DER_TAG_SEQUENCE);
    struct span first = der_unsigned(&pair);
    struct span second = der_unsigned(&pair);
    der_close(&all, &pair);
    return rd_end(&all) == ERR_OK && first.len <= len && second.len <= len && first.at[0] != 0 &&
           second.at[0] != 0;
}

static enum ekcert_reason ecdsa_verify(const struct ekcert *issuer,
                                       const struct ekcert_signature *s, const struct digest *d)
{
    int curve = issuer->key == EKCERT_KEY_ECC_P256   ? ECC_SECP256R1
                : issuer->key == EKCERT_KEY_ECC_P384 ? ECC_SECP384R1
                                                     : ECC_SECP521R1;
    struct span p = issuer->point;
    if (!ecdsa_shape(s->value, p.len / 2))
        return EKCERT_SIGNATURE;
    ecc_key key;
    if (wc_ecc_init(&key) != 0)
        return EKCERT_SIGNATURE;
    enum ekcert_reason reason = EKCERT_CA_KEY;
    int good = 0;
    if (wc_ecc_import_x963_ex(p.at, (word32)p.len, &key, curve) == 0 &&
        wc_ecc_check_key(&key) == 0)
        reason = wc_ecc_verify_hash(s->value.at, (word32)s->value.len, d->bytes, d->len, &good,
                                    &key) == 0 && good == 1
                     ? EKCERT_GOOD
                     : EKCERT_SIGNATURE;
    wc_ecc_free(&key);
    return reason;
}

enum ekcert_reason ekcert_signature_verify(struct span tbs, const struct ekcert_signature *s,
                                           const struct ekcert *issuer)
{
    struct digest d;
    bool rsa_key = issuer->modulus.len > 0;
    if (!rsa_key && issuer->point.len == 0)
        return EKCERT_CA_KEY;
    if ((s->scheme == EKCERT_ECDSA) == rsa_key)
        return EKCERT_SIGNATURE_KIND;
    if (!digest_make(s->digest, tbs, &d))
        return EKCERT_SIGNATURE;
    return rsa_key ? rsa_verify(issuer, s, &d) : ecdsa_verify(issuer, s, &d);
}
