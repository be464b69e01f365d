/* Purpose: the assignment as it lies in its storage slot. A slot that is not whole, or was written
 * for another id scope or registration id, is no assignment. */
#ifndef FIRMWARE_SLOT_H
#define FIRMWARE_SLOT_H

#include "answer.h"

#include <firmware/tpm.h>
#include <wire/regid.h>

#define SLOT_NAME "assignment"
#define ID_SCOPE_MAX 64

struct assignment {
    char id_scope[ID_SCOPE_MAX + 1];
    struct regid registration_id;
    char hub[HUB_NAME_MAX + 1];
    char device_id[DEVICE_ID_MAX + 1];
    struct tpm_identity identity; /* at HANDLE_IDENTITY_KEY, or wrapped */
};

void slot_write(struct buf *out, const struct assignment *a);
/* ERR_PROTOCOL for all that slot_write does not write. */
MUST_USE enum err slot_read(struct span bytes, struct assignment *ret_assignment);

#endif
