/* The boot where everything fails in turn: the stream at every byte, the TPM at every command, the
 * power at every write. It always ends in an honest state, never with half an assignment, and a boot
 * after that, with nothing failing, succeeds. */
#include <unit.h>

#include <toyboot.h>

/* ---- failing at the n-th of everything ---- */
static void heal(struct world *w)
{
    w->fake.transport.plan.gone_after = 0;
    w->fake.transport.plan.close_after = 0;
    w->fake.tpm.plan = (struct fake_tpm_plan){0};
    fake_storage_power_on(&w->fake.storage);
    w->tpm.transients = w->tpm.sessions = 0; /* a TPM without power forgets them */
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_slot_honest(w);
    assert_nothing_loaded(w);
}

static void stream_gone_at_every_byte(void **state)
{
    (void)state;
    uint64_t n = 0;
    for (enum provision_state end = PROVISION_START; end != PROVISION_DONE;) {
        struct world *w = build(NOW_S, true);
        w->service.polls_before_assigned = 1;
        w->fake.transport.plan.gone_after = ++n;
        end = boot(w);
        if (end != PROVISION_DONE)
            assert_err(ERR_NETWORK, provision_last_error(w->machine));
        assert_nothing_loaded(w);
        assert_slot_honest(w);
        heal(w);
        drop(w);
    }
    assert_true(n > 3000);
}

/* The same to a device that stays, whose network is whole again after a while: it needs no help, and
 * has not asked more often than it may. */
static void stream_gone_for_ten_minutes(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 4000; n += 11) {
        struct world *w = build(NOW_S, true);
        w->service.polls_before_assigned = 1;
        w->fake.transport.plan.gone_after = n;
        w->config.attempts_max = 0;
        power_on(w);
        for (unsigned steps = 0; w->fake.clock.now_ms < 600000 && provision_step(w->machine) != PROVISION_DONE; steps++)
            assert_true(steps < 100);
        assert_in_range(w->fake.transport.opens, 1, 13);
        w->fake.transport.plan.gone_after = 0;
        assert_int_equal(run(w), PROVISION_DONE);
        assert_slot_honest(w);
        assert_nothing_loaded(w);
        drop(w);
    }
}

/* The service restarts, or a middlebox forgets: each connection is good for n bytes only once. */
static void connection_closed_at_every_byte(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 6000; n++) {
        struct world *w = build(NOW_S, true);
        w->fake.transport.plan.close_after = n;
        w->config.attempts_max = 3;
        assert_int_equal(boot(w), PROVISION_DONE);
        assert_in_range(w->fake.transport.opens, 1, 2);
        assert_in_range(w->service.requests, 2, 4);
        assert_slot_honest(w);
        drop(w);
    }
}

static enum provision_state boot_cut_at(struct world *w, unsigned n, enum fake_cut cut)
{
    fake_storage_power_on(&w->fake.storage);
    w->tpm.transients = w->tpm.sessions = 0;
    w->fake.storage.cut_at = n;
    w->fake.storage.cut = cut;
    enum provision_state end = boot(w);
    w->fake.storage.dead = false; /* look at it as the next boot will */
    assert_slot_honest(w);
    return end;
}

/* A first boot, and the boot after the cut as well: until no write is left to be cut. */
static void power_cut_at_every_write_of_a_first_boot(void **state)
{
    (void)state;
    for (int cuts = 0; cuts < 4; cuts++) {
        unsigned first = 1, second = 1;
        for (bool untouched = false; !untouched; first++) {
            second = 1;
            for (bool again = true; again; second++) {
                struct world *w = build(NOW_S, false);
                untouched = boot_cut_at(w, first, cuts & 1 ? FAKE_CUT_AFTER : FAKE_CUT_BEFORE) == PROVISION_DONE;
                if (!untouched)
                    assert_err(ERR_IO, provision_last_error(w->machine));
                again = boot_cut_at(w, second, cuts & 2 ? FAKE_CUT_AFTER : FAKE_CUT_BEFORE) != PROVISION_DONE;
                heal(w);
                drop(w);
            }
        }
        assert_true(first > 2); /* it does write */
    }
}

