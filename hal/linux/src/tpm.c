#include "parts.h"

#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>

/* Longer than any command takes: creating an RSA key is bounded by a minute on real parts. */
#define REPLY_TIMEOUT_MS 120000
#define HEADER_LEN 10

static enum err open_tcti(struct linux_tpm *t)
{
    if (t->context)
        return ERR_OK;
    TSS2_TCTI_CONTEXT *context = NULL;
    if (Tss2_TctiLdr_Initialize(t->tcti, &context) != TSS2_RC_SUCCESS)
        return ERR_TPM_TRANSPORT;
    t->context = context;
    return ERR_OK;
}

void linux_tpm_close(struct linux_tpm *t)
{
    TSS2_TCTI_CONTEXT *context = t->context;
    if (context)
        Tss2_TctiLdr_Finalize(&context);
    t->context = NULL;
}

/* A TCTI copies as much as the reply's own header claims, so it gets room for the largest reply
 * there is, and what it says is checked against that header. */
static enum err exchange(struct linux_tpm *t, struct span command, uint8_t *reply, size_t *ret_len)
{
    TSS2_TCTI_CONTEXT *context = t->context;
    if (Tss2_Tcti_Transmit(context, command.len, command.at) != TSS2_RC_SUCCESS)
        return ERR_TPM_TRANSPORT;
    size_t len = HAL_TPM_BYTES_CAP;
    if (Tss2_Tcti_Receive(context, &len, reply, REPLY_TIMEOUT_MS) != TSS2_RC_SUCCESS)
        return ERR_TPM_TRANSPORT;
    if (len < HEADER_LEN || len > HAL_TPM_BYTES_CAP)
        return ERR_TPM_TRANSPORT;
    struct rd header = rd_over(span_of(reply + 2, 4));
    if (rd_u32(&header) != len)
        return ERR_TPM_TRANSPORT;
    *ret_len = len;
    return ERR_OK;
}

static enum err transact(struct hal_tpm *table, struct span command, uint8_t *ret_reply, size_t cap,
                         size_t *ret_len)
{
    struct linux_tpm *t = (struct linux_tpm *)table;
    TRY(open_tcti(t));
    uint8_t reply[HAL_TPM_BYTES_CAP];
    size_t len;
    enum err e = exchange(t, command, reply, &len);
    if (e != ERR_OK) {
        linux_tpm_close(t); /* what state it is in nobody knows: the next command begins afresh */
        return e;
    }
    struct buf out = buf_over(ret_reply, cap);
    buf_put(&out, span_of(reply, len));
    bytes_wipe(reply, len);
    TRY(buf_end(&out));
    *ret_len = len;
    return ERR_OK;
}

void linux_tpm_init(struct linux_tpm *t, const char *tcti)
{
    t->table.transact = transact;
    t->tcti = tcti;
    t->context = NULL;
}
