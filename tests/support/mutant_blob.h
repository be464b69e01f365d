/* Purpose: a second activation blob builder, written from the specification without looking at the
 * first, that can make one deliberate mistake. Without a mistake it must agree with attest_wrap
 * byte for byte; with one, no TPM may accept what it builds.
 *
 * The rows are those of the protocol's tables of rejected and of tolerated blobs.
 */
#ifndef SUPPORT_MUTANT_BLOB_H
#define SUPPORT_MUTANT_BLOB_H

#include <wire/bytes.h>
#include <wire/tpmblob.h>
#include <wire/tpmpub.h>

enum mistake {
    MISTAKE_NONE,
    /* the credential */
    MISTAKE_NAME_OF_EK,
    MISTAKE_NAME_WITH_SIZE,
    MISTAKE_NAME_WITHOUT_ALGORITHM,
    MISTAKE_IDENTITY_LABEL_STORAGE,
    MISTAKE_IDENTITY_LABEL_WITHOUT_NUL,
    MISTAKE_CREDENTIAL_HMAC_WITHOUT_NAME,
    MISTAKE_KDFA_LABEL_WITHOUT_NUL,
    MISTAKE_IDENTITY_PARTIES_SWAPPED, /* ECC: KDFe(…, recipient, ephemeral) */
    MISTAKE_IDENTITY_Z_IS_Y,          /* ECC: the y coordinate of the shared point */
    /* the duplicate */
    MISTAKE_INNER_HASH_WITHOUT_SIZE,
    MISTAKE_INNER_HASH_WITHOUT_NAME,
    MISTAKE_INNER_HASH_SWAPPED,
    MISTAKE_OUTER_HMAC_SRK_NAME,
    MISTAKE_OUTER_HMAC_WITHOUT_NAME,
    MISTAKE_OUTER_HMAC_OVER_INNER,
    MISTAKE_OUTER_HMAC_ALTERED,
    MISTAKE_DUPLICATE_LABEL_IDENTITY,
    MISTAKE_DUPLICATE_LABEL_WITHOUT_NUL,
    MISTAKE_DUPLICATE_TO_EK,
    MISTAKE_DUPLICATE_PARTIES_SWAPPED, /* ECC */
    MISTAKE_INNER_KEY_32,
    MISTAKE_INNER_ONLY_ENCRYPTED_DUPLICATION,
    /* the identity key */
    MISTAKE_UNIQUE_SWAPPED,
    MISTAKE_SCHEME_NULL,
    MISTAKE_SIGN_AND_DECRYPT,
    MISTAKE_FIXED_TPM,
    MISTAKE_FIXED_PARENT,
    MISTAKE_RESTRICTED,
    MISTAKE_NO_USER_WITH_AUTH,
    MISTAKE_NO_NO_DA,
    MISTAKE_OTHER_KEY, /* one bit of the wrapped key differs from the one kept */
    /* the frame */
    MISTAKE_TRAILER_SIZE_MISSING,
    /* odd, but no mistakes to a TPM */
    VARIANT_TRAILING_BYTES,
    VARIANT_INNER_ONLY,
    VARIANT_ENCRYPTED_DUPLICATION,
    VARIANT_SENSITIVE_DATA_ORIGIN,
    VARIANT_CREDENTIAL_SEED_16, /* RSA */
    MISTAKE_COUNT
};
const char *mistake_name(enum mistake m); /* "NAME_OF_EK" */

struct mutant {
    enum mistake mistake;
    const struct tpm_public *ek;
    const struct tpm_public *srk;
    struct span key;       /* 1 to 128 bytes */
    struct span trailer;   /* may be empty */
    uint8_t inner_key[32]; /* 16 of them but for INNER_KEY_32 */
    uint8_t credential_seed[32];
    uint8_t duplicate_seed[32];
    uint8_t seed_value[32];
    /* Secrets that were made already for the two seeds: taken as they are. Empty: made here; with
     * ECC the seeds are then another, of an ephemeral key. */
    struct span credential_secret;
    struct span duplicate_secret;
};

#define MUTANT_FIELD_CAP 512
struct mutant_field {
    uint8_t at[MUTANT_FIELD_CAP];
    struct buf out;
};
struct mutant_blob {
    struct mutant_field credential, credential_secret, duplicate, duplicate_secret, public_area,
        trailer;
    enum mistake mistake;
};

/* Aborts when a primitive fails: a test cannot go on then. */
void mutant_build(const struct mutant *m, struct mutant_blob *ret_blob);
/* The fields, as spans into *blob; and all of it as it goes over the wire. */
struct tpmblob mutant_fields(const struct mutant_blob *blob);
void mutant_write(struct buf *out, const struct mutant_blob *blob);

/* Name of a public area given without size bytes; the seed an ECC key's holder finds. For tests
 * that check what attest_wrap made from the receiving end. */
void mutant_kdfe(const uint8_t z[32], struct span label, const uint8_t ephemeral_x[32],
                 const uint8_t recipient_x[32], uint8_t ret_seed[32]);
void mutant_oaep_mask(struct span seed, uint8_t *bytes, size_t len); /* MGF1-SHA-256, xored in */
void mutant_sha256(struct span a, struct span b, uint8_t ret_digest[32]);

#endif
