/* Purpose: what an RSA-2048 modulus shows of its weaknesses in about two microseconds, so that every
 * key of a long list can be looked at. Nothing here is secret: no constant time.
 */
#ifndef ATTEST_MODULUS_H
#define ATTEST_MODULUS_H

#include <wire/tpmpub.h>

#define MODULUS_WORDS 32
struct modulus {
    uint64_t word[MODULUS_WORDS]; /* the lowest first */
};
/* The highest bit must be set, as tpm_public_read sees to. */
struct modulus modulus_of(const uint8_t bytes[TPM_RSA_LEN]);

/* A prime below 752 divides it (NIST SP 800-89, 5.3.3). */
bool modulus_has_small_factor(const struct modulus *n);
/* A power of 65537 modulo each prime that tells: one in 2^28 others is, too. */
bool modulus_is_roca(const struct modulus *n);
/* False: neither a square nor found by MODULUS_FERMAT_ROUNDS of Fermat's method. True: so it may be,
 * once in some ten thousand moduli that are not. */
#define MODULUS_FERMAT_ROUNDS 100 /* what the CA/Browser Forum's baseline requirements ask for */
bool modulus_may_have_close_primes(const struct modulus *n);

#endif
