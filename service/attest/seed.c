#include "crypto.h"

#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>

/* ---- RSA: the seed, OAEP-encrypted. Part 1, B.4 and B.10.3 ---- */

#define RSA_KEY __attribute__((cleanup(rsa_free))) RsaKey

static void rsa_free(RsaKey *key)
{
    wc_FreeRsaKey(key);
}

static enum err rsa_share(struct attest *a, const struct tpm_public *to, struct span label,
                          const uint8_t seed[DIGEST_LEN], struct buf *secret)
{
    static const uint8_t exponent[] = {1, 0, 1};
    RSA_KEY key;
    if (wc_InitRsaKey(&key, NULL) != 0 ||
        wc_RsaPublicKeyDecodeRaw(to->key, TPM_RSA_LEN, exponent, sizeof exponent, &key) != 0)
        return ERR_CRYPTO;
    uint8_t *at = buf_reserve(secret, TPM_RSA_LEN);
    ERR_ASSERT(at != NULL);
    /* wolfCrypt takes the label without const and only reads it. */
    union {
        const uint8_t *given;
        uint8_t *taken;
    } label_at = {.given = label.at};
    int written = wc_RsaPublicEncrypt_ex(seed, DIGEST_LEN, at, TPM_RSA_LEN, &key, &a->rng,
                                         WC_RSA_OAEP_PAD, WC_HASH_TYPE_SHA256, WC_MGF1SHA256,
                                         label_at.taken, (word32)label.len);
    return written == TPM_RSA_LEN ? ERR_OK : ERR_CRYPTO;
}

/* ---- ECC: an ephemeral key. Part 1, C.6.1 ---- */

#define ECC_KEY __attribute__((cleanup(ecc_free))) ecc_key

static void ecc_free(ecc_key *key)
{
    wc_ecc_free(key);
    bytes_wipe(key, sizeof *key);
}

/* The point is checked here once more, whoever checked before: one off the curve would give away
 * the ephemeral key. The cofactor is 1, so a point on the curve is in the group; the order need
 * not be multiplied out. */
static enum err ecc_recipient(const struct tpm_public *to, ecc_key *key)
{
    if (wc_ecc_import_unsigned(key, to->key, to->key + TPM_ECC_LEN, NULL, ECC_SECP256R1) != 0 ||
        wc_ecc_point_is_on_curve(&key->pubkey, key->idx) != 0)
        return ERR_CRYPTO;
    return ERR_OK;
}

/* TPMS_ECC_POINT: both coordinates sized. */
static enum err ecc_point_write(ecc_key *key, struct buf *out)
{
    uint8_t x[TPM_ECC_LEN];
    uint8_t y[TPM_ECC_LEN];
    word32 x_len = sizeof x;
    word32 y_len = sizeof y;
    if (wc_ecc_export_public_raw(key, x, &x_len, y, &y_len) != 0 || x_len != TPM_ECC_LEN ||
        y_len != TPM_ECC_LEN)
        return ERR_CRYPTO;
    buf_put_u16(out, TPM_ECC_LEN);
    buf_put(out, SPAN_ARRAY(x));
    buf_put_u16(out, TPM_ECC_LEN);
    buf_put(out, SPAN_ARRAY(y));
    return buf_end(out);
}

static enum err ecc_agree(struct attest *a, ecc_key *ours, ecc_key *theirs,
                          uint8_t ret_z[TPM_ECC_LEN])
{
    word32 len = TPM_ECC_LEN;
    if (wc_ecc_set_rng(ours, &a->rng) != 0 ||
        wc_ecc_shared_secret(ours, theirs, ret_z, &len) != 0 || len != TPM_ECC_LEN)
        return ERR_CRYPTO;
    return ERR_OK;
}

static enum err ecc_share(struct attest *a, const struct tpm_public *to, struct span label,
                          uint8_t ret_seed[DIGEST_LEN], struct buf *secret)
{
    ECC_KEY ours = {0};
    ECC_KEY theirs = {0};
    if (wc_ecc_init(&ours) != 0 || wc_ecc_init(&theirs) != 0)
        return ERR_CRYPTO;
    TRY(ecc_recipient(to, &theirs));
    if (wc_ecc_make_key_ex(&a->rng, TPM_ECC_LEN, &ours, ECC_SECP256R1) != 0)
        return ERR_ENTROPY;
    size_t start = secret->len;
    TRY(ecc_point_write(&ours, secret));
    struct span our_x = span_slice(buf_span(secret), start + 2, TPM_ECC_LEN);
    uint8_t z[TPM_ECC_LEN];
    enum err e = ecc_agree(a, &ours, &theirs, z);
    if (e == ERR_OK)
        e = crypto_kdfe(a, z, label, our_x, span_of(to->key, TPM_ECC_LEN), ret_seed);
    bytes_wipe(z, sizeof z);
    return e;
}

enum err seed_share(struct attest *a, const struct tpm_public *to, struct span label,
                    const uint8_t drawn[DIGEST_LEN], uint8_t ret_seed[DIGEST_LEN],
                    struct buf *secret)
{
    TRY(crypto_rng_own(a));
    if (to->kind == TPM_KEY_ECC_P256)
        return ecc_share(a, to, label, ret_seed, secret);
    ERR_ASSERT(to->kind == TPM_KEY_RSA_2048);
    TRY(rsa_share(a, to, label, drawn, secret));
    for (size_t i = 0; i < DIGEST_LEN; i++)
        ret_seed[i] = drawn[i];
    return ERR_OK;
}
