/* Purpose: the device's work with its TPM, by TSS SYS over hal_tpm's bytes.
 *
 *   call             wants                        leaves in the TPM
 *   tpmdev_keys      -                            EK at 0x81010001, SRK at 0x81000001
 *   tpmdev_activate  tpmdev_keys before           the key that the blob brought, at 0x81000100
 *   tpmdev_sign      a key at 0x81000100          nothing
 *   tpmdev_ek_certificate  tpmdev_keys before     nothing
 *
 * Whatever happens, no session and no transient object stays behind, unless the TPM itself can no
 * longer be reached. No heap: TSS SYS works in the struct. Owner and endorsement hierarchy must
 * have empty authorisation, as platforms deliver them.
 */
#ifndef FIRMWARE_TPMDEV_H
#define FIRMWARE_TPMDEV_H

#include "tpmlink.h"

#include <tss2/tss2_sys.h>
#include <wire/tpmpub.h>

#define TPMDEV_SYS_CAP 4608

struct tpmdev {
    struct tpmlink link;
    union {
        max_align_t align;
        uint8_t at[TPMDEV_SYS_CAP];
    } sys;
    struct tpm_public ek;
    struct tpm_public srk;
    bool keys_known;
    bool identity_present; /* there is a key at 0x81000100 for sure */
    bool created_ek;       /* by the last tpmdev_keys */
    bool created_srk;
    uint32_t last_rc;      /* the TPM's (or TSS's) last response code that was an error */
};

void tpmdev_init(struct tpmdev *d, struct hal_tpm *tpm, struct hal_clock *clock);

/* Reads EK and SRK; creates them from the TCG default templates and persists them where absent.
 * Does nothing the second time. ERR_TPM, ERR_TPM_TRANSPORT; ERR_KEY_SHAPE, ERR_KEY_ROLE: what is at
 * the handle is no such key. */
MUST_USE enum err tpmdev_keys(struct tpmdev *d);

/* Opens an activation blob and puts its key at 0x81000100, in place of what was there.
 * ERR_TPM_ACTIVATE: the blob is not for this TPM, or was tampered with; ERR_TRUNCATED,
 * ERR_TRAILING, ERR_PROTOCOL, ERR_KEY_ROLE: it is malformed, or the key is no identity key. With
 * these the key at 0x81000100 is as it was. ERR_TPM, ERR_TPM_TRANSPORT. */
MUST_USE enum err tpmdev_activate(struct tpmdev *d, struct span blob);

/* HMAC-SHA-256 with the key at 0x81000100. ERR_ABSENT: there is none; ERR_TPM,
 * ERR_TPM_TRANSPORT. */
MUST_USE enum err tpmdev_sign(struct tpmdev *d, struct span message, uint8_t ret_signature[32]);

/* What the TPM's vendor left in NV about its EK. */
struct tpmdev_certificate {
    uint32_t nv_index;
    uint16_t len;      /* the certificate's own, without the padding that some vendors leave */
    bool is_of_ek;     /* it holds the EK's public key. For people: nobody checked its signature */
};
/* ERR_ABSENT: none for a key of the EK's kind; ERR_PROTOCOL: what lies there is no certificate;
 * ERR_TPM, ERR_TPM_TRANSPORT. */
MUST_USE enum err tpmdev_ek_certificate(struct tpmdev *d, struct tpmdev_certificate *ret_certificate);
/* The same, and its bytes. */
#define TPMDEV_CERTIFICATE_CAP 3072
MUST_USE enum err tpmdev_ek_certificate_read(struct tpmdev *d,
                                             uint8_t ret_bytes[TPMDEV_CERTIFICATE_CAP],
                                             struct tpmdev_certificate *ret_certificate);

void tpmdev_end(struct tpmdev *d); /* wipes; nothing is open between two calls */

#endif
