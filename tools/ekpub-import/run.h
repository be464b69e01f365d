/* Purpose: one run: inputs, check, sink, report, joined block by block.
 */
#ifndef IMPORT_RUN_H
#define IMPORT_RUN_H

#include "reader.h"

struct import_args {
    const char *data_dir;
    const char *report; /* NULL: none */
    const struct reader_options *reading;
    bool dry_run;
    const char *const *files;
    size_t file_count;
};

/* Prints refusals to standard error and the summary to standard output. Returns the exit status: 0
 * all rows are in, 1 some were refused or the run ended early after some were in, 2 nothing was
 * done.
 */
int import_run(const struct import_args *args);
/* From a signal handler: end after the block at hand. */
void import_stop(void);

#endif
