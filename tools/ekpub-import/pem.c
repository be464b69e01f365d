#include "pem.h"

#include <string.h>

static const struct span begin_mark = {(const uint8_t *)"-----BEGIN ", 11};
static const struct span end_mark = {(const uint8_t *)"-----END ", 9};

static bool is_line_start(struct span text, size_t at)
{
    return at == 0 || text.at[at - 1] == '\n' || text.at[at - 1] == '\r';
}

/* Where the mark stands at the beginning of a line; text.len if nowhere. */
static size_t find_mark(struct span text, size_t from, struct span mark)
{
    while (from < text.len) {
        const uint8_t *at = memmem(text.at + from, text.len - from, mark.at, mark.len);
        if (at == NULL)
            return text.len;
        from = (size_t)(at - text.at);
        if (is_line_start(text, from))
            return from;
        from++;
    }
    return text.len;
}

bool pem_is_text(struct span text)
{
    return find_mark(text, 0, begin_mark) < text.len;
}

/* How long the block is that the text begins with, its last line break included; 0: it does not
 * end before the text or another block does. */
static size_t block_len(struct span text)
{
    size_t end = find_mark(text, begin_mark.len, end_mark);
    if (end == text.len || find_mark(text, begin_mark.len, begin_mark) < end)
        return 0;
    const uint8_t *line_end = memchr(text.at + end, '\n', text.len - end);
    return line_end != NULL ? (size_t)(line_end - text.at) + 1 : text.len;
}

bool pem_block_take(struct span *text, struct span *ret_block)
{
    for (;;) {
        size_t at = find_mark(*text, 0, begin_mark);
        if (at == text->len)
            return false;
        struct span rest = span_slice(*text, at, text->len);
        size_t len = block_len(rest);
        *text = span_slice(rest, len > 0 ? len : begin_mark.len, rest.len);
        *ret_block = span_slice(rest, 0, len > 0 ? len : rest.len);
        return true;
    }
}

bool pem_is_certificate(struct span block)
{
    struct span line = block;
    line = span_cut(&line, '\n');
    return memmem(line.at, line.len, "CERTIFICATE", 11) != NULL;
}

/* Consumes what is no block. ERR_ABSENT at the end. */
static enum err find_block(struct source *s, struct span *ret_window)
{
    for (;;) {
        TRY(source_window(s, IMPORT_ROW_CAP, ret_window));
        if (ret_window->len == 0)
            return ERR_ABSENT;
        if (span_starts_with(*ret_window, begin_mark))
            return ERR_OK;
        TRY(source_skip_line(s));
    }
}

/* What is there of a block that does not end: up to the next one. Empty if that is too long. */
static struct span torn_block(const struct source *s, struct span window)
{
    size_t next = find_mark(window, begin_mark.len, begin_mark);
    bool known = next < window.len || s->end;
    return span_slice(window, 0, known && next <= IMPORT_ROW_CAP ? next : 0);
}

enum err pem_next(struct source *s, struct import_row *ret_row)
{
    struct span window;
    TRY(find_block(s, &window));
    struct import_row row = {.line = s->line};
    size_t len = block_len(span_slice(window, 0, IMPORT_ROW_CAP));
    if (len > 0) {
        row.fields[COLUMN_ENDORSEMENT_KEY] = row.origin = span_slice(window, 0, len);
        source_take(s, len);
    } else {
        import_reason_set(&row.broken, "the PEM block does not end");
        row.origin = torn_block(s, window);
        if (row.origin.len > 0)
            source_take(s, row.origin.len);
        else
            TRY(source_skip_line(s));
    }
    *ret_row = row;
    return ERR_OK;
}
