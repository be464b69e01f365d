#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "certs.h"
#include "der.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define POINT_LEN 65
#define SCALAR_LEN 32
#define KEY_ID_LEN 20
#define SERIAL_LEN 16
#define DAY_S 86400
#define NAMES_CAP 8192
#define TBS_CAP (NAMES_CAP + 1024)

static const uint8_t oid_ecdsa_sha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t oid_ec_key[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t oid_p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_server_auth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
static const uint8_t oid_common_name[] = {0x55, 0x04, 0x03};
#define EXTENSION_KEY_ID 0x0e
#define EXTENSION_KEY_USAGE 0x0f
#define EXTENSION_NAMES 0x11
#define EXTENSION_BASIC 0x13
#define EXTENSION_AUTHORITY 0x23
#define EXTENSION_EXTENDED_USAGE 0x25

/* ---- keys ---- */
struct pair {
    WC_RNG rng;
    ecc_key key;
    bool has_rng, has_key;
    uint8_t point[POINT_LEN];
    uint8_t key_id[KEY_ID_LEN]; /* RFC 7093, method 1 */
};
#define PAIR __attribute__((cleanup(pair_free))) struct pair

static void pair_free(struct pair *p)
{
    if (p->has_key)
        wc_ecc_free(&p->key);
    if (p->has_rng)
        wc_FreeRng(&p->rng);
    p->has_key = p->has_rng = false;
}

static enum err pair_make(struct pair *ret_pair)
{
    struct pair *p = ret_pair;
    uint8_t digest[WC_SHA256_DIGEST_SIZE];
    word32 len = POINT_LEN;
    p->has_rng = wc_InitRng(&p->rng) == 0;
    if (!p->has_rng)
        return ERR_ENTROPY;
    p->has_key = wc_ecc_init(&p->key) == 0;
    if (!p->has_key || wc_ecc_make_key_ex(&p->rng, SCALAR_LEN, &p->key, ECC_SECP256R1) != 0 ||
        wc_ecc_set_rng(&p->key, &p->rng) != 0 ||
        wc_ecc_export_x963(&p->key, p->point, &len) != 0 || len != POINT_LEN ||
        wc_Sha256Hash(p->point, POINT_LEN, digest) != 0)
        return ERR_CRYPTO;
    for (size_t i = 0; i < KEY_ID_LEN; i++)
        p->key_id[i] = digest[i];
    return ERR_OK;
}

/* RFC 5915. */
static enum err put_private_key(struct pair *p, struct buf *ret_pem)
{
    uint8_t scalar[SCALAR_LEN], inner[256], der[256], part[128];
    struct buf in = BUF_OVER(inner), out = BUF_OVER(der), b = BUF_OVER(part);
    word32 len = SCALAR_LEN;
    if (wc_ecc_export_private_only(&p->key, scalar, &len) != 0 || len != SCALAR_LEN)
        return ERR_CRYPTO;
    der_put(&in, DER_INTEGER, SPAN_LITERAL("\x01"));
    der_put(&in, DER_OCTET_STRING, SPAN_ARRAY(scalar));
    der_put(&b, DER_OID, SPAN_ARRAY(oid_p256));
    der_put(&in, DER_CONTEXT(0), buf_span(&b));
    b.len = 0;
    der_put_bits(&b, SPAN_ARRAY(p->point), 0);
    der_put(&in, DER_CONTEXT(1), buf_span(&b));
    der_put(&out, DER_SEQUENCE, buf_span(&in));
    der_put_pem(ret_pem, "EC PRIVATE KEY", buf_span(&out));
    bool fits = !in.full && !out.full && !b.full && !ret_pem->full;
    bytes_wipe(scalar, sizeof scalar);
    bytes_wipe(inner, sizeof inner);
    bytes_wipe(der, sizeof der);
    return fits ? ERR_OK : ERR_FULL;
}

/* ---- parts of a certificate ---- */
static void put_algorithm(struct buf *out)
{
    uint8_t part[16];
    struct buf b = BUF_OVER(part);
    der_put(&b, DER_OID, SPAN_ARRAY(oid_ecdsa_sha256));
    der_put(out, DER_SEQUENCE, buf_span(&b));
}

static void put_name(struct buf *out, const char *common_name)
{
    uint8_t one[128], two[128];
    struct buf a = BUF_OVER(one), b = BUF_OVER(two);
    der_put(&a, DER_OID, SPAN_ARRAY(oid_common_name));
    der_put(&a, DER_UTF8, span_text(common_name));
    der_put(&b, DER_SEQUENCE, buf_span(&a));
    a.len = 0;
    der_put(&a, DER_SET, buf_span(&b));
    ERR_ASSERT(!a.full && !b.full);
    der_put(out, DER_SEQUENCE, buf_span(&a));
}

static void put_validity(struct buf *out, int64_t now_s)
{
    uint8_t part[64];
    struct buf b = BUF_OVER(part);
    der_put_time(&b, now_s - DAY_S); /* clocks differ */
    der_put_time(&b, now_s + (int64_t)CERTS_DAYS * DAY_S);
    der_put(out, DER_SEQUENCE, buf_span(&b));
}

static void put_public_key(struct buf *out, const struct pair *p)
{
    uint8_t one[32], two[128];
    struct buf a = BUF_OVER(one), b = BUF_OVER(two);
    der_put(&a, DER_OID, SPAN_ARRAY(oid_ec_key));
    der_put(&a, DER_OID, SPAN_ARRAY(oid_p256));
    der_put(&b, DER_SEQUENCE, buf_span(&a));
    der_put_bits(&b, SPAN_ARRAY(p->point), 0);
    der_put(out, DER_SEQUENCE, buf_span(&b));
}

static void put_extension(struct buf *out, uint8_t which, bool critical, struct span value)
{
    uint8_t oid[3] = {0x55, 0x1d, which}, part[NAMES_CAP + 64];
    struct buf b = BUF_OVER(part);
    der_put(&b, DER_OID, SPAN_ARRAY(oid));
    if (critical)
        der_put(&b, DER_BOOLEAN, SPAN_LITERAL("\xff"));
    der_put(&b, DER_OCTET_STRING, value);
    ERR_ASSERT(!b.full);
    der_put(out, DER_SEQUENCE, buf_span(&b));
}

static void put_wrapped(struct buf *out, uint8_t which, bool critical, uint8_t tag, struct span inner)
{
    uint8_t value[NAMES_CAP + 8];
    struct buf b = BUF_OVER(value);
    der_put(&b, tag, inner);
    ERR_ASSERT(!b.full);
    put_extension(out, which, critical, buf_span(&b));
}

static void put_key_ids(struct buf *out, const struct pair *own, const struct pair *issuer)
{
    uint8_t part[32];
    struct buf b = BUF_OVER(part);
    put_wrapped(out, EXTENSION_KEY_ID, false, DER_OCTET_STRING, SPAN_ARRAY(own->key_id));
    der_put(&b, DER_CONTEXT_PRIMITIVE(0), SPAN_ARRAY(issuer->key_id));
    put_wrapped(out, EXTENSION_AUTHORITY, false, DER_SEQUENCE, buf_span(&b));
}

static void put_authority_extensions(struct buf *out, const struct pair *own)
{
    uint8_t part[16];
    struct buf b = BUF_OVER(part);
    der_put(&b, DER_BOOLEAN, SPAN_LITERAL("\xff"));
    der_put(&b, DER_INTEGER, span_of("", 1)); /* pathLenConstraint 0 */
    put_wrapped(out, EXTENSION_BASIC, true, DER_SEQUENCE, buf_span(&b));
    b.len = 0;
    der_put_bits(&b, SPAN_LITERAL("\x06"), 1); /* keyCertSign, cRLSign */
    put_extension(out, EXTENSION_KEY_USAGE, true, buf_span(&b));
    put_key_ids(out, own, own);
}

static void put_server_extensions(struct buf *out, const struct pair *own, const struct pair *issuer,
                                  struct span names)
{
    uint8_t part[16];
    struct buf b = BUF_OVER(part);
    put_wrapped(out, EXTENSION_BASIC, true, DER_SEQUENCE, SPAN_LITERAL(""));
    der_put_bits(&b, SPAN_LITERAL("\x80"), 7); /* digitalSignature */
    put_extension(out, EXTENSION_KEY_USAGE, true, buf_span(&b));
    b.len = 0;
    der_put(&b, DER_OID, SPAN_ARRAY(oid_server_auth));
    put_wrapped(out, EXTENSION_EXTENDED_USAGE, false, DER_SEQUENCE, buf_span(&b));
    put_key_ids(out, own, issuer);
    put_wrapped(out, EXTENSION_NAMES, false, DER_SEQUENCE, names);
}

/* ---- the certificate ---- */
struct plan {
    const char *subject, *issuer;
    const struct pair *own;
    struct pair *signer;
    struct span names; /* of a server; empty for a CA */
    int64_t now_s;
};

static enum err put_tbs(const struct plan *plan, WC_RNG *rng, struct buf *out)
{
    uint8_t serial[SERIAL_LEN], part[TBS_CAP], content[TBS_CAP];
    struct buf b = BUF_OVER(part), c = BUF_OVER(content);
    if (wc_RNG_GenerateBlock(rng, serial, sizeof serial) != 0)
        return ERR_ENTROPY;
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */
    der_put(&b, DER_INTEGER, SPAN_LITERAL("\x02"));
    der_put(&c, DER_CONTEXT(0), buf_span(&b)); /* version 3 */
    der_put(&c, DER_INTEGER, SPAN_ARRAY(serial));
    put_algorithm(&c);
    put_name(&c, plan->issuer);
    put_validity(&c, plan->now_s);
    put_name(&c, plan->subject);
    put_public_key(&c, plan->own);
    b.len = 0;
    if (plan->names.len > 0)
        put_server_extensions(&b, plan->own, plan->signer, plan->names);
    else
        put_authority_extensions(&b, plan->own);
    uint8_t list[TBS_CAP];
    struct buf l = BUF_OVER(list);
    der_put(&l, DER_SEQUENCE, buf_span(&b));
    der_put(&c, DER_CONTEXT(3), buf_span(&l));
    der_put(out, DER_SEQUENCE, buf_span(&c));
    return b.full || c.full || l.full ? ERR_FULL : buf_end(out);
}

static enum err put_certificate(const struct plan *plan, WC_RNG *rng, struct buf *ret_pem)
{
    uint8_t body[TBS_CAP], der[TBS_CAP], digest[WC_SHA256_DIGEST_SIZE], signature[ECC_MAX_SIG_SIZE];
    struct buf b = BUF_OVER(body), out = BUF_OVER(der);
    word32 len = sizeof signature;
    TRY(put_tbs(plan, rng, &b));
    if (wc_Sha256Hash(b.at, (word32)b.len, digest) != 0 ||
        wc_ecc_sign_hash(digest, sizeof digest, signature, &len, rng,
                         &plan->signer->key) != 0)
        return ERR_CRYPTO;
    put_algorithm(&b);
    der_put_bits(&b, span_of(signature, len), 0);
    TRY(buf_end(&b));
    der_put(&out, DER_SEQUENCE, buf_span(&b));
    TRY(buf_end(&out));
    der_put_pem(ret_pem, "CERTIFICATE", buf_span(&out));
    return buf_end(ret_pem);
}

/* ---- names of a server ---- */
static bool dns_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (!isascii((unsigned char)name[i]) ||
            (!isalnum((unsigned char)name[i]) && strchr(".-_*", name[i]) == NULL))
            return false;
    return len > 0 && len < 254 && name[0] != '.' && name[0] != '-';
}

