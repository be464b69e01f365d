/* Purpose: the password of the operator's consumers, checked without letting strangers stop the
 * broker. One check takes tens of milliseconds of a broker that has a single thread, and anybody may
 * ask for one. So:
 *   - once the right password was seen, a keyed hash of it decides, in microseconds, both ways;
 *   - until then only so many checks a second are made for all, and an address that was wrong
 *     waits.
 */
#ifndef HUB_BACKEND_H
#define HUB_BACKEND_H

#include <wire/bytes.h>

#define BACKEND_ADDRESSES 64         /* slots; addresses that share one also share the wait */
#define BACKEND_BURST 8              /* checks that may follow each other at once */
#define BACKEND_REFILL_MS 250        /* one more check every so often */
#define BACKEND_WRONG_WAIT_MS 2000   /* after a wrong password, by address */

struct backend {
    uint8_t key[32];                 /* random, of this process */
    uint8_t known[32];               /* keyed hash of the password that was right */
    bool is_known;
    int64_t credit_ms;               /* BACKEND_REFILL_MS of it buys one check */
    int64_t seen_ms;                 /* when credit was last counted */
    int64_t wait_until_ms[BACKEND_ADDRESSES];
};

MUST_USE enum err backend_open(struct backend *b); /* ERR_ENTROPY */
void backend_close(struct backend *b);
/* The stored password may have changed: only a full check can tell. */
void backend_forget(struct backend *b);

/* stored: as config_password_check takes it. mono_ms: a clock that never steps back.
 * ERR_UNAUTHORIZED: another password. ERR_THROTTLED: not looked at, try later. ERR_CONFIG, ERR_CRYPTO
 * as config_password_check. */
MUST_USE enum err backend_check(struct backend *b, const char *stored, struct span password,
                                struct span address, int64_t mono_ms);

#endif
