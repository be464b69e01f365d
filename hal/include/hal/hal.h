/* Purpose: all that the firmware needs of the machine it runs on: five small interfaces, passed in
 * at run time, so that a good and a bad port can stand side by side in one test.
 *
 * Each table's functions take the table itself first; a port embeds the table in its own struct.
 * No function may be called from two threads at once. None keeps a span past its call.
 */
#ifndef HAL_H
#define HAL_H

#include <wire/bytes.h>

/* ---- transport: one authenticated byte stream at a time ----
 * States: closed --open--> open --close--> closed. open on an open stream is a broken promise.
 * close on a closed one does nothing. */
struct hal_peer {
    int64_t not_before_s; /* the chain's validity: latest start, earliest end, seconds since 1970 */
    int64_t not_after_s;
};
struct hal_transport {
    /* Connects by TCP and TLS (1.2 or newer): SNI and host name check against host, chain against
     * the CA the port was given. Certificate dates are checked against the wall clock if now_s is
     * not 0; if it is 0 the caller checks ret_peer as soon as it knows the time, and trusts nothing
     * before. ERR_HOST (its name cannot be resolved), ERR_NETWORK, ERR_TLS_TRUST, ERR_TLS_NAME,
     * ERR_TLS_DATE, ERR_TLS, ERR_TIMEOUT. */
    enum err (*open)(struct hal_transport *t, const char *host, uint16_t port, int64_t now_s,
                     uint32_t timeout_ms, struct hal_peer *ret_peer);
    /* n > 0 bytes moved; 0: nothing now, try again (after at most timeout_ms of waiting);
     * negative: the stream is gone. */
    int (*send)(struct hal_transport *t, struct span bytes, uint32_t timeout_ms);
    int (*receive)(struct hal_transport *t, uint8_t *at, size_t cap, uint32_t timeout_ms);
    void (*close)(struct hal_transport *t);
};

/* ---- tpm: one command out, one reply in, as bytes ---- */
#define HAL_TPM_BYTES_CAP 4096
struct hal_tpm {
    /* ERR_TPM_TRANSPORT when the TPM is not there or goes away; ERR_FULL when the reply is larger
     * than cap. A TPM response code is no error here. */
    enum err (*transact)(struct hal_tpm *t, struct span command, uint8_t *ret_reply, size_t cap,
                         size_t *ret_len);
};

/* ---- clock ---- */
struct hal_clock {
    /* Seconds since 1970, or 0 for "unknown" (a clock before 2020 or after 2099 counts as unknown). */
    int64_t (*wall_s)(struct hal_clock *c);
    uint64_t (*monotonic_ms)(struct hal_clock *c);
    void (*sleep_ms)(struct hal_clock *c, uint32_t ms);
};

/* ---- storage: a few named slots, each written whole or not at all, also over a power cut ---- */
#define HAL_SLOT_CAP 1024
struct hal_storage {
    /* ERR_ABSENT for a slot never written; ERR_FULL; ERR_IO. */
    enum err (*read)(struct hal_storage *s, const char *slot, uint8_t *ret_bytes, size_t cap,
                     size_t *ret_len);
    /* Durable when it returns ERR_OK. On an error the slot is whole all the same: as it was, or, if
     * the very last step failed, already the new one. ERR_FULL, ERR_IO. */
    enum err (*write)(struct hal_storage *s, const char *slot, struct span bytes);
    /* Removing what is not there is no error. ERR_IO. */
    enum err (*remove)(struct hal_storage *s, const char *slot);
};

/* ---- entropy ---- */
struct hal_entropy {
    enum err (*fill)(struct hal_entropy *e, uint8_t *ret_bytes, size_t len); /* all or ERR_ENTROPY */
};

struct hal {
    struct hal_transport *transport;
    struct hal_tpm *tpm;
    struct hal_clock *clock;
    struct hal_storage *storage;
    struct hal_entropy *entropy;
};

#endif
