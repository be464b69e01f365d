/* Purpose: one run: inputs, check, sink, report, joined block by block.
 */
#ifndef IMPORT_RUN_H
#define IMPORT_RUN_H

#include "check.h"
#include "reader.h"
#include "sink.h"

struct import_args {
    const char *data_dir;
    const char *report;   /* NULL: none */
    const char *rejects;  /* NULL: none */
    const char *manifest; /* NULL: none; else signed by one of reading->signers */
    const struct reader_options *reading;
    const struct ekpolicy *ek; /* NULL: certificates are not looked at */
    struct import_options options;
    enum import_conflict conflict;
    enum check_care care;
    bool shared_factors; /* refuse keys that share primes with others of these inputs */
    bool dry_run;
    bool times; /* tell how long the write lock was held */
    bool resume;
    int checkpoint_every_s; /* 0: after each block of rows */
    bool all_or_nothing;
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
bool import_stopped(void);

#endif
