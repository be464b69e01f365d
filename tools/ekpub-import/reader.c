#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "jsonl.h"

struct reader {
    struct source source;
    enum import_format format;
    union {
        struct csv csv;
        struct jsonl jsonl;
    };
};

/* Steps over a byte order mark; UTF-16, which spreadsheets like to write, is told apart from
 * nonsense. */
static enum err skip_mark(struct source *s, struct import_reason *ret_reason)
{
    struct span window;
    TRY(source_window(s, 3, &window));
    if (span_starts_with(window, SPAN_LITERAL("\xff\xfe")) ||
        span_starts_with(window, SPAN_LITERAL("\xfe\xff"))) {
        import_reason_set(ret_reason, "is UTF-16, not UTF-8");
        return ERR_CONFIG;
    }
    if (span_starts_with(window, SPAN_LITERAL("\xef\xbb\xbf")))
        source_take(s, 3);
    return ERR_OK;
}

static enum err guess_format(struct source *s, enum import_format *ret_format)
{
    struct span window;
    TRY(source_window(s, IMPORT_ROW_CAP, &window));
    size_t i = 0;
    while (i < window.len && memchr(" \t\r\n", window.at[i], 4) != NULL)
        i++;
    *ret_format = i < window.len && window.at[i] == '{' ? FORMAT_JSONL : FORMAT_CSV;
    return ERR_OK;
}

static enum err begin(struct reader *r, struct import_reason *ret_reason)
{
    TRY(skip_mark(&r->source, ret_reason));
    if (r->format == FORMAT_AUTO)
        TRY(guess_format(&r->source, &r->format));
    return r->format == FORMAT_CSV ? csv_begin(&r->csv, &r->source, ret_reason) : ERR_OK;
}

enum err reader_open(const char *path, enum import_format format, struct reader **ret_reader,
                     struct import_reason *ret_reason)
{
    struct reader *r = calloc(1, sizeof *r);
    import_reason_set(ret_reason, "%s", err_text(r == NULL ? ERR_MEMORY : ERR_IO));
    if (r == NULL)
        return ERR_MEMORY;
    r->format = format;
    enum err e = source_open(&r->source, path, ret_reason);
    if (e == ERR_OK)
        e = begin(r, ret_reason);
    if (e != ERR_OK) {
        reader_close(r);
        return e;
    }
    *ret_reader = r;
    return ERR_OK;
}

void reader_close(struct reader *r)
{
    if (r == NULL)
        return;
    source_close(&r->source);
    free(r);
}

enum err reader_next(struct reader *r, struct import_row *ret_row)
{
    return r->format == FORMAT_CSV ? csv_next(&r->csv, &r->source, ret_row)
                                   : jsonl_next(&r->jsonl, &r->source, ret_row);
}

uint64_t reader_bytes(const struct reader *r)
{
    return r->source.taken;
}
