/* Purpose: real TPMs in this process, by libtpms, behind the hal's interface: thousands of them, one
 * awake at a time.
 *
 * libtpms is one TPM a process, with everything in globals. So a command to another TPM than the last
 * one's first puts that one to sleep, its volatile state (sessions, loaded objects, the phase since
 * startup) kept, and wakes the other just as it was: neither notices. Only simtpm_power_off loses
 * what a power cut loses; the next command then finds a TPM that wants its Startup.
 *
 *   state     holds                          is lost by
 *   image     seeds, NV, persistent objects  nothing; written by libtpms within the command that changes it
 *   asleep    the volatile state             simtpm_power_off
 */
#ifndef SUPPORT_SIMTPM_H
#define SUPPORT_SIMTPM_H

#include <hal/hal.h>

/* One that has made and persisted RSA-2048 EK, SRK and an HMAC key takes some 5,500 bytes. */
#define SIMTPM_IMAGE_CAP 8192
struct simtpm_image {
    uint32_t len; /* 0: there is no TPM yet; the first command makes one, with random seeds */
    uint8_t at[SIMTPM_IMAGE_CAP];
};

struct simtpm {
    struct hal_tpm table;
    struct simtpm_image *image; /* the caller's, also in shared memory */
    uint8_t *asleep;            /* heap; NULL: awake, or without power */
    uint32_t asleep_len;
};

/* One that has no power yet: the first command brings it. */
void simtpm_init(struct simtpm *t, struct simtpm_image *image);
void simtpm_power_off(struct simtpm *t); /* and frees; twice is fine */

#endif
