/* Purpose: a key as the bytes of a file: TPM2B_PUBLIC, TPMT_PUBLIC, SubjectPublicKeyInfo, PKCS#1
 * RSAPublicKey, or an X.509 certificate with whatever surrounds it in NV. To a key that says nothing
 * of its public area the TCG default template is added.
 */
#ifndef IMPORT_KEYBYTES_H
#define IMPORT_KEYBYTES_H

#include "row.h"

enum keybytes_kind {
    KEYBYTES_UNKNOWN,
    KEYBYTES_TPM2B_PUBLIC,
    KEYBYTES_TPMT_PUBLIC,
    KEYBYTES_DER_KEY, /* SubjectPublicKeyInfo or PKCS#1 */
    KEYBYTES_CERTIFICATE,
};
/* By the first few bytes alone. */
enum keybytes_kind keybytes_guess(struct span bytes);

/* The key, of the right shape and role. ERR_ENCODING, ERR_KEY_SHAPE, ERR_KEY_ROLE, ERR_CERTIFICATE;
 * with a reason. */
MUST_USE enum err keybytes_read(struct span bytes, enum tpm_key_role role,
                                struct tpm_public *ret_pub, struct import_reason *ret_reason);

#endif
