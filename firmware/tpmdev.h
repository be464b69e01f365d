/* Purpose: the device's work with its TPM, by TSS SYS over hal_tpm's bytes.
 *
 *   call             wants                        leaves in the TPM
 *   tpmdev_keys      -                            EK and SRK, persistent where that can be
 *   tpmdev_prove     tpmdev_keys before           nothing
 *   tpmdev_activate  tpmdev_keys before           the key that the blob brought, at 0x81000100; or,
 *                                                 where it cannot persist, nothing: see identity
 *   tpmdev_sign      such a key                   nothing
 *   tpmdev_ek_certificate  tpmdev_keys before     nothing
 *
 * Whatever happens, no session and no transient object stays behind, unless the TPM itself can no
 * longer be reached. No heap: TSS SYS works in the struct.
 *
 * Handles. The EK is at 0x81010001 or 0x81010002, the SRK at 0x81000001 or 0x81000002: what lies at
 * the first and cannot be used, or is another EK than the one that was chosen, is left alone and the
 * second is taken. Nothing is ever removed but an identity key at 0x81000100, which is to say an
 * object with exactly an identity key's public area.
 *
 * Owner authorisation: to persist anything, and to make an SRK. Where it is set and was not given, a
 * key that cannot persist is made again for each use (EK), or kept wrapped (identity key).
 *
 * Errors that any call may return: ERR_TPM_TRANSPORT; ERR_TPM_BUSY: it went on saying so for 18 s;
 * ERR_TPM_LOCKOUT; ERR_TPM_FAILED: in failure mode; ERR_TPM_ROOM: no room for an object or a session.
 * Somebody has left his there: the next call flushes all that is loaded. A TPM with several users has
 * a resource manager, which never lets it come to that. ERR_TPM: it refused for another reason.
 */
#ifndef FIRMWARE_TPMDEV_H
#define FIRMWARE_TPMDEV_H

#include "tpmlink.h"

#include <firmware/tpm.h>
#include <tss2/tss2_sys.h>
#include <wire/tpmpub.h>

#define TPMDEV_SYS_CAP 4608

/* What the TPM's vendor left in NV about its EK. */
struct tpmdev_certificate {
    uint32_t nv_index;
    uint16_t len;      /* the certificate's own, without the padding that some vendors leave */
    bool is_of_ek;     /* it holds the EK's public key. For people: nobody checked its signature */
};

struct tpmdev {
    struct tpmlink link;
    union {
        max_align_t align;
        uint8_t at[TPMDEV_SYS_CAP];
    } sys;
    struct tpm_choice choice;
    struct tpm_public ek;
    struct tpm_public srk;
    struct tpm_place ek_place;
    struct tpm_place srk_place;
    enum tpm_ek_why ek_why;
    bool keys_known;
    bool created_ek;       /* by the last tpmdev_keys; the same as in its place */
    bool created_srk;
    bool srk_locked;       /* the first SRK has an authorisation */
    bool certificate_known;
    enum err certificate_error;
    struct tpmdev_certificate certificate;
    struct tpm_identity identity;    /* what tpmdev_sign signs with */
    enum tpm_unkept identity_unkept; /* why it is wrapped */
    bool identity_replaced;          /* the last tpmdev_activate removed an older identity key */
    bool identity_ours;              /* we put the key at 0x81000100 there */
    bool crowded;                    /* the TPM had no room */
    uint32_t last_rc;                /* the TPM's (or TSS's) last response code that was an error */
};

/* Chooses TPM_EK_AUTO and no owner authorisation; d->choice may be changed before the first call, and
 * d->identity (the key at 0x81000100) before tpmdev_sign. */
void tpmdev_init(struct tpmdev *d, struct hal_tpm *tpm, struct hal_clock *clock);

/* Finds EK and SRK, or creates them from the TCG default templates and persists them. Does nothing
 * the second time. ERR_TPM_OWNER_AUTH: an SRK is to be made, and the owner's authorisation is set;
 * ERR_KEY_SHAPE, ERR_KEY_ROLE: with TPM_EK_PERSISTENT, what is at 0x81010001 is no such key. */
MUST_USE enum err tpmdev_keys(struct tpmdev *d);

/* Opens an activation blob and signs message with its key by HMAC-SHA-256, once; the key is not kept.
 * ERR_TPM_ACTIVATE: the blob is not for this TPM, or was tampered with (or the SRK has an
 * authorisation: the next tpmdev_keys takes another); ERR_TRUNCATED, ERR_TRAILING, ERR_PROTOCOL,
 * ERR_KEY_ROLE: it is malformed, or the key is no identity key; ERR_TPM_ENDORSEMENT_AUTH: the
 * endorsement hierarchy's authorisation is set, and no EK of this TPM can be used. */
MUST_USE enum err tpmdev_prove(struct tpmdev *d, struct span blob, struct span message,
                               uint8_t ret_signature[32]);

/* Opens an activation blob and keeps its key, in place of the identity key that was there. Errors as
 * those of tpmdev_prove; with the blob's errors the key that was there is as it was. */
MUST_USE enum err tpmdev_activate(struct tpmdev *d, struct span blob);

/* HMAC-SHA-256 with the identity key. ERR_ABSENT: it is not there, or what is there is another. */
MUST_USE enum err tpmdev_sign(struct tpmdev *d, struct span message, uint8_t ret_signature[32]);

/* ERR_ABSENT: none for a key of the EK's kind; ERR_PROTOCOL: what lies there is no certificate. */
MUST_USE enum err tpmdev_ek_certificate(struct tpmdev *d, struct tpmdev_certificate *ret_certificate);
/* The same, and its bytes. */
#define TPMDEV_CERTIFICATE_CAP 3072
MUST_USE enum err tpmdev_ek_certificate_read(struct tpmdev *d,
                                             uint8_t ret_bytes[TPMDEV_CERTIFICATE_CAP],
                                             struct tpmdev_certificate *ret_certificate);

void tpmdev_end(struct tpmdev *d); /* wipes; nothing is open between two calls */

#endif
