/* Purpose: what is in a TPM, asked without the code under test. */
#ifndef SUPPORT_TPMHANDLES_H
#define SUPPORT_TPMHANDLES_H

#include <hal/hal.h>

/* The first handle of each kind, as TPM2_GetCapability wants it. */
#define HANDLES_TRANSIENT 0x80000000u
#define HANDLES_SESSION 0x02000000u       /* loaded */
#define HANDLES_SESSION_SAVED 0x03000000u /* context saved: they take a slot all the same */
#define HANDLES_PERSISTENT 0x81000000u

struct tpm_handles {
    uint32_t at[64];
    uint32_t count;
};
struct tpm_handles tpm_handles(struct hal_tpm *tpm, uint32_t first);
void tpm_handles_flush(struct hal_tpm *tpm, uint32_t first);

/* A command that is written out; returns the response code. */
uint32_t tpm_command(struct hal_tpm *tpm, struct span command);

#endif
