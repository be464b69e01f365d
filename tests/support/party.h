/* Purpose: the receiving end of an activation blob: the EK and the SRK of a device whose private
 * parts are known, to open what was sent to them. For unit tests (it asserts with cmocka). */
#ifndef SUPPORT_PARTY_H
#define SUPPORT_PARTY_H

#include <wire/bytes.h>
#include <wire/tpmpub.h>

#define SEED_LEN 32

struct party {
    struct tpm_public pub;
    const char *private_hex;
    struct span label; /* of seeds sent to it */
};

/* The test key of this role and kind (vectors/rsa.h), as the default template has it. */
struct party party_make(enum tpm_key_role role, enum tpm_key_kind kind);

/* RSA: the padded block; then its label's hash and the seed, all padding checked. */
void rsa_open(const struct party *p, struct span secret, uint8_t block[TPM_RSA_LEN]);
void oaep_open(uint8_t block[TPM_RSA_LEN], uint8_t label_hash[32], uint8_t seed[SEED_LEN]);

/* What the holder of the private part gets out of an encrypted secret. */
void seed_open(const struct party *p, struct span secret, uint8_t seed[SEED_LEN]);

#endif
