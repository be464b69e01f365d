/* Purpose: the public area of an endorsement key (EK) or storage root key (SRK), as devices send it
 * and manufacturing lists carry it: a TPM2B_PUBLIC (TPM 2.0 Library, Part 2, 12.2.5) with its two
 * size bytes.
 *
 * Two kinds can be challenged: RSA-2048 (exponent 65537) and ECC NIST P-256; name algorithm
 * SHA-256, symmetric AES-128-CFB, scheme NULL. Everything else is refused with ERR_KEY_SHAPE.
 */
#ifndef WIRE_TPMPUB_H
#define WIRE_TPMPUB_H

#include <wire/bytes.h>

enum tpm_key_kind { TPM_KEY_RSA_2048 = 1, TPM_KEY_ECC_P256 = 2 };
enum tpm_key_role { TPM_ROLE_EK, TPM_ROLE_SRK };

#define TPM_PUBLIC_CAP 320       /* an RSA-2048 EK with policy takes 316 bytes */
#define TPM_NAME_LEN 34          /* 000b, then SHA-256 of the TPMT_PUBLIC */
#define TPM_RSA_LEN 256
#define TPM_ECC_LEN 32

/* Object attributes, Part 2, 8.3.2. */
#define TPM_ATTR_FIXED_TPM 0x00000002u
#define TPM_ATTR_FIXED_PARENT 0x00000010u
#define TPM_ATTR_SENSITIVE_DATA_ORIGIN 0x00000020u
#define TPM_ATTR_USER_WITH_AUTH 0x00000040u
#define TPM_ATTR_ADMIN_WITH_POLICY 0x00000080u
#define TPM_ATTR_NO_DA 0x00000400u
#define TPM_ATTR_RESTRICTED 0x00010000u
#define TPM_ATTR_DECRYPT 0x00020000u
#define TPM_ATTR_SIGN 0x00040000u

struct tpm_public {
    enum tpm_key_kind kind;
    uint32_t attributes;
    uint8_t raw[TPM_PUBLIC_CAP]; /* the TPM2B_PUBLIC as it came */
    size_t raw_len;
    uint8_t key[TPM_RSA_LEN];    /* RSA: the modulus; ECC: x then y, 32 bytes each */
    size_t key_len;              /* 256 or 64 */
};

/* Checks the structure byte for byte (sizes, algorithms, no trailing bytes) and the key's shape:
 * RSA modulus of exactly 2048 bits, odd, no perfect square, exponent 0 or 65537; ECC coordinates of
 * 32 bytes below the prime, on the curve, not at infinity. ERR_KEY_SHAPE. */
MUST_USE enum err tpm_public_read(struct span tpm2b_public, struct tpm_public *ret_pub);

/* An EK and an SRK must both be fixedTPM, fixedParent, sensitiveDataOrigin, restricted, decrypt and
 * not sign: only then does the TPM vouch that the private part never leaves it. ERR_KEY_ROLE. */
MUST_USE enum err tpm_public_check_role(const struct tpm_public *pub, enum tpm_key_role role);

/* 000b and SHA-256 over raw without its size bytes. Part 1, 16. ERR_CRYPTO. */
MUST_USE enum err tpm_public_name(const struct tpm_public *pub, uint8_t ret_name[TPM_NAME_LEN]);

/* SHA-256 over kind and key material alone: the one canonical identity of a key, the same however
 * its public area was written (exponent 0 or 65537, this or that template). ERR_CRYPTO. */
#define TPM_KEY_HASH_LEN 32
MUST_USE enum err tpm_public_key_hash(const struct tpm_public *pub,
                                      uint8_t ret_hash[TPM_KEY_HASH_LEN]);
bool tpm_public_same_key(const struct tpm_public *a, const struct tpm_public *b);

/* The public area a key has when made from the TCG default template (EK: TCG EK Credential Profile
 * 2.5, templates L-1 and L-2; SRK: TCG Provisioning Guidance 7.5.1). key is the modulus (256) or x
 * then y (64). The result went through tpm_public_read. */
MUST_USE enum err tpm_public_from_key(enum tpm_key_role role, enum tpm_key_kind kind,
                                      struct span key, struct tpm_public *ret_pub);

/* The template itself, to create the key with: a TPM2B_PUBLIC whose unique field is zeros of full
 * length (EK) or empty (SRK). */
void tpm_public_template_write(struct buf *out, enum tpm_key_role role, enum tpm_key_kind kind);

/* PolicySecret(TPM_RH_ENDORSEMENT), the policy of the default EK. */
extern const uint8_t tpm_ek_policy[32];

#endif