static void power_cut_between_any_two_steps(void **state)
{
    (void)state;
    bool done = false;
    for (unsigned steps = 1; !done; steps++) {
        struct world *w = build(NOW_S, false);
        w->service.polls_before_assigned = 2;
        power_on(w);
        for (unsigned i = 0; i < steps && !done; i++)
            done = provision_step(w->machine) == PROVISION_DONE;
        assert_slot_honest(w);
        heal(w);
        drop(w);
    }
}

static void power_cut_at_every_write(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 4; n++)
        for (int after = 0; after < 2; after++) {
            struct world *w = build(NOW_S, true);
            assert_int_equal(boot(w), PROVISION_DONE);
            w->hub.refuse = 1; /* so that the slot is removed, and written again */
            w->fake.storage.writes = 0;
            w->fake.storage.cut_at = n;
            w->fake.storage.cut = after ? FAKE_CUT_AFTER : FAKE_CUT_BEFORE;
            enum provision_state end = boot(w);
            if (n <= 2)
                assert_err(ERR_IO, provision_last_error(w->machine));
            assert_int_equal(end, n <= 2 ? PROVISION_FAILED : PROVISION_DONE);
            w->fake.storage.dead = false; /* look at it as the next boot will */
            assert_slot_honest(w);
            heal(w);
            drop(w);
        }
}

static void storage_that_fails_is_told(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->fake.storage.fail_at = 1;
    w->config.attempts_max = 0;
    power_on(w);
    enum provision_state at = PROVISION_START;
    while (at != PROVISION_WAIT)
        at = provision_step(w->machine);
    assert_err(ERR_IO, provision_last_error(w->machine));
    assert_string_equal(provision_assigned_hub(w->machine), "");
    assert_int_equal(run(w), PROVISION_DONE);
    assert_slot_honest(w);
    drop(w);
}

static void tpm_fails_at_every_command(void **state)
{
    (void)state;
    static const struct fake_tpm_plan faults[] = {
        {.fault = FAKE_TPM_RESPONSE_CODE, .value = 0x101},  /* TPM_RC_FAILURE */
        {.fault = FAKE_TPM_RESPONSE_CODE, .value = 0x921},  /* TPM_RC_LOCKOUT */
        {.fault = FAKE_TPM_RESPONSE_CODE, .value = 0x18b},  /* TPM_RC_HANDLE */
        {.fault = FAKE_TPM_RESPONSE_CODE, .value = 0x1df},  /* TPM_RC_INTEGRITY */
        {.fault = FAKE_TPM_RESPONSE_CODE, .value = 0xffffffff},
        {.fault = FAKE_TPM_TRUNCATE, .value = 0},
        {.fault = FAKE_TPM_TRUNCATE, .value = 9},
        {.fault = FAKE_TPM_TRUNCATE, .value = 11},
        {.fault = FAKE_TPM_TRUNCATE_FIXED, .value = 11},
        {.fault = FAKE_TPM_TRUNCATE_FIXED, .value = 40},
        {.fault = FAKE_TPM_GARBAGE, .value = 1},
        {.fault = FAKE_TPM_HUGE},
        {.fault = FAKE_TPM_GONE},
        {.fault = FAKE_TPM_LOST_REPLY},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (unsigned at = 1; at <= 30; at++) {
            struct world *w = build(NOW_S, false);
            w->fake.tpm.plan = faults[i];
            w->fake.tpm.plan.at = at;
            enum provision_state end = boot(w);
            enum err e = provision_last_error(w->machine);
            bool told = e == ERR_TPM || e == ERR_TPM_TRANSPORT || e == ERR_TPM_ACTIVATE ||
                        e == ERR_KEY_SHAPE || e == ERR_TPM_FAILED || e == ERR_TPM_LOCKOUT;
            bool wrong_token = e == ERR_UNAUTHORIZED || e == ERR_HUB_REFUSED;
            if (end == PROVISION_FAILED && !told && !wrong_token)
                fail_msg("fault %zu at command %u: %s", i, at, err_name(e));
            if (faults[i].fault == FAKE_TPM_RESPONSE_CODE && w->fake.tpm.hit_code != 0x165)
                assert_nothing_loaded(w);
            w->fake.tpm.plan.at = 0;
            if (faults[i].fault != FAKE_TPM_HUGE) /* a TPM that claims a success it did not have */
                assert_slot_honest(w);
            heal(w);
            drop(w);
        }
}

static void a_busy_tpm_is_asked_again(void **state)
{
    (void)state;
    static const uint32_t codes[] = {0x922, 0x908, 0x90a};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (unsigned at = 1; at <= 19; at++) {
            struct world *w = build(NOW_S, true);
            w->fake.tpm.plan = (struct fake_tpm_plan){
                .at = at, .times = 3, .fault = FAKE_TPM_RESPONSE_CODE, .value = codes[i]};
            assert_int_equal(boot(w), PROVISION_DONE);
            assert_in_range(w->fake.clock.slept_ms, 1, 1000);
            drop(w);
        }
    struct world *w = build(NOW_S, true); /* but not for ever */
    w->fake.tpm.plan = (struct fake_tpm_plan){
        .at = 1, .times = 100000, .fault = FAKE_TPM_RESPONSE_CODE, .value = 0x922};
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_TPM_BUSY, provision_last_error(w->machine));
    assert_in_range(w->fake.clock.slept_ms, 1000, 30000);
    drop(w);
}

