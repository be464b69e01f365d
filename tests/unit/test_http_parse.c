/* The request parser's rules, one table a rule. Every row is fed whole, byte by byte, and cut in
 * two at every point: the outcome must be the same. */
#include "unit.h"

#include <parse.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>

struct outcome {
    enum err e;
    bool done;
    struct http_head head;
};

/* Feeds `input`, of which the parser sees first `first` bytes and then `step` more each time. What
 * it is not shown yet it may not touch. */
static struct outcome feed(struct span input, size_t first, size_t step)
{
    struct http_parser p = {.at = 0};
    struct outcome o = {.e = ERR_OK};
    for (size_t len = first; !o.done && o.e == ERR_OK; len += step) {
        len = len < input.len ? len : input.len;
        ASAN_POISON_MEMORY_REGION(input.at + len, input.len - len);
        o.e = http_parse(&p, span_of(input.at, len), &o.done);
        ASAN_UNPOISON_MEMORY_REGION(input.at, input.len);
        if (len == input.len)
            break;
    }
    if (o.done)
        o.head = p.head;
    return o;
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_err(a->e, b->e);
    assert_int_equal(a->done, b->done);
    assert_memory_equal(&a->head, &b->head, sizeof a->head);
}

/* The one outcome of all ways to feed it. `ret_copy` is what its spans point into: free it. */
static struct outcome feed_every_way(struct span text, uint8_t **ret_copy)
{
    uint8_t *copy = malloc(text.len + 8);
    assert_non_null(copy);
    memcpy(copy, text.at, text.len);
    struct span input = span_of(copy, text.len);
    struct outcome whole = feed(input, input.len, 1);
    struct outcome bytes = feed(input, 0, 1);
    assert_same(&whole, &bytes);
    for (size_t cut = 0; cut < input.len; cut++) {
        struct outcome two = feed(input, cut, input.len);
        assert_same(&whole, &two);
    }
    *ret_copy = copy;
    return whole;
}

static void assert_refused(enum err why, struct span text)
{
    uint8_t *copy = NULL;
    struct outcome o = feed_every_way(text, &copy);
    free(copy);
    if (o.e != why)
        fail_msg("%.200s\n%s, not %s", (const char *)text.at, err_name(o.e), err_name(why));
    assert_false(o.done);
}

static void assert_refused_text(enum err why, const char *text)
{
    assert_refused(why, span_text(text));
}

static void assert_taken(const char *text)
{
    uint8_t *copy = NULL;
    struct outcome o = feed_every_way(span_text(text), &copy);
    free(copy);
    if (o.e != ERR_OK || !o.done)
        fail_msg("%s\n%s", text, err_name(o.e));
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"
#define WITH(headers) "PUT /a HTTP/1.1\r\nHost: h\r\n" headers "\r\n"

static void test_a_whole_request(void **state)
{
    (void)state;
    static const char text[] =
        "PUT /s/registrations/a%2Db/register?api-version=2021-06-01 HTTP/1.1\r\n"
        "Host: global.example:443\r\n"
        "UserAgent: prov_device_client/1.0\r\n"
        "authorization:SharedAccessSignature sr=a&sig=b&se=1\t \r\n"
        "CONTENT-TYPE: \tapplication/json; charset=utf-8\r\n"
        "content-length: 2\r\n"
        "X-Empty:\r\n"
        "if-match: \"*\" \r\n"
        "x-ms-continuation: abc=\r\n"
        "X-Ms-Max-Item-Count: 7\r\n"
        "Connection: keep-alive\r\n\r\n{}GET / HTTP";
    uint8_t *copy = NULL;
    struct outcome o = feed_every_way(span_text(text), &copy);
    assert_ok(o.e);
    assert_true(o.done);
    assert_text("PUT", o.head.method);
    assert_text("/s/registrations/a%2Db/register?api-version=2021-06-01", o.head.target);
    assert_text("/s/registrations/a%2Db/register", o.head.path);
    assert_text("api-version=2021-06-01", o.head.query);
    assert_text("SharedAccessSignature sr=a&sig=b&se=1", o.head.authorization);
    assert_text("application/json; charset=utf-8", o.head.content_type);
    assert_text("prov_device_client/1.0", o.head.user_agent);
    assert_text("global.example:443", o.head.host);
    assert_text("\"*\"", o.head.if_match);
    assert_text("abc=", o.head.continuation);
    assert_text("7", o.head.max_item_count);
    assert_int_equal(o.head.content_length, 2);
    assert_false(o.head.close);
    assert_false(o.head.expects_continue);
    assert_int_equal(o.head.size, sizeof text - 1 - strlen("{}GET / HTTP"));
    free(copy);
}

static void test_a_short_request(void **state)
{
    (void)state;
    uint8_t *copy = NULL;
    struct outcome o = feed_every_way(SPAN_LITERAL(GET("/")), &copy);
    assert_ok(o.e);
    assert_text("/", o.head.path);
    assert_int_equal(o.head.query.len, 0);
    assert_int_equal(o.head.authorization.len, 0);
    assert_int_equal(o.head.content_length, 0);
    free(copy);
}

static void test_unfinished_requests(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "G",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: h",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint8_t *copy = NULL;
        struct outcome o = feed_every_way(span_text(texts[i]), &copy);
        free(copy);
        assert_ok(o.e);
        assert_false(o.done);
    }
}

