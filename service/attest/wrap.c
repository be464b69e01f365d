#include "crypto.h"

#include <string.h>

#define PARTS(array) (array), sizeof(array) / sizeof(*(array))

#define INNER_KEY_LEN SYMMETRIC_LEN
#define SENSITIVE_LEN (2 + 2 + 2 + 2 + DIGEST_LEN + 2 + ATTEST_KEY_LEN) /* as TPM2B */
#define INNER_LEN (2 + DIGEST_LEN + SENSITIVE_LEN)

/* A structure encrypted and authenticated under a seed: what both a credential and a duplicate are.
 * Sized HMAC, then the encrypted bytes. */
#define PROTECTED_LEN(bytes) (2 + DIGEST_LEN + (bytes))

/* One wrap from beginning to end; wiped as a whole. */
struct wrap {
    struct attest *a;
    struct attest_draw draw;
    uint8_t srk_name[TPM_NAME_LEN];
    uint8_t identity_public[TPMBLOB_IDENTITY_PUBLIC_LEN];
    uint8_t identity_name[TPM_NAME_LEN];
    uint8_t credential[PROTECTED_LEN(2 + INNER_KEY_LEN)];
    uint8_t credential_secret[SEED_SECRET_CAP];
    size_t credential_secret_len;
    uint8_t duplicate[PROTECTED_LEN(INNER_LEN)];
    uint8_t duplicate_secret[SEED_SECRET_CAP];
    size_t duplicate_secret_len;
    uint8_t trailer[TPMBLOB_TRAILER_MAX];
    size_t trailer_len;
};

static void wrap_wipe(struct wrap *w)
{
    if (w->a != NULL)
        crypto_wipe(w->a);
    bytes_wipe(w, sizeof *w);
}

static enum err name_of(struct attest *a, struct span public_area, uint8_t ret_name[TPM_NAME_LEN])
{
    ret_name[0] = 0x00; /* TPM_ALG_SHA256 */
    ret_name[1] = 0x0b;
    return crypto_hash(a, &public_area, 1, ret_name + 2);
}

/* Encrypts and authenticates `plain` (which it overwrites) for the object called `name`, as the
 * outer wrapper of Part 1, 23.3.2.2 and the credential of 24.4 do alike. */
static enum err protect(struct attest *a, const uint8_t seed[DIGEST_LEN], struct span name,
                        uint8_t *plain, size_t len, uint8_t *ret_protected)
{
    uint8_t symmetric_key[SYMMETRIC_LEN];
    uint8_t mac_key[DIGEST_LEN];
    struct buf out = buf_over(ret_protected, PROTECTED_LEN(len));
    buf_put_u16(&out, DIGEST_LEN);
    uint8_t *mac = buf_reserve(&out, DIGEST_LEN);
    const struct span authenticated[] = {span_of(plain, len), name};

    enum err e = crypto_kdfa(a, seed, LABEL("STORAGE"), name, symmetric_key, sizeof symmetric_key);
    if (e == ERR_OK)
        e = crypto_kdfa(a, seed, LABEL("INTEGRITY"), span_of("", 0), mac_key, sizeof mac_key);
    if (e == ERR_OK)
        e = crypto_cfb(a, symmetric_key, plain, len);
    if (e == ERR_OK)
        e = crypto_hmac(a, SPAN_ARRAY(mac_key), PARTS(authenticated), mac);
    buf_put(&out, span_of(plain, len));
    bytes_wipe(symmetric_key, sizeof symmetric_key);
    bytes_wipe(mac_key, sizeof mac_key);
    TRY(e);
    return buf_end(&out);
}

/* The identity key's public area and Name: unique binds the seed value and the key to both. */
static enum err wrap_identity(struct wrap *w, struct span key)
{
    uint8_t unique[DIGEST_LEN];
    const struct span parts[] = {SPAN_ARRAY(w->draw.seed_value), key};
    TRY(crypto_hash(w->a, PARTS(parts), unique));
    struct buf area = BUF_OVER(w->identity_public);
    tpmblob_identity_public_write(&area, unique);
    TRY(buf_end(&area));
    return name_of(w->a, buf_span(&area), w->identity_name);
}

/* Fields 1 and 2: the inner key, to the EK, for the SRK. */
static enum err wrap_credential(struct wrap *w, const struct tpm_public *ek)
{
    uint8_t seed[DIGEST_LEN];
    uint8_t plain[2 + INNER_KEY_LEN];
    struct buf identity = BUF_OVER(plain);
    buf_put_u16(&identity, INNER_KEY_LEN);
    buf_put(&identity, SPAN_ARRAY(w->draw.inner_key));
    struct buf secret = BUF_OVER(w->credential_secret);

    enum err e = seed_share(w->a, ek, LABEL("IDENTITY"), w->draw.credential_seed, seed, &secret);
    if (e == ERR_OK)
        e = protect(w->a, seed, SPAN_ARRAY(w->srk_name), plain, sizeof plain, w->credential);
    w->credential_secret_len = secret.len;
    bytes_wipe(seed, sizeof seed);
    bytes_wipe(plain, sizeof plain);
    return e;
}

