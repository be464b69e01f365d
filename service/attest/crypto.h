/* Purpose: the primitives of TPM key protection over wolfCrypt, for this room alone. Everything
 * here returns ERR_CRYPTO on failure; what was half written is the caller's to wipe.
 */
#ifndef ATTEST_CRYPTO_H
#define ATTEST_CRYPTO_H

#include <wolfssl/options.h>

#include <attest.h>
#include <sys/types.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>

#define DIGEST_LEN 32
#define SYMMETRIC_LEN 16 /* AES-128 */

/* The objects are kept because setting one up costs more than using it; a wrap wipes hmac and aes
 * when it is done, since both hold key material. */
struct attest {
    WC_RNG rng;
    pid_t rng_owner; /* the process that seeded rng */
    struct {
        wc_Sha256 sha;
        Hmac hmac;
        Aes aes;
    } work;
};

/* Labels of the derivations, with the NUL that all of them count. */
#define LABEL(text) span_of(text, sizeof(text))

/* Seeds the generator anew after a fork: two processes must never draw the same. ERR_ENTROPY. */
MUST_USE enum err crypto_rng_own(struct attest *a);

MUST_USE enum err crypto_hash(struct attest *a, const struct span *parts, size_t count,
                              uint8_t ret_digest[DIGEST_LEN]);
MUST_USE enum err crypto_hmac(struct attest *a, struct span key, const struct span *parts,
                              size_t count, uint8_t ret_mac[DIGEST_LEN]);
/* AES-128-CFB under a zero IV, in place. */
MUST_USE enum err crypto_cfb(struct attest *a, const uint8_t key[SYMMETRIC_LEN], uint8_t *bytes,
                             size_t len);
/* Part 1, 11.4.10.2: at most one block, which is all that AES-128 and HMAC-SHA-256 keys need. */
MUST_USE enum err crypto_kdfa(struct attest *a, const uint8_t seed[DIGEST_LEN], struct span label,
                              struct span context, uint8_t *ret_key, size_t len);
/* Part 1, 11.4.10.3: exactly one block. */
MUST_USE enum err crypto_kdfe(struct attest *a, const uint8_t z[DIGEST_LEN], struct span label,
                              struct span party_u, struct span party_v,
                              uint8_t ret_seed[DIGEST_LEN]);

void crypto_wipe(struct attest *a); /* what the last wrap left in the reused objects */

/* A seed only the holder of `to`'s private part can recover, and what to send for it. RSA: `drawn`
 * itself, encrypted. ECC: made by an ephemeral key, `drawn` is not used. seed.c */
#define SEED_SECRET_CAP TPM_RSA_LEN
MUST_USE enum err seed_share(struct attest *a, const struct tpm_public *to, struct span label,
                             const uint8_t drawn[DIGEST_LEN], uint8_t ret_seed[DIGEST_LEN],
                             struct buf *secret);

#endif
