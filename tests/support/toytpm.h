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

struct toytpm {
    struct hal_tpm table;
    struct tpm_public ek, srk;
    bool has_ek, has_srk;
    unsigned transients, sessions; /* loaded now */
    bool has_identity;             /* at 0x81000100 */
    uint8_t identity[32];
    uint8_t imported[32];          /* by the last Import, and then Load */
    bool refuses_credentials;      /* ActivateCredential answers TPM_RC_INTEGRITY */
    unsigned commands;
};

void toytpm_init(struct toytpm *t, bool has_keys);

/* A blob such as it takes, with that HMAC key. */
void toytpm_blob_write(struct buf *out, const uint8_t key[32]);

#endif
