/* The device's HTTP: what it accepts and refuses, split at every byte; its timeouts, its bounds, and
 * when it connects anew. */
#include <unit.h>

#include <hal/fake.h>
#include <httpc.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW_S 1900000000
#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define TIMEOUT_MS 5000

/* ---- reading ---- */
struct row {
    const char *text;
    enum err expected;
    int status;
    const char *body;
    uint32_t retry_after_s;
    int64_t date_s;
    bool is_json, closes;
};

static const struct row good_rows[] = {
    {OK_HEAD "Content-Length: 2\r\n\r\n{}", ERR_OK, 200, "{}", 0, 0, false, false},
    {OK_HEAD "content-LENGTH:2 \r\n\r\n{}", ERR_OK, 200, "{}", 0, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\n\r\n", ERR_OK, 200, "", 0, 0, false, false},
    {"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json; charset=utf-8\r\n"
     "Content-Length: 1\r\n\r\nx", ERR_OK, 401, "x", 0, 0, true, false},
    {"HTTP/1.1 202 \r\nContent-Length: 0\r\nRetry-After: 3\r\n\r\n", ERR_OK, 202, "", 3, 0, false, false},
    {"HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n", ERR_OK, 202, "", 0, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After: 0\r\n\r\n", ERR_OK, 200, "", 1, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After: 999999\r\n\r\n", ERR_OK, 200, "", 300, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After: -1\r\n\r\n", ERR_OK, 200, "", 0, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After: 99999999999999999999999\r\n\r\n", ERR_OK, 200, "", 300, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After: 9223372036854775807\r\n\r\n", ERR_OK, 200, "", 300, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After: soon\r\n\r\n", ERR_OK, 200, "", 0, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After: 1.5\r\n\r\n", ERR_OK, 200, "", 0, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After:\r\n\r\n", ERR_OK, 200, "", 0, 0, false, false},
    {OK_HEAD "Content-Length: 0\r\nRetry-After: Wed, 31 Aug 2022 22:02:50 GMT\r\n\r\n", ERR_OK, 200,
     "", 0, 0, false, false}, /* a date counts from the peer's own */
    {OK_HEAD "Content-Length: 0\r\nRetry-After: Wed, 31 Aug 2022 22:02:50 GMT\r\n"
     "Date: Wed, 31 Aug 2022 22:02:10 GMT\r\n\r\n", ERR_OK, 200, "", 40, 1661983330, false, false},
    {OK_HEAD "Content-Length: 0\r\nDate: Wed, 31 Aug 2022 22:02:50 GMT\r\n"
     "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n\r\n", ERR_OK, 200, "", 300, 1661983370, false, false},
    {OK_HEAD "Content-Length: 0\r\nDate: Wed, 31 Aug 2022 22:02:50 GMT\r\n"
     "Retry-After: Mon, 01 Jan 1990 00:00:00 GMT\r\n\r\n", ERR_OK, 200, "", 1, 1661983370, false, false},
    {OK_HEAD "Date: Wed, 31 Aug 2022 22:02:50 GMT\r\nContent-Length: 0\r\n\r\n", ERR_OK, 200, "", 0,
     1661983370, false, false},
    {OK_HEAD "Date: yesterday\r\nContent-Length: 0\r\n\r\n", ERR_OK, 200, "", 0, 0, false, false},
    {OK_HEAD "Connection: close\r\nContent-Length: 0\r\n\r\n", ERR_OK, 200, "", 0, 0, false, true},
    {OK_HEAD "Connection: upgrade , Close\r\nContent-Length: 0\r\n\r\n", ERR_OK, 200, "", 0, 0, false, true},
    {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", ERR_OK, 200, "", 0, 0, false, true},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", ERR_OK, 200, "", 0, 0, false, false},
    {"HTTP/1.1 204 No Content\r\n\r\n", ERR_OK, 204, "", 0, 0, false, false},
    {OK_HEAD "X-Odd: a:b\tc\r\nContent-Length: 1\r\n\r\n\n", ERR_OK, 200, "\n", 0, 0, false, false},
    {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_OK, 200, "", 0, 0, false, false},
    {OK_HEAD "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n", ERR_OK,
     200, "abc0123456789", 0, 0, false, false},
};

static const char *const bad_rows[] = {
    "x", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",                        /* bare line feeds */
    OK_HEAD "Content-Length: 0\n\r\n", OK_HEAD "A: b\rc\r\nContent-Length: 0\r\n\r\n",
    OK_HEAD "Content-Length : 0\r\n\r\n", OK_HEAD " Content-Length: 0\r\n\r\n",
    OK_HEAD "A: b\r\n folded\r\nContent-Length: 0\r\n\r\n", OK_HEAD "no colon\r\n\r\n",
    OK_HEAD ": empty\r\n\r\n", OK_HEAD "A\x01: b\r\n\r\n", OK_HEAD "A: \x7f\r\n\r\n",
    OK_HEAD "\r\n",                                                  /* no length at all */
    OK_HEAD "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    OK_HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Content-Length: 1, 1\r\n\r\nx", OK_HEAD "Content-Length: +1\r\n\r\nx",
    OK_HEAD "Content-Length: 01\r\n\r\nx", OK_HEAD "Content-Length: 0x1\r\n\r\nx",
    OK_HEAD "Content-Length: -1\r\n\r\nx", OK_HEAD "Content-Length:\r\n\r\n",
    OK_HEAD "Content-Length: 9223372036854775808\r\n\r\n", OK_HEAD "Content-Length: 8193\r\n\r\n",
    OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: identity\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n\r\n", OK_HEAD "Transfer-Encoding: chunked\r\n\r\ng\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n-1\r\n", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0x1\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
};

/* In memory of exactly that size, so that a byte read past the end is seen. */
static enum err read_part(const char *text, size_t len, struct httpc_reply *ret, uint8_t **ret_copy)
{
    *ret_copy = malloc(len + 1);
    assert_non_null(*ret_copy);
    uint8_t *at = *ret_copy + 1;
    memcpy(at, text, len);
    return httpc_reply_read(at, len, ret);
}

static void reads_whole_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_rows / sizeof *good_rows; i++) {
        const struct row *row = &good_rows[i];
        struct httpc_reply reply;
        uint8_t *copy;
        assert_err_of(row->text, ERR_OK, read_part(row->text, strlen(row->text), &reply, &copy));
        assert_int_equal(reply.status, row->status);
        assert_text(row->body, reply.body);
        assert_int_equal(reply.retry_after_s, row->retry_after_s);
        assert_int_equal(reply.date_s, row->date_s);
        assert_int_equal(reply.is_json, row->is_json);
        assert_int_equal(reply.closes, row->closes);
        assert_int_equal(reply.consumed, strlen(row->text));
        free(copy);
    }
}

