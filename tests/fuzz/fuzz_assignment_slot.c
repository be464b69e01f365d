/* What is read from an assignment's slot is exactly what would be written; and a record with a right
 * checksum around any content is refused or sound. */
#include "fuzz.h"

#include <hal/hal.h>
#include <slot.h>

static void is_sound(struct span bytes)
{
    struct assignment a;
    memset(&a, 0xa5, sizeof a);
    if (slot_read(bytes, &a) != ERR_OK)
        return;
    uint8_t again[HAL_SLOT_CAP];
    struct buf out = BUF_OVER(again);
    slot_write(&out, &a);
    MUST_HOLD(buf_end(&out) == ERR_OK && span_equal(buf_span(&out), bytes));
    MUST_HOLD(answer_hub_is_valid(span_text(a.hub)));
    MUST_HOLD(answer_device_id_is_valid(span_text(a.device_id)));
}

/* CRC-32 by the book, so that the fuzzer gets past the checksum. */
static uint32_t crc32_of(struct span bytes)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes.len * 8; i++) {
        uint32_t bit = (bytes.at[i / 8] >> (i % 8)) & 1;
        crc = (crc >> 1) ^ ((crc ^ bit) & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    is_sound(span_of(data, size));
    uint8_t sealed[HAL_SLOT_CAP];
    struct buf out = BUF_OVER(sealed);
    buf_put(&out, span_of(data, size));
    buf_put_u32(&out, crc32_of(span_of(data, size)));
    if (!out.full)
        is_sound(buf_span(&out));
    return 0;
}
