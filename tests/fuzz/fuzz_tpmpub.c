/* tpm_public_read against the TPM software stack's own reader: what ours accepts, theirs must read
 * to the same key and write back byte for byte; what theirs reads as an ordinary key, ours may
 * refuse for the key's sake alone. */
#include "fuzz.h"

#include <tss2/tss2_mu.h>
#include <wire/tpmpub.h>

static bool stack_reads(struct span bytes, TPM2B_PUBLIC *ret_area)
{
    *ret_area = (TPM2B_PUBLIC){0};
    size_t used = 0, written = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes.at, bytes.len, &used, ret_area) != TSS2_RC_SUCCESS ||
        used != bytes.len)
        return false;
    /* It does not compare the size field with what it consumed; writing again does. */
    uint8_t again[sizeof(TPM2B_PUBLIC)];
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(ret_area, again, sizeof again, &written) != TSS2_RC_SUCCESS)
        return false;
    return span_equal(bytes, span_of(again, written));
}

static bool is_ordinary(const TPMT_PUBLIC *a)
{
    /* In both kinds of parameters the symmetric definition and the scheme come first. */
    const TPMT_SYM_DEF_OBJECT *symmetric = &a->parameters.asymDetail.symmetric;
    bool policy = a->authPolicy.size == 0 || a->authPolicy.size == 32;
    bool cipher = symmetric->algorithm == TPM2_ALG_AES && symmetric->keyBits.aes == 128 &&
                  symmetric->mode.aes == TPM2_ALG_CFB;
    if (a->nameAlg != TPM2_ALG_SHA256 || !policy || !cipher)
        return false;
    if (a->type == TPM2_ALG_RSA) {
        const TPMS_RSA_PARMS *rsa = &a->parameters.rsaDetail;
        return rsa->scheme.scheme == TPM2_ALG_NULL && rsa->keyBits == 2048 &&
               (rsa->exponent == 0 || rsa->exponent == 65537) && a->unique.rsa.size == 256;
    }
    const TPMS_ECC_PARMS *ecc = &a->parameters.eccDetail;
    return a->type == TPM2_ALG_ECC && ecc->scheme.scheme == TPM2_ALG_NULL &&
           ecc->curveID == TPM2_ECC_NIST_P256 && ecc->kdf.scheme == TPM2_ALG_NULL &&
           a->unique.ecc.x.size == 32 && a->unique.ecc.y.size == 32;
}

static void same_key(const struct tpm_public *ours, const TPMT_PUBLIC *theirs)
{
    MUST_HOLD(ours->attributes == theirs->objectAttributes);
    if (ours->kind == TPM_KEY_RSA_2048) {
        MUST_HOLD(theirs->type == TPM2_ALG_RSA && ours->key_len == 256);
        MUST_HOLD(memcmp(ours->key, theirs->unique.rsa.buffer, 256) == 0);
    } else {
        MUST_HOLD(theirs->type == TPM2_ALG_ECC && ours->key_len == 64);
        MUST_HOLD(memcmp(ours->key, theirs->unique.ecc.x.buffer, 32) == 0);
        MUST_HOLD(memcmp(ours->key + 32, theirs->unique.ecc.y.buffer, 32) == 0);
    }
}

static void derived_areas_hold_the_same_key(const struct tpm_public *pub)
{
    for (enum tpm_key_role role = TPM_ROLE_EK; role <= TPM_ROLE_SRK; role++) {
        struct tpm_public made;
        struct span key = span_of(pub->key, pub->key_len);
        MUST_HOLD(tpm_public_from_key(role, pub->kind, key, &made) == ERR_OK);
        MUST_HOLD(tpm_public_same_key(pub, &made));
        MUST_HOLD(tpm_public_check_role(&made, role) == ERR_OK);
    }
    uint8_t name[TPM_NAME_LEN], hash[TPM_KEY_HASH_LEN];
    MUST_HOLD(tpm_public_name(pub, name) == ERR_OK);
    MUST_HOLD(tpm_public_key_hash(pub, hash) == ERR_OK);
}

/* Only these may be refused: an even or short modulus, one that may be a square, or a point, whose
 * equation is not worked out again here. */
static bool key_may_be_bad(const TPMT_PUBLIC *a)
{
    const BYTE *modulus = a->unique.rsa.buffer;
    return a->type == TPM2_ALG_ECC || !(modulus[0] & 0x80) || !(modulus[255] & 1) ||
           modulus[255] % 8 == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TPM2B_PUBLIC theirs;
    struct tpm_public ours;
    struct span bytes = span_of(data, size);
    bool readable = stack_reads(bytes, &theirs);
    enum err e = tpm_public_read(bytes, &ours);
    MUST_HOLD(e == ERR_OK || e == ERR_KEY_SHAPE);
    if (e == ERR_OK) {
        MUST_HOLD(readable && is_ordinary(&theirs.publicArea));
        MUST_HOLD(span_equal(bytes, span_of(ours.raw, ours.raw_len)));
        same_key(&ours, &theirs.publicArea);
        derived_areas_hold_the_same_key(&ours);
    } else if (readable && is_ordinary(&theirs.publicArea)) {
        MUST_HOLD(key_may_be_bad(&theirs.publicArea));
    }
    return 0;
}