static void asks_for_more_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_rows / sizeof *good_rows; i++) {
        const char *text = good_rows[i].text;
        for (size_t len = 0; len < strlen(text); len++) {
            struct httpc_reply reply;
            POISON(reply);
            uint8_t *copy;
            assert_err_of(text, ERR_TRUNCATED, read_part(text, len, &reply, &copy));
            assert_poisoned(reply);
            assert_memory_equal(copy + 1, text, len); /* chunks are joined at the end only */
            free(copy);
        }
    }
}

static void refuses_what_is_no_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_rows / sizeof *bad_rows; i++) {
        struct httpc_reply reply;
        uint8_t *copy;
        enum err e = read_part(bad_rows[i], strlen(bad_rows[i]), &reply, &copy);
        if (i > 0) /* the first could still become one */
            assert_err_of(bad_rows[i], ERR_PROTOCOL, e);
        else
            assert_err_of(bad_rows[i], ERR_TRUNCATED, e);
        free(copy);
    }
}

static void leaves_what_follows(void **state)
{
    (void)state;
    static uint8_t two[] = OK_HEAD "Content-Length: 1\r\n\r\naHTTP/1.1";
    struct httpc_reply reply;
    assert_ok(httpc_reply_read(two, sizeof two - 1, &reply));
    assert_int_equal(reply.consumed, sizeof two - 1 - strlen("HTTP/1.1"));
}

/* ---- exchanging ---- */
struct server {
    const char *answers[4];
    unsigned served;
    char request[2048];
};

static bool is_complete(struct span request)
{
    for (size_t i = 0; i + 4 <= request.len; i++)
        if (memcmp(request.at + i, "\r\n\r\n", 4) == 0) {
            const char *length = memmem(request.at, i, "Content-Length: ", 16);
            size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
            return request.len == i + 4 + body;
        }
    return false;
}

static size_t serve(void *context, struct span request, struct buf *reply)
{
    struct server *s = context;
    if (!is_complete(request))
        return 0;
    assert_ok(span_to_text(request, s->request, sizeof s->request));
    if (s->answers[s->served])
        buf_put_text(reply, s->answers[s->served++]);
    return request.len;
}

struct world {
    struct hal_fake fake;
    struct httpc http;
    struct server server;
};

static const struct httpc_request put = {.method = "PUT",
                                         .path = {(const uint8_t *)"/scope", 6},
                                         .authorization = {(const uint8_t *)"Token", 5},
                                         .body = {(const uint8_t *)"{\"a\":1}", 7}};
