/* Purpose: a growing list of units, one row each, that a power cut may meet at any time: CSV with the
 * columns registrationId, endorsementKey, storageRootKey, ekCertificate, or JSON Lines.
 */
#ifndef IMPORT_LINEFILE_H
#define IMPORT_LINEFILE_H

#include "reader.h"

struct linefile_row {
    struct regid id;
    const struct tpm_public *ek, *srk;
    struct span certificate; /* DER; empty: none */
};
/* Appends the row; the file is made where it is not there. One at a time: others wait. On ERR_OK the
 * row is durable; on an error the file is as it was. format: CSV, JSONL, or AUTO: what the file is,
 * else CSV. ERR_DUPLICATE: a row has this id or this key; ERR_CONFIG: the file is of another kind, or
 * holds a row that cannot be read; ERR_IO; with a reason. */
MUST_USE enum err linefile_append(const char *path, enum import_format format,
                                  const struct linefile_row *row, struct import_reason *ret_reason);

#endif
