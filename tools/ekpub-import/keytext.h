/* Purpose: the ways a list may write a key or a certificate as text: base64 of any of the forms of
 * keybytes.h, or PEM (RFC 7468): PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE.
 */
#ifndef IMPORT_KEYTEXT_H
#define IMPORT_KEYTEXT_H

#include "keybytes.h"

#define KEYTEXT_BYTES_CAP (IMPORT_ROW_CAP / 4 * 3)

/* The bytes that the text stands for. out: KEYTEXT_BYTES_CAP is always enough. ERR_ENCODING with a
 * reason. */
MUST_USE enum err keytext_bytes(struct span text, struct buf *out,
                                struct import_reason *ret_reason);
/* The key, of the right shape and role. Errors are keybytes_read's and keytext_bytes's. */
MUST_USE enum err keytext_read(struct span text, enum tpm_key_role role, struct tpm_public *ret_pub,
                               struct import_reason *ret_reason);

/* The same of a column of a row, which may hold bytes as well as text: a column that holds bytes
 * gives them as they lie there, another one is decoded into scratch (KEYTEXT_BYTES_CAP). */
MUST_USE enum err keytext_column_bytes(const struct import_row *row, enum import_column column,
                                       uint8_t *scratch, struct span *ret_bytes,
                                       struct import_reason *ret_reason);
MUST_USE enum err keytext_column_read(const struct import_row *row, enum import_column column,
                                      enum tpm_key_role role, struct tpm_public *ret_pub,
                                      struct import_reason *ret_reason);

#endif
