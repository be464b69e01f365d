#include "rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wire/text.h>

#include "tar.h"

#define HEADER_CAP 4096

/* Text as it came, elements of a JSON array, or files in an archive. */
enum form { FORM_TEXT, FORM_ARRAY, FORM_TAR };

struct rejects {
    FILE *out;
    enum form form;
    bool begun;    /* something is in it */
    uint64_t lost; /* rows without anything to be written */
    char header[HEADER_CAP]; /* of the rows to come */
    size_t header_len;
    bool header_due; /* not written yet */
};

static enum err refuse(enum err e, const char *why, struct import_reason *ret_reason)
{
    import_reason_set(ret_reason, "%s", why);
    return e;
}

static enum err prepare(int fd, const struct inputs *inputs, uint64_t keep,
                        struct import_reason *ret_reason)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return refuse(ERR_IO, strerror(errno), ret_reason);
    if (inputs_hold(inputs, &st))
        return refuse(ERR_DUPLICATE, "is one of the inputs", ret_reason);
    if (S_ISREG(st.st_mode) && (ftruncate(fd, (off_t)keep) != 0 || lseek(fd, 0, SEEK_END) < 0))
        return refuse(ERR_IO, strerror(errno), ret_reason);
    return ERR_OK;
}

static enum err form_of(const struct inputs *inputs, enum form *ret_form,
                        struct import_reason *ret_reason)
{
    enum import_format format;
    if (!inputs_alike(inputs, &format))
        return refuse(ERR_CONFIG, "the inputs differ in format or header: what is refused of them "
                                  "cannot be one file; import them one by one", ret_reason);
    *ret_form = format == FORMAT_JSON || format == FORMAT_JWS  ? FORM_ARRAY
                : format == FORMAT_TAR || format == FORMAT_DIR ? FORM_TAR
                                                               : FORM_TEXT;
    return ERR_OK;
}

enum err rejects_open(const char *path, const struct inputs *inputs, uint64_t keep,
                      struct rejects **ret_rejects, struct import_reason *ret_reason)
{
    enum form form;
    TRY(form_of(inputs, &form, ret_reason));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return refuse(ERR_IO, strerror(errno), ret_reason);
    enum err e = prepare(fd, inputs, keep, ret_reason);
    struct rejects *r = e == ERR_OK ? calloc(1, sizeof *r) : NULL;
    FILE *out = r == NULL ? NULL : fdopen(fd, "w");
    if (out == NULL) {
        (void)close(fd);
        free(r);
        return e != ERR_OK ? e : refuse(ERR_MEMORY, err_text(ERR_MEMORY), ret_reason);
    }
    r->out = out;
    r->form = form;
    r->begun = keep > 0;
    *ret_rejects = r;
    return ERR_OK;
}

void rejects_header(struct rejects *r, struct span header)
{
    if (r == NULL || header.len > sizeof r->header ||
        span_equal(header, span_of((const uint8_t *)r->header, r->header_len)))
        return;
    if (header.len > 0)
        memcpy(r->header, header.at, header.len);
    r->header_len = header.len;
    r->header_due = header.len > 0;
}

static bool put(FILE *out, struct span s)
{
    return fwrite(s.at, 1, s.len, out) == s.len &&
           ((s.len > 0 && s.at[s.len - 1] == '\n') || fputc('\n', out) != EOF);
}

static void json_release(json_t **value)
{
    json_decref(*value);
}

/* Bytes of a file become base64, which is what a text column would hold. */
static json_t *field_json(const struct import_row *row, unsigned column)
{
    struct span field = row->fields[column];
    char text[BASE64_LEN(IMPORT_ROW_CAP) + 1];
    struct buf out = BUF_OVER(text);
    if ((row->raw >> column & 1) == 0)
        return json_stringn((const char *)field.at, field.len);
    base64_write(&out, field);
    return json_stringn(text, out.len);
}

static bool put_json(FILE *out, const struct import_item *item)
{
    __attribute__((cleanup(json_release))) json_t *line = json_object();
    for (unsigned c = 0; c < COLUMN_COUNT; c++) {
        json_t *value = item->row.fields[c].len > 0 ? field_json(&item->row, c) : NULL;
        if (value != NULL)
            (void)json_object_set_new(line, import_column_name((enum import_column)c), value);
    }
    return json_dumpf(line, out, JSON_COMPACT) == 0 && fputc('\n', out) != EOF;
}

static bool has_fields(const struct import_row *row)
{
    for (unsigned c = 0; c < COLUMN_COUNT; c++)
        if (row->fields[c].len > 0)
            return row->broken.text[0] == 0;
    return false;
}

static bool put_element(struct rejects *r, struct span element)
{
    while (element.len > 0 && element.at[element.len - 1] == '\n')
        element.len--;
    return fputs(r->begun ? ",\n" : "[\n", r->out) != EOF &&
           fwrite(element.at, 1, element.len, r->out) == element.len;
}

static bool put_text(struct rejects *r, const struct import_item *item)
{
    if (r->header_due && !r->begun &&
        !put(r->out, span_of((const uint8_t *)r->header, r->header_len)))
        return false;
    r->header_due = false;
    return item->row.origin.len > 0 ? put(r->out, item->row.origin) : put_json(r->out, item);
}

/* Only what is text may come as a line of JSON where it cannot come as it was. */
static bool put_row(struct rejects *r, const struct import_item *item)
{
    struct span origin = item->row.origin;
    bool good;
    if (origin.len == 0 && (r->form != FORM_TEXT || r->header_len > 0 || !has_fields(&item->row))) {
        r->lost++;
        return true;
    }
    if (r->form == FORM_TEXT)
        good = put_text(r, item);
    else if (r->form == FORM_ARRAY)
        good = put_element(r, origin);
    else
        good = fwrite(origin.at, 1, origin.len, r->out) == origin.len;
    r->begun = true;
    return good;
}

enum err rejects_block(struct rejects *r, const struct import_block *b)
{
    if (r == NULL)
        return ERR_OK;
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].outcome == IMPORT_REFUSED && !put_row(r, &b->items[i]))
            return ERR_IO;
    return fflush(r->out) == 0 ? ERR_OK : ERR_IO;
}

uint64_t rejects_lost(const struct rejects *r)
{
    return r == NULL ? 0 : r->lost;
}

enum err rejects_sync(struct rejects *r, uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    if (r == NULL)
        return ERR_OK;
    if (fflush(r->out) != 0 || (fsync(fileno(r->out)) != 0 && errno != EINVAL && errno != EROFS))
        return ERR_IO;
    off_t at = ftello(r->out);
    *ret_bytes = at > 0 ? (uint64_t)at : 0;
    return ERR_OK;
}

/* What the next run with --resume cuts off again. */
static bool put_end(struct rejects *r)
{
    static const uint8_t zeros[TAR_END_LEN];
    if (!r->begun)
        return true;
    return r->form == FORM_TEXT    ? true
           : r->form == FORM_ARRAY ? fputs("\n]\n", r->out) != EOF
                                   : fwrite(zeros, 1, sizeof zeros, r->out) == sizeof zeros;
}

enum err rejects_close(struct rejects *r)
{
    if (r == NULL)
        return ERR_OK;
    bool ok = put_end(r);
    ok = fclose(r->out) == 0 && ok;
    free(r);
    return ok ? ERR_OK : ERR_IO;
}
