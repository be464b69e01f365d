/* The boot as a state machine, against a service, a hub and a TPM small enough to boot thousands of
 * times: the ways it may go, what it makes of each answer, and how it comes by the time. Failures at
 * every byte, command and write: test_provision_faults. */
#include <unit.h>

#include <stdio.h>
#include <toyboot.h>

/* ---- the good ways ---- */
static void first_boot(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, false);
    power_on(w);
    static const enum provision_state way[] = {PROVISION_TPM, PROVISION_REQUEST, PROVISION_ACTIVATE,
                                               PROVISION_PROVE, PROVISION_ADOPT, PROVISION_HUB,
                                               PROVISION_DONE, PROVISION_DONE};
    for (size_t i = 0; i < sizeof way / sizeof *way; i++)
        assert_string_equal(provision_state_name(way[i]),
                            provision_state_name(provision_step(w->machine)));
    assert_ok(provision_last_error(w->machine));
    assert_string_equal(provision_registration_id(w->machine), TOY_DEVICE);
    assert_string_equal(provision_assigned_hub(w->machine), TOY_HUB);
    assert_string_equal(provision_device_id(w->machine), TOY_DEVICE);
    assert_true(provision_report(w->machine).ek_place.created);
    assert_true(w->service.saw_payload);
    assert_string_equal(w->hub.last_topic, "devices/" TOY_DEVICE "/messages/events/");
    assert_string_equal(w->hub.last_payload, PAYLOAD);
    assert_int_equal(w->service.requests, 2);
    assert_int_equal(w->fake.transport.opens, 1);
    assert_int_equal(w->fake.clock.slept_ms, 0);
    assert_nothing_loaded(w);
    assert_slot_honest(w);
    struct assignment a;
    assert_true(slot_is(w, &a));
    drop(w);
}

static void id_comes_from_the_ek(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->config.registration_id = NULL;
    struct regid id;
    assert_ok(regid_from_ek(span_of(w->tpm.ek.raw, w->tpm.ek.raw_len), &id));
    power_on(w);
    assert_string_equal(provision_registration_id(w->machine), "");
    (void)provision_step(w->machine);
    (void)provision_step(w->machine);
    assert_string_equal(provision_registration_id(w->machine), id.text);
    drop(w);
}

static void second_boot_goes_to_the_hub(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    assert_int_equal(boot(w), PROVISION_DONE);
    unsigned requests = w->service.requests, commands = w->tpm.commands;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_int_equal(w->service.requests, requests);
    assert_int_equal(w->tpm.commands, commands + 1);
    assert_int_equal(w->hub.publishes, 2);
    drop(w);
}

static void polls_until_assigned(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->service.polls_before_assigned = 3;
    w->service.retry_after_s = 7;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_int_equal(w->service.polls, 3);
    assert_int_equal(w->fake.clock.slept_ms, 3 * 7000);
    assert_string_equal(w->service.last_path, "/" TOY_SCOPE "/registrations/" TOY_DEVICE
                                              "/operations/5.op.1?api-version=2021-06-01");
    assert_int_equal(w->fake.transport.opens, 1);
    drop(w);
}

static void never_assigned_ends(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->service.polls_before_assigned = 1000000;
    power_on(w);
    enum provision_state at = PROVISION_START;
    for (int i = 0; i < 1000 && at != PROVISION_FAILED; i++)
        at = provision_step(w->machine);
    assert_int_equal(at, PROVISION_FAILED);
    assert_err(ERR_TIMEOUT, provision_last_error(w->machine));
    drop(w);
}

/* ---- the hub's no ---- */
static void refused_by_the_hub_provisions_again(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    assert_int_equal(boot(w), PROVISION_DONE);
    w->hub.refuse = 1;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_int_equal(w->service.proofs, 2);
    assert_slot_honest(w);

    memset(w->service.hub_key, 0, sizeof w->service.hub_key); /* somebody else was provisioned */
    power_on(w);
    assert_int_equal(provision_step(w->machine), PROVISION_HUB);
    assert_int_equal(provision_step(w->machine), PROVISION_TPM);
    assert_err(ERR_HUB_REFUSED, provision_last_error(w->machine));
    assert_int_equal(run(w), PROVISION_DONE);

    w->tpm.has_identity = false; /* and once more, with the key gone */
    power_on(w);
    (void)provision_step(w->machine);
    assert_int_equal(provision_step(w->machine), PROVISION_TPM);
    assert_err(ERR_ABSENT, provision_last_error(w->machine));
    assert_int_equal(run(w), PROVISION_DONE);
    assert_slot_honest(w);
    drop(w);
}

