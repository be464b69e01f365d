/* A device that stays, in a field where the network, the service and the hub go wrong for an hour and
 * then are right again: it ends at the right hub, asks no more often than it may, and keeps what it has. */
#include <unit.h>

#include <backoff.h>
#include <httpc.h>
#include <stdio.h>
#include <toyboot.h>

#define HOUR_MS 3600000u
#define MINUTE_MS 60000u
#define TRIES_MAX 4096
#define TRIES_A_MINUTE 7 /* as backoff.h says, of a device that is alone with its failure */

/* ---- a device that is watched ---- */
struct watch {
    unsigned tries; /* connections opened, to the service or the hub */
    uint64_t at_ms[TRIES_MAX];
    unsigned waits;
    uint32_t wait_ms[TRIES_MAX];
    enum err error[TRIES_MAX]; /* why it waits */
};

static unsigned connections(const struct world *w)
{
    return w->fake.transport.opens + w->hub.connects;
}

static enum provision_state watched_step(struct world *w, struct watch *watch, enum provision_state from)
{
    unsigned before = connections(w);
    uint64_t now_ms = w->fake.clock.now_ms;
    enum provision_state at =
        from == PROVISION_DONE ? provision_stay(w->machine, MINUTE_MS) : provision_step(w->machine);
    for (; before < connections(w); before++) {
        assert_true(watch->tries < TRIES_MAX);
        watch->at_ms[watch->tries++] = now_ms;
    }
    if (at == PROVISION_WAIT) {
        assert_true(watch->waits < TRIES_MAX);
        watch->error[watch->waits] = provision_last_error(w->machine);
        watch->wait_ms[watch->waits++] = provision_wait_ms(w->machine);
    }
    return at;
}

/* Goes on until that time; ends in whatever state it is then. A machine that spins is seen: every state
 * but WAIT and DONE takes no time here. */
static enum provision_state live_until(struct world *w, struct watch *watch, enum provision_state at, uint64_t end_ms)
{
    for (unsigned steps = 0; w->fake.clock.now_ms < end_ms; steps++) {
        assert_true(steps < 4000);
        at = watched_step(w, watch, at);
        if (at == PROVISION_FAILED)
            fail_msg("it gave up: %s", err_name(provision_last_error(w->machine)));
    }
    return at;
}

static enum provision_state live_to(struct world *w, struct watch *watch, enum provision_state at,
                                    enum provision_state goal)
{
    for (unsigned steps = 0; at != goal; steps++) {
        assert_true(steps < 200);
        at = watched_step(w, watch, at);
        assert_int_not_equal(at, PROVISION_FAILED);
    }
    return at;
}

static unsigned most_in_a_minute(const struct watch *watch)
{
    unsigned most = 0;
    for (unsigned from = 0, to = 0; to < watch->tries; to++) {
        while (watch->at_ms[to] - watch->at_ms[from] >= MINUTE_MS)
            from++;
        if (to - from + 1 > most)
            most = to - from + 1;
    }
    return most;
}

static void assert_waits(const struct watch *watch, uint32_t least_ms, enum err expected)
{
    for (unsigned i = 0; i < watch->waits; i++) {
        uint32_t most_ms = i < 9 ? BACKOFF_FIRST_MS << i : BACKOFF_MOST_MS;
        uint32_t floor_ms = most_ms / 2 > least_ms ? most_ms / 2 : least_ms;
        uint32_t told_ms = least_ms + least_ms / 4;
        assert_in_range(watch->wait_ms[i], floor_ms, most_ms > told_ms ? most_ms : told_ms);
        assert_err(expected, watch->error[i]);
    }
}

static struct world *staying(void)
{
    struct world *w = build(NOW_S, true);
    w->config.attempts_max = 0;
    w->fake.transport.plan.peer.not_after_s = NOW_S + 100000000;
    return w;
}

static void assert_assigned_to(struct world *w, const char *hub)
{
    struct assignment a;
    assert_true(slot_is(w, &a));
    assert_string_equal(a.hub, hub);
    assert_string_equal(provision_assigned_hub(w->machine), hub);
    assert_memory_equal(w->tpm.identity, w->service.hub_key, 32);
    assert_nothing_loaded(w);
}

/* ---- the service in a storm ---- */
#define HTML "Content-Type: text/html\r\nContent-Length: 22\r\n\r\n<html>Log in</html>   "
#define EMPTY "Content-Length: 0\r\n\r\n"
#define DATED "Date: Wed, 31 Aug 2022 22:02:10 GMT\r\n"

