#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "checkpoint.h"
#include "inputs.h"
#include "manifest.h"
#include "progress.h"
#include "rejects.h"
#include "report.h"
#include "sharedscan.h"
#include "tally.h"

#define SHOWN_WITH_REPORT 20 /* refusals on the terminal, when the report has them all */
#define STREAM_ROWS 500 /* of a pipe: what comes slowly need not wait for more */

#define RUN_BLOCKS 3

struct run {
    const struct import_args *args;
    const struct sharedscan *shared; /* NULL: not asked for */
    bool dry_run; /* as asked for, or to see first whether all would be well */
    struct inputs *inputs;
    bool stream; /* one of them has no size */
    bool resumed; /* there is something to go on from */
    struct checkers *checkers;
    struct sink *sink;
    struct report *report;
    struct rejects *rejects;
    /* One is filled and one is written while the third is checked. */
    struct import_block *blocks[RUN_BLOCKS];
    size_t block_next;
    struct import_block *checking; /* NULL: none */
    struct import_block *pending;  /* checked, not written yet; NULL: none */
    struct progress progress;
    uint64_t bytes_before; /* of the files that are done */
    uint64_t rows_read;
    uint64_t shown; /* refusals */
    struct tally tally;
    struct checkpoint checkpoint;
    char checkpoint_path[CHECKPOINT_PATH_CAP];
    time_t checkpoint_next;
};

static volatile sig_atomic_t stop_asked;

void import_stop(void)
{
    stop_asked = 1;
}

bool import_stopped(void)
{
    return stop_asked != 0;
}

/* ---- setting up and tearing down ---- */

static enum err fail(const char *what, enum err e, const char *why)
{
    char safe[300];
    import_text_safe(span_text(what), safe, sizeof safe);
    (void)fprintf(stderr, "ekpub-import: %s%s%s\n", safe, what[0] != 0 ? ": " : "", why);
    return e;
}

static enum err open_sink(struct run *r, struct import_reason *ret_why)
{
    const struct import_args *a = r->args;
    const struct sink_terms terms = {
        .data_dir = a->data_dir,
        .files = a->files,
        .options = &a->options,
        .conflict = a->conflict,
        .dry_run = r->dry_run,
        .may_load = inputs_bytes(r->inputs) > 0 && !r->resumed,
        .whole = a->all_or_nothing,
    };
    return sink_open(&terms, &r->sink, ret_why);
}

/* Where an interrupted run goes on. */
static enum err open_checkpoint(struct run *r, struct import_reason *ret_why)
{
    const struct import_args *a = r->args;
    checkpoint_path(a->data_dir, a->files, a->file_count, r->checkpoint_path);
    if (!a->resume)
        return ERR_OK;
    enum err e = checkpoint_read(r->checkpoint_path, a->files, a->file_count, &r->checkpoint,
                                 ret_why);
    if (e == ERR_ABSENT)
        return ERR_OK; /* it never got that far, or it got to the end */
    TRY(e);
    r->resumed = true;
    memcpy(r->tally.outcomes, r->checkpoint.outcomes, sizeof r->tally.outcomes);
    r->rows_read = tally_rows(&r->tally);
    return ERR_OK;
}

static enum err open_outputs(struct run *r)
{
    const struct import_args *a = r->args;
    struct import_reason why;
    enum err e = ERR_OK;
    if (a->report != NULL)
        e = report_open(a->report, r->inputs, r->checkpoint.report_bytes, &r->report, &why);
    if (e != ERR_OK)
        return fail(a->report, e, why.text);
    if (a->rejects != NULL)
        e = rejects_open(a->rejects, r->inputs, r->checkpoint.rejects_bytes, &r->rejects, &why);
    return e == ERR_OK ? e : fail(a->rejects, e, why.text);
}

/* Everything that can be wrong before the first row. */
static enum err run_open(struct run *r)
{
    const struct import_args *a = r->args;
    struct import_reason why;
    enum err e = inputs_open(a->files, a->file_count, a->reading, &r->inputs, &why);
    if (e != ERR_OK)
        return fail("", e, why.text);
    r->stream = inputs_bytes(r->inputs) == 0;
    e = open_checkpoint(r, &why);
    if (e == ERR_OK)
        e = open_sink(r, &why);
    if (e != ERR_OK)
        return fail(a->data_dir, e, why.text);
    bool allocated = true;
    for (int i = 0; i < RUN_BLOCKS; i++) {
        r->blocks[i] = malloc(sizeof *r->blocks[i]);
        allocated = allocated && r->blocks[i] != NULL;
    }
    e = allocated ? checkers_open(&r->checkers) : ERR_MEMORY;
    if (e != ERR_OK)
        return fail("", e, err_text(e));
    return open_outputs(r);
}

