#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "inputs.h"
#include "progress.h"
#include "report.h"
#include "sink.h"

#define SHOWN_WITH_REPORT 20 /* refusals on the terminal, when the report has them all */

struct run {
    const struct import_args *args;
    struct inputs *inputs;
    struct checkers *checkers;
    struct sink *sink;
    struct report *report;
    struct import_block *block;
    struct progress progress;
    uint64_t bytes_before; /* of the files that are done */
    uint64_t outcomes[IMPORT_REFUSED + 1];
    bool sampled; /* some rows were checked with CHECK_SOME */
};

static volatile sig_atomic_t stop_asked;

void import_stop(void)
{
    stop_asked = 1;
}

static uint64_t rows_of(const struct run *r)
{
    return r->outcomes[IMPORT_NEW] + r->outcomes[IMPORT_SAME] + r->outcomes[IMPORT_REFUSED];
}

/* ---- setting up and tearing down ---- */

static enum err fail(const char *what, enum err e, const char *why)
{
    char safe[300];
    import_text_safe(span_text(what), safe, sizeof safe);
    (void)fprintf(stderr, "ekpub-import: %s%s%s\n", safe, what[0] != 0 ? ": " : "", why);
    return e;
}

/* Everything that can be wrong before the first row. */
static enum err run_open(struct run *r)
{
    const struct import_args *a = r->args;
    struct import_reason why;
    enum err e = inputs_open(a->files, a->file_count, a->reading, &r->inputs, &why);
    if (e != ERR_OK)
        return fail("", e, why.text);
    e = sink_open(a->data_dir, a->files, a->dry_run, &r->sink, &why);
    if (e != ERR_OK)
        return fail(a->data_dir, e, why.text);
    r->block = malloc(sizeof *r->block);
    e = r->block == NULL ? ERR_MEMORY : checkers_open(&r->checkers);
    if (e != ERR_OK)
        return fail("", e, err_text(e));
    e = a->report == NULL ? ERR_OK : report_open(a->report, r->inputs, &r->report, &why);
    return e == ERR_OK ? e : fail(a->report, e, why.text);
}

static enum err run_close(struct run *r)
{
    sink_close(r->sink);
    checkers_close(r->checkers);
    inputs_close(r->inputs);
    free(r->block);
    return report_close(r->report);
}

/* ---- rows ---- */

static void show_refusals(struct run *r)
{
    const struct import_block *b = r->block;
    char file[300];
    import_text_safe(span_text(b->file), file, sizeof file);
    for (size_t i = 0; i < b->count; i++) {
        const struct import_item *item = &b->items[i];
        if (item->outcome != IMPORT_REFUSED)
            continue;
        uint64_t shown = r->outcomes[IMPORT_REFUSED]++;
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

static enum err block_finish(struct run *r)
{
    struct import_block *b = r->block;
    if (b->count == 0)
        return ERR_OK;
    r->sampled = r->sampled || b->rows_before >= CHECK_THOROUGH_ROWS;
    checkers_run(r->checkers, b, (int64_t)time(NULL));
    TRY(sink_write(r->sink, b));
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].outcome != IMPORT_REFUSED)
            r->outcomes[b->items[i].outcome]++;
    show_refusals(r);
    enum err e = report_block(r->report, b);
    return e == ERR_OK ? e : fail(r->args->report, e, "the report cannot be written");
}

/* ERR_ABSENT when the file has no more. */
static enum err block_fill(struct run *r, struct reader *reader)
{
    while (import_block_has_room(r->block)) {
        struct import_row row;
        TRY(reader_next(reader, &row));
        import_block_add(r->block, &row);
    }
    return ERR_OK;
}

static enum err stopped(struct run *r, enum err e, const char *why)
{
    char file[300];
    progress_clear(&r->progress);
    import_text_safe(span_text(r->block->file), file, sizeof file);
    (void)fprintf(stderr, "ekpub-import: stopped in %s after %llu rows: %s\n", file,
                  (unsigned long long)rows_of(r), stop_asked ? "interrupted" : why);
    return e;
}

static enum err run_reader(struct run *r, struct reader *reader, size_t index)
{
    enum err filled = ERR_OK;
    while (filled == ERR_OK) {
        import_block_clear(r->block, r->args->files[index], index, rows_of(r));
        filled = block_fill(r, reader);
        enum err e = block_finish(r);
        if (e == ERR_OK && stop_asked)
            e = ERR_UNAVAILABLE;
        if (e != ERR_OK)
            return stopped(r, e, err_text(e));
        progress_show(&r->progress, r->bytes_before + reader_bytes(reader), rows_of(r),
                      r->outcomes[IMPORT_REFUSED]);
    }
    r->bytes_before += reader_bytes(reader);
    return filled == ERR_ABSENT ? ERR_OK
                                : stopped(r, filled, filled == ERR_IO ? reader_why(reader)
                                                                      : err_text(filled));
}

static enum err run_files(struct run *r)
{
    for (size_t i = 0; i < r->args->file_count; i++) {
        struct reader *reader;
        struct import_reason why;
        enum err e = inputs_take(r->inputs, i, &reader, &why);
        if (e != ERR_OK)
            return fail("", e, why.text);
        e = run_reader(r, reader, i);
        reader_close(reader);
        TRY(e);
    }
    return ERR_OK;
}

/* ---- the end ---- */

static void summarise(const struct run *r, enum err e)
{
    (void)printf("rows %llu, new %llu, same %llu, refused %llu\n", (unsigned long long)rows_of(r),
                 (unsigned long long)r->outcomes[IMPORT_NEW],
                 (unsigned long long)r->outcomes[IMPORT_SAME],
                 (unsigned long long)r->outcomes[IMPORT_REFUSED]);
    if (e != ERR_OK)
        (void)printf("ended early: the new rows counted here are %s, the rest was not tried\n",
                     r->args->dry_run ? "what would be enrolled" : "enrolled");
    if (r->args->dry_run)
        (void)printf("dry run: nothing was written\n");
    else if (r->outcomes[IMPORT_NEW] == 0)
        (void)printf("nothing changed\n");
    if (sink_lost_count(r->sink))
        (void)printf("dry run: only the first rows were compared with each other; "
                     "all were compared with the enrollments\n");
    if (r->sampled)
        (void)printf(
            "of RSA keys past the first %d rows, one in %d was searched for a prime modulus; "
            "all other checks were made on each\n",
            CHECK_THOROUGH_ROWS, CHECK_SAMPLE);
    (void)fflush(stdout);
}

static int status_of(const struct run *r, enum err e)
{
    uint64_t refused = r->outcomes[IMPORT_REFUSED];
    if (e != ERR_OK)
        return r->outcomes[IMPORT_NEW] > 0 ? 1 : 2;
    if (refused == 0)
        return 0;
    return refused < rows_of(r) ? 1 : 2;
}

int import_run(const struct import_args *args)
{
    struct run r = {.args = args};
    enum err e = run_open(&r);
    bool began = e == ERR_OK;
    if (began) {
        progress_begin(&r.progress, inputs_bytes(r.inputs));
        e = run_files(&r);
        progress_clear(&r.progress);
        summarise(&r, e);
    }
    enum err closed = run_close(&r);
    if (closed != ERR_OK && e == ERR_OK)
        e = fail(args->report, closed, "the report could not be written to its end");
    return began ? status_of(&r, e) : 2;
}
