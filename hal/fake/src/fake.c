#include <hal/fake.h>
#include <string.h>

#define TPM_HEADER_LEN 10
#define TPM_ST_NO_SESSIONS 0x8001

/* A step of splitmix64: deterministic, and different for each seed. */
static uint64_t scramble(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- tpm ---- */
static void header_write(uint8_t *reply, size_t len, uint32_t code)
{
    struct buf out = buf_over(reply, TPM_HEADER_LEN);
    buf_put_u16(&out, TPM_ST_NO_SESSIONS);
    buf_put_u32(&out, (uint32_t)len);
    buf_put_u32(&out, code);
}

static enum err honest(struct fake_tpm *t, struct span command, uint8_t *reply, size_t cap,
                       size_t *ret_len)
{
    if (t->inner)
        return t->inner->transact(t->inner, command, reply, cap, ret_len);
    header_write(reply, TPM_HEADER_LEN, 0);
    *ret_len = TPM_HEADER_LEN;
    return ERR_OK;
}

static void truncate_reply(const struct fake_tpm_plan *p, uint8_t *reply, size_t *len)
{
    if (p->value < *len)
        *len = p->value;
    if (p->fault == FAKE_TPM_TRUNCATE_FIXED && *len >= 6) {
        struct buf size = buf_over(reply + 2, 4);
        buf_put_u32(&size, (uint32_t)*len);
    }
}

/* A plain answer needs no TPM behind it, and a command that never arrived changed nothing there. */
static bool invented(const struct fake_tpm_plan *p, uint8_t *reply, size_t cap, size_t *ret_len)
{
    if (p->fault == FAKE_TPM_RESPONSE_CODE) {
        *ret_len = TPM_HEADER_LEN;
        header_write(reply, *ret_len, p->value);
        return true;
    }
    if (p->fault == FAKE_TPM_HUGE) {
        memset(reply, 0xff, cap);
        header_write(reply, cap, 0);
        *ret_len = cap;
        return true;
    }
    if (p->fault == FAKE_TPM_GARBAGE) {
        uint64_t state = p->value;
        for (*ret_len = 0; *ret_len < 64; ++*ret_len)
            reply[*ret_len] = (uint8_t)scramble(&state);
        return true;
    }
    return false;
}

static enum err faulty(struct fake_tpm *t, struct span command, uint8_t *reply, size_t cap,
                       size_t *ret_len)
{
    const struct fake_tpm_plan *p = &t->plan;
    if (p->fault == FAKE_TPM_GONE) {
        if (p->value != 0 && t->commands == p->at)
            (void)!honest(t, command, reply, cap, ret_len);
        return ERR_TPM_TRANSPORT;
    }
    if (invented(p, reply, cap, ret_len))
        return ERR_OK;
    size_t len;
    TRY(honest(t, command, reply, cap, &len));
    if (p->fault == FAKE_TPM_LOST_REPLY)
        return ERR_TPM_TRANSPORT;
    if (p->fault == FAKE_TPM_FLIP && p->value < len)
        reply[p->value] ^= 0xff;
    if (p->fault == FAKE_TPM_TRUNCATE || p->fault == FAKE_TPM_TRUNCATE_FIXED)
        truncate_reply(p, reply, &len);
    *ret_len = len;
    return ERR_OK;
}

static bool is_hit(const struct fake_tpm *t)
{
    const struct fake_tpm_plan *p = &t->plan;
    if (p->at == 0 || t->commands < p->at)
        return false;
    return p->fault == FAKE_TPM_GONE || t->commands < p->at + (p->times ? p->times : 1);
}

static enum err fake_transact(struct hal_tpm *table, struct span command, uint8_t *ret_reply,
                              size_t cap, size_t *ret_len)
{
    struct fake_tpm *t = (struct fake_tpm *)table;
    ERR_ASSERT(cap >= 64);
    t->commands++;
    struct rd code = rd_over(span_slice(command, 6, 4));
    t->last_code = rd_u32(&code);
    if (!is_hit(t))
        return honest(t, command, ret_reply, cap, ret_len);
    t->hit_code = t->last_code;
    return faulty(t, command, ret_reply, cap, ret_len);
}

void fake_tpm_init(struct fake_tpm *t, struct hal_tpm *inner)
{
    memset(t, 0, sizeof *t);
    t->table.transact = fake_transact;
    t->inner = inner;
}

/* ---- clock ---- */
static int64_t fake_wall_s(struct hal_clock *table)
{
    struct fake_clock *c = (struct fake_clock *)table;
    c->looks++;
    if (c->jump_at != 0 && c->looks == c->jump_at)
        c->wall_s = c->jump_to_s == 0 ? 0 : c->jump_to_s - (int64_t)(c->now_ms / 1000);
    return c->wall_s == 0 ? 0 : c->wall_s + (int64_t)(c->now_ms / 1000);
}

static uint64_t fake_monotonic_ms(struct hal_clock *table)
{
    return ((struct fake_clock *)table)->now_ms;
}

static void fake_sleep_ms(struct hal_clock *table, uint32_t ms)
{
    struct fake_clock *c = (struct fake_clock *)table;
    c->now_ms += ms;
    c->slept_ms += ms;
}

void fake_clock_init(struct fake_clock *c, int64_t wall_s)
{
    memset(c, 0, sizeof *c);
    c->table = (struct hal_clock){
        .wall_s = fake_wall_s, .monotonic_ms = fake_monotonic_ms, .sleep_ms = fake_sleep_ms};
    c->wall_s = wall_s;
}

/* ---- entropy ---- */
static enum err fake_fill(struct hal_entropy *table, uint8_t *ret_bytes, size_t len)
{
    struct fake_entropy *e = (struct fake_entropy *)table;
    e->calls++;
    if (e->fail_at != 0 && e->calls >= e->fail_at)
        return ERR_ENTROPY;
    for (size_t i = 0; i < len; i++)
        ret_bytes[i] = (uint8_t)scramble(&e->seed);
    return ERR_OK;
}

void fake_entropy_init(struct fake_entropy *e, uint64_t seed)
{
    memset(e, 0, sizeof *e);
    e->table.fill = fake_fill;
    e->seed = seed;
}

void hal_fake_init(struct hal_fake *f, int64_t wall_s)
{
    fake_transport_init(&f->transport, NULL);
    fake_tpm_init(&f->tpm, NULL);
    fake_clock_init(&f->clock, wall_s);
    fake_storage_init(&f->storage);
    fake_entropy_init(&f->entropy, 1);
    f->transport.clock = &f->clock.table;
    f->hal = (struct hal){.transport = &f->transport.table, .tpm = &f->tpm.table,
                          .clock = &f->clock.table, .storage = &f->storage.table,
                          .entropy = &f->entropy.table};
}
