#include "tar.h"

#include <string.h>

/* POSIX.1-2017, pax: the ustar header's fields. */
enum {
    NAME_AT = 0,
    NAME_LEN = 100,
    MODE_AT = 100,
    OWNER_AT = 108,
    GROUP_AT = 116,
    SIZE_AT = 124,
    SIZE_LEN = 12,
    TIME_AT = 136,
    SUM_AT = 148,
    SUM_LEN = 8,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    PREFIX_LEN = 155
};

static enum err fail(struct source *s, const char *why)
{
    import_reason_set(&s->why, "%s", why);
    return ERR_IO;
}

/* ---- one header ---- */

/* Octal digits, after spaces and up to a space or NUL; or, as GNU has it for what is too big, a
 * binary number. */
static bool read_number(struct span field, uint64_t *ret_number)
{
    uint64_t n = 0;
    size_t i = 0;
    if (field.at[0] == 0x80) {
        for (i = 1; i < field.len; i++) {
            if (n >> 55 != 0)
                return false;
            n = n << 8 | field.at[i];
        }
        *ret_number = n;
        return true;
    }
    while (i < field.len && field.at[i] == ' ')
        i++;
    size_t first = i;
    for (; i < field.len && field.at[i] >= '0' && field.at[i] <= '7'; i++)
        n = n << 3 | (uint64_t)(field.at[i] - '0');
    *ret_number = n;
    return i > first && (i == field.len || field.at[i] == ' ' || field.at[i] == 0);
}

bool tar_is_header(struct span block)
{
    uint64_t want;
    if (block.len < TAR_BLOCK || !read_number(span_slice(block, SUM_AT, SUM_LEN), &want))
        return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + SUM_LEN ? ' ' : block.at[i];
    return sum == want;
}

static bool is_zero(struct span block)
{
    for (size_t i = 0; i < block.len; i++)
        if (block.at[i] != 0)
            return false;
    return true;
}

static struct span text_field(struct span block, size_t at, size_t len)
{
    struct span field = span_slice(block, at, len);
    return span_cut(&field, 0);
}

static void put_name(struct tar *t, struct span name)
{
    t->name_len = name.len < TAR_NAME_CAP ? name.len : TAR_NAME_CAP;
    memcpy(t->name, name.at, t->name_len);
}

/* The name of the header's own, unless one came before it. */
static void take_name(struct tar *t, struct span block)
{
    if (t->name_len > 0)
        return;
    put_name(t, text_field(block, NAME_AT, NAME_LEN));
    /* The prefix holds directories only, which the id leaves out. */
}

/* ---- what precedes a header: a long name, or pax records "LEN KEY=VALUE\n" ---- */

static bool pax_record(struct span *rest, struct span *ret_key, struct span *ret_value)
{
    struct span after = *rest;
    struct span digits = span_cut(&after, ' ');
    size_t len = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9' || len > TAR_NAME_CAP * 16)
            return false;
        len = len * 10 + (size_t)(digits.at[i] - '0');
    }
    if (after.at == NULL || len < digits.len + 3 || len > rest->len || rest->at[len - 1] != '\n')
        return false;
    struct span record = span_slice(*rest, digits.len + 1, len - digits.len - 2);
    *rest = span_slice(*rest, len, rest->len);
    *ret_key = span_cut(&record, '=');
    *ret_value = record;
    return record.at != NULL;
}

static bool pax_read(struct tar *t, struct span data, uint64_t *size, bool *has_size)
{
    struct span key, value;
    while (data.len > 0) {
        if (!pax_record(&data, &key, &value))
            return false;
        if (span_equal(key, SPAN_LITERAL("path")))
            put_name(t, value);
        if (!span_equal(key, SPAN_LITERAL("size")))
            continue;
        *size = 0;
        *has_size = true;
        for (size_t i = 0; i < value.len; i++) {
            if (value.at[i] < '0' || value.at[i] > '9' || *size > UINT64_MAX / 100)
                return false;
            *size = *size * 10 + (uint64_t)(value.at[i] - '0');
        }
    }
    return true;
}

/* ---- writing ---- */

