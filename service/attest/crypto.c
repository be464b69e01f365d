#include "crypto.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wolfssl/wolfcrypt/types.h>

#define PARTS(array) (array), sizeof(array) / sizeof(*(array))

/* ---- the thread's randomness ---- */

enum err attest_open(struct attest **ret_attest)
{
    struct attest *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_MEMORY;
    if (wc_InitRng(&a->rng) != 0) {
        free(a);
        return ERR_ENTROPY;
    }
    a->rng_owner = getpid();
    *ret_attest = a;
    return ERR_OK;
}

void attest_close(struct attest *a)
{
    if (a == NULL)
        return;
    wc_FreeRng(&a->rng);
    bytes_wipe(a, sizeof *a);
    free(a);
}

enum err crypto_rng_own(struct attest *a)
{
    pid_t self = getpid();
    if (a->rng_owner == self)
        return ERR_OK;
    WC_RNG fresh;
    if (wc_InitRng(&fresh) != 0)
        return ERR_ENTROPY;
    wc_FreeRng(&a->rng);
    a->rng = fresh;
    bytes_wipe(&fresh, sizeof fresh);
    a->rng_owner = self;
    return ERR_OK;
}

enum err attest_random(struct attest *a, uint8_t *ret_bytes, size_t len)
{
    TRY(crypto_rng_own(a));
    if (wc_RNG_GenerateBlock(&a->rng, ret_bytes, (word32)len) != 0) {
        bytes_wipe(ret_bytes, len);
        a->rng_owner = 0; /* a failed generator stays failed: make a new one next time */
        return ERR_ENTROPY;
    }
    return ERR_OK;
}

/* ---- hashes, ciphers ---- */

enum err crypto_hash(struct attest *a, const struct span *parts, size_t count,
                     uint8_t ret_digest[DIGEST_LEN])
{
    wc_Sha256 *sha = &a->work.sha;
    if (wc_InitSha256(sha) != 0)
        return ERR_CRYPTO;
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0 && wc_Sha256Update(sha, parts[i].at, (word32)parts[i].len) != 0)
            return ERR_CRYPTO;
    return wc_Sha256Final(sha, ret_digest) == 0 ? ERR_OK : ERR_CRYPTO;
}

enum err crypto_hmac(struct attest *a, struct span key, const struct span *parts, size_t count,
                     uint8_t ret_mac[DIGEST_LEN])
{
    Hmac *hmac = &a->work.hmac;
    if (wc_HmacInit(hmac, NULL, INVALID_DEVID) != 0 ||
        wc_HmacSetKey(hmac, WC_SHA256, key.at, (word32)key.len) != 0)
        return ERR_CRYPTO;
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0 && wc_HmacUpdate(hmac, parts[i].at, (word32)parts[i].len) != 0)
            return ERR_CRYPTO;
    return wc_HmacFinal(hmac, ret_mac) == 0 ? ERR_OK : ERR_CRYPTO;
}

enum err crypto_cfb(struct attest *a, const uint8_t key[SYMMETRIC_LEN], uint8_t *bytes, size_t len)
{
    static const uint8_t zero_iv[SYMMETRIC_LEN];
    Aes *aes = &a->work.aes;
    if (wc_AesInit(aes, NULL, INVALID_DEVID) != 0 ||
        wc_AesSetKey(aes, key, SYMMETRIC_LEN, zero_iv, AES_ENCRYPTION) != 0)
        return ERR_CRYPTO;
    return wc_AesCfbEncrypt(aes, bytes, bytes, (word32)len) == 0 ? ERR_OK : ERR_CRYPTO;
}

void crypto_wipe(struct attest *a)
{
    bytes_wipe(&a->work, sizeof a->work);
}

/* ---- derivation ---- */

enum err crypto_kdfa(struct attest *a, const uint8_t seed[DIGEST_LEN], struct span label,
                     struct span context, uint8_t *ret_key, size_t len)
{
    ERR_ASSERT(len <= DIGEST_LEN);
    const uint8_t counter[] = {0, 0, 0, 1};
    const uint8_t bits[] = {0, 0, (uint8_t)(len * 8 >> 8), (uint8_t)(len * 8)};
    const struct span parts[] = {SPAN_ARRAY(counter), label, context, SPAN_ARRAY(bits)};
    uint8_t block[DIGEST_LEN];
    enum err e = crypto_hmac(a, span_of(seed, DIGEST_LEN), PARTS(parts), block);
    if (e == ERR_OK)
        memcpy(ret_key, block, len);
    bytes_wipe(block, sizeof block);
    return e;
}

enum err crypto_kdfe(struct attest *a, const uint8_t z[DIGEST_LEN], struct span label,
                     struct span party_u, struct span party_v, uint8_t ret_seed[DIGEST_LEN])
{
    const uint8_t counter[] = {0, 0, 0, 1};
    const struct span parts[] = {SPAN_ARRAY(counter), span_of(z, DIGEST_LEN), label, party_u,
                                 party_v};
    return crypto_hash(a, PARTS(parts), ret_seed);
}
