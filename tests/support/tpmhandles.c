#include <tpmhandles.h>

#define CC_GET_CAPABILITY 0x17a
#define CC_FLUSH_CONTEXT 0x165
#define CAP_HANDLES 1

/* The reply from its response code on, in the caller's memory. */
static struct rd transact(struct hal_tpm *tpm, struct span command, uint8_t *reply, size_t cap)
{
    size_t len;
    ERR_ASSERT(tpm->transact(tpm, command, reply, cap, &len) == ERR_OK);
    struct rd r = rd_over(span_of(reply, len));
    (void)rd_take(&r, 6);
    return r;
}

uint32_t tpm_command(struct hal_tpm *tpm, struct span command)
{
    uint8_t reply[HAL_TPM_BYTES_CAP];
    struct rd r = transact(tpm, command, reply, sizeof reply);
    return rd_u32(&r);
}

struct tpm_handles tpm_handles(struct hal_tpm *tpm, uint32_t first)
{
    uint8_t bytes[32], reply[HAL_TPM_BYTES_CAP];
    struct buf command = BUF_OVER(bytes);
    buf_put_u16(&command, 0x8001);
    buf_put_u32(&command, 22);
    buf_put_u32(&command, CC_GET_CAPABILITY);
    buf_put_u32(&command, CAP_HANDLES);
    buf_put_u32(&command, first);
    buf_put_u32(&command, 64);
    struct rd r = transact(tpm, buf_span(&command), reply, sizeof reply);
    ERR_ASSERT(rd_u32(&r) == 0);
    (void)rd_take(&r, 5);
    struct tpm_handles h = {.count = rd_u32(&r)};
    ERR_ASSERT(h.count <= 64);
    for (uint32_t i = 0; i < h.count; i++)
        h.at[i] = rd_u32(&r);
    return h;
}

void tpm_handles_flush(struct hal_tpm *tpm, uint32_t first)
{
    struct tpm_handles h = tpm_handles(tpm, first);
    for (uint32_t i = 0; i < h.count; i++) {
        uint8_t bytes[16];
        struct buf command = BUF_OVER(bytes);
        buf_put_u16(&command, 0x8001);
        buf_put_u32(&command, 14);
        buf_put_u32(&command, CC_FLUSH_CONTEXT);
        /* policy sessions are listed by their number alone */
        buf_put_u32(&command, first == HANDLES_SESSION ? (h.at[i] & 0xffffff) | 0x03000000 : h.at[i]);
        (void)tpm_command(tpm, buf_span(&command));
    }
}
