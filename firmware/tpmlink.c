#include "tpmlink.h"

#include <string.h>
#include <tss2/tss2_common.h>
#include <tss2/tss2_tpm2_types.h>

#define LINK_MAGIC 0x637261646c65ULL
#define HEADER_LEN 10
#define BUSY_WAIT_FIRST_MS 5
#define BUSY_WAIT_MOST_MS 500
#define BUSY_TRIES 40 /* with these waits about eighteen seconds: a self-test takes less */

static uint32_t response_code(const struct tpmlink *link)
{
    struct rd r = rd_over(span_of(link->reply + 6, 4));
    return rd_u32(&r);
}

static enum err transact(struct tpmlink *link, struct span command)
{
    link->reply_len = 0;
    size_t len = 0;
    TRY(link->tpm->transact(link->tpm, command, link->reply, sizeof link->reply, &len));
    if (len < HEADER_LEN || len > sizeof link->reply)
        return ERR_TPM_TRANSPORT;
    struct rd size = rd_over(span_of(link->reply + 2, 4));
    if (rd_u32(&size) != len)
        return ERR_TPM_TRANSPORT;
    link->reply_len = len;
    return ERR_OK;
}

static bool is_busy(uint32_t rc)
{
    return rc == TPM2_RC_RETRY || rc == TPM2_RC_YIELDED || rc == TPM2_RC_TESTING ||
           rc == TPM2_RC_NV_RATE;
}

static enum err transact_patiently(struct tpmlink *link, struct span command)
{
    uint32_t wait_ms = BUSY_WAIT_FIRST_MS;
    TRY(transact(link, command));
    for (int i = 1; i < BUSY_TRIES && is_busy(response_code(link)); i++) {
        link->clock->sleep_ms(link->clock, wait_ms);
        wait_ms = wait_ms * 2 > BUSY_WAIT_MOST_MS ? BUSY_WAIT_MOST_MS : wait_ms * 2;
        TRY(transact(link, command));
    }
    return ERR_OK;
}

/* TPM2_Startup(CLEAR). Firmware or kernel has usually done it; then it is never sent. */
static enum err start_up(struct tpmlink *link)
{
    static const uint8_t startup[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0};
    return transact_patiently(link, SPAN_ARRAY(startup));
}

/* TPM2_SelfTest(what was not tested yet). Some TPMs refuse an algorithm until they are told to. */
static enum err self_test(struct tpmlink *link)
{
    static const uint8_t selftest[] = {0x80, 0x01, 0, 0, 0, 11, 0, 0, 0x01, 0x43, 0};
    return transact_patiently(link, SPAN_ARRAY(selftest));
}

static enum err prepared(struct tpmlink *link, enum err preparation, struct span command)
{
    return preparation == ERR_OK ? transact_patiently(link, command) : preparation;
}

static TSS2_RC link_transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
    struct tpmlink *link = (struct tpmlink *)context;
    enum err e = transact_patiently(link, span_of(command, size));
    if (e == ERR_OK && response_code(link) == TPM2_RC_INITIALIZE)
        e = prepared(link, start_up(link), span_of(command, size));
    if (e == ERR_OK && response_code(link) == TPM2_RC_NEEDS_TEST)
        e = prepared(link, self_test(link), span_of(command, size));
    link->failure = e;
    return e == ERR_OK ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC link_receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *at, int32_t timeout)
{
    (void)timeout;
    struct tpmlink *link = (struct tpmlink *)context;
    if (link->reply_len == 0)
        return TSS2_TCTI_RC_BAD_SEQUENCE;
    if (!at) {
        *size = link->reply_len;
        return TSS2_RC_SUCCESS;
    }
    if (*size < link->reply_len)
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    memcpy(at, link->reply, link->reply_len);
    *size = link->reply_len;
    link->reply_len = 0;
    return TSS2_RC_SUCCESS;
}

void tpmlink_init(struct tpmlink *link, struct hal_tpm *tpm, struct hal_clock *clock)
{
    memset(link, 0, sizeof *link);
    link->table.magic = LINK_MAGIC;
    link->table.version = 1;
    link->table.transmit = link_transmit;
    link->table.receive = link_receive;
    link->tpm = tpm;
    link->clock = clock;
}

void tpmlink_wipe(struct tpmlink *link)
{
    bytes_wipe(link->reply, sizeof link->reply);
    link->reply_len = 0;
}