static void test_methods(void **state)
{
    (void)state;
    assert_taken("OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_taken("M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1\r\nHost: h\r\n\r\n");
    static const char *const bad[] = {
        " / HTTP/1.1\r\n",
        "G(T / HTTP/1.1\r\n",
        "G\x01T / HTTP/1.1\r\n",
        "G\xc3\xa9T / HTTP/1.1\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET/ HTTP/1.1\r\n",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
}

static void test_targets(void **state)
{
    (void)state;
    assert_taken(GET("/-._~!$&'()*+,;=:@/?x=/?"));
    assert_taken(GET("/%c3%A9"));
    assert_taken(GET("//x"));
    static const char *const bad[] = {
        GET("http://h/a"),
        GET("HTTPS://h/a"),
        GET("*"),
        GET("h:443"),
        GET("a"),
        GET(""),
        GET("/a b"),
        GET("/%00"),
        GET("/a?b=%00"),
        GET("/%"),
        GET("/%4"),
        GET("/%4g"),
        GET("/%g4"),
        GET("/a#b"),
        GET("/\\"),
        GET("/\""),
        GET("/<"),
        GET("/{"),
        GET("/|"),
        GET("/^"),
        GET("/`"),
        GET("/\xc3\xa9"),
        GET("/\x7f"),
        GET("/\x01"),
        GET("/\t"),
        "CONNECT h:443 HTTP/1.1\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET /\tHTTP/1.1\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
}

static void test_versions(void **state)
{
    (void)state;
    assert_refused_text(ERR_HTTP_VERSION, "GET / HTTP/1.0\r\n");
    assert_refused_text(ERR_HTTP_VERSION, "GET / HTTP/0.9\r\n");
    assert_refused_text(ERR_HTTP_VERSION, "GET / HTTP/1.2\r\n");
    assert_refused_text(ERR_HTTP_VERSION, "PRI * HTTP/2.0\r\n");
    static const char *const bad[] = {
        "GET /\r\n",           "GET / \r\n",          "GET / http/1.1\r\n",
        "GET / HTTP/1.1 \r\n", "GET / HTTP/1.10\r\n", "GET / HTTP/11\r\n",
        "GET / HTTP/ 1.1\r\n", "GET / HTTP/+1.1\r\n", "GET / HTTP/1,1\r\n",
        "GET / HTTPS/1.1\r\n", "GET / HTTP/1.x\r\n",  "GET /a HTTP/1.1 x\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
}

static void test_line_ends(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n",
        "GET /\rX HTTP/1.1\r\nHost: h\r\n\r\n",
        "\n",
        "\r\n",
        "\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
}

static void test_header_names_and_values(void **state)
{
    (void)state;
    assert_taken(WITH("X-!#$%&'*+.^_`|~1: any \t \"text\" \xc3\xa9\r\n"));
    static const char *const bad[] = {
        WITH("X : y\r\n"),
        WITH("X\t: y\r\n"),
        WITH(" X: y\r\n"),
        WITH("\tX: y\r\n"),
        WITH("X: a\r\n b\r\n"),
        WITH("X: a\r\n\tb\r\n"),
        WITH(": y\r\n"),
        WITH("X\r\n"),
        WITH("X y: z\r\n"),
        WITH("X(: y\r\n"),
        WITH("X\xc3\xa9: y\r\n"),
        WITH("X: \x01\r\n"),
        WITH("X: \x7f\r\n"),
        WITH("X: \x1b[31m\r\n"),
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
}

static void test_nul_anywhere(void **state)
{
    (void)state;
    char text[] = WITH("Content-Length: 0\r\n") "more\r\n";
    for (size_t i = 0; i < sizeof text - 1 - strlen("more\r\n"); i++) {
        char kept = text[i];
        text[i] = '\0';
        assert_refused(ERR_BAD_REQUEST, span_of(text, sizeof text - 1));
        text[i] = kept;
    }
    assert_taken(text);
}

static void test_host(void **state)
{
    (void)state;
    static const char *const good[] = {
        "GET / HTTP/1.1\r\nhost:a.b-c_d:443\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHOST: [::1]:65535\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [fe80::1]\r\n\r\n",
    };
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:443443\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: :443\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: []\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_taken(good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
}

static void test_lengths(void **state)
{
    (void)state;
    assert_taken(WITH("Content-Length: 0\r\n"));
    assert_taken(WITH("Content-Length: 98304\r\n"));
    assert_refused_text(ERR_TOO_LARGE, WITH("Content-Length: 98305\r\n"));
    assert_refused_text(ERR_TOO_LARGE, WITH("Content-Length: 9223372036854775807\r\n"));
    static const char *const bad[] = {
        WITH("Content-Length:\r\n"),
        WITH("Content-Length: +5\r\n"),
        WITH("Content-Length: -1\r\n"),
        WITH("Content-Length: 0x5\r\n"),
        WITH("Content-Length: 05\r\n"),
        WITH("Content-Length: 5 5\r\n"),
        WITH("Content-Length: 5, 5\r\n"),
        WITH("Content-Length: 5,6\r\n"),
        WITH("Content-Length: 5.0\r\n"),
        WITH("Content-Length: 1e3\r\n"),
        WITH("Content-Length: \"5\"\r\n"),
        WITH("Content-Length: 9223372036854775808\r\n"),
        WITH("Content-Length: 18446744073709551617\r\n"),
        WITH("Content-Length: 99999999999999999999999\r\n"),
        WITH("Content-Length: 5\r\nContent-Length: 5\r\n"),
        WITH("Content-Length: 5\r\ncontent-length: 6\r\n"),
        WITH("Content-Length : 5\r\n"),
        WITH("Content-Length: 5\x0b\r\n"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
}

static void test_transfer_encoding(void **state)
{
    (void)state;
    assert_refused_text(ERR_LENGTH_REQUIRED, WITH("Transfer-Encoding: chunked\r\n"));
    assert_refused_text(ERR_LENGTH_REQUIRED, WITH("transfer-encoding: identity\r\n"));
    assert_refused_text(ERR_LENGTH_REQUIRED, WITH("Transfer-Encoding:\r\n"));
    static const char *const bad[] = {
        WITH("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        WITH("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        WITH("Transfer-Encoding : chunked\r\n"),
        WITH("Transfer-Encoding\t: chunked\r\n"),
        WITH("Transfer-Encoding: \x0b"
             "chunked\r\n"),
        WITH(" Transfer-Encoding: chunked\r\n"),
        WITH("X: y\rTransfer-Encoding: chunked\r\n"),
        WITH("X: y\nTransfer-Encoding: chunked\r\n"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
}

static void test_headers_that_come_once(void **state)
{
    (void)state;
    static const char *const bad[] = {
        WITH("Authorization: a\r\nAuthorization: a\r\n"),
        WITH("Content-Type: a\r\nContent-Type: a\r\n"),
        WITH("If-Match: *\r\nif-match: *\r\n"),
        WITH("x-ms-continuation: a\r\nX-MS-Continuation: a\r\n"),
        WITH("x-ms-max-item-count: 1\r\nx-ms-max-item-count: 1\r\n"),
        WITH("Expect: 100-continue\r\nExpect: 100-continue\r\n"),
        WITH("Expect: 200-ok\r\n"),
        WITH("Expect:\r\n"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused_text(ERR_BAD_REQUEST, bad[i]);
    assert_taken(WITH("User-Agent: a\r\nUser-Agent: b\r\nX: 1\r\nX: 2\r\n"));
}

static void test_connection_and_expect(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool close, expects_continue;
    } rows[] = {
        {WITH(""), false, false},
        {WITH("Connection: keep-alive\r\n"), false, false},
        {WITH("Connection: close\r\n"), true, false},
        {WITH("connection: Keep-Alive ,\tCLOSE\r\n"), true, false},
        {WITH("Connection: x\r\nConnection: close\r\n"), true, false},
        {WITH("Connection: closed, close2\r\n"), false, false},
        {WITH("Connection:\r\n"), false, false},
        {WITH("Connection: ,,close,\r\n"), true, false},
        {WITH("Expect: 100-Continue\r\n"), false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *copy = NULL;
        struct outcome o = feed_every_way(span_text(rows[i].text), &copy);
        free(copy);
        assert_true(o.done);
        assert_int_equal(rows[i].close, o.head.close);
        assert_int_equal(rows[i].expects_continue, o.head.expects_continue);
    }
}

/* ---- sizes ---- */

static struct span filled(struct buf *b, const char *before, size_t fill, const char *after)
{
    b->len = 0;
    buf_put_text(b, before);
    for (size_t i = 0; i < fill; i++)
        buf_put_u8(b, 'a');
    buf_put_text(b, after);
    assert_false(b->full);
    return buf_span(b);
}

/* Cuts at every point would take minutes with these; whole, and in a few step sizes. */
static void assert_outcome_of_long(enum err why, bool done, struct span input)
{
    static const size_t steps[] = {1, 2, 3, 7, 100, 1460, 16383, 16384, 100000};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct outcome o = feed(input, 0, steps[i]);
        assert_err(why, o.e);
        assert_int_equal(done, o.done);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static uint8_t memory[40000];
    struct buf b = BUF_OVER(memory);
    const char end[] = " HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_outcome_of_long(ERR_OK, true, filled(&b, "GET /", HTTP_TARGET_CAP - 1, end));
    assert_outcome_of_long(ERR_URI_TOO_LONG, false, filled(&b, "GET /", HTTP_TARGET_CAP, end));
    assert_outcome_of_long(ERR_URI_TOO_LONG, false, filled(&b, "GET /", 30000, end));
    assert_outcome_of_long(ERR_URI_TOO_LONG, false, filled(&b, "GET /", 30000, ""));
    assert_outcome_of_long(ERR_URI_TOO_LONG, false, filled(&b, "", 30000, ""));

    const char head[] = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    size_t fits = HTTP_HEADERS_CAP - (sizeof head - 1) - 4;
    assert_outcome_of_long(ERR_OK, true, filled(&b, head, fits, "\r\n\r\n"));
    assert_outcome_of_long(ERR_HEADERS_TOO_LARGE, false, filled(&b, head, fits + 1, "\r\n\r\n"));
    assert_outcome_of_long(ERR_HEADERS_TOO_LARGE, false, filled(&b, head, 30000, ""));
    assert_outcome_of_long(ERR_HEADERS_TOO_LARGE, false, filled(&b, head, fits + 4, ""));
    /* What follows the head does not count. */
    assert_outcome_of_long(ERR_OK, true,
                           filled(&b, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 30000, ""));
}

static void test_number_of_headers(void **state)
{
    (void)state;
    static uint8_t memory[4096];
    for (int extra = 0; extra < 2; extra++) {
        struct buf b = BUF_OVER(memory);
        buf_put_text(&b, "GET / HTTP/1.1\r\nHost: h\r\n");
        for (int i = 1; i < HTTP_HEADER_LINES_MAX + extra; i++)
            buf_put_text(&b, "X: y\r\n");
        buf_put_text(&b, "\r\n");
        assert_outcome_of_long(extra == 0 ? ERR_OK : ERR_HEADERS_TOO_LARGE, extra == 0,
                               buf_span(&b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_request),
        cmocka_unit_test(test_a_short_request),
        cmocka_unit_test(test_unfinished_requests),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_header_names_and_values),
        cmocka_unit_test(test_nul_anywhere),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_transfer_encoding),
        cmocka_unit_test(test_headers_that_come_once),
        cmocka_unit_test(test_connection_and_expect),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_number_of_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
