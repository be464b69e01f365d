#include "simtpm.h"

#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_memory.h>
#include <libtpms/tpm_nvfilename.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LEN 10

static struct simtpm *awake; /* the one whose state libtpms holds */

/* ---- what libtpms asks of its host ---- */
static TPM_RESULT nothing(void)
{
    return TPM_SUCCESS;
}

static TPM_RESULT copy_out(const uint8_t *at, uint32_t len, unsigned char **ret_at, uint32_t *ret_len)
{
    if (len == 0)
        return TPM_RETRY; /* "there is none" */
    unsigned char *copy = NULL;
    TPM_RESULT rc = TPM_Malloc(&copy, len);
    if (rc != TPM_SUCCESS)
        return rc;
    memcpy(copy, at, len);
    *ret_at = copy;
    *ret_len = len;
    return TPM_SUCCESS;
}

static TPM_RESULT nv_load(unsigned char **ret_at, uint32_t *ret_len, uint32_t number,
                          const char *name)
{
    (void)number;
    if (strcmp(name, TPM_PERMANENT_ALL_NAME) == 0)
        return copy_out(awake->image->at, awake->image->len, ret_at, ret_len);
    if (strcmp(name, TPM_VOLATILESTATE_NAME) == 0)
        return copy_out(awake->asleep, awake->asleep_len, ret_at, ret_len);
    return TPM_RETRY;
}

/* Of the saved state of a TPM that sleeps (TPM2_Shutdown(STATE)) nobody here has need. */
static TPM_RESULT nv_store(const unsigned char *at, uint32_t len, uint32_t number, const char *name)
{
    (void)number;
    if (strcmp(name, TPM_PERMANENT_ALL_NAME) != 0)
        return TPM_SUCCESS;
    if (len > sizeof awake->image->at)
        return TPM_FAIL;
    memcpy(awake->image->at, at, len);
    awake->image->len = len;
    return TPM_SUCCESS;
}

static TPM_RESULT nv_delete(uint32_t number, const char *name, TPM_BOOL must_exist)
{
    (void)number, (void)name, (void)must_exist;
    return TPM_SUCCESS;
}

static TPM_RESULT locality(TPM_MODIFIER_INDICATOR *ret_locality, uint32_t number)
{
    (void)number;
    *ret_locality = 0;
    return TPM_SUCCESS;
}

static TPM_RESULT physical_presence(TPM_BOOL *ret_presence, uint32_t number)
{
    (void)number;
    *ret_presence = FALSE;
    return TPM_SUCCESS;
}

static bool library_open(void)
{
    static bool opened;
    static struct libtpms_callbacks host = {
        .sizeOfStruct = sizeof host,
        .tpm_nvram_init = nothing,
        .tpm_nvram_loaddata = nv_load,
        .tpm_nvram_storedata = nv_store,
        .tpm_nvram_deletename = nv_delete,
        .tpm_io_init = nothing,
        .tpm_io_getlocality = locality,
        .tpm_io_getphysicalpresence = physical_presence,
    };
    if (!opened)
        opened = TPMLIB_ChooseTPMVersion(TPMLIB_TPM_VERSION_2) == TPM_SUCCESS &&
                 TPMLIB_RegisterCallbacks(&host) == TPM_SUCCESS;
    return opened;
}

/* ---- sleeping and waking ---- */
static void forget_volatile(struct simtpm *t)
{
    if (t->asleep)
        bytes_wipe(t->asleep, t->asleep_len);
    free(t->asleep);
    t->asleep = NULL;
    t->asleep_len = 0;
}

static enum err put_to_sleep(void)
{
    unsigned char *state = NULL;
    uint32_t len = 0;
    if (!awake)
        return ERR_OK;
    if (TPMLIB_VolatileAll_Store(&state, &len) != TPM_SUCCESS)
        return ERR_TPM_TRANSPORT;
    TPMLIB_Terminate();
    uint8_t *fitting = realloc(state, len); /* what libtpms allocated is much larger than its content */
    awake->asleep = fitting ? fitting : state;
    awake->asleep_len = len;
    awake = NULL;
    return ERR_OK;
}

static enum err wake(struct simtpm *t)
{
    if (awake == t)
        return ERR_OK;
    TRY(put_to_sleep());
    if (!library_open())
        return ERR_TPM_TRANSPORT;
    awake = t;
    if (TPMLIB_MainInit() != TPM_SUCCESS) {
        TPMLIB_Terminate();
        awake = NULL;
        return ERR_TPM_TRANSPORT;
    }
    forget_volatile(t);
    return ERR_OK;
}

void simtpm_power_off(struct simtpm *t)
{
    if (awake == t) {
        TPMLIB_Terminate();
        awake = NULL;
    }
    forget_volatile(t);
}

/* ---- the hal's interface ---- */
static enum err transact(struct hal_tpm *table, struct span command, uint8_t *ret_reply, size_t cap,
                         size_t *ret_len)
{
    static unsigned char *reply; /* libtpms makes it as large as it needs, and uses it again */
    static uint32_t reply_cap;
    uint32_t len = 0;
    uint8_t bytes[HAL_TPM_BYTES_CAP];
    struct simtpm *t = (struct simtpm *)table;
    if (command.len > sizeof bytes)
        return ERR_TPM_TRANSPORT;
    memcpy(bytes, command.at, command.len); /* it takes no const */
    TRY(wake(t));
    TPM_RESULT rc = TPMLIB_Process(&reply, &len, &reply_cap, bytes, (uint32_t)command.len);
    bytes_wipe(bytes, command.len);
    if (rc != TPM_SUCCESS || len < HEADER_LEN)
        return ERR_TPM_TRANSPORT;
    struct buf out = buf_over(ret_reply, cap);
    if (len <= cap)
        buf_put(&out, span_of(reply, len));
    bytes_wipe(reply, len);
    if (len > cap)
        return ERR_FULL;
    *ret_len = len;
    return ERR_OK;
}

void simtpm_init(struct simtpm *t, struct simtpm_image *image)
{
    *t = (struct simtpm){.table.transact = transact, .image = image};
}
