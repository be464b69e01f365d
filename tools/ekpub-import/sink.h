/* Purpose: where checked rows go: the store. A first load goes into a fresh file that takes the empty
 * database's place in the end; otherwise short transactions, each with rows in the order of their
 * keys, which a service may go on beside. A dry run writes and then takes it back.
 */
#ifndef IMPORT_SINK_H
#define IMPORT_SINK_H

#include "options.h"

/* What becomes of a row whose id, key or device id is enrolled already with other values. */
enum import_conflict { CONFLICT_FAIL, CONFLICT_SKIP, CONFLICT_REPLACE };

struct sink_terms {
    const char *data_dir;
    const char *const *files; /* names for reasons, by file index */
    const struct import_options *options;
    enum import_conflict conflict;
    bool dry_run;
    bool may_load; /* the inputs come at once, not row by row over a day */
    bool whole;    /* of a load, all or nothing */
    size_t seen_max; /* rows; 0: SEEN_ROWS_MAX */
};

struct sink;
/* Keeps the terms, does not copy what they point to. Errors are store_open's, with a reason. */
MUST_USE enum err sink_open(const struct sink_terms *terms, struct sink **ret_sink,
                            struct import_reason *ret_reason);
void sink_close(struct sink *s); /* NULL is fine; what is not finished of a first load is dropped */
/* Whether rows are durable only once the sink is finished. */
bool sink_is_load(const struct sink *s);
/* Writes the rows that are not refused yet; sets outcome and reason of each. On ERR_OK what is
 * IMPORT_NEW is durable, unless sink_is_load. On an error the earlier transactions of the block are
 * in, and the rows of the others IMPORT_UNTRIED. Waits half a minute for another writer
 * (ERR_STORE_BUSY). */
MUST_USE enum err sink_write(struct sink *s, struct import_block *b);
/* Makes a first load durable. */
MUST_USE enum err sink_finish(struct sink *s, struct import_reason *ret_reason);
/* Prints how long the write lock was held by the transactions, to standard output. */
void sink_print_times(const struct sink *s);
/* Whether rows of this run were no longer compared with each other (dry run only). */
bool sink_lost_count(const struct sink *s);

#endif
