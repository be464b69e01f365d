#include "row.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wire/names.h>

static const char *const column_names[COLUMN_COUNT] = {
    [COLUMN_REGISTRATION_ID] = NAME_REGISTRATION_ID,
    [COLUMN_ENDORSEMENT_KEY] = NAME_ENDORSEMENT_KEY,
    [COLUMN_STORAGE_ROOT_KEY] = NAME_STORAGE_ROOT_KEY,
    [COLUMN_DEVICE_ID] = NAME_DEVICE_ID,
    [COLUMN_PIN_SRK] = "pinSrk",
    [COLUMN_EK_CERTIFICATE] = "ekCertificate",
    [COLUMN_TAGS] = "tags",
    [COLUMN_HUBS] = "iotHubs",
    [COLUMN_ALLOCATION] = "allocationPolicy",
    [COLUMN_TWIN] = "initialTwin",
    [COLUMN_STATUS] = "provisioningStatus",
};

const char *import_column_name(enum import_column c)
{
    ERR_ASSERT(c < COLUMN_COUNT);
    return column_names[c];
}

enum import_column import_column_find(struct span name)
{
    for (unsigned c = 0; c < COLUMN_COUNT; c++)
        if (span_equal(name, span_text(column_names[c])))
            return (enum import_column)c;
    return COLUMN_COUNT;
}

void import_reason_set(struct import_reason *r, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)vsnprintf(r->text, sizeof r->text, format, values);
    va_end(values);
}

void import_text_safe(struct span s, char *ret_text, size_t cap)
{
    static const char digits[] = "0123456789abcdef";
    ERR_ASSERT(cap >= 8);
    struct buf out = buf_over(ret_text, cap - 4); /* room for "..." and the NUL */
    for (size_t i = 0; i < s.len && !out.full; i++) {
        uint8_t c = s.at[i];
        if (c >= 0x20 && c < 0x7f && c != '\\')
            buf_put_u8(&out, c);
        else
            buf_put(&out, SPAN_ARRAY(((uint8_t[]){'\\', 'x', (uint8_t)digits[c >> 4],
                                                  (uint8_t)digits[c & 15]})));
    }
    memcpy(ret_text + out.len, out.full ? "..." : "", out.full ? 4 : 1);
}

const char *import_outcome_name(enum import_outcome o)
{
    static const char *const names[] = {
        [IMPORT_NEW] = "new",           [IMPORT_SAME] = "same",
        [IMPORT_REPLACED] = "replaced", [IMPORT_SKIPPED] = "skipped",
        [IMPORT_REFUSED] = "refused",   [IMPORT_UNTRIED] = "untried"};
    return names[o];
}

void import_block_clear(struct import_block *b, const char *file, size_t file_index,
                        uint64_t rows_before)
{
    b->file = file;
    b->file_index = file_index;
    b->rows_before = rows_before;
    b->count = 0;
    b->text_len = 0;
}

bool import_block_has_room(const struct import_block *b)
{
    return b->count < IMPORT_BLOCK_ROWS && b->text_len + 2 * IMPORT_ROW_CAP <= sizeof b->text;
}

static struct span block_copy(struct import_block *b, struct span s)
{
    ERR_ASSERT(s.len <= sizeof b->text - b->text_len);
    uint8_t *at = b->text + b->text_len;
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    b->text_len += s.len;
    return span_of(at, s.len);
}

static bool lies_within(struct span inner, struct span outer)
{
    return inner.at >= outer.at && inner.at + inner.len <= outer.at + outer.len;
}

void import_block_add(struct import_block *b, const struct import_row *row)
{
    ERR_ASSERT(import_block_has_room(b));
    struct import_item *item = &b->items[b->count++];
    item->row = *row;
    item->reason.text[0] = 0;
    item->ek_certificate = span_of(NULL, 0);
    item->vendor[0] = 0;
    item->has_profile = false;
    struct span origin = block_copy(b, row->origin);
    item->row.origin = origin;
    for (unsigned c = 0; c < COLUMN_COUNT; c++) {
        struct span field = row->fields[c];
        if (field.len > 0 && lies_within(field, row->origin))
            item->row.fields[c] = span_of(origin.at + (field.at - row->origin.at), field.len);
        else
            item->row.fields[c] = block_copy(b, field);
    }
}
