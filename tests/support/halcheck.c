#include "halcheck.h"

#include <string.h>

#define POISON_BYTE 0xa5
#define PROMISE(holds, what)                                                                       \
    do {                                                                                           \
        if (!(holds))                                                                              \
            return (what);                                                                         \
    } while (0)
#define ALSO(check)                                                                                \
    do {                                                                                           \
        const char *broken_ = (check);                                                             \
        if (broken_)                                                                               \
            return broken_;                                                                        \
    } while (0)

static bool is_all(const uint8_t *at, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] != value)
            return false;
    return true;
}

static void fill_with(uint8_t *at, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(seed + i * 7 + i / 251);
}

/* ---- entropy ---- */
#define BLOCK 32
#define BLOCKS 128

static unsigned ones_in(const uint8_t *at, size_t len)
{
    unsigned ones = 0;
    for (size_t i = 0; i < len; i++)
        for (unsigned byte = at[i]; byte; byte >>= 1)
            ones += byte & 1;
    return ones;
}

/* A byte that was filled is what it was before once in 256 times, not sixteen times running. */
static const char *fills(struct hal_entropy *e, size_t len)
{
    uint8_t at[1001];
    bool first = false, last = false;
    for (int i = 0; i < 16; i++) {
        memset(at, POISON_BYTE, sizeof at);
        PROMISE(e->fill(e, at, len) == ERR_OK, "entropy: fill fails");
        PROMISE(is_all(at + len, sizeof at - len, POISON_BYTE), "entropy: fill writes past its end");
        first |= len == 0 || at[0] != POISON_BYTE;
        last |= len == 0 || at[len - 1] != POISON_BYTE;
    }
    PROMISE(first && last, "entropy: fill does not fill to the end");
    return NULL;
}

