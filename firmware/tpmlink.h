/* Purpose: makes hal_tpm's bytes look like a TCTI to TSS SYS, and takes from its caller what every
 * command may meet: a TPM that is busy, one that nobody has started, one that wants to test itself first. */
#ifndef FIRMWARE_TPMLINK_H
#define FIRMWARE_TPMLINK_H

#include <hal/hal.h>
#include <tss2/tss2_tcti.h>

struct tpmlink {
    TSS2_TCTI_CONTEXT_COMMON_V1 table; /* first: TSS SYS sees nothing else */
    struct hal_tpm *tpm;
    struct hal_clock *clock;
    enum err failure;                  /* why the last command had no reply */
    size_t reply_len;
    uint8_t reply[HAL_TPM_BYTES_CAP];
};

void tpmlink_init(struct tpmlink *link, struct hal_tpm *tpm, struct hal_clock *clock);
void tpmlink_wipe(struct tpmlink *link); /* the last reply may have carried a key */

#endif