static void a_tpm_that_was_not_started_is_started(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->fake.tpm.plan =
        (struct fake_tpm_plan){.at = 1, .fault = FAKE_TPM_RESPONSE_CODE, .value = 0x100};
    w->config.tpm.ek = TPM_EK_PERSISTENT;
    power_on(w);
    assert_int_equal(provision_step(w->machine), PROVISION_TPM);
    assert_int_equal(provision_step(w->machine), PROVISION_REQUEST);
    assert_int_equal(w->fake.tpm.commands, 4); /* the refused one, Startup, the two reads */
    drop(w);

    w = build(NOW_S, true); /* the same of a self-test */
    w->fake.tpm.plan =
        (struct fake_tpm_plan){.at = 1, .fault = FAKE_TPM_RESPONSE_CODE, .value = 0x153};
    w->config.tpm.ek = TPM_EK_PERSISTENT;
    power_on(w);
    assert_int_equal(provision_step(w->machine), PROVISION_TPM);
    assert_int_equal(provision_step(w->machine), PROVISION_REQUEST);
    assert_int_equal(w->tpm.log[0], CC_SELF_TEST);
    assert_int_equal(w->fake.tpm.commands, 4);
    drop(w);
}

static void a_challenge_for_another_tpm(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->tpm.refuses_credentials = true;
    w->config.attempts_max = 3;
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_TPM_ACTIVATE, provision_last_error(w->machine));
    assert_int_equal(provision_report(w->machine).tpm_code, 0x1df);
    assert_int_equal(w->service.requests, 3);
    assert_nothing_loaded(w);
    drop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_gone_at_every_byte),
        cmocka_unit_test(connection_closed_at_every_byte),
        cmocka_unit_test(stream_gone_for_ten_minutes),
        cmocka_unit_test(power_cut_at_every_write_of_a_first_boot),
        cmocka_unit_test(power_cut_between_any_two_steps),
        cmocka_unit_test(power_cut_at_every_write),
        cmocka_unit_test(storage_that_fails_is_told),
        cmocka_unit_test(tpm_fails_at_every_command),
        cmocka_unit_test(a_busy_tpm_is_asked_again),
        cmocka_unit_test(a_tpm_that_was_not_started_is_started),
        cmocka_unit_test(a_challenge_for_another_tpm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
