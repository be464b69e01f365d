/* Purpose: refused rows, written out as they came, to be repaired and imported again: records of CSV
 * under their header, lines of JSON. A row of an input that is no text comes as a line of JSON.
 */
#ifndef IMPORT_REJECTS_H
#define IMPORT_REJECTS_H

#include "inputs.h"

struct rejects;
/* Replaces the file, or goes on behind its first `keep` bytes. Refuses one of the inputs:
 * ERR_DUPLICATE. ERR_IO, ERR_MEMORY. With a reason. */
MUST_USE enum err rejects_open(const char *path, const struct inputs *inputs, uint64_t keep,
                               struct rejects **ret_rejects, struct import_reason *ret_reason);
/* header: of the rows to come, empty if their format has none. NULL is fine. */
void rejects_header(struct rejects *r, struct span header);
MUST_USE enum err rejects_block(struct rejects *r, const struct import_block *b);
/* Durable up to here; how long it is now. ERR_IO. */
MUST_USE enum err rejects_sync(struct rejects *r, uint64_t *ret_bytes);
MUST_USE enum err rejects_close(struct rejects *r); /* ERR_IO; NULL is fine */

#endif