static void an_hour_of_it(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum err expected;
        uint32_t least_ms;
    } rows[] = {
        {"", ERR_TIMEOUT, 0}, /* accepts and is silent */
        {"HTTP/1.1 500 Oops\r\n" EMPTY, ERR_INTERNAL, 0},
        {"HTTP/1.1 503 Later\r\n" EMPTY, ERR_UNAVAILABLE, 0},
        {"HTTP/1.1 502 Gateway\r\n" HTML, ERR_UNAVAILABLE, 0},
        {"HTTP/1.1 503 Later\r\nRetry-After: 30\r\n" EMPTY, ERR_UNAVAILABLE, 30000},
        {"HTTP/1.1 503 Later\r\nRetry-After: 0\r\n" EMPTY, ERR_UNAVAILABLE, 1000},
        {"HTTP/1.1 503 Later\r\nRetry-After: -30\r\n" EMPTY, ERR_UNAVAILABLE, 0},
        {"HTTP/1.1 503 Later\r\nRetry-After: soon\r\n" EMPTY, ERR_UNAVAILABLE, 0},
        {"HTTP/1.1 503 Later\r\nRetry-After: 99999999999999999999\r\n" EMPTY, ERR_UNAVAILABLE, 300000},
        {"HTTP/1.1 503 Later\r\n" DATED "Retry-After: Wed, 31 Aug 2022 22:02:50 GMT\r\n" EMPTY, ERR_UNAVAILABLE, 40000},
        {"HTTP/1.1 503 Later\r\n" DATED "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n" EMPTY, ERR_UNAVAILABLE, 300000},
        {"HTTP/1.1 503 Later\r\n" DATED "Retry-After: Mon, 01 Jan 1990 00:00:00 GMT\r\n" EMPTY, ERR_UNAVAILABLE, 1000},
        {"HTTP/1.1 429 Slow\r\nRetry-After: 5\r\n" EMPTY, ERR_THROTTLED, 5000},
        {"HTTP/1.1 200 OK\r\n" HTML, ERR_PROTOCOL, 0}, /* a portal, or a proxy of somebody else's */
        {"HTTP/1.1 302 Found\r\nLocation: https://portal.example/\r\n" EMPTY, ERR_PROTOCOL, 0},
        {"HTTP/1.1 511 Network Authentication Required\r\n" HTML, ERR_UNAVAILABLE, 0},
        {"HTTP/1.1 505 Version\r\n" HTML, ERR_PROTOCOL, 0},
        {"HTTP/1.1 400 Bad\r\n" HTML, ERR_PROTOCOL, 0},
        {"HTTP/1.1 403 Forbidden\r\n" HTML, ERR_PROTOCOL, 0},
        {"HTTP/1.1 404 Not Found\r\n" HTML, ERR_PROTOCOL, 0},
        {"HTTP/1.1 200 OK\r\n\r\n<html>without a length</html>", ERR_PROTOCOL, 0},
        {"220 mail.example ESMTP\r\n", ERR_PROTOCOL, 0},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", ERR_PROTOCOL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = staying();
        struct watch *watch = calloc(1, sizeof *watch);
        assert_non_null(watch);
        w->service.storm = rows[i].answer;
        power_on(w);
        enum provision_state at = live_until(w, watch, PROVISION_START, HOUR_MS);
        assert_in_range(watch->tries, 9, 31);
        assert_in_range(w->service.requests, 9, 31);
        assert_in_range(most_in_a_minute(watch), 1, TRIES_A_MINUTE);
        assert_waits(watch, rows[i].least_ms, rows[i].expected);
        assert_slot_honest(w);
        w->service.storm = NULL;
        at = live_to(w, watch, at, PROVISION_DONE);
        assert_in_range(w->fake.clock.now_ms, HOUR_MS, HOUR_MS + 2 * 375000);
        assert_assigned_to(w, TOY_HUB);
        free(watch);
        drop(w);
    }
}

/* The same in the middle of things: the second request and the polls meet it. */
static void a_storm_between_two_requests(void **state)
{
    (void)state;
    struct world *w = staying();
    struct watch *watch = calloc(1, sizeof *watch);
    assert_non_null(watch);
    w->service.polls_before_assigned = 1;
    power_on(w);
    enum provision_state at = live_to(w, watch, PROVISION_START, PROVISION_PROVE);
    w->service.storm = "HTTP/1.1 500 Oops\r\n" EMPTY;
    at = live_until(w, watch, at, HOUR_MS / 2);
    w->service.storm = NULL;
    at = live_to(w, watch, at, PROVISION_POLL);
    w->service.storm = "HTTP/1.1 503 Later\r\n" EMPTY;
    at = live_until(w, watch, at, HOUR_MS);
    w->service.storm = NULL;
    (void)live_to(w, watch, at, PROVISION_DONE);
    assert_in_range(most_in_a_minute(watch), 1, TRIES_A_MINUTE);
    assert_assigned_to(w, TOY_HUB);
    free(watch);
    drop(w);
}

