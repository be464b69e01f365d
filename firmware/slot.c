#include "slot.h"

#define SLOT_MAGIC 0x43524131u /* "CRA1": the last character is the layout's version */
#define CHECKSUM_LEN 4

/* CRC-32, ISO-HDLC. Tells a torn or worn slot from a whole one; against an intruder with the
 * storage in his hands nothing here helps, and nothing here is secret. */
static uint32_t checksum(struct span bytes)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

static void text_write(struct buf *out, const char *text)
{
    size_t mark = buf_open_u16(out);
    buf_put_text(out, text);
    buf_close_u16(out, mark);
}

void slot_write(struct buf *out, const struct assignment *a)
{
    size_t start = out->len;
    buf_put_u32(out, SLOT_MAGIC);
    text_write(out, a->id_scope);
    text_write(out, a->registration_id.text);
    text_write(out, a->hub);
    text_write(out, a->device_id);
    if (!out->full)
        buf_put_u32(out, checksum(span_of(out->at + start, out->len - start)));
}

static enum err fields_read(struct span fields, struct assignment *a)
{
    struct rd r = rd_over(fields);
    uint32_t magic = rd_u32(&r);
    struct span id_scope = rd_sized_u16(&r);
    struct span registration_id = rd_sized_u16(&r);
    struct span hub = rd_sized_u16(&r);
    struct span device_id = rd_sized_u16(&r);
    TRY(rd_end(&r));
    if (magic != SLOT_MAGIC || !answer_hub_is_valid(hub) || !answer_device_id_is_valid(device_id))
        return ERR_PROTOCOL;
    TRY(span_to_text(id_scope, a->id_scope, sizeof a->id_scope));
    TRY(regid_read(registration_id, &a->registration_id));
    TRY(span_to_text(hub, a->hub, sizeof a->hub));
    TRY(span_to_text(device_id, a->device_id, sizeof a->device_id));
    return span_equal(regid_span(&a->registration_id), registration_id) ? ERR_OK : ERR_PROTOCOL;
}

enum err slot_read(struct span bytes, struct assignment *ret_assignment)
{
    if (bytes.len < CHECKSUM_LEN)
        return ERR_PROTOCOL;
    struct span fields = span_slice(bytes, 0, bytes.len - CHECKSUM_LEN);
    struct rd sum = rd_over(span_slice(bytes, fields.len, CHECKSUM_LEN));
    if (rd_u32(&sum) != checksum(fields))
        return ERR_PROTOCOL;
    struct assignment a = {0};
    if (fields_read(fields, &a) != ERR_OK)
        return ERR_PROTOCOL;
    *ret_assignment = a;
    return ERR_OK;
}
