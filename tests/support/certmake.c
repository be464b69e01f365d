#include "certmake.h"

#include <der.h>
#include <string.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/random.h>

#define MUST(x) ERR_ASSERT(x)
#define OID(text) SPAN_LITERAL(text)
#define SCRATCH(name) uint8_t name##_bytes[CERTMAKE_CAP]; struct buf name = BUF_OVER(name##_bytes)

static WC_RNG *rng(void)
{
    static WC_RNG one;
    static bool ready;
    if (!ready)
        MUST(wc_InitRng(&one) == 0);
    ready = true;
    return &one;
}

/* ---- keys ---- */

static void id_draw(struct certkey *k)
{
    MUST(wc_RNG_GenerateBlock(rng(), k->id, sizeof k->id) == 0);
}

void certkey_rsa_make(struct certkey *k, int bits)
{
    *k = (struct certkey){.kind = CERTKEY_RSA, .len = bits / 8};
    MUST(wc_InitRsaKey(&k->rsa, NULL) == 0);
    MUST(wc_RsaSetRNG(&k->rsa, rng()) == 0);
    MUST(wc_MakeRsaKey(&k->rsa, bits, 65537, rng()) == 0);
    id_draw(k);
}

void certkey_ecc_make(struct certkey *k, int len)
{
    int curve = len == 32 ? ECC_SECP256R1 : len == 48 ? ECC_SECP384R1 : ECC_SECP521R1;
    *k = (struct certkey){.kind = CERTKEY_ECC, .len = len};
    MUST(wc_ecc_init(&k->ecc) == 0);
    MUST(wc_ecc_make_key_ex(rng(), len, &k->ecc, curve) == 0);
    id_draw(k);
}

void certkey_free(struct certkey *k)
{
    if (k->kind == CERTKEY_RSA)
        wc_FreeRsaKey(&k->rsa);
    else
        wc_ecc_free(&k->ecc);
}

/* The API takes keys as not const, but only reads them. */
static struct certkey *writable(const struct certkey *k)
{
    union {
        const struct certkey *in;
        struct certkey *out;
    } u = {k};
    return u.out;
}

static void modulus_of(const struct certkey *k, struct buf *out)
{
    uint8_t n[512], e[8];
    word32 n_len = sizeof n, e_len = sizeof e;
    MUST(wc_RsaFlattenPublicKey(&writable(k)->rsa, e, &e_len, n, &n_len) == 0);
    buf_put(out, span_of(n, n_len));
}

static void point_of(const struct certkey *k, struct buf *out)
{
    uint8_t x[66], y[66];
    word32 x_len = sizeof x, y_len = sizeof y;
    MUST(wc_ecc_export_public_raw(&writable(k)->ecc, x, &x_len, y, &y_len) == 0);
    for (word32 i = x_len; i < (word32)k->len; i++)
        buf_put_u8(out, 0);
    buf_put(out, span_of(x, x_len));
    for (word32 i = y_len; i < (word32)k->len; i++)
        buf_put_u8(out, 0);
    buf_put(out, span_of(y, y_len));
}

void certkey_ek(const struct certkey *k, struct tpm_public *ret_ek)
{
    SCRATCH(key);
    enum tpm_key_kind kind = k->kind == CERTKEY_RSA ? TPM_KEY_RSA_2048 : TPM_KEY_ECC_P256;
    if (k->kind == CERTKEY_RSA)
        modulus_of(k, &key);
    else
        point_of(k, &key);
    MUST(tpm_public_from_key(TPM_ROLE_EK, kind, buf_span(&key), ret_ek) == ERR_OK);
}

