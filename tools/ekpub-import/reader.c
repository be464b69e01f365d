#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "dir.h"
#include "filerow.h"
#include "guess.h"
#include "jsonarray.h"
#include "jsonl.h"
#include "jws.h"
#include "pair.h"
#include "pem.h"
#include "tar.h"
#include "windows.h"

struct reader {
    const struct reader_options *options;
    enum import_format format;
    struct dir *dir; /* then there is no source */
    struct jws_signers *signers;
    struct jsonarray array;
    struct source source;
    struct pair pair;
    union {
        struct csv csv;
        struct jsonl jsonl;
        struct jws jws;
        struct tar tar;
        struct windows windows;
    };
};

/* ---- formats by name ---- */

static const struct {
    const char *name;
    enum import_format format;
} names[] = {
    {"auto", FORMAT_AUTO}, {"csv", FORMAT_CSV},   {"jsonl", FORMAT_JSONL},
    {"json", FORMAT_JSON}, {"pem", FORMAT_PEM},   {"key", FORMAT_KEY},
    {"der", FORMAT_KEY},   {"tpm2b", FORMAT_KEY}, {"tpmt", FORMAT_KEY},
    {"tar", FORMAT_TAR},   {"dir", FORMAT_DIR},   {"windows", FORMAT_WINDOWS},
    {"jws", FORMAT_JWS},
};

enum import_format import_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].format;
    return FORMAT_COUNT;
}

const char *import_format_name(enum import_format f)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].format == f)
            return names[i].name;
    return "unknown";
}

/* ---- beginning ---- */

static enum err skip_mark(struct source *s)
{
    struct span window;
    TRY(source_window(s, 3, &window));
    if (span_starts_with(window, SPAN_LITERAL("\xef\xbb\xbf")))
        source_take(s, 3);
    return ERR_OK;
}

static enum err guess(struct reader *r)
{
    struct span window;
    TRY(source_window(&r->source, IMPORT_ROW_CAP, &window));
    r->format = import_format_guess(window);
    return ERR_OK;
}

static enum err begin_jws(struct reader *r, struct import_reason *ret_reason)
{
    const struct reader_options *o = r->options;
    if (o->signer_count == 0) {
        import_reason_set(ret_reason, "is a signed manifest: --signer must say who signs it");
        return ERR_CONFIG;
    }
    TRY(jws_signers_open(o->signers, o->signer_count, &r->signers, ret_reason));
    r->jws.map = &o->map;
    r->jws.signers = r->signers;
    return ERR_OK;
}

static enum err begin_format(struct reader *r, struct import_reason *ret_reason)
{
    switch (r->format) {
    case FORMAT_CSV:
        return csv_begin(&r->csv, &r->source, &r->options->map, ret_reason);
    case FORMAT_JSONL:
    case FORMAT_JSON:
        r->jsonl.map = &r->options->map;
        return ERR_OK;
    case FORMAT_WINDOWS:
        r->windows.map = &r->options->map;
        return ERR_OK;
    case FORMAT_JWS:
        return begin_jws(r, ret_reason);
    case FORMAT_DIR:
        import_reason_set(ret_reason, "is not a directory");
        return ERR_CONFIG;
    default:
        return ERR_OK;
    }
}

static enum err begin(struct reader *r, const char *path, struct import_reason *ret_reason)
{
    enum err e = strcmp(path, "-") == 0 ? ERR_ABSENT : dir_open(path, &r->dir, ret_reason);
    r->source.fd = -1;
    if (e != ERR_ABSENT) {
        r->format = FORMAT_DIR;
        return e;
    }
    TRY(source_open(&r->source, path, ret_reason));
    e = skip_mark(&r->source);
    if (e == ERR_OK && r->format == FORMAT_AUTO)
        e = guess(r);
    if (e == ERR_OK)
        e = begin_format(r, ret_reason);
    if (e == ERR_IO && r->source.why.text[0] != 0)
        *ret_reason = r->source.why;
    return e;
}

enum err reader_open(const char *path, const struct reader_options *options,
                     struct reader **ret_reader, struct import_reason *ret_reason)
{
    struct reader *r = calloc(1, sizeof *r);
    import_reason_set(ret_reason, "%s", err_text(r == NULL ? ERR_MEMORY : ERR_IO));
    if (r == NULL)
        return ERR_MEMORY;
    r->options = options;
    r->format = options->format;
    enum err e = begin(r, path, ret_reason);
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
    if (r->dir == NULL)
        source_close(&r->source);
    dir_close(r->dir);
    jws_signers_close(r->signers);
    free(r);
}

/* ---- rows ---- */

/* A file that is one key. */
static enum err next_key(struct reader *r, struct import_row *ret_row)
{
    struct span window;
    TRY(source_window(&r->source, FILEROW_CAP + 1, &window));
    if (window.len == 0)
        return ERR_ABSENT;
    struct import_row row = {.line = 1};
    if (window.len <= FILEROW_CAP) {
        filerow_read(window, &row);
        source_take(&r->source, window.len);
    } else {
        import_reason_set(&row.broken, "the file is too long for a key");
        TRY(source_skip(&r->source, UINT64_MAX));
    }
    *ret_row = row;
    return ERR_OK;
}

static enum err next_element(struct reader *r, struct import_row *ret_row)
{
    struct span element;
    struct import_row row = {0};
    TRY(jsonarray_next(&r->array, &r->source, &element, &row.line));
    row.origin = element;
    if (element.len == 0)
        import_reason_set(&row.broken, "the element is longer than %d bytes", IMPORT_ROW_CAP);
    else if (r->format == FORMAT_JWS)
        jws_row_read(&r->jws, element, &row);
    else
        jsonl_row_read(&r->jsonl, element, &row);
    *ret_row = row;
    return ERR_OK;
}

/* Those where a key and its certificate may stand apart. */
static enum err next_half(void *context, struct import_row *ret_row)
{
    struct reader *r = context;
    if (r->format == FORMAT_DIR)
        return dir_next(r->dir, ret_row);
    return r->format == FORMAT_TAR ? tar_next(&r->tar, &r->source, ret_row)
                                   : pem_next(&r->source, ret_row);
}

enum err reader_next(struct reader *r, struct import_row *ret_row)
{
    switch (r->format) {
    case FORMAT_CSV:
        return csv_next(&r->csv, &r->source, ret_row);
    case FORMAT_JSONL:
        return jsonl_next(&r->jsonl, &r->source, ret_row);
    case FORMAT_WINDOWS:
        return windows_next(&r->windows, &r->source, ret_row);
    case FORMAT_KEY:
        return next_key(r, ret_row);
    case FORMAT_JSON:
    case FORMAT_JWS:
        return next_element(r, ret_row);
    default:
        return pair_next(&r->pair, next_half, r, ret_row);
    }
}

struct span reader_header(const struct reader *r)
{
    return r->format == FORMAT_CSV ? span_of(r->csv.header, r->csv.header_len) : span_of(NULL, 0);
}

const char *reader_why(const struct reader *r)
{
    return r->source.why.text[0] != 0 ? r->source.why.text : err_text(ERR_IO);
}

uint64_t reader_bytes(const struct reader *r)
{
    return r->dir != NULL ? 0 : source_progress(&r->source);
}

enum import_format reader_format(const struct reader *r)
{
    return r->format;
}