static const struct httpc_request get = {.method = "GET", .path = {(const uint8_t *)"/", 1}};

static struct world *build(const char *first, const char *second, const char *third)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    hal_fake_init(&w->fake, NOW_S);
    w->server = (struct server){.answers = {first, second, third}};
    w->fake.transport.peer = serve;
    w->fake.transport.context = &w->server;
    httpc_init(&w->http, w->fake.hal.transport, w->fake.hal.clock, "dps.example", 443);
    return w;
}

static enum err exchange(struct world *w, const struct httpc_request *q, struct httpc_reply *reply)
{
    return httpc_exchange(&w->http, q, NOW_S, TIMEOUT_MS, reply);
}

#define SMALL OK_HEAD "Content-Length: 2\r\n\r\n{}"
#define CLOSING OK_HEAD "Connection: close\r\nContent-Length: 2\r\n\r\n{}"

static void writes_the_request(void **state)
{
    (void)state;
    struct world *w = build(SMALL, SMALL, NULL);
    struct httpc_reply reply;
    assert_ok(exchange(w, &put, &reply));
    assert_string_equal(w->server.request,
                        "PUT /scope HTTP/1.1\r\nHost: dps.example\r\nUser-Agent: cradle-device/0.1\r\n"
                        "Accept: application/json\r\nAuthorization: Token\r\n"
                        "Content-Type: application/json; charset=utf-8\r\nContent-Length: 7\r\n\r\n"
                        "{\"a\":1}");
    w->http.port = 8443;
    assert_ok(exchange(w, &get, &reply));
    assert_string_equal(w->server.request,
                        "GET / HTTP/1.1\r\nHost: dps.example:8443\r\nUser-Agent: cradle-device/0.1\r\n"
                        "Accept: application/json\r\n\r\n");
    assert_int_equal(w->fake.transport.opens, 1); /* one connection for both */
    assert_string_equal(w->fake.transport.last_host, "dps.example");
    httpc_close(&w->http);
    free(w);
}

static void survives_every_split(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 80; chunk++)
        for (unsigned block = 0; block < 4; block++) {
            struct world *w = build(good_rows[sizeof good_rows / sizeof *good_rows - 1].text, SMALL, NULL);
            w->fake.transport.plan.chunk = chunk;
            w->fake.transport.plan.would_block_at = block == 1 ? 0 : block;
            struct httpc_reply reply;
            assert_ok(exchange(w, &put, &reply));
            assert_text("abc0123456789", reply.body);
            assert_ok(exchange(w, &get, &reply));
            httpc_close(&w->http);
            free(w);
        }
}

/* The stream ends at byte n, and every later one with it: an honest error, for every n. */
static void gone_at_every_byte(void **state)
{
    (void)state;
    enum err e = ERR_NETWORK;
    for (uint64_t n = 1; e != ERR_OK; n++) {
        struct world *w = build(SMALL, SMALL, NULL);
        w->fake.transport.plan.gone_after = n;
        struct httpc_reply reply;
        POISON(reply);
        e = exchange(w, &put, &reply);
        if (e != ERR_OK) {
            assert_err(ERR_NETWORK, e);
            assert_poisoned(reply);
            assert_false(w->http.is_open);
            assert_false(w->fake.transport.is_open);
        }
        httpc_close(&w->http);
        free(w);
    }
}

/* A kept connection that has been closed: once more on a new one, if no answer had begun. */
static void connects_anew_once(void **state)
{
    (void)state;
    size_t first = 0;
    for (uint64_t more = 1; more < 120; more++) {
        struct world *w = build(SMALL, SMALL, SMALL);
        struct httpc_reply reply;
        assert_ok(exchange(w, &get, &reply));
        first = (size_t)w->fake.transport.moved;
        w->fake.transport.plan.close_after = first + more;
        size_t request_len = strlen(w->server.request);
        enum err e = exchange(w, &get, &reply);
        bool answer_begun = more > request_len && more < request_len + strlen(SMALL);
        assert_err(answer_begun ? ERR_NETWORK : ERR_OK, e);
        assert_int_equal(w->fake.transport.opens, more <= request_len ? 2 : 1);
        httpc_close(&w->http);
        free(w);
    }
}

static void opens_again_after_close(void **state)
{
    (void)state;
    struct world *w = build(CLOSING, SMALL, NULL);
    struct httpc_reply reply;
    assert_ok(exchange(w, &get, &reply));
    assert_false(w->fake.transport.is_open);
    assert_text("{}", reply.body); /* still there */
    assert_ok(exchange(w, &get, &reply));
    assert_int_equal(w->fake.transport.opens, 2);
    httpc_close(&w->http);
    free(w);
}

