/* User names, topics and the log's text: who may call itself what at the hub, and touch what. */
#include "unit.h"

#include <rules.h>
#include <stdio.h>

/* ---- user names ---- */
static void good_name(const char *text, const char *host, const char *device)
{
    struct hub_username name;
    POISON(name);
    assert_ok(hub_username_read(span_text(text), &name));
    assert_true(span_equal(name.host, span_text(host)));
    assert_string_equal(name.device_id.text, device);
}

static void bad_name(struct span text)
{
    struct hub_username name;
    POISON(name);
    assert_err(ERR_UNAUTHORIZED, hub_username_read(text, &name));
    assert_poisoned(name);
}

static void test_user_names_of_clients(void **state)
{
    (void)state;
    good_name("dev-1", "", "dev-1");
    good_name("Dev-1", "", "dev-1");
    good_name("hub.example/dev-1/?api-version=2021-04-12", "hub.example", "dev-1");
    good_name("HUB.example/dev-1/?api-version=2020-09-30&DeviceClientType=a%2F1.2%20(x)",
              "HUB.example", "dev-1");
    good_name("h.x/d/?api-version=2021-04-12&model-id=dtmi:a;1&DeviceClientType=py", "h.x", "d");
    good_name("h.x/d/?model-id=dtmi:a;1&api-version=2019-10-01", "h.x", "d");
}

static void test_other_user_names(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/",
        "hub.example/dev-1",
        "hub.example/dev-1/",
        "hub.example/dev-1/?",
        "hub.example/dev-1/?api-version=",
        "hub.example/dev-1/?api-version",
        "hub.example/dev-1/?xapi-version=1",
        "hub.example/dev-1/api-version=2021-04-12",
        "hub.example/dev-1/module/?api-version=2021-04-12",
        "hub.example//?api-version=2021-04-12",
        "/dev-1/?api-version=2021-04-12",
        "hub.example/dev 1/?api-version=2021-04-12",
        "hub.example/dev%31/?api-version=2021-04-12",
        "hub.example/dev+/?api-version=2021-04-12",
        "dev-1\n",
        "dev\x1b[31m",
        "d\xc3\xa9v",
        "dev#",
        "dev.",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        bad_name(span_text(bad[i]));
    bad_name(SPAN_LITERAL("hub.example/dev-1/?api-version=1\0x"));

    char longest[HUB_USERNAME_MAX + 2];
    int head = snprintf(longest, sizeof longest, "h.x/d/?api-version=");
    memset(longest + head, 'v', sizeof longest - (size_t)head);
    bad_name(span_of(longest, HUB_USERNAME_MAX + 1));
    struct hub_username name;
    assert_ok(hub_username_read(span_of(longest, HUB_USERNAME_MAX), &name));
}

