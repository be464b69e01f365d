/* Purpose: the two ways a list may write a key: base64 of its TPM2B_PUBLIC, or a PEM public key
 * (SubjectPublicKeyInfo, RFC 5280 4.1.2.7), to which the TCG default template is added.
 *
 * The DER inside a PEM of the two supported kinds has one fixed shape each, so it is compared, not
 * parsed.
 */
#ifndef IMPORT_KEYTEXT_H
#define IMPORT_KEYTEXT_H

#include "row.h"

/* The key, of the right shape and role. ERR_ENCODING, ERR_KEY_SHAPE, ERR_KEY_ROLE; with a reason.
 */
MUST_USE enum err keytext_read(struct span text, enum tpm_key_role role, struct tpm_public *ret_pub,
                               struct import_reason *ret_reason);

#endif
