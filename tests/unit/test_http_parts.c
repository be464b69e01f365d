/* Deadlines, the count of connections per address, and reply heads. */
#include "unit.h"

#include <arpa/inet.h>
#include <deadline.h>
#include <netinet/in.h>
#include <peers.h>
#include <reply.h>
#include <stdio.h>

/* ---- deadlines ---- */

static struct http_deadlines deadlines(void)
{
    return (struct http_deadlines){
        .lasts_ms = {[DEADLINE_HEADER] = 5, [DEADLINE_IDLE] = 15, [DEADLINE_BODY] = 10}};
}

static void test_deadlines_pass_in_order(void **state)
{
    (void)state;
    struct http_deadlines all = deadlines();
    struct http_deadline d[4] = {{.set = false}};
    assert_int_equal(http_deadline_wait_ms(&all, 0), -1);
    http_deadline_set(&all, &d[0], DEADLINE_IDLE, 0);   /* 15 */
    http_deadline_set(&all, &d[1], DEADLINE_HEADER, 2); /* 7 */
    http_deadline_set(&all, &d[2], DEADLINE_HEADER, 3); /* 8 */
    http_deadline_set(&all, &d[3], DEADLINE_BODY, 4);   /* 14 */
    assert_int_equal(http_deadline_wait_ms(&all, 4), 3);
    assert_null(http_deadline_passed(&all, 6));
    assert_ptr_equal(http_deadline_passed(&all, 7), &d[1]);
    assert_null(http_deadline_passed(&all, 7));
    assert_ptr_equal(http_deadline_passed(&all, 20), &d[2]);
    assert_int_equal(http_deadline_wait_ms(&all, 20), 0);
    assert_ptr_equal(http_deadline_passed(&all, 20), &d[3]);
    assert_ptr_equal(http_deadline_passed(&all, 20), &d[0]);
    assert_null(http_deadline_passed(&all, 1000));
    assert_false(d[0].set);
}

static void test_deadlines_move_and_clear(void **state)
{
    (void)state;
    struct http_deadlines all = deadlines();
    struct http_deadline d[3] = {{.set = false}};
    for (int i = 0; i < 3; i++)
        http_deadline_set(&all, &d[i], DEADLINE_HEADER, i);
    http_deadline_clear(&all, &d[1]);
    http_deadline_clear(&all, &d[1]);
    http_deadline_set(&all, &d[0], DEADLINE_HEADER, 10);
    assert_ptr_equal(http_deadline_passed(&all, 7), &d[2]);
    assert_null(http_deadline_passed(&all, 14));
    http_deadline_set(&all, &d[0], DEADLINE_IDLE, 12);
    assert_null(http_deadline_passed(&all, 26));
    assert_ptr_equal(http_deadline_passed(&all, 27), &d[0]);
    assert_int_equal(http_deadline_wait_ms(&all, 0), -1);
}

/* ---- peers ---- */

static struct http_peer peer(const char *text)
{
    struct sockaddr_storage a = {.ss_family = AF_INET};
    struct http_peer p;
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr) != 1) {
        a.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&a)->sin6_addr), 1);
    }
    http_peer_read(&a, &p);
    return p;
}

static void test_peer_text(void **state)
{
    (void)state;
    assert_string_equal(peer("192.0.2.1").text, "192.0.2.1");
    assert_string_equal(peer("::ffff:192.0.2.1").text, "192.0.2.1");
    assert_string_equal(peer("2001:db8::1").text, "2001:db8::1");
}

static void test_peers_have_shares(void **state)
{
    (void)state;
    struct http_peers *all = NULL;
    assert_ok(http_peers_open(5, 2, &all));
    struct http_peer a = peer("192.0.2.1"), mapped = peer("::ffff:192.0.2.1"),
                     b = peer("2001:db8:1:2::3"), same_net = peer("2001:db8:1:2:ffff::"),
                     c = peer("2001:db8:1:3::3");
    assert_ok(http_peers_add(all, &a));
    assert_ok(http_peers_add(all, &mapped));
    assert_err(ERR_THROTTLED, http_peers_add(all, &a));
    assert_ok(http_peers_add(all, &b));
    assert_ok(http_peers_add(all, &same_net));
    assert_err(ERR_THROTTLED, http_peers_add(all, &same_net));
    assert_false(http_peers_full(all));
    assert_ok(http_peers_add(all, &c));
    assert_true(http_peers_full(all));
    assert_err(ERR_UNAVAILABLE, http_peers_add(all, &c));
    http_peers_remove(all, &a);
    assert_false(http_peers_full(all));
    assert_ok(http_peers_add(all, &mapped));
    http_peers_close(all);
}

