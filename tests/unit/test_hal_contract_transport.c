/* The transport's contract (halcheck.h) held against hal/fake, in good luck and in bad, and against
 * streams that break it in one place each. Over real TLS it is held by tests/flow/hal-contract. */
#include <unit.h>
#include <contract.h>

#include <hal/fake.h>
#include <stdio.h>

#define NOW_S INT64_C(1800000000)

static struct fake_transport stream;

/* Sends back what comes; after a byte 04 the stream is gone. */
static size_t echo(void *context, struct span request, struct buf *reply)
{
    (void)context;
    if (request.len > 0 && memchr(request.at, 4, request.len))
        stream.plan.gone_after = stream.moved;
    else
        buf_put(reply, request);
    return request.len;
}

static void fresh_stream(void)
{
    fake_transport_init(&stream, NULL);
    stream.peer = echo;
    stream.plan.peer = (struct hal_peer){.not_before_s = NOW_S - 100, .not_after_s = NOW_S + 100};
}

static const char *check_stream(void)
{
    const struct halcheck_peers peers = {.host = "peer", .now_s = NOW_S, .echo_port = 1};
    return halcheck_transport(&stream.table, &peers);
}

static struct hal_transport true_stream; /* its functions */
static int negative_for_silence(struct hal_transport *t, uint8_t *at, size_t cap, uint32_t timeout_ms)
{
    int n = true_stream.receive(t, at, cap, timeout_ms);
    return n == 0 ? -1 : n;
}
static int zero_for_the_end(struct hal_transport *t, uint8_t *at, size_t cap, uint32_t timeout_ms)
{
    int n = true_stream.receive(t, at, cap, timeout_ms);
    return n < 0 ? 0 : n;
}
static int drops_a_byte(struct hal_transport *t, uint8_t *at, size_t cap, uint32_t timeout_ms)
{
    int n = true_stream.receive(t, at, cap, timeout_ms);
    return n > 1 ? n - 1 : n;
}
static int wants_more_room(struct hal_transport *t, uint8_t *at, size_t cap, uint32_t timeout_ms)
{
    return true_stream.receive(t, at, cap < 2 ? 2 : cap, timeout_ms);
}
static int sends_all_it_says(struct hal_transport *t, struct span bytes, uint32_t timeout_ms)
{
    int n = true_stream.send(t, bytes, timeout_ms);
    return n > 0 ? n + 1 : n;
}
static int sends_less_than_it_says(struct hal_transport *t, struct span bytes, uint32_t timeout_ms)
{
    return true_stream.send(t, span_slice(bytes, 0, 100), timeout_ms) < 0 ? -1 : (int)bytes.len;
}
static void stays_open(struct hal_transport *t)
{
    (void)t;
}
static enum err dates_for_nothing(struct hal_transport *t, const char *host, uint16_t port, int64_t now_s,
                                  uint32_t timeout_ms, struct hal_peer *ret_peer)
{
    (void)now_s;
    return true_stream.open(t, host, port, 0, timeout_ms, ret_peer);
}
static enum err no_dates_without_time(struct hal_transport *t, const char *host, uint16_t port, int64_t now_s,
                                      uint32_t timeout_ms, struct hal_peer *ret_peer)
{
    struct hal_peer peer;
    TRY(true_stream.open(t, host, port, now_s, timeout_ms, &peer));
    *ret_peer = now_s == 0 ? (struct hal_peer){0} : peer;
    return ERR_OK;
}

static void transport(void **state)
{
    (void)state;
    fresh_stream();
    assert_kept(check_stream());
    uint64_t moved = stream.moved;
    static const struct fake_transport_plan rough[] = {
        {.chunk = 1}, {.chunk = 7, .would_block_at = 2}, {.would_block_at = 3}};
    for (size_t i = 0; i < sizeof rough / sizeof *rough; i++) { /* bad luck, no broken promise */
        fresh_stream();
        stream.plan.chunk = rough[i].chunk;
        stream.plan.would_block_at = rough[i].would_block_at;
        assert_kept(check_stream());
    }
    for (uint64_t after = 1; after < moved; after += 97) {
        fresh_stream();
        stream.plan.gone_after = after;
        assert_broken("transport", "a stream that is cut", check_stream());
    }
    for (unsigned at = 1; at <= 4; at++) {
        fresh_stream();
        stream.plan.fail_open_at = at;
        stream.plan.open_error = ERR_NETWORK;
        assert_broken("transport", "an open that fails", check_stream());
    }
}

static void transport_mutants(void **state)
{
    (void)state;
    fresh_stream();
    true_stream = stream.table;
    struct hal_transport mutants[9];
    for (size_t i = 0; i < 9; i++)
        mutants[i] = true_stream;
    mutants[0].receive = negative_for_silence;
    mutants[1].receive = zero_for_the_end;
    mutants[2].receive = drops_a_byte;
    mutants[3].receive = wants_more_room;
    mutants[4].send = sends_all_it_says;
    mutants[5].send = sends_less_than_it_says;
    mutants[6].close = stays_open;
    mutants[7].open = dates_for_nothing;
    mutants[8].open = no_dates_without_time;
    for (size_t i = 0; i < 9; i++) {
        char name[40];
        fresh_stream();
        stream.table = mutants[i];
        (void)snprintf(name, sizeof name, "transport mutant %zu", i);
        assert_broken("transport", name, check_stream());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transport),
        cmocka_unit_test(transport_mutants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
