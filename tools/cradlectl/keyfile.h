/* Purpose: an endorsement key or storage root key out of a file, in whatever form it has there: PEM
 * public key or certificate, DER certificate, TPM2B_PUBLIC, or its base64.
 */
#ifndef KEYFILE_H
#define KEYFILE_H

#include <wire/tpmpub.h>

#define KEYFILE_TEXT_CAP 512
/* The base64 of its TPM2B_PUBLIC. ERR_IO, ERR_KEY_SHAPE, ERR_KEY_ROLE. */
MUST_USE enum err keyfile_read(const char *path, enum tpm_key_role role,
                               char ret_base64[KEYFILE_TEXT_CAP]);
/* A whole file of text, at most cap - 1 bytes, ended by a NUL. ERR_IO, ERR_FULL. */
MUST_USE enum err keyfile_text(const char *path, char *ret_text, size_t cap);

#endif