static void refused_for_ever_gives_up(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->hub.refuse = 1000;
    w->config.attempts_max = 4;
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_HUB_REFUSED, provision_last_error(w->machine));
    assert_int_equal(w->hub.connects, 4);
    assert_int_equal(w->service.proofs, 4);
    assert_in_range(w->fake.clock.slept_ms, 500 + 1000 + 2000, 1000 + 2000 + 4000);
    drop(w);
}

static void an_unreachable_hub_is_asked_about_once(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    assert_int_equal(boot(w), PROVISION_DONE);
    w->hub.connect_error = ERR_NETWORK;
    w->config.attempts_max = 5;
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_NETWORK, provision_last_error(w->machine));
    assert_int_equal(w->service.proofs, 2); /* before the last attempt: it may have moved */
    assert_slot_honest(w);
    w->config.attempts_max = 1;
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_int_equal(w->service.proofs, 2);
    drop(w);
}

/* ---- what the service may answer ---- */

/* An answer with a JSON body; without a status, body is the whole text. */
static const char *answer_text(const char *status, const char *body, char *at, size_t cap)
{
    if (!status)
        return body;
    (void)snprintf(at, cap, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   status, strlen(body), body);
    return at;
}

static void answers_and_what_follows(void **state)
{
    (void)state;
    static const struct {
        unsigned at; /* which request gets it */
        const char *status, *body;
        enum err expected;
        enum provision_state after; /* attempts unlimited: FAILED, or what is done after waiting */
        int32_t code;
    } rows[] = {
        {0, "404 Not Found", "{\"errorCode\":404201}", ERR_NOT_ENROLLED, PROVISION_TPM, 404201},
        {0, "400 Bad", "{\"errorCode\":400004}", ERR_INVALID_ARGUMENT, PROVISION_FAILED, 400004},
        {0, "401 No", "{\"errorCode\":401002}", ERR_UNAUTHORIZED, PROVISION_TPM, 401002},
        {0, "429 Slow", "{\"errorCode\":429001}", ERR_THROTTLED, PROVISION_REQUEST, 429001},
        {0, "503 Later", "{\"errorCode\":503000}", ERR_UNAVAILABLE, PROVISION_REQUEST, 503000},
        {0, NULL, "HTTP/1.1 503 Later\r\nContent-Length: 4\r\n\r\nbusy", ERR_UNAVAILABLE, PROVISION_REQUEST, 0},
        {0, NULL, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", ERR_PROTOCOL, PROVISION_REQUEST, 0},
        {0, "404 Not Found", "{\"errorCode\":404000}", ERR_NOT_FOUND, PROVISION_FAILED, 404000},
        {0, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ERR_PROTOCOL, PROVISION_REQUEST, 0},
        {0, "200 OK", "{}", ERR_PROTOCOL, PROVISION_REQUEST, 0},
        {0, "200 OK", "{", ERR_PROTOCOL, PROVISION_REQUEST, 0},
        {0, "401 No", "{\"authenticationKey\":\"AA\"}", ERR_PROTOCOL, PROVISION_REQUEST, 0},
        {0, "401 No", "{\"authenticationKey\":\"AAAA\"}", ERR_PROTOCOL, PROVISION_TPM, 0},
        {0, "202 OK", "{\"status\":\"assigning\",\"operationId\":\"o.1\"}", ERR_PROTOCOL, PROVISION_REQUEST, 0},
        {0, NULL, "nonsense\r\n\r\n", ERR_PROTOCOL, PROVISION_REQUEST, 0},
        {1, "401 No", "{\"errorCode\":401002}", ERR_UNAUTHORIZED, PROVISION_TPM, 401002},
        {1, "401 No", "{\"authenticationKey\":\"AAAA\"}", ERR_UNAUTHORIZED, PROVISION_TPM, 0},
        {1, "409 Lost", "{\"errorCode\":409203}", ERR_CONFLICT, PROVISION_TPM, 409203},
        {1, "500 Oops", "{\"errorCode\":500000}", ERR_INTERNAL, PROVISION_PROVE, 500000},
        {1, "202 OK", "{\"status\":\"disabled\"}", ERR_DISABLED, PROVISION_PROVE, 0},
        {1, "202 OK", "{\"status\":\"unassigned\"}", ERR_PROTOCOL, PROVISION_PROVE, 0},
        {1, "202 OK", "{\"status\":\"assigning\"}", ERR_PROTOCOL, PROVISION_PROVE, 0},
        {1, "202 OK", "{\"status\":\"assigned\"}", ERR_PROTOCOL, PROVISION_PROVE, 0},
        {1, "200 OK", "{\"status\":\"failed\",\"registrationState\":{\"errorCode\":404201    }}", ERR_NOT_ENROLLED, PROVISION_TPM, 404201},
        {1, "202 OK", "{\"status\":\"disabled\",\"status\":\"disabled\"}", ERR_PROTOCOL, PROVISION_PROVE, 0},
        {1, "202 OK", "{\"status\":\"disabled\"} {}", ERR_PROTOCOL, PROVISION_PROVE, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = build(NOW_S, true);
        char raw[512];
        w->service.raw[rows[i].at] = answer_text(rows[i].status, rows[i].body, raw, sizeof raw);
        w->config.attempts_max = 0;
        power_on(w);
        enum provision_state at = PROVISION_START;
        for (int n = 0; n < 10 && at != PROVISION_WAIT && at != PROVISION_FAILED; n++)
            at = provision_step(w->machine);
        assert_err_of(rows[i].body, rows[i].expected, provision_last_error(w->machine));
        assert_int_equal(provision_report(w->machine).service_code, rows[i].code);
        if (at == PROVISION_WAIT)
            at = provision_step(w->machine);
        if (at != rows[i].after)
            fail_msg("%s: then %s", rows[i].body, provision_state_name(at));
        assert_false(w->fake.transport.is_open);
        assert_slot_honest(w);
        assert_nothing_loaded(w);
        if (at != PROVISION_FAILED)
            assert_int_equal(run(w), PROVISION_DONE); /* a service that mends its ways is enough */
        drop(w);
    }
}

static void a_lost_operation_begins_again(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->service.polls_before_assigned = 1;
    char raw[256];
    w->service.raw[2] = answer_text("404 Not Found", "{\"errorCode\":404000}", raw, sizeof raw);
    w->config.attempts_max = 0;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_int_equal(w->service.proofs, 2);
    drop(w);
}

static void waits_as_long_as_told(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->service.raw[0] = "HTTP/1.1 429 Slow\r\nRetry-After: 200\r\nContent-Length: 0\r\n\r\n";
    w->config.attempts_max = 0;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_in_range(w->fake.clock.slept_ms, 200000, 250000);
    drop(w);
}

static void backs_off_with_jitter_up_to_a_bound(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->fake.transport.plan.fail_open_at = 1;
    w->fake.transport.plan.open_stays_broken = true;
    w->fake.transport.plan.open_error = ERR_NETWORK;
    w->config.attempts_max = 14;
    power_on(w);
    uint32_t most_ms = 1000, waits = 0, full = 0;
    for (enum provision_state at = PROVISION_START; at != PROVISION_FAILED;) {
        at = provision_step(w->machine);
        if (at != PROVISION_WAIT)
            continue;
        uint32_t wait_ms = provision_wait_ms(w->machine);
        assert_in_range(wait_ms, most_ms / 2, most_ms);
        full += wait_ms == most_ms / 2 || wait_ms == most_ms;
        most_ms = most_ms * 2 > 300000 ? 300000 : most_ms * 2;
        waits++;
    }
    assert_int_equal(waits, 13);
    assert_true(full < 3); /* jitter there is */
    assert_err(ERR_NETWORK, provision_last_error(w->machine));
    drop(w);
}

static void without_entropy_it_waits_all_the_same(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->fake.entropy.fail_at = 1;
    w->service.raw[0] = "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n";
    w->config.attempts_max = 0;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_int_equal(w->fake.clock.slept_ms, 500);
    drop(w);
}

/* ---- time ---- */
static void unknown_time_comes_from_the_service(void **state)
{
    (void)state;
    struct world *w = build(0, true);
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_int_equal(w->fake.transport.last_now_s, 0);
    assert_int_equal(w->fake.transport.opens, 1);
    assert_int_equal(w->hub.last_now_s, NOW_S);
    assert_true(provision_report(w->machine).time_from_service);

    power_on(w); /* later, without a service that is needed for anything else */
    assert_int_equal(provision_step(w->machine), PROVISION_HUB);
    assert_int_equal(provision_step(w->machine), PROVISION_TIME);
    assert_int_equal(provision_step(w->machine), PROVISION_HUB);
    assert_false(w->fake.transport.is_open);
    assert_int_equal(provision_step(w->machine), PROVISION_DONE);
    assert_int_equal(w->service.proofs, 1);
    drop(w);
}

/* Every other connection of such a boot is checked by the transport, at the time that was told. */
static void told_time_is_used_from_then_on(void **state)
{
    (void)state;
    struct world *w = build(0, true);
    w->service.raw[1] = "HTTP/1.1 503 Later\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    w->config.attempts_max = 0;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_in_range(w->fake.transport.last_now_s, NOW_S, NOW_S + 2);
    drop(w);
}

static void dates_are_checked_before_the_answer_is_used(void **state)
{
    (void)state;
    const struct {
        struct hal_peer peer;
        bool tells_time;
        enum err expected;
    } rows[] = {
        {{NOW_S - 1000, NOW_S - 1}, true, ERR_TLS_DATE},
        {{NOW_S + 100, NOW_S + 1000}, true, ERR_TLS_DATE},
        {{NOW_S - 1000, NOW_S + 1000}, false, ERR_CLOCK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = build(0, true);
        w->fake.transport.plan.peer = rows[i].peer;
        w->service.tells_time = rows[i].tells_time;
        assert_int_equal(boot(w), PROVISION_FAILED);
        assert_err(rows[i].expected, provision_last_error(w->machine));
        assert_false(toytpm_saw(&w->tpm, CC_ACTIVATE_CREDENTIAL)); /* the challenge never reached it */
        assert_false(w->tpm.has_identity);
        assert_false(w->fake.transport.is_open);
        assert_false(provision_report(w->machine).time_from_service);
        drop(w);
    }
}

static void known_time_checks_dates_at_once(void **state)
{
    (void)state;
    struct world *w = build(NOW_S + 2000000, true);
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_TLS_DATE, provision_last_error(w->machine));
    assert_int_equal(w->service.requests, 0);
    drop(w);
}

/* A clock that is wrong but thinks it is right: tokens go by what the service said. */
static void a_clock_that_is_off_still_makes_good_tokens(void **state)
{
    (void)state;
    struct world *w = build(NOW_S - 900, true);
    assert_int_equal(boot(w), PROVISION_DONE);
    drop(w);
}

static void a_step_of_the_clock_does_no_harm(void **state)
{
    (void)state;
    static const int64_t to[] = {0, NOW_S - 315360000, NOW_S + 315360000};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++)
        for (unsigned look = 1; look <= 12; look++) {
            struct world *w = build(NOW_S, true);
            w->fake.clock.jump_at = look;
            w->fake.clock.jump_to_s = to[i];
            enum provision_state end = boot(w);
            if (end != PROVISION_DONE)
                assert_err(ERR_TLS_DATE, provision_last_error(w->machine));
            assert_slot_honest(w);
            assert_nothing_loaded(w);
            drop(w);
        }
}

/* ---- the slot ---- */
static void a_slot_that_is_not_whole_is_none(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    assert_int_equal(boot(w), PROVISION_DONE);
    uint8_t good[HAL_SLOT_CAP], bad[HAL_SLOT_CAP];
    size_t len;
    struct hal_storage *s = w->fake.hal.storage;
    assert_ok(s->read(s, SLOT_NAME, good, sizeof good, &len));
    for (size_t i = 0; i < len * 2; i++) {
        memcpy(bad, good, len);
        if (i < len)
            bad[i] ^= 0x04;
        assert_ok(s->write(s, SLOT_NAME, span_of(bad, i < len ? len : i - len)));
        power_on(w);
        assert_int_equal(provision_step(w->machine), PROVISION_TPM);
    }
    assert_int_equal(run(w), PROVISION_DONE);
    assert_slot_honest(w);
    drop(w);
}

static void a_slot_of_another_scope_or_id_is_none(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    assert_int_equal(boot(w), PROVISION_DONE);
    w->config.registration_id = "PUMP-1"; /* the same, spelled otherwise */
    power_on(w);
    assert_int_equal(provision_step(w->machine), PROVISION_HUB);
    w->config.registration_id = "pump-2";
    power_on(w);
    assert_int_equal(provision_step(w->machine), PROVISION_TPM);
    w->config.registration_id = NULL; /* whichever it was */
    power_on(w);
    assert_int_equal(provision_step(w->machine), PROVISION_HUB);
    w->config.id_scope = "0ne000A0002";
    power_on(w);
    assert_int_equal(provision_step(w->machine), PROVISION_TPM);
    drop(w);
}

static void bad_configuration_fails_at_once(void **state)
{
    (void)state;
    static char long_text[4096];
    memset(long_text, 'a', sizeof long_text - 1);
    struct world *w = build(NOW_S, true);
    w->config.registration_id = "not an id";
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_REG_ID, provision_last_error(w->machine));
    w->config.registration_id = NULL;
    w->config.payload = long_text;
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_CONFIG, provision_last_error(w->machine));
    w->config.payload = NULL;
    w->config.id_scope = long_text;
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_CONFIG, provision_last_error(w->machine));
    assert_int_equal(w->tpm.commands, 0);
    drop(w);
}