static uint64_t padded(uint64_t size)
{
    return (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

static void put_octal(uint8_t *at, size_t len, uint64_t n)
{
    for (size_t i = len - 1; i-- > 0; n >>= 3)
        at[i] = (uint8_t)('0' + (n & 7));
}

static void write_header(struct buf *out, char type, struct span name, size_t size)
{
    uint8_t *block = buf_reserve(out, TAR_BLOCK);
    unsigned sum = 0;
    if (block == NULL)
        return;
    memset(block, 0, TAR_BLOCK);
    memcpy(block + NAME_AT, name.at, name.len < NAME_LEN ? name.len : NAME_LEN);
    memcpy(block + MODE_AT, "0000600", 7);
    put_octal(block + OWNER_AT, 8, 0);
    put_octal(block + GROUP_AT, 8, 0);
    put_octal(block + SIZE_AT, SIZE_LEN, size);
    put_octal(block + TIME_AT, SIZE_LEN, 0);
    memset(block + SUM_AT, ' ', SUM_LEN);
    block[TYPE_AT] = (uint8_t)type;
    memcpy(block + MAGIC_AT, "ustar\00000", 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    put_octal(block + SUM_AT, SUM_LEN - 1, sum);
    block[SUM_AT + SUM_LEN - 2] = 0;
}

static void write_padded(struct buf *out, struct span data)
{
    static const uint8_t zeros[TAR_BLOCK];
    buf_put(out, data);
    buf_put(out, span_of(zeros, padded(data.len) - data.len));
}

static size_t digits_of(size_t n)
{
    size_t digits = 1;
    for (; n >= 10; n /= 10)
        digits++;
    return digits;
}

/* The record counts its own length, digits included. */
static void write_long_name(struct buf *out, struct span name)
{
    uint8_t bytes[TAR_NAME_CAP + 32];
    struct buf record = BUF_OVER(bytes);
    size_t rest = strlen(" path=\n") + name.len, len = rest;
    while (len != rest + digits_of(len))
        len = rest + digits_of(len);
    buf_put_decimal(&record, (int64_t)len);
    buf_put_text(&record, " path=");
    buf_put(&record, name);
    buf_put_text(&record, "\n");
    out->full = out->full || record.full;
    write_header(out, 'x', SPAN_LITERAL("pax"), record.len);
    write_padded(out, buf_span(&record));
}

static bool leads_out(struct span name)
{
    bool out = name.len > 0 && name.at[0] == '/';
    while (name.at != NULL && !out)
        out = span_equal(span_cut(&name, '/'), SPAN_LITERAL(".."));
    return out;
}

static struct span last_part(struct span name)
{
    struct span part = name;
    while (name.at != NULL)
        part = span_cut(&name, '/');
    return part;
}

void tar_entry_write(struct buf *out, struct span name, struct span content)
{
    if (leads_out(name))
        name = last_part(name);
    if (name.len > NAME_LEN)
        write_long_name(out, name);
    write_header(out, '0', name, content.len);
    write_padded(out, content);
}

void tar_row_read(struct span name, struct span content, uint8_t entry[IMPORT_ROW_CAP],
                  struct import_row *row)
{
    struct buf out = buf_over(entry, IMPORT_ROW_CAP);
    tar_entry_write(&out, name, content);
    if (!out.full) {
        row->origin = buf_span(&out);
        content.at = entry + out.len - padded(content.len);
    }
    filerow_read(content, row);
}

/* ---- entries ---- */

struct entry {
    char type;
    uint64_t size;
    bool has_size; /* from a pax header */
};

/* ERR_ABSENT at the end mark. Does not consume the header. */
static enum err read_header(struct tar *t, struct source *s, struct entry *e)
{
    struct span window;
    uint64_t size;
    TRY(source_window(s, TAR_BLOCK, &window));
    if (window.len == 0)
        return fail(s, "the tar archive has no end mark: it may be cut off");
    if (window.len < TAR_BLOCK)
        return fail(s, "the tar archive is cut off");
    window = span_slice(window, 0, TAR_BLOCK);
    if (is_zero(window))
        return ERR_ABSENT;
    if (!tar_is_header(window) || !read_number(span_slice(window, SIZE_AT, SIZE_LEN), &size) ||
        size > UINT64_MAX / 2)
        return fail(s, "the tar archive is damaged");
    e->type = (char)window.at[TYPE_AT];
    if (!e->has_size)
        e->size = size;
    if (e->type != 'L' && e->type != 'x')
        take_name(t, window);
    return ERR_OK;
}

/* A header and what it is about, whole in the window, not consumed. */
static enum err window_whole(struct source *s, uint64_t size, struct span *ret_data)
{
    struct span window;
    TRY(source_window(s, TAR_BLOCK + (size_t)padded(size), &window));
    if (window.len < TAR_BLOCK + padded(size))
        return fail(s, "the tar archive is cut off");
    *ret_data = span_slice(window, TAR_BLOCK, (size_t)size);
    return ERR_OK;
}

/* Skips without noticing an end: the header behind it will be missed. */
static enum err skip_entry(struct source *s, uint64_t size)
{
    return source_skip(s, TAR_BLOCK + padded(size));
}

static enum err read_extra(struct tar *t, struct source *s, struct entry *e)
{
    struct span data;
    uint64_t own_size = e->size;
    if (own_size > FILEROW_CAP)
        return fail(s, "the tar archive has an oversized header");
    TRY(window_whole(s, own_size, &data));
    if (e->type == 'L')
        put_name(t, span_cut(&data, 0));
    else if (!pax_read(t, data, &e->size, &e->has_size))
        return fail(s, "the tar archive has a damaged pax header");
    return skip_entry(s, own_size);
}

/* Any number of headers up to that of an entry. */
static enum err find_entry(struct tar *t, struct source *s, struct entry *e)
{
    *e = (struct entry){0};
    t->name_len = 0;
    for (;;) {
        TRY(read_header(t, s, e));
        if (e->type == 'L' || e->type == 'x')
            TRY(read_extra(t, s, e));
        else if (e->type == 'g' || e->type == 'K')
            TRY(skip_entry(s, e->size));
        else
            return ERR_OK;
    }
}

static bool is_file(const struct entry *e)
{
    return e->type == '0' || e->type == 0 || e->type == '7';
}

enum err tar_next(struct tar *t, struct source *s, struct import_row *ret_row)
{
    struct entry e;
    struct span name;
    do {
        TRY(find_entry(t, s, &e));
        t->entries++;
        name = span_of(t->name, t->name_len);
        if (e.type == '5' || filerow_is_hidden(name))
            TRY(skip_entry(s, e.size));
    } while (e.type == '5' || filerow_is_hidden(name));
    struct import_row row = {.line = t->entries};
    row.fields[COLUMN_REGISTRATION_ID] = filerow_id(name);
    if (is_file(&e) && e.size <= FILEROW_CAP) {
        struct span content;
        TRY(window_whole(s, e.size, &content));
        tar_row_read(name, content, t->entry, &row);
        source_take(s, TAR_BLOCK + (size_t)padded(e.size));
    } else {
        import_reason_set(&row.broken, "%s",
                          is_file(&e) ? "the file is too long for a key" : "not a regular file");
        TRY(skip_entry(s, is_file(&e) ? e.size : 0));
    }
    *ret_row = row;
    return ERR_OK;
}
