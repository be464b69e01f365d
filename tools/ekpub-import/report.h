/* Purpose: one JSON object a row: {"file","line","registrationId","outcome","reason"}. Written only
 * after the row's block is durable.
 */
#ifndef IMPORT_REPORT_H
#define IMPORT_REPORT_H

#include "inputs.h"

struct report;
/* Replaces an earlier report, or goes on behind its first `keep` bytes. Refuses one of the inputs, and any other file that is not empty:
 * ERR_DUPLICATE. ERR_IO, ERR_MEMORY. With a reason. */
MUST_USE enum err report_open(const char *path, const struct inputs *inputs,
                              uint64_t keep, struct report **ret_report,
                              struct import_reason *ret_reason);
/* The rows are on their way to the disk when it returns. ERR_IO. NULL is fine. */
MUST_USE enum err report_block(struct report *r, const struct import_block *b);
/* Durable up to here; how long it is now. ERR_IO. */
MUST_USE enum err report_sync(struct report *r, uint64_t *ret_bytes);
/* Nothing of what it says has happened: empties it. */
void report_forget(struct report *r);
MUST_USE enum err report_close(struct report *r); /* ERR_IO; NULL is fine */

#endif