/* ---- staying ---- */
static void stays_and_renews(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    assert_int_equal(boot(w), PROVISION_DONE);
    for (int minute = 1; minute <= 54; minute++)
        assert_int_equal(provision_stay(w->machine, 60000), PROVISION_DONE);
    assert_int_equal(w->hub.publishes, 55);
    assert_int_equal(w->hub.connects, 1);
    assert_int_equal(provision_stay(w->machine, 60000), PROVISION_HUB); /* five minutes to go */
    assert_int_equal(run(w), PROVISION_DONE);
    assert_int_equal(w->hub.connects, 2);
    assert_int_equal(w->service.proofs, 1);

    w->hub.idle_error = ERR_NETWORK;
    assert_int_equal(provision_stay(w->machine, 60000), PROVISION_FAILED); /* one attempt */
    assert_err(ERR_NETWORK, provision_last_error(w->machine));
    drop(w);
}

static void mends_a_lost_hub(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->config.attempts_max = 0;
    assert_int_equal(boot(w), PROVISION_DONE);
    w->hub.publish_error = ERR_NETWORK;
    assert_int_equal(provision_stay(w->machine, 60000), PROVISION_WAIT);
    assert_int_equal(run(w), PROVISION_DONE);
    assert_int_equal(w->hub.connects, 2);
    assert_true(w->hub.is_open);
    provision_end(w->machine);
    assert_false(w->hub.is_open);
    w->machine = NULL;
    drop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_boot),
        cmocka_unit_test(id_comes_from_the_ek),
        cmocka_unit_test(second_boot_goes_to_the_hub),
        cmocka_unit_test(polls_until_assigned),
        cmocka_unit_test(never_assigned_ends),
        cmocka_unit_test(refused_by_the_hub_provisions_again),
        cmocka_unit_test(refused_for_ever_gives_up),
        cmocka_unit_test(an_unreachable_hub_is_asked_about_once),
        cmocka_unit_test(answers_and_what_follows),
        cmocka_unit_test(a_lost_operation_begins_again),
        cmocka_unit_test(waits_as_long_as_told),
        cmocka_unit_test(backs_off_with_jitter_up_to_a_bound),
        cmocka_unit_test(without_entropy_it_waits_all_the_same),
        cmocka_unit_test(unknown_time_comes_from_the_service),
        cmocka_unit_test(told_time_is_used_from_then_on),
        cmocka_unit_test(dates_are_checked_before_the_answer_is_used),
        cmocka_unit_test(known_time_checks_dates_at_once),
        cmocka_unit_test(a_clock_that_is_off_still_makes_good_tokens),
        cmocka_unit_test(a_step_of_the_clock_does_no_harm),
        cmocka_unit_test(a_slot_that_is_not_whole_is_none),
        cmocka_unit_test(a_slot_of_another_scope_or_id_is_none),
        cmocka_unit_test(bad_configuration_fails_at_once),
        cmocka_unit_test(stays_and_renews),
        cmocka_unit_test(mends_a_lost_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
