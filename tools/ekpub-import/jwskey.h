/* Purpose: a compact JWS (RFC 7515) made with, and checked against, one P-256 (ES256) or Ed25519
 * (EdDSA, RFC 8037) key out of a PEM file.
 */
#ifndef IMPORT_JWSKEY_H
#define IMPORT_JWSKEY_H

#include "row.h"

/* signer: a file with a certificate or public key; it is trusted because it was given. ERR_CONFIG
 * with a reason. */
MUST_USE enum err jwskey_open(struct span jws, const char *signer, struct buf *payload,
                              struct import_reason *ret_reason);
/* key: a file with a private key, PKCS#8 or SEC 1, not encrypted. */
MUST_USE enum err jwskey_sign(const char *key, struct span payload, struct buf *out,
                              struct import_reason *ret_reason);

#endif
