/* Purpose: what a device may choose about its TPM's keys, what it tells about them, and the hub key
 * as it is kept between two boots. */
#ifndef FIRMWARE_TPM_H
#define FIRMWARE_TPM_H

#include <wire/bytes.h>
#include <wire/tpmpub.h>

/* Which endorsement key, where there may be more than one. */
enum tpm_ek_choice {
    TPM_EK_AUTO,       /* the key that the certificate in NV is for; without one the persistent key;
                        * without that the template's */
    TPM_EK_PERSISTENT, /* the key at 0x81010001, whoever made it, as Microsoft's SDKs do; made from
                        * the template where there is none. Reads no certificate */
    TPM_EK_TEMPLATE,   /* the key of the TCG default template, whatever else is persistent */
};

struct tpm_choice {
    enum tpm_ek_choice ek;
    struct span owner_auth; /* the owner hierarchy's authorisation, at most 64 bytes; borrowed */
};

/* Why this endorsement key. */
enum tpm_ek_why {
    TPM_EK_UNKNOWN,      /* the keys were not read */
    TPM_EK_CERTIFIED,    /* the certificate in NV is for it */
    TPM_EK_UNCERTIFIED,  /* persistent, and there is no certificate to compare it with */
    TPM_EK_OTHER_CERTIFIED, /* persistent, and neither it nor the template's is the certificate's */
    TPM_EK_MADE,         /* the template's; no certificate, no persistent key */
    TPM_EK_CHOSEN,       /* TPM_EK_PERSISTENT or TPM_EK_TEMPLATE */
};

/* Why a key is not where it would be: at its handle, by TPM2_EvictControl. */
enum tpm_unkept {
    TPM_KEPT,
    TPM_UNKEPT_OWNER_AUTH, /* the owner's authorisation is set, and not the one that was given */
    TPM_UNKEPT_FULL,       /* no room for another persistent object */
    TPM_UNKEPT_TAKEN,      /* something that is not ours is at the handle */
};

/* Where a key is: its handle, or 0 for one that could not persist and is made again for each use. */
struct tpm_place {
    uint32_t handle;
    bool created;             /* by this boot */
    enum tpm_unkept unkept;   /* why handle is 0 */
    enum err passed_over;     /* why the key at the first handle was not taken: ERR_KEY_SHAPE,
                               * ERR_KEY_ROLE, ERR_UNAUTHORIZED: its use wants an authorisation.
                               * ERR_OK: there is none, or (EK) another was preferred */
};

/* The hub key between two boots: at a handle; or, where it could not persist, as TPM2_Import gave it,
 * readable to its TPM alone, under the SRK at parent (0: one made from the template of that kind). */
#define TPM_WRAPPED_CAP 192
#define TPM_UNIQUE_LEN 32
struct tpm_identity {
    uint32_t handle;
    uint32_t parent;
    enum tpm_key_kind parent_kind;
    uint16_t wrapped_len;
    uint8_t wrapped[TPM_WRAPPED_CAP];
    uint8_t unique[TPM_UNIQUE_LEN];
};

#endif
