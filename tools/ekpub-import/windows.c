#include "windows.h"

#include <string.h>

#define NAMES_MAX 32     /* of one record; the cmdlet has five */
#define KEY_BYTES_MIN 64 /* less is no key, whatever its digits */

static struct span trim(struct span s)
{
    while (s.len > 0 && memchr(" \t\r\n", s.at[0], 4) != NULL)
        s = span_slice(s, 1, s.len);
    while (s.len > 0 && memchr(" \t\r\n", s.at[s.len - 1], 4) != NULL)
        s.len--;
    return s;
}

/* "Name   : value"; names begin in the first column, what continues a value does not. */
static bool read_line(struct span line, struct span *ret_name, struct span *ret_value)
{
    if (line.len == 0 || memchr(" \t\r-", line.at[0], 4) != NULL)
        return false;
    struct span value = line;
    struct span name = trim(span_cut(&value, ':'));
    if (value.at == NULL || name.len == 0 || memchr(name.at, ' ', name.len) != NULL)
        return false;
    *ret_name = name;
    *ret_value = trim(value);
    return true;
}

static bool is_name(struct span name, const char *text)
{
    return span_equal_ignoring_case(name, span_text(text));
}

bool windows_is_output(struct span text)
{
    bool present = false;
    while (text.at != NULL && text.len > 0) {
        struct span name, value;
        if (!read_line(span_cut(&text, '\n'), &name, &value))
            continue;
        present = present || is_name(name, "IsPresent");
        if (present && (is_name(name, "PublicKey") || is_name(name, "PublicKeyHash")))
            return true;
    }
    return false;
}

/* ---- values ---- */

static bool is_between(uint8_t c)
{
    return memchr(" \t\r\n-:{}", c, 8) != NULL;
}

/* Hexadecimal, in any of the ways it is printed: spaces, line breaks, dashes or colons between. */
static bool hex_read(struct span text, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t begin = out->len, count = 0;
    uint8_t byte = 0;
    bool good = true;
    for (size_t i = 0; good && i < text.len; i++) {
        const char *digit = memchr(digits, text.at[i] | 0x20, 16);
        if (is_between(text.at[i]))
            continue;
        good = digit != NULL && text.at[i] >= '0' && !out->full;
        byte = (uint8_t)(byte << 4 | (good ? digit - digits : 0));
        if (good && ++count % 2 == 0)
            buf_put_u8(out, byte);
    }
    good = good && count % 2 == 0 && count >= 2 * KEY_BYTES_MIN && !out->full;
    if (!good)
        out->len = begin;
    return good;
}

static void put_base64(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++)
        if (memchr(" \t\r\n{}", text.at[i], 6) == NULL)
            buf_put_u8(out, text.at[i]);
}

/* A value that should be bytes; false: it is not. */
static bool take_bytes(struct buf *scratch, struct span value, enum import_column column,
                       struct import_row *row)
{
    size_t begin = scratch->len;
    value = trim(value);
    if (hex_read(value, scratch))
        row->raw |= 1u << column;
    else if (span_starts_with(value, SPAN_LITERAL("-----BEGIN ")))
        buf_put(scratch, value);
    else if (value.len >= KEY_BYTES_MIN && memchr(value.at, '[', value.len) == NULL &&
             memchr(value.at, ',', value.len) == NULL && memchr(value.at, '.', value.len) == NULL)
        put_base64(value, scratch);
    else
        return false;
    row->fields[column] = span_of(scratch->at + begin, scratch->len - begin);
    return true;
}

/* ---- records ---- */

/* The next line with a name, and its value with the lines that continue it. */
static bool take_entry(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    while (rest->at != NULL && rest->len > 0) {
        if (!read_line(span_cut(rest, '\n'), ret_name, ret_value))
            continue;
        struct span after = *rest, name, value;
        while (after.at != NULL && after.len > 0) {
            struct span line = span_cut(&after, '\n');
            if (read_line(line, &name, &value))
                break;
            if (ret_value->len == 0) /* nothing behind the colon: the value begins here */
                ret_value->at = line.at;
            ret_value->len = (size_t)(line.at + line.len - ret_value->at);
            *rest = after;
        }
        return true;
    }
    return false;
}