/* Far more addresses than entries over time: entries must come back. */
static void test_peers_come_and_go(void **state)
{
    (void)state;
    struct http_peers *all = NULL;
    assert_ok(http_peers_open(8, 2, &all));
    for (int round = 0; round < 1000; round++) {
        struct http_peer some[8];
        for (int i = 0; i < 8; i++) {
            char text[32];
            (void)snprintf(text, sizeof text, "10.%d.%d.%d", round / 250, round % 250, i);
            some[i] = peer(text);
            assert_ok(http_peers_add(all, &some[i]));
        }
        assert_true(http_peers_full(all));
        for (int i = 0; i < 8; i++)
            http_peers_remove(all, &some[(i * 3 + round) % 8]);
    }
    http_peers_close(all);
}

/* ---- replies ---- */

static struct span reply_text(struct http_reply *r, const char *body, bool is_head, bool close)
{
    static uint8_t memory[HTTP_REPLY_HEAD_CAP + 64];
    r->body = buf_over(memory + HTTP_REPLY_HEAD_CAP, 64);
    buf_put_text(&r->body, body);
    return http_reply_write(r, is_head, close, 1661983370);
}

static void test_reply_plain(void **state)
{
    (void)state;
    struct http_reply r = {.status = 404};
    assert_text("HTTP/1.1 404 Not Found\r\n"
                "Date: Wed, 31 Aug 2022 22:02:50 GMT\r\n"
                "Content-Type: application/json; charset=utf-8\r\n"
                "Content-Length: 2\r\n"
                "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
                "Connection: keep-alive\r\n\r\n{}",
                reply_text(&r, "{}", false, false));
}

static void test_reply_full(void **state)
{
    (void)state;
    struct http_reply r = {.status = 202,
                           .retry_after_s = 3,
                           .error_code = 401002,
                           .location = "/s/registrations/a/register",
                           .request_id = "some-id"};
    assert_text("HTTP/1.1 202 Accepted\r\n"
                "Date: Wed, 31 Aug 2022 22:02:50 GMT\r\n"
                "Content-Type: application/json; charset=utf-8\r\n"
                "Content-Length: 4\r\n"
                "x-ms-request-id: some-id\r\n"
                "x-ms-error-code: 401002\r\n"
                "Retry-After: 3\r\n"
                "Location: /s/registrations/a/register\r\n"
                "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
                "Connection: close\r\n\r\n",
                reply_text(&r, "null", true, true));
}

static void test_reply_page(void **state)
{
    (void)state;
    struct http_reply r = {.status = 200,
                           .item_type = "Enrollment",
                           .continuation = "AAAAAAAAAAc=",
                           .max_item_count = 100};
    assert_text("HTTP/1.1 200 OK\r\n"
                "Date: Wed, 31 Aug 2022 22:02:50 GMT\r\n"
                "Content-Type: application/json; charset=utf-8\r\n"
                "Content-Length: 2\r\n"
                "x-ms-item-type: Enrollment\r\n"
                "x-ms-continuation: AAAAAAAAAAc=\r\n"
                "x-ms-max-item-count: 100\r\n"
                "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
                "Connection: keep-alive\r\n\r\n[]",
                reply_text(&r, "[]", false, false));
}

static void test_reply_without_body(void **state)
{
    (void)state;
    struct http_reply r = {.status = 204, .request_id = "some-id"};
    assert_text("HTTP/1.1 204 No Content\r\n"
                "Date: Wed, 31 Aug 2022 22:02:50 GMT\r\n"
                "x-ms-request-id: some-id\r\n"
                "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
                "Connection: keep-alive\r\n\r\n",
                reply_text(&r, "", false, false));
}

static void test_reply_longest(void **state)
{
    (void)state;
    struct http_reply r = {.status = 599, .retry_after_s = UINT32_MAX, .error_code = INT32_MIN};
    memset(r.location, 'l', sizeof r.location - 1);
    memset(r.request_id, 'i', sizeof r.request_id - 1);
    memset(r.item_type, 't', sizeof r.item_type - 1);
    memset(r.continuation, 'c', sizeof r.continuation - 1);
    r.max_item_count = UINT32_MAX;
    struct span s = reply_text(&r, "", false, false);
    assert_true(s.len < HTTP_REPLY_HEAD_CAP);
    assert_true(span_starts_with(s, SPAN_LITERAL("HTTP/1.1 599 Other\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines_pass_in_order),
        cmocka_unit_test(test_deadlines_move_and_clear),
        cmocka_unit_test(test_peer_text),
        cmocka_unit_test(test_peers_have_shares),
        cmocka_unit_test(test_peers_come_and_go),
        cmocka_unit_test(test_reply_plain),
        cmocka_unit_test(test_reply_full),
        cmocka_unit_test(test_reply_page),
        cmocka_unit_test(test_reply_without_body),
        cmocka_unit_test(test_reply_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