static void test_client_id_has_one_spelling(void **state)
{
    (void)state;
    struct regid id;
    assert_ok(hub_client_id_read(span_text("dev-1.a:b_c-0"), &id));
    assert_string_equal(id.text, "dev-1.a:b_c-0");
    static const char *const bad[] = {"", "Dev-1", "dev/1", "dev+", "#", "dev-1 ", "dev."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(ERR_REG_ID, hub_client_id_read(span_text(bad[i]), &id));
    assert_string_equal(id.text, "dev-1.a:b_c-0");
}

/* ---- topics ---- */
#define R HUB_READ
#define W HUB_WRITE
#define S HUB_SUBSCRIBE

static void test_topics_of_a_device(void **state)
{
    (void)state;
    static const struct {
        enum hub_access access;
        const char *topic;
        bool may;
    } cases[] = {
        {W, "devices/dev-1/messages/events/", true},
        {W, "devices/dev-1/messages/events/%24.mid=1&a=b", true},
        {W, "devices/dev-1/messages/events/a/b", true},
        {W, "devices/dev-1/messages/events", false},
        {W, "devices/dev-1/messages/devicebound/x", false},
        {W, "devices/dev-2/messages/events/", false},
        {W, "devices/dev-11/messages/events/", false},
        {W, "devices/dev-/messages/events/", false},
        {W, "devices/DEV-1/messages/events/", false},
        {W, "devices//messages/events/", false},
        {W, "/devices/dev-1/messages/events/", false},
        {W, "Devices/dev-1/messages/events/", false},
        {W, "$SYS/broker/uptime", false},
        {W, "$CONTROL/dynamic-security/v1", false},
        {W, "", false},
        {S, "devices/dev-1/messages/devicebound/#", true},
        {S, "devices/dev-1/messages/devicebound/+/x", true},
        {S, "devices/dev-1/messages/devicebound/%24.to", true},
        {S, "devices/dev-1/messages/devicebound", false},
        {S, "devices/dev-1/messages/#", false},
        {S, "devices/dev-1/messages/+/#", false},
        {S, "devices/dev-1/#", false},
        {S, "devices/+/messages/devicebound/#", false},
        {S, "devices/dev-2/messages/devicebound/#", false},
        {S, "devices/dev-1/messages/events/#", false},
        {S, "#", false},
        {S, "+/+/messages/devicebound/#", false},
        {S, "$SYS/#", false},
        {S, "$share/g/devices/dev-1/messages/devicebound/#", false},
        {S, "$share/g/#", false},
        {R, "devices/dev-1/messages/devicebound/x", true},
        {R, "devices/dev-1/messages/events/x", false},
        {R, "devices/dev-2/messages/devicebound/x", false},
        {R, "$SYS/broker/uptime", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool may = hub_device_may(span_text("dev-1"), cases[i].access, span_text(cases[i].topic),
                                  false);
        if (may != cases[i].may)
            fail_msg("access %d to %s", (int)cases[i].access, cases[i].topic);
    }
    assert_false(hub_device_may(span_text("dev-1"), W,
                                span_text("devices/dev-1/messages/events/x"), true));
    assert_false(hub_device_may(span_text(""), W, span_text("devices//messages/events/x"), false));
    assert_false(hub_device_may(span_text(NULL), S, span_text("#"), false));
}

static void test_topics_of_the_back_end(void **state)
{
    (void)state;
    static const struct {
        enum hub_access access;
        const char *topic;
        bool may;
    } cases[] = {
        {S, "devices/+/messages/events/#", true},
        {S, "devices/#", true},
        {S, "devices/dev-1/messages/events/#", true},
        {S, "#", false},
        {S, "+/#", false},
        {S, "$SYS/#", false},
        {S, "devices", false},
        {R, "devices/dev-1/messages/events/x", true},
        {R, "$SYS/broker/uptime", false},
        {W, "devices/dev-1/messages/devicebound/x", true},
        {W, "devices/dev-1/messages/devicebound/", true},
        {W, "devices/dev-1/messages/events/x", false},
        {W, "devices/Dev-1/messages/devicebound/x", false},
        {W, "devices//messages/devicebound/x", false},
        {W, "devices/a b/messages/devicebound/x", false},
        {W, "devices/dev-1", false},
        {W, "devices/", false},
        {W, "other", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (hub_backend_may(cases[i].access, span_text(cases[i].topic)) != cases[i].may)
            fail_msg("access %d to %s", (int)cases[i].access, cases[i].topic);
}

/* ---- the log ---- */
static void test_what_the_log_shows(void **state)
{
    (void)state;
    char shown[HUB_SHOWN_CAP];
    hub_text_show(span_text("dev-1 (x)"), shown);
    assert_string_equal(shown, "dev-1 (x)");
    hub_text_show(SPAN_LITERAL("a\r\nb\x1b[0m'\\\"\xff\0z%s"), shown);
    assert_string_equal(shown, "a\\x0d\\x0ab\\x1b[0m\\x27\\x5c\\x22\\xff\\x00z%s");
    hub_text_show(span_text(NULL), shown);
    assert_string_equal(shown, "");

    uint8_t wide[HUB_SHOWN_CAP * 2];
    memset(wide, '\n', sizeof wide);
    for (size_t len = 0; len <= sizeof wide; len++) {
        hub_text_show(span_of(wide, len), shown);
        bool cut = strlen(shown) != 4 * len;
        assert_true(!cut || strcmp(shown + strlen(shown) - 3, "...") == 0);
        assert_true(strlen(shown) < HUB_SHOWN_CAP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user_names_of_clients),
        cmocka_unit_test(test_other_user_names),
        cmocka_unit_test(test_client_id_has_one_spelling),
        cmocka_unit_test(test_topics_of_a_device),
        cmocka_unit_test(test_topics_of_the_back_end),
        cmocka_unit_test(test_what_the_log_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
