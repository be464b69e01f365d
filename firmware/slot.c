#include "slot.h"

#include <string.h>
#include <wire/names.h>

#define MAGIC_AT_HANDLE 0x43524131u /* "CRA1": the last character is the layout's version */
#define MAGIC_WRAPPED 0x43524132u   /* "CRA2": the same, and after it the wrapped key */
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

static bool is_wrapped(const struct assignment *a)
{
    return a->identity.handle == 0;
}

static void identity_write(struct buf *out, const struct tpm_identity *id)
{
    buf_put_u32(out, id->parent);
    buf_put_u8(out, (uint8_t)id->parent_kind);
    buf_put(out, span_of(id->unique, sizeof id->unique));
    size_t mark = buf_open_u16(out);
    buf_put(out, span_of(id->wrapped, id->wrapped_len));
    buf_close_u16(out, mark);
}

static enum err identity_read(struct rd *r, struct tpm_identity *ret)
{
    struct tpm_identity id = {.parent = rd_u32(r)};
    uint8_t kind = rd_u8(r);
    struct span unique = rd_take(r, sizeof id.unique);
    struct span wrapped = rd_sized_u16(r);
    TRY(rd_end(r));
    if (kind != TPM_KEY_RSA_2048 && kind != TPM_KEY_ECC_P256)
        return ERR_PROTOCOL;
    if (wrapped.len == 0 || wrapped.len > sizeof id.wrapped)
        return ERR_PROTOCOL;
    id.parent_kind = kind;
    id.wrapped_len = (uint16_t)wrapped.len;
    memcpy(id.unique, unique.at, sizeof id.unique);
    memcpy(id.wrapped, wrapped.at, wrapped.len);
    *ret = id;
    return ERR_OK;
}

void slot_write(struct buf *out, const struct assignment *a)
{
    size_t start = out->len;
    buf_put_u32(out, is_wrapped(a) ? MAGIC_WRAPPED : MAGIC_AT_HANDLE);
    text_write(out, a->id_scope);
    text_write(out, a->registration_id.text);
    text_write(out, a->hub);
    text_write(out, a->device_id);
    if (is_wrapped(a))
        identity_write(out, &a->identity);
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
    a->identity = (struct tpm_identity){.handle = HANDLE_IDENTITY_KEY};
    if (magic == MAGIC_WRAPPED)
        TRY(identity_read(&r, &a->identity));
    TRY(rd_end(&r));
    if ((magic != MAGIC_AT_HANDLE && magic != MAGIC_WRAPPED) || !answer_hub_is_valid(hub) || !answer_device_id_is_valid(device_id))
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