static enum err run_close(struct run *r)
{
    sink_close(r->sink);
    checkers_close(r->checkers);
    inputs_close(r->inputs);
    for (int i = 0; i < RUN_BLOCKS; i++)
        free(r->blocks[i]);
    enum err e = report_close(r->report);
    enum err rejected = rejects_close(r->rejects);
    return e == ERR_OK ? rejected : e;
}

/* ---- rows ---- */

static void show_refusals(struct run *r, const struct import_block *b)
{
    char file[300];
    import_text_safe(span_text(b->file), file, sizeof file);
    for (size_t i = 0; i < b->count; i++) {
        const struct import_item *item = &b->items[i];
        if (item->outcome != IMPORT_REFUSED)
            continue;
        uint64_t shown = r->shown++;
        if (r->report != NULL && shown > SHOWN_WITH_REPORT)
            continue;
        progress_clear(&r->progress);
        if (r->report != NULL && shown == SHOWN_WITH_REPORT)
            (void)fprintf(stderr, "ekpub-import: further refused rows are in the report only\n");
        else
            (void)fprintf(stderr, "%s:%llu: %s\n", file, (unsigned long long)item->row.line,
                          item->reason.text);
    }
}

/* Not in a load, which happens at once in the end, nor in a dry run. */
static enum err note_progress(struct run *r, const struct import_block *b)
{
    struct checkpoint *c = &r->checkpoint;
    c->file_rows = b->file_index == c->file_index ? c->file_rows + b->count : b->count;
    c->file_index = b->file_index;
    if (r->dry_run || sink_is_load(r->sink) || time(NULL) < r->checkpoint_next)
        return ERR_OK;
    memcpy(c->outcomes, r->tally.outcomes, sizeof c->outcomes);
    TRY(report_sync(r->report, &c->report_bytes));
    TRY(rejects_sync(r->rejects, &c->rejects_bytes));
    r->checkpoint_next = time(NULL) + r->args->checkpoint_every_s;
    return checkpoint_write(r->checkpoint_path, r->args->files, r->args->file_count, c);
}

static enum err block_finish(struct run *r, struct import_block *b)
{
    if (b == NULL || b->count == 0)
        return ERR_OK;
    enum err written = sink_write(r->sink, b);
    tally_block(&r->tally, b);
    show_refusals(r, b);
    enum err e = report_block(r->report, b);
    TRY(written);
    if (e != ERR_OK)
        return fail(r->args->report, e, "the report cannot be written");
    e = rejects_block(r->rejects, b);
    if (e != ERR_OK)
        return fail(r->args->rejects, e, "the rejects cannot be written");
    e = note_progress(r, b);
    return e == ERR_OK ? e : fail(r->checkpoint_path, e, "the checkpoint cannot be written");
}

/* ERR_ABSENT when the file has no more. */
static enum err block_fill(struct run *r, struct import_block *b, struct reader *reader)
{
    while (import_block_has_room(b) && (!r->stream || b->count < STREAM_ROWS)) {
        struct import_row row;
        TRY(reader_next(reader, &row));
        import_block_add(b, &row);
        r->rows_read++;
    }
    return ERR_OK;
}

static enum err stopped(struct run *r, const char *file, enum err e, const char *why)
{
    char safe[300];
    progress_clear(&r->progress);
    import_text_safe(span_text(file), safe, sizeof safe);
    (void)fprintf(stderr, "ekpub-import: stopped in %s after %llu rows: %s\n", safe,
                  (unsigned long long)tally_rows(&r->tally), why);
    return e;
}

static enum err write_pending(struct run *r)
{
    enum err e = block_finish(r, r->pending);
    r->pending = NULL;
    return e;
}

/* All lend a hand with what is left of the block that is being checked. */
static void end_checking(struct run *r)
{
    if (r->checking != NULL)
        checkers_wait(r->checkers);
    r->pending = r->checking;
    r->checking = NULL;
}

