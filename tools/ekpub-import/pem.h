/* Purpose: a bundle of PEM blocks (RFC 7468), public keys and certificates, one row each. Text
 * between the blocks is passed over.
 */
#ifndef IMPORT_PEM_H
#define IMPORT_PEM_H

#include "source.h"

/* Whether a line of the text begins a block. */
bool pem_is_text(struct span text);
/* Cuts the text behind its next whole block; false: there is none. */
bool pem_block_take(struct span *text, struct span *ret_block);
bool pem_is_certificate(struct span block); /* and no public key, says its first line */

/* A row without an id, whose endorsementKey is a block. ERR_ABSENT at the end. ERR_IO. */
MUST_USE enum err pem_next(struct source *s, struct import_row *ret_row);

#endif
