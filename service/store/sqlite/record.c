#include "record.h"

#include <string.h>

/* Nine bytes would have another form, but nothing here is that large. */
size_t varint_write(uint64_t value, uint8_t *ret_bytes)
{
    size_t len = 1;

    ERR_ASSERT(value >> 56 == 0);
    while (value >> (7 * len) != 0)
        len++;
    for (size_t i = 0; i < len; i++)
        ret_bytes[i] = (uint8_t)((value >> (7 * (len - 1 - i)) & 0x7f) | (i + 1 < len ? 0x80 : 0));
    return len;
}

struct record record_over(uint8_t *at, size_t cap)
{
    ERR_ASSERT(cap > RECORD_HEAD);
    return (struct record){.values = buf_over(at + RECORD_HEAD, cap - RECORD_HEAD)};
}

static void put_type(struct record *r, uint64_t type)
{
    ERR_ASSERT(r->types_len + VARINT_CAP <= sizeof r->types);
    r->types_len += varint_write(type, r->types + r->types_len);
}

void record_put_null(struct record *r)
{
    put_type(r, 0);
}

/* 0 and 1 are types of their own and have no bytes; else as few as hold it: 1, 2, 3, 4, 6 or 8. */
void record_put_integer(struct record *r, int64_t value)
{
    static const unsigned sizes[] = {1, 2, 3, 4, 6, 8};
    unsigned type = 0;

    if (value == 0 || value == 1) {
        put_type(r, 8 + (uint64_t)value);
        return;
    }
    uint64_t folded = value < 0 ? ~(uint64_t)value : (uint64_t)value;
    while (type < 5 && folded >> (8 * sizes[type] - 1) != 0)
        type++;
    put_type(r, type + 1);
    for (unsigned i = sizes[type]; i-- > 0;)
        buf_put_u8(&r->values, (uint8_t)((uint64_t)value >> (8 * i)));
}

void record_put_text(struct record *r, struct span text)
{
    put_type(r, 13 + 2 * (uint64_t)text.len);
    buf_put(&r->values, text);
}

void record_put_blob(struct record *r, struct span bytes)
{
    put_type(r, 12 + 2 * (uint64_t)bytes.len);
    buf_put(&r->values, bytes);
}

/* The length that the header begins with counts itself. */
struct span record_end(struct record *r)
{
    uint8_t len[VARINT_CAP];
    size_t len_len = r->types_len + 1 < 128 ? 1 : 2;
    uint8_t *at = r->values.at - r->types_len - len_len;

    ERR_ASSERT(!r->values.full);
    ERR_ASSERT(varint_write(r->types_len + len_len, len) == len_len);
    memcpy(at, len, len_len);
    memcpy(at + len_len, r->types, r->types_len);
    return span_of(at, len_len + r->types_len + r->values.len);
}
