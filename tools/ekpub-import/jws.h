/* Purpose: the elements of a signed device manifest: each a JWS (RFC 7515) in compact, flattened or
 * general form, signed with ES256 by one of the given signers. Its payload is a JSON object: columns
 * by their names, or what secure elements' makers write: uniqueId, and in publicKeySet one JWK
 * (RFC 7517), with x5c if it is certified. What else a payload says is passed over.
 */
#ifndef IMPORT_JWS_H
#define IMPORT_JWS_H

#include "map.h"

struct jws_signers;
/* Files of a certificate or public key, PEM or DER; P-256. ERR_CONFIG, ERR_IO, ERR_MEMORY; the
 * reason names the file. */
MUST_USE enum err jws_signers_open(const char *const *files, size_t count,
                                   struct jws_signers **ret_signers,
                                   struct import_reason *ret_reason);
void jws_signers_close(struct jws_signers *s); /* NULL is fine */

struct jws {
    const struct import_map *map;
    const struct jws_signers *signers;
    uint8_t payload[IMPORT_ROW_CAP];
    uint8_t scratch[IMPORT_ROW_CAP];
};
/* The row in one element, or why it is broken: an unsigned one, or signed by somebody else, among
 * the reasons. Its fields point into scratch. */
void jws_row_read(struct jws *j, struct span element, struct import_row *row);

#endif