static void begin_checking(struct run *r, struct import_block *b)
{
    const struct check_terms terms = {.care = r->args->care,
                                      .ek = r->args->ek,
                                      .shared = r->shared,
                                      .now_s = (int64_t)time(NULL),
                                      .disabled = r->args->options.disabled};
    checkers_start(r->checkers, b, &terms);
    r->checking = b;
}

/* Writes what there is, unless something failed before; afterwards nobody works on a block. */
static enum err drain(struct run *r, enum err e)
{
    if (e == ERR_OK)
        e = write_pending(r);
    end_checking(r);
    if (e == ERR_OK)
        e = write_pending(r);
    r->pending = NULL;
    return e;
}

/* Takes on a block that was filled. The one before it was checked meanwhile, and the one before that is
 * written now; of a stream, all at once. */
static enum err block_pass(struct run *r, struct import_block *b)
{
    TRY(write_pending(r));
    end_checking(r);
    begin_checking(r, b);
    return r->stream ? drain(r, ERR_OK) : ERR_OK;
}

static struct import_block *next_block(struct run *r, const char *file, size_t index)
{
    struct import_block *b = r->blocks[r->block_next++ % RUN_BLOCKS];
    import_block_clear(b, file, index, r->rows_read);
    return b;
}

static const char *why_stopped(const struct reader *reader, enum err e)
{
    return stop_asked ? "interrupted" : e == ERR_IO ? reader_why(reader) : err_text(e);
}

static enum err run_reader(struct run *r, struct reader *reader, size_t index)
{
    const char *file = r->args->files[index];
    enum err filled = ERR_OK, e = ERR_OK;
    while (filled == ERR_OK && e == ERR_OK) {
        struct import_block *b = next_block(r, file, index);
        filled = block_fill(r, b, reader);
        e = block_pass(r, b);
        progress_show(&r->progress, r->bytes_before + reader_bytes(reader), r->rows_read,
                      r->tally.outcomes[IMPORT_REFUSED]);
        if (stop_asked)
            filled = ERR_UNAVAILABLE;
    }
    e = drain(r, e);
    if (e != ERR_OK)
        return stopped(r, file, e, err_text(e));
    r->bytes_before += reader_bytes(reader);
    if (filled == ERR_ABSENT)
        return ERR_OK;
    return stopped(r, file, filled, why_stopped(reader, filled));
}

/* What the checkpoint says is done already. */
static enum err skip_rows(struct reader *reader, uint64_t rows)
{
    struct import_row row;
    while (rows-- > 0)
        TRY(reader_next(reader, &row));
    return ERR_OK;
}

static enum err run_file(struct run *r, size_t index)
{
    struct reader *reader;
    struct import_reason why;
    enum err e = inputs_take(r->inputs, index, &reader, &why);
    if (e != ERR_OK)
        return fail("", e, why.text);
    rejects_header(r->rejects, reader_header(reader));
    if (index == r->checkpoint.file_index)
        e = skip_rows(reader, r->checkpoint.file_rows);
    if (e == ERR_OK)
        e = run_reader(r, reader, index);
    else
        e = stopped(r, r->args->files[index], ERR_CONFIG, "the file is shorter than it was");
    reader_close(reader);
    return e;
}

static enum err run_files(struct run *r)
{
    for (size_t i = r->checkpoint.file_index; i < r->args->file_count; i++)
        TRY(run_file(r, i));
    return ERR_OK;
}

/* ---- the end ---- */

/* Rows read are accepted, unchanged or refused: none is lost on the way. */
static enum err balance(const struct run *r, enum err e)
{
    if (e != ERR_OK || tally_rows(&r->tally) == r->rows_read)
        return e;
    (void)fprintf(stderr, "ekpub-import: %llu rows were read, but %llu have an outcome\n",
                  (unsigned long long)r->rows_read, (unsigned long long)tally_rows(&r->tally));
    return ERR_STORE;
}

static bool all_well(const struct run *r)
{
    return r->tally.outcomes[IMPORT_REFUSED] == 0;
}

/* A first load becomes real only here. It is kept when it was interrupted, too, but not when it was
 * to be all or nothing. */