const char *halcheck_entropy(struct hal_entropy *e)
{
    static uint8_t at[BLOCKS * BLOCK];
    static const size_t lengths[] = {0, 1, 2, 31, 32, 33, 255, 256, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        ALSO(fills(e, lengths[i]));
    for (size_t i = 0; i < BLOCKS; i++) {
        PROMISE(e->fill(e, at + i * BLOCK, BLOCK) == ERR_OK, "entropy: fill fails");
        for (size_t before = 0; before < i; before++)
            PROMISE(memcmp(at + before * BLOCK, at + i * BLOCK, BLOCK) != 0, "entropy: repeats itself");
    }
    /* 16,384 of 32,768 expected; nine standard deviations are 815 */
    unsigned ones = ones_in(at, BLOCKS * BLOCK);
    PROMISE(ones > 16384 - 815 && ones < 16384 + 815, "entropy: as many ones as zeros are expected");
    return NULL;
}

/* ---- clock ---- */
#define YEAR_2020_S INT64_C(1577836800)
#define YEAR_2100_S INT64_C(4102444800)

static bool is_time(int64_t s)
{
    return s == 0 || (s >= YEAR_2020_S && s < YEAR_2100_S);
}

const char *halcheck_clock(struct hal_clock *c)
{
    uint64_t last_ms = c->monotonic_ms(c);
    for (int i = 0; i < 1000; i++) {
        uint64_t now_ms = c->monotonic_ms(c);
        PROMISE(now_ms >= last_ms, "clock: monotonic_ms goes back");
        last_ms = now_ms;
    }
    int64_t wall_s = c->wall_s(c);
    PROMISE(is_time(wall_s), "clock: wall_s tells a time before 2020 or after 2099 instead of 0");
    for (uint32_t ms = 0; ms <= 50; ms += 25) {
        uint64_t before_ms = c->monotonic_ms(c);
        c->sleep_ms(c, ms);
        PROMISE(c->monotonic_ms(c) + 1 >= before_ms + ms, "clock: sleep_ms returns before its time");
    }
    int64_t later_s = c->wall_s(c);
    PROMISE(is_time(later_s), "clock: wall_s tells a time before 2020 or after 2099 instead of 0");
    PROMISE((wall_s == 0) == (later_s == 0) && later_s >= wall_s && later_s - wall_s < 60,
            "clock: wall_s jumps");
    return NULL;
}

/* ---- storage ---- */
#define SLOT "check-a"
#define OTHER_SLOT "check-b"

/* Whether the slot holds exactly this; reads with room for more, which must stay as it was. */
static const char *holds(struct hal_storage *s, const char *slot, struct span want)
{
    uint8_t at[HAL_SLOT_CAP + 16];
    size_t len = SIZE_MAX;
    memset(at, POISON_BYTE, sizeof at);
    PROMISE(s->read(s, slot, at, sizeof at, &len) == ERR_OK, "storage: what was written cannot be read");
    PROMISE(len == want.len, "storage: what is read has another length");
    PROMISE(span_equal(span_of(at, len), want), "storage: what is read is not what was written");
    PROMISE(is_all(at + len, sizeof at - len, POISON_BYTE), "storage: read writes past the slot's end");
    return NULL;
}

static const char *is_absent(struct hal_storage *s, const char *slot)
{
    uint8_t at[16];
    size_t len = SIZE_MAX;
    memset(at, POISON_BYTE, sizeof at);
    PROMISE(s->read(s, slot, at, sizeof at, &len) == ERR_ABSENT,
            "storage: a slot that is not there must be ERR_ABSENT");
    PROMISE(len == SIZE_MAX && is_all(at, sizeof at, POISON_BYTE),
            "storage: a read that fails has written to its outputs");
    return NULL;
}

static const char *writes(struct hal_storage *s, const char *slot, struct span bytes)
{
    PROMISE(s->write(s, slot, bytes) == ERR_OK, "storage: write fails");
    return holds(s, slot, bytes);
}

static const char *read_limits(struct hal_storage *s)
{
    uint8_t at[16];
    size_t len = SIZE_MAX;
    ALSO(writes(s, SLOT, span_text("eight ch")));
    PROMISE(s->read(s, SLOT, at, 7, &len) == ERR_FULL,
            "storage: a slot larger than the room for it must be ERR_FULL");
    PROMISE(len == SIZE_MAX, "storage: a read that fails has written to its outputs");
    PROMISE(s->read(s, SLOT, at, 8, &len) == ERR_OK && len == 8,
            "storage: a slot as large as the room for it must be read");
    return NULL;
}

static const char *write_limits(struct hal_storage *s)
{
    static uint8_t most[HAL_SLOT_CAP + 1];
    fill_with(most, sizeof most, 1);
    ALSO(writes(s, SLOT, span_of(most, HAL_SLOT_CAP)));
    PROMISE(s->write(s, SLOT, span_of(most, HAL_SLOT_CAP + 1)) == ERR_FULL,
            "storage: more than HAL_SLOT_CAP bytes must be ERR_FULL");
    ALSO(holds(s, SLOT, span_of(most, HAL_SLOT_CAP)));
    ALSO(writes(s, SLOT, span_text("shorter")));
    return writes(s, SLOT, span_of(most, 0)); /* empty is not absent */
}

static const char *independent(struct hal_storage *s)
{
    ALSO(writes(s, SLOT, span_text("one")));
    ALSO(is_absent(s, OTHER_SLOT));
    ALSO(writes(s, OTHER_SLOT, span_text("two")));
    ALSO(holds(s, SLOT, span_text("one")));
    PROMISE(s->remove(s, SLOT) == ERR_OK, "storage: remove fails");
    ALSO(is_absent(s, SLOT));
    ALSO(holds(s, OTHER_SLOT, span_text("two")));
    PROMISE(s->remove(s, SLOT) == ERR_OK, "storage: removing what is not there is no error");
    PROMISE(s->remove(s, OTHER_SLOT) == ERR_OK, "storage: remove fails");
    return is_absent(s, OTHER_SLOT);
}

const char *halcheck_storage(struct hal_storage *s)
{
    PROMISE(s->remove(s, SLOT) == ERR_OK && s->remove(s, OTHER_SLOT) == ERR_OK,
            "storage: removing what is not there is no error");
    ALSO(is_absent(s, SLOT));
    ALSO(read_limits(s));
    ALSO(write_limits(s));
    return independent(s);
}

/* ---- storage, and the power ---- */
#define CUTS_MOST 1000
static const char *const torn = "storage: after a power cut the slot is neither the old nor the new one";

/* The slot after a cut: as it was; or as it was to become, which it must be if the call said so. */
static const char *after_cut(struct hal_storage *s, enum err said, struct span old, const struct span *fresh)
{
    uint8_t at[HAL_SLOT_CAP];
    size_t len = 0;
    enum err e = s->read(s, SLOT, at, sizeof at, &len);
    bool is_new = fresh ? e == ERR_OK && span_equal(span_of(at, len), *fresh) : e == ERR_ABSENT;
    bool is_old = e == ERR_OK && span_equal(span_of(at, len), old);
    PROMISE(is_new || is_old, torn);
    PROMISE(is_new || said != ERR_OK, "storage: it said that the change is durable, and it was not");
    return NULL;
}

/* fresh NULL: a removal. */
static const char *cut_everywhere(const struct halcheck_power *p, struct span old, const struct span *fresh)
{
    enum err said = ERR_IO;
    for (unsigned n = 1; said != ERR_OK; n++) {
        PROMISE(n <= CUTS_MOST, "storage: a change never gets through, however late the power is cut");
        struct hal_storage *s = p->restore(p->context);
        PROMISE(s->write(s, SLOT, old) == ERR_OK, "storage: after a power cut nothing can be written");
        p->cut_at(p->context, n);
        said = fresh ? s->write(s, SLOT, *fresh) : s->remove(s, SLOT);
        PROMISE(n > 1 || said != ERR_OK, "storage: the power was never cut: the test tests nothing");
        ALSO(after_cut(p->restore(p->context), said, old, fresh));
    }
    return NULL;
}

const char *halcheck_storage_cuts(const struct halcheck_power *p)
{
    static uint8_t old[HAL_SLOT_CAP - 100], fresh[HAL_SLOT_CAP];
    fill_with(old, sizeof old, 3);
    fill_with(fresh, sizeof fresh, 90);
    const struct span longer = SPAN_ARRAY(fresh), shorter = span_of(fresh, 20);
    ALSO(cut_everywhere(p, SPAN_ARRAY(old), &longer));
    ALSO(cut_everywhere(p, SPAN_ARRAY(old), &shorter));
    ALSO(cut_everywhere(p, SPAN_ARRAY(old), NULL));
    struct hal_storage *s = p->restore(p->context);
    PROMISE(s->remove(s, SLOT) == ERR_OK, "storage: remove fails");
    return NULL;
}

/* ---- tpm ---- */
#define HEADER_LEN 10
#define TAG_NO_SESSIONS 0x8001
#define CC_STARTUP 0x144u
#define CC_GET_CAPABILITY 0x17Au
#define CC_GET_RANDOM 0x17Bu
#define CC_HASH 0x17Du
#define CAP_COMMANDS 2u
#define RC_INITIALIZE 0x100u /* it is started already */
#define SMALL_CAP 64

struct exchange {
    uint8_t command[HAL_TPM_BYTES_CAP], reply[HAL_TPM_BYTES_CAP];
    struct buf out;
    size_t len;
    uint32_t code;
};
static struct exchange x;

static struct buf *command(uint32_t code)
{
    x.out = BUF_OVER(x.command);
    buf_put_u16(&x.out, TAG_NO_SESSIONS);
    buf_put_u32(&x.out, 0);
    buf_put_u32(&x.out, code);
    return &x.out;
}

static enum err transact(struct hal_tpm *t, size_t cap)
{
    struct buf size = buf_over(x.command + 2, 4);
    buf_put_u32(&size, (uint32_t)x.out.len);
    memset(x.reply, POISON_BYTE, sizeof x.reply);
    x.len = SIZE_MAX;
    return t->transact(t, buf_span(&x.out), x.reply, cap, &x.len);
}

/* Sends what was composed; whatever the TPM says to it, the reply is a whole one. */
static const char *answered(struct hal_tpm *t)
{
    PROMISE(transact(t, sizeof x.reply) == ERR_OK,
            "tpm: a command has no reply (a response code is no error of the port's)");
    PROMISE(x.len >= HEADER_LEN && x.len <= sizeof x.reply, "tpm: the reply's length cannot be");
    struct rd r = rd_over(span_of(x.reply, x.len));
    uint16_t tag = rd_u16(&r);
    uint32_t size = rd_u32(&r);
    x.code = rd_u32(&r);
    PROMISE(size == x.len, "tpm: the reply is not as long as its header says");
    PROMISE(tag == TAG_NO_SESSIONS, "tpm: the reply has another tag");
    PROMISE(is_all(x.reply + x.len, sizeof x.reply - x.len, POISON_BYTE),
            "tpm: something was written past the reply's end");
    return NULL;
}

static const char *starts(struct hal_tpm *t)
{
    buf_put_u16(command(CC_STARTUP), 0);
    ALSO(answered(t));
    PROMISE((x.code == 0 || x.code == RC_INITIALIZE) && x.len == HEADER_LEN, "tpm: TPM2_Startup fails");
    return NULL;
}

static const char *gives_random(struct hal_tpm *t, uint16_t want)
{
    buf_put_u16(command(CC_GET_RANDOM), want);
    ALSO(answered(t));
    PROMISE(x.code == 0 && x.len == (size_t)HEADER_LEN + 2 + want,
            "tpm: not the reply to this command, but to another one");
    return NULL;
}

static void ask_for_commands(void)
{
    struct buf *out = command(CC_GET_CAPABILITY);
    buf_put_u32(out, CAP_COMMANDS);
    buf_put_u32(out, 0x11f);
    buf_put_u32(out, 254);
}

static const char *keeps_to_the_room(struct hal_tpm *t)
{
    ask_for_commands();
    ALSO(answered(t));
    struct rd kind = rd_over(span_slice(span_of(x.reply, x.len), HEADER_LEN + 1, 4));
    PROMISE(x.code == 0 && x.len > SMALL_CAP && rd_u32(&kind) == CAP_COMMANDS,
            "tpm: the commands that it knows are expected here");
    PROMISE(transact(t, SMALL_CAP) == ERR_FULL, "tpm: a reply larger than the room must be ERR_FULL");
    PROMISE(x.len == SIZE_MAX && is_all(x.reply + SMALL_CAP, sizeof x.reply - SMALL_CAP, POISON_BYTE),
            "tpm: a call that fails has written to its outputs");
    return NULL;
}

/* SHA-256 of 1,024 zeros, by the TPM: a long command arrives as it is. */
static const char *takes_long_commands(struct hal_tpm *t)
{
    static const uint8_t digest[] = {
        0x5f, 0x70, 0xbf, 0x18, 0xa0, 0x86, 0x00, 0x70, 0x16, 0xe9, 0x48, 0xb0, 0x4a, 0xed, 0x3b, 0x82,
        0x10, 0x3a, 0x36, 0xbe, 0xa4, 0x17, 0x55, 0xb6, 0xcd, 0xdf, 0xaf, 0x10, 0xac, 0xe3, 0xc6, 0xef};
    static const uint8_t zeros[1024];
    struct buf *out = command(CC_HASH);
    buf_put_u16(out, sizeof zeros);
    buf_put(out, SPAN_ARRAY(zeros));
    buf_put_u16(out, 0x000B);      /* SHA-256 */
    buf_put_u32(out, 0x40000007u); /* TPM_RH_NULL */
    ALSO(answered(t));
    PROMISE(x.code == 0 && span_equal(span_slice(span_of(x.reply, x.len), HEADER_LEN + 2, sizeof digest),
                                      SPAN_ARRAY(digest)),
            "tpm: a command of 1,042 bytes does not arrive as it is");
    return NULL;
}

const char *halcheck_tpm(struct hal_tpm *t)
{
    ALSO(starts(t));
    ALSO(gives_random(t, 16));
    ALSO(keeps_to_the_room(t));
    ALSO(gives_random(t, 8)); /* and not what was left over */
    (void)command(0);
    ALSO(answered(t));
    PROMISE(x.code != 0 && x.len == HEADER_LEN, "tpm: a command that does not exist succeeds");
    ALSO(takes_long_commands(t));
    return gives_random(t, 16);
}

/* ---- transport ---- */
#define PATIENCE_MS 10000
#define WAIT_MS 100
#define TRIES 200
#define END_BYTE 0x04

static enum err opens(struct hal_transport *t, const struct halcheck_peers *p, uint16_t port, int64_t now_s,
                      struct hal_peer *peer)
{
    memset(peer, POISON_BYTE, sizeof *peer);
    return t->open(t, p->host, port, now_s, PATIENCE_MS, peer);
}

static const char *sends(struct hal_transport *t, struct span bytes)
{
    for (int zeros = 0; bytes.len > 0;) {
        int n = t->send(t, bytes, WAIT_MS);
        PROMISE(n >= 0, "transport: an open stream is gone");
        PROMISE((size_t)n <= bytes.len, "transport: more was sent than there was");
        zeros = n > 0 ? 0 : zeros + 1;
        PROMISE(zeros < TRIES, "transport: send moves nothing");
        bytes = span_slice(bytes, (size_t)n, bytes.len);
    }
    return NULL;
}

/* Reads what was sent, with room for `step` bytes a call. */
static const char *comes_back(struct hal_transport *t, struct span want, size_t step)
{
    uint8_t at[512 + 1];
    for (int zeros = 0; want.len > 0;) {
        memset(at, POISON_BYTE, sizeof at);
        int n = t->receive(t, at, step, WAIT_MS);
        PROMISE(n >= 0, "transport: an open stream is gone");
        PROMISE((size_t)n <= step && is_all(at + n, sizeof at - (size_t)n, POISON_BYTE),
                "transport: receive writes more than it says, or than there is room for");
        zeros = n > 0 ? 0 : zeros + 1;
        PROMISE(zeros < TRIES, "transport: what was sent does not come back");
        PROMISE(span_equal(span_of(at, (size_t)n), span_slice(want, 0, (size_t)n)),
                "transport: what comes back is not what was sent");
        want = span_slice(want, (size_t)n, want.len);
    }
    return NULL;
}

static const char *echoes(struct hal_transport *t)
{
    static uint8_t bytes[5000];
    uint8_t at;
    fill_with(bytes, sizeof bytes, 5);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = bytes[i] == END_BYTE ? 0 : bytes[i];
    ALSO(sends(t, span_of(bytes, 1)));
    ALSO(comes_back(t, span_of(bytes, 1), 512));
    PROMISE(t->receive(t, &at, 1, WAIT_MS) == 0, "transport: silence must be 0, not negative");
    ALSO(sends(t, SPAN_ARRAY(bytes)));
    ALSO(comes_back(t, span_of(bytes, 10), 1));
    return comes_back(t, span_slice(SPAN_ARRAY(bytes), 10, sizeof bytes), 512);
}

static const char *notices_the_end(struct hal_transport *t)
{
    static const uint8_t end[] = {END_BYTE};
    uint8_t at;
    int n = 0;
    ALSO(sends(t, SPAN_ARRAY(end)));
    for (int tries = 0; tries < TRIES && n == 0; tries++)
        n = t->receive(t, &at, 1, WAIT_MS);
    PROMISE(n < 0, "transport: the peer has hung up, and receive is not negative");
    PROMISE(t->receive(t, &at, 1, WAIT_MS) < 0, "transport: a stream that is gone comes back");
    return NULL;
}

static const char *closes(struct hal_transport *t)
{
    uint8_t at = 0;
    t->close(t);
    t->close(t); /* does nothing */
    PROMISE(t->send(t, span_of(&at, 1), WAIT_MS) < 0, "transport: send on a closed stream must be negative");
    PROMISE(t->receive(t, &at, 1, WAIT_MS) < 0,
            "transport: receive on a closed stream must be negative");
    return NULL;
}

static const char *opens_and_dates(struct hal_transport *t, const struct halcheck_peers *p)
{
    struct hal_peer known, unknown, other;
    PROMISE(opens(t, p, p->echo_port, p->now_s, &known) == ERR_OK, "transport: open fails");
    ALSO(closes(t));
    PROMISE(known.not_before_s <= p->now_s && p->now_s <= known.not_after_s,
            "transport: open returns dates that do not hold now");
    PROMISE(opens(t, p, p->echo_port, 0, &unknown) == ERR_OK, "transport: open fails without a time");
    ALSO(closes(t));
    PROMISE(unknown.not_before_s == known.not_before_s && unknown.not_after_s == known.not_after_s,
            "transport: without a time open returns other dates");
    PROMISE(known.not_before_s <= 1 ||
                opens(t, p, p->echo_port, known.not_before_s - 1, &other) == ERR_TLS_DATE,
            "transport: a certificate of the future must be ERR_TLS_DATE");
    PROMISE(known.not_after_s == INT64_MAX ||
                opens(t, p, p->echo_port, known.not_after_s + 1, &other) == ERR_TLS_DATE,
            "transport: a certificate of the past must be ERR_TLS_DATE");
    return NULL;
}

static const char *refuses(struct hal_transport *t, const struct halcheck_peers *p)
{
    struct halcheck_peers other = *p;
    struct hal_peer peer;
    memset(&peer, POISON_BYTE, sizeof peer);
    other.host = p->other_host;
    PROMISE(!p->other_host || opens(t, &other, p->echo_port, p->now_s, &peer) == ERR_TLS_NAME,
            "transport: a name that the certificate has not must be ERR_TLS_NAME");
    PROMISE(!p->other_host || opens(t, &other, p->echo_port, 0, &peer) == ERR_TLS_NAME,
            "transport: without a time, too, the name must be checked");
    PROMISE(!p->stranger_port || opens(t, p, p->stranger_port, p->now_s, &peer) == ERR_TLS_TRUST,
            "transport: a chain to another CA must be ERR_TLS_TRUST");
    PROMISE(!p->stranger_port || opens(t, p, p->stranger_port, 0, &peer) == ERR_TLS_TRUST,
            "transport: without a time, too, the chain must be checked");
    PROMISE(!p->closed_port || opens(t, p, p->closed_port, p->now_s, &peer) == ERR_NETWORK,
            "transport: a port that nobody listens on must be ERR_NETWORK");
    if (p->silent_port)
        PROMISE(t->open(t, p->host, p->silent_port, p->now_s, 3 * WAIT_MS, &peer) == ERR_TIMEOUT,
                "transport: a peer that says nothing must be ERR_TIMEOUT");
    PROMISE(is_all((const uint8_t *)&peer, sizeof peer, POISON_BYTE),
            "transport: an open that fails has written to its outputs");
    return NULL;
}

const char *halcheck_transport(struct hal_transport *t, const struct halcheck_peers *p)
{
    struct hal_peer peer;
    ALSO(closes(t)); /* nothing was open */
    ALSO(opens_and_dates(t, p));
    ALSO(refuses(t, p));
    PROMISE(opens(t, p, p->echo_port, p->now_s, &peer) == ERR_OK,
            "transport: open fails after opens that failed");
    ALSO(echoes(t));
    ALSO(closes(t));
    PROMISE(opens(t, p, p->echo_port, p->now_s, &peer) == ERR_OK, "transport: the second open fails");
    ALSO(echoes(t));
    ALSO(notices_the_end(t));
    return closes(t);
}
