/* Purpose: the adversary. Each of the five interfaces either stands alone or wraps another port's,
 * and does by a plan what the real world does at random. The same plan gives the same run.
 *
 * Counts begin at 1; 0 means never. A plan may be changed between two calls; the counters are there
 * to be read, and set back, by the test.
 */
#ifndef HAL_FAKE_H
#define HAL_FAKE_H

#include <hal/hal.h>

/* ---- transport ---- */
#define FAKE_REQUEST_CAP 16384
#define FAKE_REPLY_CAP 16384

/* Plays the peer: is asked whenever the device waits for bytes. request is what the device has sent
 * on this connection and the peer has not consumed. Writes to reply what it has to say (nothing: it
 * keeps silent) and returns how much of request it has consumed. */
typedef size_t fake_peer(void *context, struct span request, struct buf *reply);

struct fake_transport_plan {
    unsigned fail_open_at;   /* the n-th open fails … */
    enum err open_error;     /* … with this; every open from there on if open_stays_broken */
    bool open_stays_broken;
    uint64_t gone_after;     /* so many bytes moved in either direction (over all connections): then
                              * the stream is gone; 0: never */
    uint64_t close_after;    /* the same, but only this connection ends: the next open works */
    unsigned would_block_at; /* every n-th call moves nothing */
    size_t chunk;            /* most bytes moved by one call; 0: any */
    uint32_t delay_ms;       /* so long a call takes that moves something */
    struct hal_peer peer;    /* what open returns, standing alone */
};

struct fake_transport {
    struct hal_transport table;
    struct fake_transport_plan plan;
    struct hal_transport *inner; /* NULL: stands alone, with peer */
    struct hal_clock *clock;     /* waits pass by here; may be NULL */
    fake_peer *peer;
    void *context;
    bool is_open;
    unsigned opens, calls;
    uint64_t moved;
    int64_t last_now_s;          /* what the last open was told */
    char last_host[256];
    struct buf request, reply;
    size_t replied;
    uint8_t request_bytes[FAKE_REQUEST_CAP], reply_bytes[FAKE_REPLY_CAP];
};
void fake_transport_init(struct fake_transport *t, struct hal_transport *inner);

/* ---- tpm ---- */
enum fake_tpm_fault {
    FAKE_TPM_RESPONSE_CODE, /* an answer of ten bytes with `value` */
    FAKE_TPM_TRUNCATE,      /* the true answer, cut to `value` bytes */
    FAKE_TPM_TRUNCATE_FIXED,/* the same, and the header's size made to fit */
    FAKE_TPM_FLIP,          /* the true answer with its byte `value` inverted */
    FAKE_TPM_GARBAGE,       /* 64 bytes that follow from `value` */
    FAKE_TPM_HUGE,          /* cap bytes, all 0xff behind a fitting header */
    FAKE_TPM_GONE,          /* ERR_TPM_TRANSPORT from here on; with `value` the n-th still takes effect */
    FAKE_TPM_LOST_REPLY,    /* the command was done, its answer is lost; ERR_TPM_TRANSPORT once */
};
struct fake_tpm_plan {
    unsigned at;    /* the n-th command … */
    unsigned times; /* … and so many from there; 0 counts as 1 */
    enum fake_tpm_fault fault;
    uint32_t value;
};
struct fake_tpm {
    struct hal_tpm table;
    struct fake_tpm_plan plan;
    struct hal_tpm *inner;  /* NULL: answers every command with TPM_RC_SUCCESS and nothing else */
    unsigned commands;
    uint32_t last_code;     /* the last command's TPM_CC */
    uint32_t hit_code;      /* that of the last command which met the plan's fault */
};
void fake_tpm_init(struct fake_tpm *t, struct hal_tpm *inner);

/* ---- clock ---- */
struct fake_clock {
    struct hal_clock table;
    int64_t wall_s;         /* at monotonic 0; 0: unknown, and stays so */
    uint64_t now_ms;
    uint64_t slept_ms;      /* in all */
    unsigned jump_at;       /* at the n-th look at the wall clock … */
    int64_t jump_to_s;      /* … it says this; 0: unknown */
    unsigned looks;
};
void fake_clock_init(struct fake_clock *c, int64_t wall_s);

/* ---- storage: in memory ---- */
#define FAKE_SLOTS 4
enum fake_cut { FAKE_CUT_BEFORE, FAKE_CUT_AFTER };
struct fake_storage {
    struct hal_storage table;
    struct {
        char name[40];
        bool used;
        size_t len;
        uint8_t at[HAL_SLOT_CAP];
    } slots[FAKE_SLOTS];
    unsigned cut_at;        /* the n-th write or remove meets a power cut: … */
    enum fake_cut cut;      /* … before or after it took effect. From there on nothing works */
    unsigned fail_at;       /* the n-th write or remove fails, without a power cut */
    unsigned writes;
    bool dead;
};
void fake_storage_init(struct fake_storage *s);
void fake_storage_power_on(struct fake_storage *s); /* after a cut; the plan is forgotten */

/* ---- entropy: a sequence that follows from seed ---- */
struct fake_entropy {
    struct hal_entropy table;
    uint64_t seed;
    unsigned fail_at;       /* the n-th call and all after it */
    unsigned calls;
};
void fake_entropy_init(struct fake_entropy *e, uint64_t seed);

/* ---- all five, standing alone ---- */
struct hal_fake {
    struct hal hal;
    struct fake_transport transport;
    struct fake_tpm tpm;
    struct fake_clock clock;
    struct fake_storage storage;
    struct fake_entropy entropy;
};
void hal_fake_init(struct hal_fake *f, int64_t wall_s);

#endif
