/* Purpose: what a device does with an activation blob, on a real TPM, one command after the other,
 * telling at which command it ended. TSS SYS over a TCTI by name. */
#ifndef SUPPORT_TPM_WALK_H
#define SUPPORT_TPM_WALK_H

#include <tss2/tss2_sys.h>
#include <wire/tpmblob.h>
#include <wire/tpmpub.h>

struct tpm_walk {
    TSS2_TCTI_CONTEXT *tcti;
    TSS2_SYS_CONTEXT *sys;
    TPM2_HANDLE ek;
    TPM2_HANDLE srk;
    struct tpm_public ek_public; /* as the TPM gave them, read by tpm_public_read */
    struct tpm_public srk_public;
};

/* Exits with a message when the TPM cannot be had: a test cannot go on then. */
void tpm_walk_open(struct tpm_walk *w, const char *tcti, enum tpm_key_kind ek,
                   enum tpm_key_kind srk);
void tpm_walk_close(struct tpm_walk *w);

struct tpm_outcome {
    const char *failed_at; /* a command's name; NULL: all went well */
    TPM2_RC code;
    uint8_t mac[32];
};
/* ActivateCredential, Import, Load, HMAC over message; what was loaded is flushed again.
 * repeat_hmac: once more when the TPM says "retry". */
struct tpm_outcome tpm_walk_blob(struct tpm_walk *w, const struct tpmblob *blob,
                                 struct span message, bool repeat_hmac);

#endif
