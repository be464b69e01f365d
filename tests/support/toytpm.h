/* Purpose: a TPM that answers the commands of a boot in the true formats, without the cryptography:
 * so fast that a boot can be repeated for every way in which it can fail, and so small that what it
 * holds can be counted. What a TPM checks is proven elsewhere, against a real implementation.
 *
 * Its identity keys are known from outside: the HMAC key is the 32 bytes of the blob's unique field.
 */
#ifndef SUPPORT_TOYTPM_H
#define SUPPORT_TOYTPM_H

#include <hal/hal.h>
#include <wire/tpmpub.h>

#define TOYTPM_LOG 64
#define CC_EVICT_CONTROL 0x120
#define CC_CREATE_PRIMARY 0x131
#define CC_SELF_TEST 0x143
#define CC_ACTIVATE_CREDENTIAL 0x147
#define CC_NV_READ 0x14e
#define CC_POLICY_SECRET 0x151
#define CC_HMAC 0x155
#define CC_IMPORT 0x156
#define CC_LOAD 0x157
#define CC_FLUSH_CONTEXT 0x165
#define CC_READ_PUBLIC 0x173
#define CC_START_AUTH_SESSION 0x176

struct toytpm {
    struct hal_tpm table;
    struct tpm_public ek, srk;
    bool has_ek, has_srk;
    unsigned transients, sessions; /* loaded now */
    bool has_identity;             /* at 0x81000100 */
    uint8_t identity[32];
    uint8_t loaded[32];            /* by the last Load */
    uint8_t seed;                  /* of the owner's hierarchy: another one opens nothing of before */
    bool owner_auth;               /* set, and not "owner" */
    bool full;                     /* no room for another persistent object */
    bool identity_taken;           /* what is at 0x81000100 is an RSA key of somebody else's */
    bool srk_locked;               /* ActivateCredential: the SRK has an authorisation */
    size_t certificate_len;        /* at NV 0x01c00002; 0: none */
    uint8_t certificate[1200];
    bool refuses_credentials;      /* ActivateCredential answers TPM_RC_INTEGRITY */
    uint16_t first_primary;        /* the algorithm of the first key that was made */
    unsigned commands;
    uint32_t log[TOYTPM_LOG];      /* their codes, the first ones */
};

bool toytpm_saw(const struct toytpm *t, uint32_t code);

void toytpm_init(struct toytpm *t, bool has_keys);

/* A certificate for its EK, or for another key; as long as they are, but only the key is true. */
void toytpm_certify(struct toytpm *t, bool is_of_ek);

/* A blob such as it takes, with that HMAC key. */
void toytpm_blob_write(struct buf *out, const uint8_t key[32]);

#endif