/* TPM2B_SENSITIVE of the identity key: no auth value, the seed value, the key. */
static void sensitive_write(struct buf *out, const struct wrap *w, struct span key)
{
    buf_put_u16(out, SENSITIVE_LEN - 2);
    buf_put_u16(out, 0x0008); /* TPM_ALG_KEYEDHASH */
    buf_put_u16(out, 0);
    buf_put_u16(out, DIGEST_LEN);
    buf_put(out, SPAN_ARRAY(w->draw.seed_value));
    buf_put_u16(out, (uint16_t)key.len);
    buf_put(out, key);
}

/* The inner wrapper, Part 1, 23.3.2.3: a digest over the sensitive area with its size bytes and the
 * Name, in front of it, all of it under the inner key. */
static enum err inner_write(struct wrap *w, struct span key, uint8_t ret_inner[INNER_LEN])
{
    struct buf inner = buf_over(ret_inner, INNER_LEN);
    buf_put_u16(&inner, DIGEST_LEN);
    uint8_t *digest = buf_reserve(&inner, DIGEST_LEN);
    sensitive_write(&inner, w, key);
    TRY(buf_end(&inner));
    const struct span parts[] = {span_slice(buf_span(&inner), 2 + DIGEST_LEN, SENSITIVE_LEN),
                                 SPAN_ARRAY(w->identity_name)};
    TRY(crypto_hash(w->a, PARTS(parts), digest));
    return crypto_cfb(w->a, w->draw.inner_key, ret_inner, INNER_LEN);
}

/* Fields 3 and 4: the identity key, to the SRK. */
static enum err wrap_duplicate(struct wrap *w, const struct tpm_public *srk, struct span key)
{
    uint8_t seed[DIGEST_LEN];
    uint8_t inner[INNER_LEN];
    struct buf secret = BUF_OVER(w->duplicate_secret);

    enum err e = inner_write(w, key, inner);
    if (e == ERR_OK)
        e = seed_share(w->a, srk, LABEL("DUPLICATE"), w->draw.duplicate_seed, seed, &secret);
    if (e == ERR_OK)
        e = protect(w->a, seed, SPAN_ARRAY(w->identity_name), inner, sizeof inner, w->duplicate);
    w->duplicate_secret_len = secret.len;
    bytes_wipe(seed, sizeof seed);
    bytes_wipe(inner, sizeof inner);
    return e;
}

/* Field 6. It begins with the same key stream as the inner wrapper: never a secret. */
static enum err wrap_trailer(struct wrap *w, struct span trailer)
{
    memcpy(w->trailer, trailer.at, trailer.len);
    w->trailer_len = trailer.len;
    return crypto_cfb(w->a, w->draw.inner_key, w->trailer, trailer.len);
}

static enum err wrap_fields(struct wrap *w, const struct tpm_public *ek,
                            const struct tpm_public *srk, struct span key, struct span trailer)
{
    TRY(tpm_public_name(srk, w->srk_name));
    TRY(wrap_identity(w, key));
    TRY(wrap_credential(w, ek));
    TRY(wrap_duplicate(w, srk, key));
    return wrap_trailer(w, trailer);
}

/* All or nothing: out is touched only when every field is there and the whole fits. */
static enum err wrap_write(const struct wrap *w, struct buf *out)
{
    uint8_t bytes[TPMBLOB_CAP];
    struct buf whole = BUF_OVER(bytes);
    const struct tpmblob blob = {
        .credential = SPAN_ARRAY(w->credential),
        .credential_secret = span_of(w->credential_secret, w->credential_secret_len),
        .duplicate = SPAN_ARRAY(w->duplicate),
        .duplicate_secret = span_of(w->duplicate_secret, w->duplicate_secret_len),
        .public_area = SPAN_ARRAY(w->identity_public),
        .trailer = span_of(w->trailer, w->trailer_len),
    };
    tpmblob_write(&whole, &blob);
    TRY(buf_end(&whole));
    buf_put(out, buf_span(&whole));
    return buf_end(out);
}

enum err attest_wrap_drawn(struct attest *a, const struct tpm_public *ek,
                           const struct tpm_public *srk, struct span key, struct span trailer,
                           const struct attest_draw *draw, struct buf *out)
{
    ERR_ASSERT(key.len == ATTEST_KEY_LEN);
    ERR_ASSERT(trailer.len >= 1 && trailer.len <= TPMBLOB_TRAILER_MAX);
    __attribute__((cleanup(wrap_wipe))) struct wrap w = {.a = a, .draw = *draw};
    TRY(wrap_fields(&w, ek, srk, key, trailer));
    return wrap_write(&w, out);
}

enum err attest_wrap(struct attest *a, const struct tpm_public *ek, const struct tpm_public *srk,
                     struct span key, struct span trailer, struct buf *out)
{
    struct attest_draw draw;
    TRY(attest_random(a, (uint8_t *)&draw, sizeof draw));
    enum err e = attest_wrap_drawn(a, ek, srk, key, trailer, &draw, out);
    bytes_wipe(&draw, sizeof draw);
    return e;
}