static enum err put_names(const char *const *names, int count, struct buf *out)
{
    for (int i = 0; i < count; i++) {
        uint8_t address[16];
        if (inet_pton(AF_INET, names[i], address) == 1)
            der_put(out, DER_CONTEXT_PRIMITIVE(7), span_of(address, 4));
        else if (inet_pton(AF_INET6, names[i], address) == 1)
            der_put(out, DER_CONTEXT_PRIMITIVE(7), span_of(address, 16));
        else if (dns_name(names[i]))
            der_put(out, DER_CONTEXT_PRIMITIVE(2), span_text(names[i]));
        else
            return ERR_CONFIG;
    }
    return out->full || out->len == 0 ? ERR_CONFIG : ERR_OK;
}

/* ---- the door ---- */
struct certs_authority {
    struct pair pair;
    char name[65]; /* X.520: a common name has at most 64 characters */
    uint8_t pem[CERTS_PEM_CAP];
    size_t pem_len;
};

enum err certs_authority_make(const char *name, int64_t now_s, struct certs_authority **ret_ca)
{
    struct certs_authority *ca = calloc(1, sizeof *ca);
    if (ca == NULL)
        return ERR_MEMORY;
    struct buf pem = BUF_OVER(ca->pem);
    struct plan plan = {ca->name, ca->name, &ca->pair, &ca->pair, SPAN_LITERAL(""), now_s};
    enum err e = span_to_text(span_text(name), ca->name, sizeof ca->name);
    if (e == ERR_OK)
        e = pair_make(&ca->pair);
    if (e == ERR_OK)
        e = put_certificate(&plan, &ca->pair.rng, &pem);
    ca->pem_len = pem.len;
    if (e != ERR_OK) {
        certs_authority_close(ca);
        return e;
    }
    *ret_ca = ca;
    return ERR_OK;
}

void certs_authority_close(struct certs_authority *ca)
{
    if (ca == NULL)
        return;
    pair_free(&ca->pair);
    free(ca);
}

enum err certs_authority_write(struct certs_authority *ca, struct buf *ret_certificate,
                               struct buf *ret_key)
{
    buf_put(ret_certificate, span_of(ca->pem, ca->pem_len));
    TRY(buf_end(ret_certificate));
    return put_private_key(&ca->pair, ret_key);
}

enum err certs_server_make(struct certs_authority *ca, const char *const *names, int count,
                           int64_t now_s, struct buf *ret_certificate, struct buf *ret_key)
{
    uint8_t encoded[NAMES_CAP];
    struct buf n = BUF_OVER(encoded);
    PAIR pair = {.has_rng = false};
    TRY(put_names(names, count, &n));
    TRY(pair_make(&pair));
    struct plan plan = {strlen(names[0]) <= 64 ? names[0] : "Cradle", ca->name, &pair, &ca->pair,
                        buf_span(&n), now_s};
    TRY(put_certificate(&plan, &pair.rng, ret_certificate));
    return put_private_key(&pair, ret_key);
}