static enum err finish(struct run *r, enum err e)
{
    struct import_reason why = {""};
    const struct import_args *a = r->args;
    bool interrupted = e == ERR_UNAVAILABLE && stop_asked;
    if (!sink_is_load(r->sink))
        return e;
    if ((e == ERR_OK || interrupted) && !(a->all_or_nothing && (interrupted || !all_well(r)))) {
        enum err finished = sink_finish(r->sink, &why);
        if (finished == ERR_OK)
            return e;
        e = fail(a->data_dir, finished, why.text);
    }
    report_forget(r->report);
    r->tally.outcomes[IMPORT_NEW] = 0;
    return e == ERR_OK ? ERR_CONFLICT : e;
}

static void summarise(const struct run *r, enum err e)
{
    tally_print(&r->tally);
    if (e == ERR_CONFLICT)
        (void)printf("nothing was enrolled: it was to be all or nothing\n");
    else if (e != ERR_OK)
        (void)printf("ended early: the new rows counted here are %s, the rest was not tried; "
                     "--resume goes on\n",
                     r->dry_run ? "what would be enrolled" : "enrolled");
    if (r->dry_run)
        (void)printf("dry run: nothing was written\n");
    else if (tally_in(&r->tally) == 0)
        (void)printf("nothing changed\n");
    if (r->args->times)
        sink_print_times(r->sink);
    if (rejects_lost(r->rejects) > 0)
        (void)printf("rejects: nothing could be written of %llu refused rows\n",
                     (unsigned long long)rejects_lost(r->rejects));
    if (sink_lost_count(r->sink))
        (void)printf("dry run: only the first rows were compared with each other; "
                     "all were compared with the enrollments\n");
    (void)fflush(stdout);
}

static int status_of(const struct run *r, enum err e)
{
    uint64_t refused = r->tally.outcomes[IMPORT_REFUSED];
    if (e == ERR_CONFLICT)
        return 2;
    if (e != ERR_OK)
        return tally_in(&r->tally) > 0 ? 1 : 2;
    if (refused == 0)
        return 0;
    return refused < tally_rows(&r->tally) ? 1 : 2;
}

static int run_pass(struct run *r, bool quiet)
{
    enum err e = run_open(r);
    bool began = e == ERR_OK;
    if (began) {
        progress_begin(&r->progress, inputs_bytes(r->inputs));
        e = balance(r, run_files(r));
        if (e == ERR_OK)
            e = manifest_settle(r->args, r->rows_read);
        progress_clear(&r->progress);
        e = finish(r, e);
        if (e == ERR_OK && !r->dry_run)
            checkpoint_remove(r->checkpoint_path);
        if (!quiet || e != ERR_OK || !all_well(r))
            summarise(r, e);
    }
    enum err closed = run_close(r);
    if (closed != ERR_OK && e == ERR_OK)
        e = fail("", closed, "the report or the rejects could not be written to their end");
    return began ? status_of(r, e) : 2;
}

/* Where a first load is not possible, all or nothing takes two passes: the first one only looks. */
static int run_twice(const struct import_args *args, const struct sharedscan *shared)
{
    struct import_args looking = *args;
    looking.resume = false;
    struct run first = {.args = &looking, .shared = shared, .dry_run = true};
    int status = run_pass(&first, true);
    if (status != 0) {
        (void)printf("nothing was enrolled: it was to be all or nothing\n");
        return 2;
    }
    struct run second = {.args = args, .shared = shared};
    return run_pass(&second, false);
}

static int run_passes(const struct import_args *args, const struct sharedscan *shared)
{
    if (args->all_or_nothing && !args->dry_run)
        return run_twice(args, shared);
    struct run r = {.args = args, .shared = shared, .dry_run = args->dry_run};
    return run_pass(&r, false);
}

int import_run(const struct import_args *args)
{
    struct sharedscan *shared = NULL;
    struct import_reason why;
    if (manifest_check(args) != ERR_OK)
        return 2;
    enum err e = ERR_OK;
    if (args->shared_factors || args->resume || (args->all_or_nothing && !args->dry_run))
        e = inputs_repeatable(args->files, args->file_count, &why);
    if (e == ERR_OK && args->shared_factors)
        e = sharedscan_open(args, &shared, &why);
    int status = e == ERR_OK ? run_passes(args, shared) : 2;
    if (e != ERR_OK)
        (void)fail("", e, why.text);
    sharedscan_close(shared);
    return status;
}
