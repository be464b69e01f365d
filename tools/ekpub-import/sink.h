/* Purpose: where checked rows go: the store, one transaction a block. A dry run does the same and
 * then takes it back.
 */
#ifndef IMPORT_SINK_H
#define IMPORT_SINK_H

#include "row.h"

struct sink;
/* files: names for reasons, by file index; kept, not copied. Errors are store_open's, with a
 * reason. */
MUST_USE enum err sink_open(const char *data_dir, const char *const *files, bool dry_run,
                            struct sink **ret_sink, struct import_reason *ret_reason);
void sink_close(struct sink *s); /* NULL is fine */
/* Writes the rows that are not refused yet; sets outcome and reason of each. On ERR_OK what is
 * IMPORT_NEW is durable; on an error nothing of the block is in. Waits half a minute for another
 * writer (ERR_STORE_BUSY). */
MUST_USE enum err sink_write(struct sink *s, struct import_block *b);
/* Whether rows of this run were no longer compared with each other (dry run only). */
bool sink_lost_count(const struct sink *s);

#endif
