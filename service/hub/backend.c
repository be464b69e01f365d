#include "backend.h"

#include <config.h>
#include <string.h>
#include <sys/random.h>
#include <wire/sas.h>

#define CREDIT_CAP_MS ((int64_t)BACKEND_BURST * BACKEND_REFILL_MS)
#define PASSWORD_MAX 256 /* no password of ours is longer; hashing starts below it */

enum err backend_open(struct backend *b)
{
    struct backend fresh = {.credit_ms = CREDIT_CAP_MS};
    if (getrandom(fresh.key, sizeof fresh.key, 0) != (ssize_t)sizeof fresh.key)
        return ERR_ENTROPY;
    *b = fresh;
    bytes_wipe(&fresh, sizeof fresh);
    return ERR_OK;
}

void backend_close(struct backend *b)
{
    bytes_wipe(b, sizeof *b);
}

void backend_forget(struct backend *b)
{
    bytes_wipe(b->known, sizeof b->known);
    b->is_known = false;
}

static int64_t *wait_of(struct backend *b, struct span address)
{
    uint32_t hash = 2166136261u; /* FNV-1a: any spread will do, sharing a slot costs a short wait */
    for (size_t i = 0; i < address.len; i++)
        hash = (hash ^ address.at[i]) * 16777619u;
    return &b->wait_until_ms[hash % BACKEND_ADDRESSES];
}

static bool take_credit(struct backend *b, int64_t mono_ms)
{
    if (mono_ms > b->seen_ms) {
        int64_t gained = mono_ms - b->seen_ms;
        b->credit_ms = gained > CREDIT_CAP_MS - b->credit_ms ? CREDIT_CAP_MS : b->credit_ms + gained;
        b->seen_ms = mono_ms;
    }
    if (b->credit_ms < BACKEND_REFILL_MS)
        return false;
    b->credit_ms -= BACKEND_REFILL_MS;
    return true;
}

static enum err check_slowly(struct backend *b, const char *stored, struct span password,
                             struct span address, int64_t mono_ms)
{
    int64_t *wait_until_ms = wait_of(b, address);
    if (mono_ms < *wait_until_ms || !take_credit(b, mono_ms))
        return ERR_THROTTLED;
    enum err outcome = config_password_check(stored, password);
    if (outcome == ERR_UNAUTHORIZED)
        *wait_until_ms = mono_ms + BACKEND_WRONG_WAIT_MS;
    return outcome;
}

enum err backend_check(struct backend *b, const char *stored, struct span password,
                       struct span address, int64_t mono_ms)
{
    if (password.len == 0 || password.len > PASSWORD_MAX)
        return ERR_UNAUTHORIZED;
    uint8_t hash[32];
    TRY(sas_sign(SPAN_ARRAY(b->key), password, hash));
    if (b->is_known) {
        bool same = span_equal_constant_time(SPAN_ARRAY(hash), SPAN_ARRAY(b->known));
        return same ? ERR_OK : ERR_UNAUTHORIZED;
    }
    TRY(check_slowly(b, stored, password, address, mono_ms));
    memcpy(b->known, hash, sizeof hash);
    b->is_known = true;
    return ERR_OK;
}
