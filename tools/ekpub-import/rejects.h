/* Purpose: refused rows, written out in the format they came in, to be repaired and imported again:
 * records of CSV under their header, lines of JSON, an array of elements, PEM blocks, and of a
 * directory or archive a tar archive of the files. A key that is a file by itself comes as a line of
 * JSON. Of what is longer than a row may be, and of what is no file, there is nothing to be written.
 */
#ifndef IMPORT_REJECTS_H
#define IMPORT_REJECTS_H

#include "inputs.h"

struct rejects;
/* Replaces the file, or goes on behind its first `keep` bytes. Refuses one of the inputs:
 * ERR_DUPLICATE; inputs of several formats: ERR_CONFIG. ERR_IO, ERR_MEMORY. With a reason. */
MUST_USE enum err rejects_open(const char *path, const struct inputs *inputs, uint64_t keep,
                               struct rejects **ret_rejects, struct import_reason *ret_reason);
/* header: of the rows to come, empty if their format has none. NULL is fine. */
void rejects_header(struct rejects *r, struct span header);
MUST_USE enum err rejects_block(struct rejects *r, const struct import_block *b);
uint64_t rejects_lost(const struct rejects *r); /* refused rows of which nothing was written */
/* Durable up to here; how long it is now. ERR_IO. */
MUST_USE enum err rejects_sync(struct rejects *r, uint64_t *ret_bytes);
MUST_USE enum err rejects_close(struct rejects *r); /* ERR_IO; NULL is fine */

#endif
