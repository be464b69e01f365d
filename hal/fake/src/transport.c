#include <hal/fake.h>
#include <string.h>

static struct fake_transport *mine(struct hal_transport *table)
{
    return (struct fake_transport *)table;
}

static bool fails_now(const struct fake_transport *t)
{
    const struct fake_transport_plan *p = &t->plan;
    return p->fail_open_at != 0 && (t->opens == p->fail_open_at ||
                                    (p->open_stays_broken && t->opens > p->fail_open_at));
}

static bool is_gone(struct fake_transport *t)
{
    if (t->plan.gone_after != 0 && t->moved >= t->plan.gone_after)
        return true;
    if (t->plan.close_after != 0 && t->moved >= t->plan.close_after) {
        t->plan.close_after = 0;
        return true;
    }
    return false;
}

static enum err fake_open(struct hal_transport *table, const char *host, uint16_t port,
                          int64_t now_s, uint32_t timeout_ms, struct hal_peer *ret_peer)
{
    struct fake_transport *t = mine(table);
    ERR_ASSERT(!t->is_open);
    t->opens++;
    t->last_now_s = now_s;
    strncpy(t->last_host, host, sizeof t->last_host - 1);
    if (fails_now(t))
        return t->plan.open_error;
    if (t->plan.gone_after != 0 && t->moved >= t->plan.gone_after)
        return ERR_NETWORK;
    if (t->inner)
        TRY(t->inner->open(t->inner, host, port, now_s, timeout_ms, ret_peer));
    else if (now_s != 0 && (now_s < t->plan.peer.not_before_s || now_s > t->plan.peer.not_after_s))
        return ERR_TLS_DATE;
    else
        *ret_peer = t->plan.peer;
    t->is_open = true;
    t->request = BUF_OVER(t->request_bytes);
    t->reply = BUF_OVER(t->reply_bytes);
    t->replied = 0;
    return ERR_OK;
}

/* How many of n bytes this call may move; negative: the stream has ended. */
static int allowed(struct fake_transport *t, size_t n)
{
    t->calls++;
    if (!t->is_open || is_gone(t))
        return -1;
    if (t->plan.would_block_at != 0 && t->calls % t->plan.would_block_at == 0)
        return 0;
    if (t->plan.chunk != 0 && n > t->plan.chunk)
        n = t->plan.chunk;
    uint64_t end = t->plan.gone_after != 0 ? t->plan.gone_after : t->plan.close_after;
    if (end != 0 && n > end - t->moved)
        n = (size_t)(end - t->moved);
    return (int)n;
}

static void count(struct fake_transport *t, int n)
{
    if (n <= 0)
        return;
    t->moved += (uint64_t)n;
    if (t->plan.delay_ms != 0 && t->clock)
        t->clock->sleep_ms(t->clock, t->plan.delay_ms);
}

static int fake_send(struct hal_transport *table, struct span bytes, uint32_t timeout_ms)
{
    struct fake_transport *t = mine(table);
    int n = allowed(t, bytes.len);
    if (n <= 0)
        return n;
    struct span part = span_slice(bytes, 0, (size_t)n);
    if (t->inner) {
        n = t->inner->send(t->inner, part, timeout_ms);
    } else {
        buf_put(&t->request, part);
        ERR_ASSERT(!t->request.full);
    }
    count(t, n);
    return n;
}

static void ask_peer(struct fake_transport *t)
{
    if (t->replied < t->reply.len || !t->peer)
        return;
    t->reply = BUF_OVER(t->reply_bytes);
    t->replied = 0;
    size_t used = t->peer(t->context, buf_span(&t->request), &t->reply);
    ERR_ASSERT(used <= t->request.len && !t->reply.full);
    memmove(t->request.at, t->request.at + used, t->request.len - used);
    t->request.len -= used;
}

static int fake_receive(struct hal_transport *table, uint8_t *at, size_t cap, uint32_t timeout_ms)
{
    struct fake_transport *t = mine(table);
    int n = allowed(t, cap);
    if (n <= 0)
        return n;
    if (t->inner) {
        n = t->inner->receive(t->inner, at, (size_t)n, timeout_ms);
    } else {
        ask_peer(t);
        struct span part = span_slice(buf_span(&t->reply), t->replied, (size_t)n);
        if (part.len == 0 && t->clock)
            t->clock->sleep_ms(t->clock, timeout_ms);
        if (part.len > 0)
            memcpy(at, part.at, part.len);
        t->replied += part.len;
        n = (int)part.len;
    }
    count(t, n);
    return n;
}

static void fake_close(struct hal_transport *table)
{
    struct fake_transport *t = mine(table);
    if (t->is_open && t->inner)
        t->inner->close(t->inner);
    t->is_open = false;
}

void fake_transport_init(struct fake_transport *t, struct hal_transport *inner)
{
    memset(t, 0, sizeof *t);
    t->table = (struct hal_transport){
        .open = fake_open, .send = fake_send, .receive = fake_receive, .close = fake_close};
    t->inner = inner;
    t->plan.peer = (struct hal_peer){.not_before_s = 1, .not_after_s = INT64_MAX};
}