/* An operation that never ends is left, and a new one begun. */
static void an_operation_without_end_is_left(void **state)
{
    (void)state;
    struct world *w = staying();
    struct watch *watch = calloc(1, sizeof *watch);
    assert_non_null(watch);
    w->service.polls_before_assigned = 101;
    power_on(w);
    enum provision_state at = live_to(w, watch, PROVISION_START, PROVISION_POLL);
    while (w->service.polls < 100)
        at = watched_step(w, watch, at);
    assert_int_equal(at, PROVISION_WAIT);
    assert_err(ERR_TIMEOUT, provision_last_error(w->machine));
    assert_int_equal(watched_step(w, watch, at), PROVISION_TPM);
    (void)live_to(w, watch, PROVISION_TPM, PROVISION_DONE);
    assert_int_equal(w->service.proofs, 2);
    free(watch);
    drop(w);
}

/* ---- a network that is not there ---- */
static void an_hour_without_a_network(void **state)
{
    (void)state;
    static const enum err errors[] = {ERR_HOST, ERR_NETWORK, ERR_TIMEOUT, ERR_TLS, ERR_TLS_TRUST, ERR_TLS_NAME,
                                      ERR_TLS_DATE, ERR_MEMORY, ERR_CRYPTO};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct world *w = staying();
        struct watch *watch = calloc(1, sizeof *watch);
        assert_non_null(watch);
        w->fake.transport.plan.fail_open_at = 1;
        w->fake.transport.plan.open_stays_broken = true;
        w->fake.transport.plan.open_error = errors[i];
        power_on(w);
        enum provision_state at = live_until(w, watch, PROVISION_START, HOUR_MS);
        assert_in_range(watch->tries, 9, 31);
        assert_in_range(most_in_a_minute(watch), 1, TRIES_A_MINUTE);
        assert_waits(watch, 0, errors[i]);
        w->fake.transport.plan.fail_open_at = 0;
        (void)live_to(w, watch, at, PROVISION_DONE);
        assert_assigned_to(w, TOY_HUB);
        free(watch);
        drop(w);
    }
}

static void a_byte_a_second(void **state)
{
    (void)state;
    struct world *w = staying();
    struct watch *watch = calloc(1, sizeof *watch);
    assert_non_null(watch);
    w->fake.transport.plan.chunk = 1;
    w->fake.transport.plan.delay_ms = 1000;
    power_on(w);
    enum provision_state at = live_until(w, watch, PROVISION_START, HOUR_MS);
    assert_waits(watch, 0, ERR_TIMEOUT);
    assert_in_range(watch->tries, 9, 31);
    w->fake.transport.plan.delay_ms = 1;
    (void)live_to(w, watch, at, PROVISION_DONE);
    assert_assigned_to(w, TOY_HUB);
    free(watch);
    drop(w);
}

/* A clock that was wrong when it started and is set right later, as by NTP. */
static void a_clock_that_is_set_right(void **state)
{
    (void)state;
    static const int64_t wrong_s[] = {INT64_C(1600000000), INT64_C(4000000000)};
    for (size_t i = 0; i < 2; i++) {
        struct world *w = staying();
        struct watch *watch = calloc(1, sizeof *watch);
        assert_non_null(watch);
        w->fake.clock.wall_s = wrong_s[i];
        power_on(w);
        enum provision_state at = live_until(w, watch, PROVISION_START, HOUR_MS);
        assert_waits(watch, 0, ERR_TLS_DATE);
        w->fake.clock.wall_s = NOW_S;
        (void)live_to(w, watch, at, PROVISION_DONE);
        assert_assigned_to(w, TOY_HUB);
        free(watch);
        drop(w);
    }
}