static void read_key(struct buf *scratch, struct span value, struct import_row *row)
{
    if (take_bytes(scratch, value, COLUMN_ENDORSEMENT_KEY, row))
        return;
    import_reason_set(&row->broken,
                      "PublicKey shows no key: have it printed with "
                      "Select-Object IsPresent, PublicKeyHash, "
                      "@{n='PublicKey';e={$_.PublicKey.Format($false)}} | Format-List");
}

static void read_entry(struct windows *w, struct buf *scratch, struct span name, struct span value,
                       struct import_row *row)
{
    enum import_column column;
    if (is_name(name, "IsPresent") && is_name(value, "False"))
        import_reason_set(&row->broken, "the TPM has no endorsement key (IsPresent: False)");
    else if (is_name(name, "PublicKey"))
        read_key(scratch, value, row);
    else if (is_name(name, "ManufacturerCertificates"))
        (void)take_bytes(scratch, value, COLUMN_EK_CERTIFICATE, row);
    else if (import_map_find(w->map, name, &column) && column != COLUMN_COUNT)
        row->fields[column] = trim(value);
}

void windows_record_read(struct windows *w, struct span record, struct import_row *row)
{
    struct buf scratch = BUF_OVER(w->scratch);
    struct span name, value;
    while (row->broken.text[0] == 0 && take_entry(&record, &name, &value))
        read_entry(w, &scratch, name, value, row);
    if (scratch.full)
        import_reason_set(&row->broken, "the record is longer than %d bytes", IMPORT_ROW_CAP);
    for (unsigned c = 0; row->broken.text[0] != 0 && c < COLUMN_COUNT; c++)
        row->fields[c] = c == COLUMN_REGISTRATION_ID ? row->fields[c] : span_of(NULL, 0);
}

/* The length of the record that the window begins with: up to a name that it has already. Not every
 * list begins its records with the same one: a computer's name may stand first or last. */
static size_t record_len(struct span window)
{
    struct span names[NAMES_MAX], rest = window;
    size_t count = 0;
    while (rest.at != NULL && rest.len > 0) {
        struct span line = span_cut(&rest, '\n'), name, value;
        if (!read_line(line, &name, &value))
            continue;
        for (size_t i = 0; i < count; i++)
            if (span_equal_ignoring_case(names[i], name))
                return (size_t)(line.at - window.at);
        if (count < NAMES_MAX)
            names[count++] = name;
    }
    return window.len;
}

/* Consumes lines to one that begins a record. ERR_ABSENT at the end. */
static enum err find_record(struct source *s, struct span *ret_window)
{
    for (;;) {
        TRY(source_window(s, IMPORT_ROW_CAP + 1, ret_window));
        if (ret_window->len == 0)
            return ERR_ABSENT;
        struct span rest = *ret_window, name, value;
        if (read_line(span_cut(&rest, '\n'), &name, &value))
            return ERR_OK;
        TRY(source_skip_line(s));
    }
}

enum err windows_next(struct windows *w, struct source *s, struct import_row *ret_row)
{
    struct span window;
    TRY(find_record(s, &window));
    struct import_row row = {.line = s->line};
    size_t len = record_len(span_slice(window, 0, IMPORT_ROW_CAP + 1));
    if (len <= IMPORT_ROW_CAP) {
        row.origin = span_slice(window, 0, len);
        windows_record_read(w, row.origin, &row);
        source_take(s, len);
    } else {
        import_reason_set(&row.broken, "the record is longer than %d bytes", IMPORT_ROW_CAP);
        TRY(source_skip_line(s));
    }
    *ret_row = row;
    return ERR_OK;
}
