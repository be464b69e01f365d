/* Purpose: what the TPM work of tpmdev.h stands on: TSS SYS in the caller's struct, response codes as
 * errors, handles that are let go with their scope, and the commands that more than one file needs. */
#ifndef FIRMWARE_TPMSYS_H
#define FIRMWARE_TPMSYS_H

#include "tpmdev.h"

TSS2_SYS_CONTEXT *tpmsys_of(struct tpmdev *d);
void tpmsys_reset(struct tpmdev *d); /* wipes what went through */

/* ---- response codes ---- */
/* Whether rc says that, of whichever handle, session or parameter. */
bool tpmsys_says(TSS2_RC rc, TPM2_RC error);
bool tpmsys_says_auth(TSS2_RC rc); /* an authorisation value was wrong */
/* Which session (from 1) rc complains about; 0: about none. */
unsigned tpmsys_session_of(TSS2_RC rc);
MUST_USE enum err tpmsys_outcome(struct tpmdev *d, TSS2_RC rc);
/* Handles of one kind only were given: an error about a handle means that nothing is there. */
MUST_USE enum err tpmsys_outcome_of_lookup(struct tpmdev *d, TSS2_RC rc);

/* ---- sessions and transient objects ---- */
struct held {
    struct tpmdev *dev;
    TPM2_HANDLE handle; /* 0: nothing held */
};
void held_flush(struct held *h);
#define HELD __attribute__((cleanup(held_flush))) struct held

/* Where the TPM has said that it has no room: flushes everything that is loaded, for whoever left it
 * there is gone. To be called where nothing of ours is. */
MUST_USE enum err tpmsys_make_room(struct tpmdev *d);

/* ---- authorisations ---- */
extern const TSS2L_SYS_AUTH_COMMAND tpmsys_empty_password;

/* ---- keys ---- */
MUST_USE enum err tpmsys_public_read(struct tpmdev *d, TPM2_HANDLE at, TPM2B_PUBLIC *ret_area);
/* From the TCG default template; an EK under the endorsement hierarchy, an SRK under the owner's.
 * ERR_TPM_OWNER_AUTH, ERR_TPM_ENDORSEMENT_AUTH; ERR_KEY_SHAPE: this TPM makes no such keys. */
MUST_USE enum err tpmsys_primary_create(struct tpmdev *d, enum tpm_key_role role,
                                        enum tpm_key_kind kind, struct held *held,
                                        struct tpm_public *ret_pub);
/* As TPM2_EvictControl: a persistent object is removed; of a transient one a copy is made to persist.
 * The response code is for the caller to judge. */
TSS2_RC tpmsys_evict(struct tpmdev *d, TPM2_HANDLE object, TPM2_HANDLE at);
/* What tpmsys_evict could not do, as a reason to do without; other failures are errors. */
MUST_USE enum err tpmsys_unkept(struct tpmdev *d, TSS2_RC rc, enum tpm_unkept *ret_why);

/* Whether an area is an EK or SRK that can be used: ERR_KEY_SHAPE, ERR_KEY_ROLE. An EK must have the
 * default policy: nobody could satisfy another. */
MUST_USE enum err tpmsys_key_judge(const TPM2B_PUBLIC *area, enum tpm_key_role role,
                                   struct tpm_public *ret_pub);

#endif