static void fails_in_time_and_closed(void **state)
{
    (void)state;
    static char large[HTTPC_BYTES_CAP + 256];
    memset(large, 'a', sizeof large - 1);
    memcpy(large, OK_HEAD "A: ", strlen(OK_HEAD "A: "));
    const struct {
        const char *answer;
        enum err expected;
    } rows[] = {
        {NULL, ERR_TIMEOUT},
        {OK_HEAD "Content-Length: 3\r\n\r\nab", ERR_TIMEOUT},
        {SMALL "x", ERR_PROTOCOL}, /* more than was asked for */
        {SMALL SMALL, ERR_PROTOCOL},
        {large, ERR_PROTOCOL}, /* a head without end */
        {"garbage\r\n", ERR_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = build(rows[i].answer, NULL, NULL);
        struct httpc_reply reply;
        POISON(reply);
        assert_err_of(rows[i].answer ? rows[i].answer : "silence", rows[i].expected,
                      exchange(w, &get, &reply));
        assert_poisoned(reply);
        assert_false(w->fake.transport.is_open);
        assert_in_range(w->fake.clock.now_ms, 0, TIMEOUT_MS);
        free(w);
    }
}

/* One byte a second, in either direction: the whole exchange has one deadline, not each byte. */
static void a_trickle_ends_in_time(void **state)
{
    (void)state;
    struct world *w = build(SMALL, SMALL, SMALL);
    struct httpc_reply reply;
    assert_ok(exchange(w, &get, &reply));
    size_t request_len = strlen(w->server.request);
    w->fake.transport.plan.chunk = 1;
    const uint32_t delays_ms[] = {1000, TIMEOUT_MS / (uint32_t)(request_len + 20)}; /* half the answer */
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before_ms = w->fake.clock.now_ms;
        w->fake.transport.plan.delay_ms = delays_ms[i];
        assert_err(ERR_TIMEOUT, exchange(w, &get, &reply));
        assert_in_range(w->fake.clock.now_ms - before_ms, TIMEOUT_MS, TIMEOUT_MS + 1000);
        assert_int_equal(w->server.served, 1 + i);
        assert_false(w->fake.transport.is_open);
    }
    w->fake.transport.plan.delay_ms = 1; /* slow is no failure */
    assert_ok(exchange(w, &get, &reply));
    httpc_close(&w->http);
    free(w);
}

static void a_request_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    static uint8_t body[HTTPC_BYTES_CAP];
    memset(body, 'x', sizeof body);
    struct world *w = build(SMALL, NULL, NULL);
    struct httpc_request large = put;
    large.body = SPAN_ARRAY(body);
    struct httpc_reply reply;
    assert_err(ERR_FULL, exchange(w, &large, &reply));
    assert_int_equal(w->fake.transport.moved, 0);
    free(w);
}

static void passes_on_why_it_cannot_open(void **state)
{
    (void)state;
    static const enum err errors[] = {ERR_NETWORK, ERR_TLS_TRUST, ERR_TLS_NAME, ERR_TLS_DATE, ERR_TLS};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct world *w = build(SMALL, NULL, NULL);
        w->fake.transport.plan.fail_open_at = 1;
        w->fake.transport.plan.open_error = errors[i];
        struct httpc_reply reply;
        assert_err(errors[i], exchange(w, &get, &reply));
        assert_int_equal(w->fake.transport.opens, 1);
        free(w);
    }
}

static void leaves_no_token_behind(void **state)
{
    (void)state;
    struct world *w = build(SMALL, NULL, NULL);
    struct httpc_reply reply;
    assert_ok(exchange(w, &put, &reply));
    httpc_close(&w->http);
    for (size_t i = 0; i < sizeof w->http.bytes; i++)
        assert_int_equal(w->http.bytes[i], 0);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_whole_answers),
        cmocka_unit_test(asks_for_more_at_every_byte),
        cmocka_unit_test(refuses_what_is_no_answer),
        cmocka_unit_test(leaves_what_follows),
        cmocka_unit_test(writes_the_request),
        cmocka_unit_test(survives_every_split),
        cmocka_unit_test(gone_at_every_byte),
        cmocka_unit_test(connects_anew_once),
        cmocka_unit_test(opens_again_after_close),
        cmocka_unit_test(fails_in_time_and_closed),
        cmocka_unit_test(a_trickle_ends_in_time),
        cmocka_unit_test(a_request_that_does_not_fit_is_refused),
        cmocka_unit_test(passes_on_why_it_cannot_open),
        cmocka_unit_test(leaves_no_token_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