/* ---- the hub ---- */
static void an_hour_without_the_hub(void **state)
{
    (void)state;
    static const enum err errors[] = {ERR_HOST, ERR_NETWORK, ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_TLS, ERR_PROTOCOL};
    for (size_t i = 0; i < sizeof errors / sizeof *errors * 2; i++) {
        struct world *w = staying();
        struct watch *watch = calloc(1, sizeof *watch);
        assert_non_null(watch);
        w->service.retry_after_s = 300; /* is about the service, not about the hub */
        power_on(w);
        enum provision_state at = PROVISION_START;
        if (i % 2) /* it was there, and goes */
            at = live_until(w, watch, at, 10 * MINUTE_MS);
        *watch = (struct watch){0};
        unsigned proofs = w->service.proofs;
        w->hub.connect_error = errors[i / 2];
        w->hub.idle_error = i % 2 ? ERR_NETWORK : ERR_OK;
        at = live_until(w, watch, at, w->fake.clock.now_ms + HOUR_MS);
        assert_in_range(watch->wait_ms[0], 500, 1000);
        assert_in_range(watch->wait_ms[8], 128000, 256000);
        assert_in_range(watch->tries, 12, 40);
        assert_in_range(most_in_a_minute(watch), 1, TRIES_A_MINUTE + 1); /* the service's, of a fresh boot */
        assert_in_range(w->service.proofs - proofs, 1, 4); /* it may have moved: asked rarely */
        assert_assigned_to(w, TOY_HUB);
        w->hub.connect_error = ERR_OK;
        (void)live_to(w, watch, at, PROVISION_DONE);
        assert_assigned_to(w, TOY_HUB);
        free(watch);
        drop(w);
    }
}

/* Hub and service both gone: the assignment is kept, and the hub alone is enough. */
static void neither_hub_nor_service(void **state)
{
    (void)state;
    struct world *w = staying();
    struct watch *watch = calloc(1, sizeof *watch);
    assert_non_null(watch);
    power_on(w);
    enum provision_state at = live_to(w, watch, PROVISION_START, PROVISION_DONE);
    w->hub.connect_error = w->hub.idle_error = ERR_NETWORK;
    w->fake.transport.plan.fail_open_at = w->fake.transport.opens + 1;
    w->fake.transport.plan.open_stays_broken = true;
    w->fake.transport.plan.open_error = ERR_NETWORK;
    at = live_until(w, watch, at, 6 * HOUR_MS);
    assert_true(w->fake.transport.opens >= w->fake.transport.plan.fail_open_at + 1); /* it did ask */
    assert_in_range(most_in_a_minute(watch), 1, TRIES_A_MINUTE + 1);
    assert_int_equal(w->service.proofs, 1);
    assert_assigned_to(w, TOY_HUB);
    w->hub.connect_error = ERR_OK;
    (void)live_to(w, watch, at, PROVISION_DONE);
    assert_int_equal(w->service.proofs, 1);
    free(watch);
    drop(w);
}

/* Somebody else is connected under its name, and each throws the other out: no race. */
static void a_hub_that_lets_in_and_throws_out(void **state)
{
    (void)state;
    struct world *w = staying();
    struct watch *watch = calloc(1, sizeof *watch);
    assert_non_null(watch);
    power_on(w);
    enum provision_state at = PROVISION_START;
    for (unsigned steps = 0; w->fake.clock.now_ms < HOUR_MS; steps++) {
        assert_true(steps < 1000);
        w->hub.idle_error = ERR_NETWORK;
        at = watched_step(w, watch, at);
    }
    assert_waits(watch, 0, ERR_NETWORK);
    assert_in_range(watch->tries, 9, 31);
    assert_in_range(most_in_a_minute(watch), 1, TRIES_A_MINUTE + 1);
    w->hub.idle_error = ERR_OK;
    at = live_to(w, watch, at, PROVISION_DONE);
    at = watched_step(w, watch, at); /* it stayed: from here on a loss is a first one again */
    assert_int_equal(at, PROVISION_DONE);
    w->hub.idle_error = ERR_NETWORK;
    assert_int_equal(watched_step(w, watch, at), PROVISION_WAIT);
    assert_in_range(provision_wait_ms(w->machine), 500, 1000);
    assert_int_equal(w->service.proofs, 1);
    free(watch);
    drop(w);
}

static void a_hub_that_refuses_for_an_hour(void **state)
{
    (void)state;
    struct world *w = staying();
    struct watch *watch = calloc(1, sizeof *watch);
    assert_non_null(watch);
    w->hub.refuse = 1000000;
    power_on(w);
    enum provision_state at = live_until(w, watch, PROVISION_START, HOUR_MS);
    assert_waits(watch, 0, ERR_HUB_REFUSED);
    assert_in_range(w->hub.connects, 9, 31);
    assert_in_range(w->service.proofs, 9, 31);
    assert_in_range(most_in_a_minute(watch), 1, 2 * TRIES_A_MINUTE); /* the service and the hub */
    w->hub.refuse = 0;
    (void)live_to(w, watch, at, PROVISION_DONE);
    assert_assigned_to(w, TOY_HUB);
    free(watch);
    drop(w);
}

/* ---- the service changes its mind ---- */