static void spki_put(struct buf *out, const struct certkey *k)
{
    SCRATCH(algorithm);
    SCRATCH(key);
    SCRATCH(numbers);
    SCRATCH(both);
    buf_put_u8(&key, 0);
    if (k->kind == CERTKEY_RSA) {
        SCRATCH(modulus);
        buf_put_u8(&modulus, 0);
        modulus_of(k, &modulus);
        der_put(&numbers, DER_INTEGER, buf_span(&modulus));
        der_put(&numbers, DER_INTEGER, OID("\x01\x00\x01"));
        der_put(&key, DER_SEQUENCE, buf_span(&numbers));
        der_put(&algorithm, DER_OID, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"));
        buf_put(&algorithm, OID("\x05\x00"));
    } else {
        buf_put_u8(&key, 4);
        point_of(k, &key);
        der_put(&algorithm, DER_OID, OID("\x2a\x86\x48\xce\x3d\x02\x01"));
        der_put(&algorithm, DER_OID,
                k->len == 32   ? OID("\x2a\x86\x48\xce\x3d\x03\x01\x07")
                : k->len == 48 ? OID("\x2b\x81\x04\x00\x22")
                               : OID("\x2b\x81\x04\x00\x23"));
    }
    der_put(&both, DER_SEQUENCE, buf_span(&algorithm));
    der_put(&both, DER_BIT_STRING, buf_span(&key));
    der_put(out, DER_SEQUENCE, buf_span(&both));
}

/* ---- signing ---- */

static bool is_pss(enum certalg a)
{
    return a >= CERTALG_PSS_SHA256;
}

/* 1, 256, 384 or 512 */
static int digest_bits(enum certalg a)
{
    static const int bits[] = {256, 1, 384, 512, 256, 384, 512};
    return bits[a];
}

static void sha2_put(struct buf *out, int bits)
{
    SCRATCH(inside);
    uint8_t arc = bits == 256 ? 1 : bits == 384 ? 2 : 3;
    uint8_t oid[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc};
    der_put(&inside, DER_OID, SPAN_ARRAY(oid));
    buf_put(&inside, OID("\x05\x00"));
    der_put(out, DER_SEQUENCE, buf_span(&inside));
}

static void pss_put(struct buf *out, int bits)
{
    SCRATCH(hash);
    SCRATCH(mask);
    SCRATCH(mask_all);
    SCRATCH(fields);
    const uint8_t salt[] = {DER_INTEGER, 1, (uint8_t)(bits / 8)};
    sha2_put(&hash, bits);
    der_put(&mask, DER_OID, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"));
    buf_put(&mask, buf_span(&hash));
    der_put(&mask_all, DER_SEQUENCE, buf_span(&mask));
    der_put(&fields, DER_CONTEXT(0), buf_span(&hash));
    der_put(&fields, DER_CONTEXT(1), buf_span(&mask_all));
    der_put(&fields, DER_CONTEXT(2), SPAN_ARRAY(salt));
    der_put(out, DER_OID, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"));
    der_put(out, DER_SEQUENCE, buf_span(&fields));
}

static void algorithm_put(struct buf *out, enum certalg a, const struct certkey *signer)
{
    SCRATCH(inside);
    int bits = digest_bits(a);
    uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1,
                     (uint8_t)(bits == 1 ? 5 : bits == 256 ? 11 : bits == 384 ? 12 : 13)};
    uint8_t ecc[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3,
                     (uint8_t)(bits == 256 ? 2 : bits == 384 ? 3 : 4)};
    if (is_pss(a))
        pss_put(&inside, bits);
    else if (signer->kind == CERTKEY_RSA) {
        der_put(&inside, DER_OID, SPAN_ARRAY(rsa));
        buf_put(&inside, OID("\x05\x00"));
    } else if (bits == 1)
        der_put(&inside, DER_OID, OID("\x2a\x86\x48\xce\x3d\x04\x01"));
    else
        der_put(&inside, DER_OID, SPAN_ARRAY(ecc));
    der_put(out, DER_SEQUENCE, buf_span(&inside));
}

static word32 rsa_sign(const struct certkey *k, enum certalg a, enum certflaw flaw,
                       enum wc_HashType type, const uint8_t *digest, word32 digest_len,
                       uint8_t *ret_signature)
{
    uint8_t info[128];
    RsaKey *key = &writable(k)->rsa;
    int len;
    if (is_pss(a)) {
        len = wc_RsaPSS_Sign_ex(digest, digest_len, ret_signature, 512, type, wc_hash2mgf(type),
                                (int)digest_len, key, rng());
    } else {
        word32 info_len = digest_len;
        memcpy(info, digest, digest_len);
        if (flaw != CERTFLAW_NO_INFO)
            info_len = wc_EncodeSignature(info, digest, digest_len, wc_HashGetOID(type));
        if (flaw == CERTFLAW_INFO_TRAILING)
            info[info_len++] = 0;
        len = wc_RsaSSL_Sign(info, info_len, ret_signature, 512, key, rng());
    }
    MUST(len > 0);
    return (word32)len;
}

static void signature_put(struct buf *out, struct span tbs, const struct certkey *k,
                          enum certalg a, enum certflaw flaw)
{
    int bits = flaw == CERTFLAW_SHORT_DIGEST ? 1 : digest_bits(a);
    enum wc_HashType type = bits == 1     ? WC_HASH_TYPE_SHA
                            : bits == 256 ? WC_HASH_TYPE_SHA256
                            : bits == 384 ? WC_HASH_TYPE_SHA384
                                          : WC_HASH_TYPE_SHA512;
    uint8_t digest[64], signature[900] = {0};
    word32 digest_len = (word32)wc_HashGetDigestSize(type), len = 512;
    MUST(wc_Hash(type, tbs.at, (word32)tbs.len, digest, sizeof digest) == 0);
    if (k->kind == CERTKEY_RSA)
        len = rsa_sign(k, a, flaw, type, digest, digest_len, signature);
    else
        MUST(wc_ecc_sign_hash(digest, digest_len, signature, &len, rng(), &writable(k)->ecc) == 0);
    signature[len / 2] ^= flaw == CERTFLAW_FLIPPED ? 0x10 : 0;
    len += flaw == CERTFLAW_LONG ? 300 : 0;
    SCRATCH(content);
    buf_put_u8(&content, 0);
    buf_put(&content, span_of(signature, len));
    der_put(out, DER_BIT_STRING, buf_span(&content));
}

/* What is signed, its algorithm, its signature. */
static struct span sealed(struct span tbs, const struct certkey *k, enum certalg a,
                          enum certflaw flaw, struct span outer, uint8_t *ret_der)
{
    SCRATCH(all);
    struct buf out = buf_over(ret_der, CERTMAKE_CAP);
    buf_put(&all, tbs);
    if (outer.len > 0)
        buf_put(&all, outer);
    else
        algorithm_put(&all, a, k);
    signature_put(&all, tbs, k, a, flaw);
    der_put(&out, DER_SEQUENCE, buf_span(&all));
    MUST(!all.full && !out.full);
    return buf_span(&out);
}

/* ---- names ---- */

static void pair_put(struct buf *out, struct span oid, struct span text)
{
    SCRATCH(pair);
    der_put(&pair, DER_OID, oid);
    der_put(&pair, DER_UTF8, text);
    der_put(out, DER_SEQUENCE, buf_span(&pair));
}

static void name_put(struct buf *out, const char *common_name, bool unsorted)
{
    SCRATCH(set);
    SCRATCH(sets);
    if (unsorted)
        pair_put(&set, OID("\x55\x04\x0a"), SPAN_LITERAL("Zebras and giraffes"));
    if (*common_name) {
        pair_put(&set, OID("\x55\x04\x03"), span_text(common_name));
        der_put(&sets, DER_SET, buf_span(&set));
    }
    der_put(out, DER_SEQUENCE, buf_span(&sets));
}

/* ---- extensions ---- */

static void extension_put(struct buf *out, uint8_t arc, bool critical, struct span value)
{
    SCRATCH(x);
    const uint8_t oid[] = {0x55, 0x1d, arc};
    der_put(&x, DER_OID, SPAN_ARRAY(oid));
    if (critical)
        buf_put(&x, OID("\x01\x01\xff"));
    der_put(&x, DER_OCTET_STRING, value);
    der_put(out, DER_SEQUENCE, buf_span(&x));
}

static void basic_put(struct buf *out, const struct certspec *s)
{
    SCRATCH(fields);
    SCRATCH(value);
    const uint8_t path_len[] = {DER_INTEGER, 1, (uint8_t)s->path_len};
    if (s->basic == BASIC_NONE)
        return;
    if (s->basic == BASIC_CA)
        buf_put(&fields, OID("\x01\x01\xff"));
    if (s->basic == BASIC_FALSE)
        buf_put(&fields, OID("\x01\x01\x00"));
    if (s->path_len != NO_PATH_LEN)
        buf_put(&fields, SPAN_ARRAY(path_len));
    der_put(&value, DER_SEQUENCE, buf_span(&fields));
    extension_put(out, 19, true, buf_span(&value));
}

static void usage_put(struct buf *out, const struct certspec *s)
{
    if (s->usage == NO_USAGE)
        return;
    uint8_t bits = (uint8_t)s->usage, unused = 0;
    while (!s->usage_not_der && unused < 7 && !(bits & 1 << unused))
        unused++;
    const uint8_t value[] = {DER_BIT_STRING, 2, unused, bits};
    extension_put(out, 15, true, SPAN_ARRAY(value));
}

static void purpose_put(struct buf *out, const struct certspec *s)
{
    SCRATCH(list);
    SCRATCH(value);
    if (s->purpose == PURPOSE_NONE)
        return;
    if (s->purpose != PURPOSE_EK)
        der_put(&list, DER_OID, OID("\x2b\x06\x01\x05\x05\x07\x03\x01"));
    if (s->purpose != PURPOSE_SERVER)
        der_put(&list, DER_OID, OID("\x67\x81\x05\x08\x01"));
    der_put(&value, DER_SEQUENCE, buf_span(&list));
    extension_put(out, 37, false, buf_span(&value));
}

static void tpm_name_put(struct buf *out, const struct certspec *s)
{
    const char *texts[] = {s->manufacturer != NULL ? s->manufacturer : "id:49465800",
                           "SLB 9999", "id:00010002"};
    SCRATCH(set);
    SCRATCH(sets);
    SCRATCH(name);
    for (uint8_t i = 0; i < 3; i++) {
        const uint8_t oid[] = {0x67, 0x81, 0x05, 0x02, (uint8_t)(i + 1)};
        pair_put(&set, SPAN_ARRAY(oid), span_text(texts[i]));
        if (s->san == SAN_TPM_IN_ONE_SET && i < 2)
            continue;
        der_put(&sets, DER_SET, buf_span(&set));
        set.len = 0;
    }
    der_put(&name, DER_SEQUENCE, buf_span(&sets));
    der_put(out, DER_CONTEXT(4), buf_span(&name));
}

static void san_put(struct buf *out, const struct certspec *s)
{
    SCRATCH(names);
    SCRATCH(value);
    if (s->san == SAN_NONE)
        return;
    if (s->san == SAN_DNS || s->san == SAN_DNS_AND_TPM)
        der_put(&names, DER_CONTEXT_PRIMITIVE(2), SPAN_LITERAL("tpm.example"));
    if (s->san != SAN_DNS && s->san != SAN_EMPTY)
        tpm_name_put(&names, s);
    der_put(&value, DER_SEQUENCE, buf_span(&names));
    extension_put(out, 17, !s->san_not_critical, buf_span(&value));
}

static void authority_put(struct buf *out, const struct certkey *k)
{
    SCRATCH(id);
    SCRATCH(value);
    if (k == NULL)
        return;
    der_put(&id, DER_CONTEXT_PRIMITIVE(0), SPAN_ARRAY(k->id));
    der_put(&value, DER_SEQUENCE, buf_span(&id));
    extension_put(out, 35, false, buf_span(&value));
}

static void own_put(struct buf *out, const struct certkey *k)
{
    SCRATCH(value);
    if (k == NULL)
        return;
    der_put(&value, DER_OCTET_STRING, SPAN_ARRAY(k->id));
    extension_put(out, 14, false, buf_span(&value));
}

static void extensions_put(struct buf *out, const struct certspec *s)
{
    SCRATCH(list);
    SCRATCH(all);
    basic_put(&list, s);
    usage_put(&list, s);
    purpose_put(&list, s);
    san_put(&list, s);
    authority_put(&list, s->authority);
    own_put(&list, s->own);
    buf_put(&list, s->extensions);
    der_put(&all, DER_SEQUENCE, buf_span(&list));
    der_put(out, DER_CONTEXT(3), buf_span(&all));
    MUST(!list.full && !all.full);
}

/* ---- the whole ---- */

struct span certmake(const struct certspec *s, uint8_t ret_der[CERTMAKE_CAP])
{
    SCRATCH(fields);
    SCRATCH(tbs);
    SCRATCH(validity);
    if (!s->version_1)
        buf_put(&fields, OID("\xa0\x03\x02\x01\x02"));
    der_put(&fields, DER_INTEGER, s->serial);
    if (s->inner.len > 0)
        buf_put(&fields, s->inner);
    else
        algorithm_put(&fields, s->algorithm, s->signer);
    name_put(&fields, s->issuer, s->set_unsorted);
    der_put_time(&validity, s->not_before_s);
    der_put_time(&validity, s->not_after_s);
    der_put(&fields, DER_SEQUENCE, buf_span(&validity));
    name_put(&fields, s->subject, false);
    if (s->spki.len > 0)
        buf_put(&fields, s->spki);
    else
        spki_put(&fields, s->key);
    if (!s->version_1)
        extensions_put(&fields, s);
    der_put(&tbs, DER_SEQUENCE, buf_span(&fields));
    MUST(!fields.full && !tbs.full);
    return sealed(buf_span(&tbs), s->signer, s->algorithm, s->flaw, s->outer, ret_der);
}

static void revoked_put(struct buf *out, const struct crlspec *s)
{
    SCRATCH(list);
    for (size_t i = 0; i < s->revoked_count; i++) {
        SCRATCH(entry);
        der_put(&entry, DER_INTEGER, s->revoked[i]);
        der_put_time(&entry, s->this_update_s);
        der_put(&list, DER_SEQUENCE, buf_span(&entry));
    }
    if (s->revoked_count > 0)
        der_put(out, DER_SEQUENCE, buf_span(&list));
}

struct span crlmake(const struct crlspec *s, uint8_t ret_der[CERTMAKE_CAP])
{
    SCRATCH(fields);
    SCRATCH(tbs);
    SCRATCH(list);
    SCRATCH(all);
    buf_put(&fields, OID("\x02\x01\x01"));
    algorithm_put(&fields, s->algorithm, s->signer);
    name_put(&fields, s->issuer, false);
    der_put_time(&fields, s->this_update_s);
    if (s->next_update_s != 0)
        der_put_time(&fields, s->next_update_s);
    revoked_put(&fields, s);
    authority_put(&list, s->authority);
    buf_put(&list, s->extensions);
    if (list.len > 0) {
        der_put(&all, DER_SEQUENCE, buf_span(&list));
        der_put(&fields, DER_CONTEXT(0), buf_span(&all));
    }
    der_put(&tbs, DER_SEQUENCE, buf_span(&fields));
    MUST(!fields.full && !tbs.full);
    return sealed(buf_span(&tbs), s->signer, s->algorithm, s->flaw, (struct span){0}, ret_der);
}

struct span pemmake(const char *label, struct span der, uint8_t *ret_pem, size_t cap)
{
    struct buf out = buf_over(ret_pem, cap);
    der_put_pem(&out, label, der);
    MUST(!out.full);
    return buf_span(&out);
}
