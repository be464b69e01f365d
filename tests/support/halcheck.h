/* Purpose: the contract of hal/hal.h as a test, for any port: docs/porting.md tells how to hold one to
 * it. Each function tries one interface and returns NULL, or which promise it saw broken.
 *
 * No heap, no I/O of its own and of libc only string.h, so that it can be run on the device itself.
 * What a check writes it removes again. A port that passes is usable; what only a power cut or an
 * attacker shows is in halcheck_storage_cuts, and in the peers of halcheck_transport.
 */
#ifndef SUPPORT_HALCHECK_H
#define SUPPORT_HALCHECK_H

#include <hal/hal.h>

const char *halcheck_entropy(struct hal_entropy *e);
const char *halcheck_clock(struct hal_clock *c); /* takes a tenth of a second */

/* Writes and removes the slots "check-a" and "check-b". */
const char *halcheck_storage(struct hal_storage *s);

/* The power, in the tester's hand: a simulator, a wrapper of the flash driver, a relay. */
struct halcheck_power {
    void *context;
    /* The supply fails within the n-th change of the medium from now on, and nothing after it
     * reaches it; 0: it does not fail. */
    void (*cut_at)(void *context, unsigned n);
    /* It is back: the port was closed, and is opened as after a start. */
    struct hal_storage *(*restore)(void *context);
};
/* Cuts at the first change, the second … until a write, and then a removal, gets through. */
const char *halcheck_storage_cuts(const struct halcheck_power *power);

/* A TPM that nobody else uses meanwhile, started or not. Leaves nothing in it. */
const char *halcheck_tpm(struct hal_tpm *t);

/* Who answers, under one address. Those that are NULL or 0 are left out. */
struct halcheck_peers {
    const char *host;
    int64_t now_s;             /* within the certificates' dates */
    uint16_t echo_port;        /* sends back what it gets; hangs up after a byte 04 */
    const char *other_host;    /* the same address by a name that its certificate has not */
    uint16_t stranger_port;    /* the same name, by a CA that the port does not trust */
    uint16_t silent_port;      /* accepts, and says nothing */
    uint16_t closed_port;      /* nobody listens */
};
const char *halcheck_transport(struct hal_transport *t, const struct halcheck_peers *peers);

#endif