/* A device at its hub, which throws it out and refuses it from now on. */
static enum provision_state put_out(struct world *w, struct watch *watch)
{
    power_on(w);
    enum provision_state at = live_until(w, watch, PROVISION_START, 10 * MINUTE_MS);
    assert_int_equal(at, PROVISION_DONE);
    *watch = (struct watch){0};
    w->hub.idle_error = ERR_NETWORK;
    return at;
}

static void forgotten_or_locked(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum err expected;
    } rows[] = {
        {"HTTP/1.1 404 No\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"errorCode\":404201}",
         ERR_NOT_ENROLLED},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"status\":\"disabled\"}",
         ERR_DISABLED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = staying();
        struct watch *watch = calloc(1, sizeof *watch);
        assert_non_null(watch);
        enum provision_state at = put_out(w, watch);
        w->hub.refuse = 1000000;
        w->service.storm = rows[i].answer;
        at = live_until(w, watch, at, w->fake.clock.now_ms + HOUR_MS);
        assert_in_range(watch->tries, 9, 31);
        assert_in_range(most_in_a_minute(watch), 1, TRIES_A_MINUTE);
        assert_err(rows[i].expected, watch->error[watch->waits - 1]);
        w->service.storm = NULL;
        w->hub.refuse = 0;
        (void)live_to(w, watch, at, PROVISION_DONE);
        assert_int_equal(w->service.proofs, 2);
        assert_assigned_to(w, TOY_HUB);

        w->service.storm = rows[i].answer; /* one that boots once is told */
        w->hub.refuse = 1000000;
        w->config.attempts_max = 2;
        assert_int_equal(boot(w), PROVISION_FAILED);
        assert_err(rows[i].expected, provision_last_error(w->machine));
        free(watch);
        drop(w);
    }
}

static void its_key_is_rolled(void **state)
{
    (void)state;
    struct world *w = staying();
    struct watch *watch = calloc(1, sizeof *watch);
    assert_non_null(watch);
    enum provision_state at = put_out(w, watch);
    memset(w->service.hub_key, 0, sizeof w->service.hub_key);
    at = live_to(w, watch, watched_step(w, watch, at), PROVISION_DONE);
    assert_int_equal(watch->waits, 2); /* it was thrown out; it was refused */
    assert_int_equal(w->service.requests, 4);
    assert_in_range(w->fake.clock.now_ms, 10 * MINUTE_MS, 11 * MINUTE_MS);
    assert_assigned_to(w, TOY_HUB);
    free(watch);
    drop(w);
}

#define OTHER_HUB "hub-2.example.net"
static void it_is_moved(void **state)
{
    (void)state;
    for (int is_gone = 0; is_gone < 2; is_gone++)
        for (int boots_anew = 0; boots_anew < 2; boots_anew++) {
            struct world *w = staying();
            struct watch *watch = calloc(1, sizeof *watch);
            assert_non_null(watch);
            enum provision_state at = put_out(w, watch);
            w->service.hub = OTHER_HUB;
            w->hub.dead = is_gone ? TOY_HUB : NULL;
            if (boots_anew)
                power_on(w);
            at = live_to(w, watch, boots_anew ? PROVISION_START : watched_step(w, watch, at), PROVISION_DONE);
            assert_assigned_to(w, OTHER_HUB);
            assert_int_equal(w->service.proofs, 2);
            assert_in_range(w->fake.clock.now_ms, 10 * MINUTE_MS, 16 * MINUTE_MS);
            free(watch);
            drop(w);
        }
}

/* A device that boots once, and whose hub is gone for good, is not lost with it. */
static void it_is_moved_and_boots_once(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->config.attempts_max = 3;
    assert_int_equal(boot(w), PROVISION_DONE);
    w->service.hub = OTHER_HUB;
    w->hub.dead = TOY_HUB;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_assigned_to(w, OTHER_HUB);
    drop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour_of_it),
        cmocka_unit_test(a_storm_between_two_requests),
        cmocka_unit_test(an_operation_without_end_is_left),
        cmocka_unit_test(an_hour_without_a_network),
        cmocka_unit_test(a_byte_a_second),
        cmocka_unit_test(a_clock_that_is_set_right),
        cmocka_unit_test(an_hour_without_the_hub),
        cmocka_unit_test(neither_hub_nor_service),
        cmocka_unit_test(a_hub_that_lets_in_and_throws_out),
        cmocka_unit_test(a_hub_that_refuses_for_an_hour),
        cmocka_unit_test(forgotten_or_locked),
        cmocka_unit_test(its_key_is_rolled),
        cmocka_unit_test(it_is_moved),
        cmocka_unit_test(it_is_moved_and_boots_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
