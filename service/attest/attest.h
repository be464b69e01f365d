/* Purpose: the proof of possession. Wraps a key so that only one TPM can open it (software
 * MakeCredential and Duplicate), derives the keys that are wrapped, and judges keys that are to be
 * enrolled. Knows no HTTP, no SQL, no file.
 *
 * TPM 2.0 Library: Part 1, 23 (duplication) and 24 (credentials), 11.4.10 (KDFa, KDFe), B.4 (RSA
 * OAEP), C.6 (ECDH).
 */
#ifndef ATTEST_H
#define ATTEST_H

#include <wire/bytes.h>
#include <wire/regid.h>
#include <wire/tpmblob.h>
#include <wire/tpmpub.h>

#define ATTEST_KEY_LEN 32 /* of a nonce key and of a hub key */

/* ---- randomness and scratch of one thread ----
 * Seeded by the system. A child of a fork seeds anew before it draws, so that parent and child
 * never draw the same; a generator that failed is replaced when it is next used. */
struct attest;
MUST_USE enum err attest_open(struct attest **ret_attest); /* ERR_ENTROPY, ERR_MEMORY */
void attest_close(struct attest *a);
MUST_USE enum err attest_random(struct attest *a, uint8_t *ret_bytes, size_t len);

/* ---- wrapping ---- */
/* Writes the activation blob (tpmblob.h) that hands `key` to the TPM holding both ek and srk. Every
 * seed and the inner key are fresh: two blobs share none. Both publics must have passed
 * tpm_public_check_role; an ECC point is checked once more. At most TPMBLOB_CAP bytes. ERR_CRYPTO,
 * ERR_ENTROPY, ERR_FULL: then nothing was put into out. key: ATTEST_KEY_LEN bytes. trailer: 1 to
 * TPMBLOB_TRAILER_MAX bytes, never a secret. */
MUST_USE enum err attest_wrap(struct attest *a, const struct tpm_public *ek,
                              const struct tpm_public *srk, struct span key, struct span trailer,
                              struct buf *out);

/* What the wrapping draws at random, given instead of drawn: for fixed vectors only. */
struct attest_draw {
    uint8_t inner_key[16];
    uint8_t credential_seed[32]; /* RSA; with ECC the ephemeral key gives the seed */
    uint8_t duplicate_seed[32];
    uint8_t seed_value[32];
};
MUST_USE enum err attest_wrap_drawn(struct attest *a, const struct tpm_public *ek,
                                    const struct tpm_public *srk, struct span key,
                                    struct span trailer, const struct attest_draw *draw,
                                    struct buf *out);

/* ---- derived keys ---- */
/* HKDF-SHA-256 from a root secret, one label a purpose. Nothing derived is ever stored. */
struct attest_binding {
    struct span id_scope;
    const struct regid *registration_id;
    const uint8_t *ek_name;  /* TPM_NAME_LEN bytes, of the enrolled EK */
    const uint8_t *srk_name; /* TPM_NAME_LEN bytes; nonce key only */
    uint64_t generation;     /* of the registration the key belongs to */
    int64_t window;          /* nonce key only: attest_window of the challenge */
};
/* The key a device proves itself with. Lives for ATTEST_WINDOWS windows of ATTEST_WINDOW_S; bound
 * to the generation the registration had before, so that success kills it. */
#define ATTEST_WINDOW_S 60
#define ATTEST_WINDOWS 6 /* accepted: the current window and five before, five to six minutes */
static inline int64_t attest_window(int64_t now_s)
{
    return now_s / ATTEST_WINDOW_S;
}
MUST_USE enum err attest_nonce_key(const struct secret *root, const struct attest_binding *b,
                                   struct secret *ret_key);
/* The key a device speaks to its hub with. The hub plugin derives the same from the hub root. */
MUST_USE enum err attest_hub_key(const struct secret *hub_root, const struct attest_binding *b,
                                 struct secret *ret_key);
/* What the keys of devices that have symmetric ones are sealed with for the hub. */
MUST_USE enum err attest_hub_seal_key(const struct secret *hub_root, struct secret *ret_key);
/* The roots of both, of the service API's policy keys, the key that the audit log is chained with, and
 * the one that seals what the database has to hold, from the master secret. */
enum attest_root {
    ATTEST_ROOT_NONCE,
    ATTEST_ROOT_HUB,
    ATTEST_ROOT_POLICY,
    ATTEST_ROOT_AUDIT,
    ATTEST_ROOT_SEAL,
};
MUST_USE enum err attest_root(const struct secret *master, enum attest_root which,
                              struct secret *ret_root);

/* ---- sealing: secrets that have to be stored ----
 * AES-256-GCM under a key that is not in the database, bound to `place` (what the secret belongs to):
 * a sealed value copied to another place does not open. */
#define ATTEST_SEAL_OVERHEAD 29 /* bytes it is longer by: version, nonce, tag */
#define ATTEST_SEAL_PLAIN_CAP 4096
MUST_USE enum err attest_seal(struct attest *a, const struct secret *key, struct span place,
                              struct span plain, struct buf *out);
/* ERR_CRYPTO: altered, another place or another key; then nothing was put into out. */
MUST_USE enum err attest_unseal(const struct secret *key, struct span place, struct span sealed,
                                struct buf *out);

/* ---- judging a key before it is enrolled ---- */
enum attest_weakness {
    ATTEST_KEY_GOOD,
    ATTEST_WEAK_ROCA,
    ATTEST_WEAK_CLOSE_PRIMES,
    ATTEST_WEAK_SMALL_FACTOR,
    ATTEST_WEAK_PRIME,
    ATTEST_WEAK_SQUARE,
};
const char *attest_weakness_text(enum attest_weakness w); /* why a row was refused, for people */
/* RSA: ROCA, close primes (a few Fermat rounds), small factors, the modulus itself prime or a
 * square. ECC: nothing beyond tpm_public_read. Milliseconds, not microseconds. ERR_CRYPTO. */
MUST_USE enum err attest_key_judge(const struct tpm_public *pub,
                                   enum attest_weakness *ret_weakness);
/* The same save for ATTEST_WEAK_PRIME and factors between 752 and 2000, which take nearly all of the
 * time: two microseconds, for lists. */
MUST_USE enum err attest_key_judge_quick(const struct tpm_public *pub,
                                         enum attest_weakness *ret_weakness);

#endif
