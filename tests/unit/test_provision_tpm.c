/* The boot with the TPMs that are met in the field: owned, full, cleared, used by others before; and
 * which commands a boot issues, one by one. What a TPM checks is proven in flow/tpm-field. */
#include <unit.h>

#include <stdio.h>
#include <toyboot.h>

/* ---- the commands ---- */
#define OPEN_CHALLENGE                                                                             \
    CC_START_AUTH_SESSION, CC_POLICY_SECRET, CC_ACTIVATE_CREDENTIAL, CC_IMPORT, CC_LOAD
#define NONCE_TOKEN CC_HMAC, CC_FLUSH_CONTEXT
#define HUB_TOKEN CC_HMAC
#define HUB_TOKEN_WRAPPED CC_LOAD, CC_HMAC, CC_FLUSH_CONTEXT
#define KEEP CC_EVICT_CONTROL, CC_FLUSH_CONTEXT

#define EXPECT_COMMANDS(w, from, ...)                                                              \
    expect_commands((w), (from), (const uint32_t[]){__VA_ARGS__},                                  \
                    sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
static void expect_commands(const struct world *w, unsigned from, const uint32_t *codes, size_t count)
{
    for (unsigned i = 0; i < count; i++)
        if (from + i >= w->tpm.commands || w->tpm.log[from + i] != codes[i])
            fail_msg("command %u is 0x%x, not 0x%x", i + 1,
                     from + i < w->tpm.commands ? w->tpm.log[from + i] : 0, codes[i]);
    assert_int_equal(w->tpm.commands, from + count);
}

static void a_boot_issues_these_commands_and_no_others(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true); /* as an SDK would: nothing is compared */
    w->config.tpm.ek = TPM_EK_PERSISTENT;
    assert_int_equal(boot(w), PROVISION_DONE);
    EXPECT_COMMANDS(w, 0, CC_READ_PUBLIC, CC_READ_PUBLIC, OPEN_CHALLENGE, NONCE_TOKEN,
                    OPEN_CHALLENGE, KEEP, HUB_TOKEN);
    assert_int_equal(w->tpm.commands, 17);
    assert_int_equal(boot(w), PROVISION_DONE);
    EXPECT_COMMANDS(w, 17, HUB_TOKEN);
    drop(w);

    w = build(NOW_S, true); /* a certificate: two reads until its key, which is also its account */
    toytpm_certify(&w->tpm, true);
    w->config.read_ek_certificate = true;
    assert_int_equal(boot(w), PROVISION_DONE);
    EXPECT_COMMANDS(w, 0, CC_READ_PUBLIC, CC_NV_READ, CC_NV_READ, CC_READ_PUBLIC, OPEN_CHALLENGE,
                    NONCE_TOKEN, OPEN_CHALLENGE, KEEP, HUB_TOKEN);
    struct provision_report r = provision_report(w->machine);
    assert_int_equal(r.ek_why, TPM_EK_CERTIFIED);
    assert_true(r.certificate_is_of_ek);
    assert_int_equal(r.certificate_len, sizeof w->tpm.certificate - 100);
    drop(w);

    w = build(NOW_S, true); /* none, of neither kind */
    assert_int_equal(boot(w), PROVISION_DONE);
    EXPECT_COMMANDS(w, 0, CC_READ_PUBLIC, CC_NV_READ, CC_NV_READ, CC_READ_PUBLIC, OPEN_CHALLENGE,
                    NONCE_TOKEN, OPEN_CHALLENGE, KEEP, HUB_TOKEN);
    assert_int_equal(provision_report(w->machine).ek_why, TPM_EK_UNCERTIFIED);
    assert_err(ERR_OK, provision_report(w->machine).certificate_error); /* was not asked for */
    drop(w);

    w = build(NOW_S, true); /* the hub key cannot persist: nothing is tried twice */
    w->config.tpm.ek = TPM_EK_PERSISTENT;
    w->tpm.owner_auth = true;
    assert_int_equal(boot(w), PROVISION_DONE);
    EXPECT_COMMANDS(w, 0, CC_READ_PUBLIC, CC_READ_PUBLIC, OPEN_CHALLENGE, NONCE_TOKEN,
                    OPEN_CHALLENGE, KEEP, HUB_TOKEN_WRAPPED);
    unsigned first = w->tpm.commands;
    assert_int_equal(boot(w), PROVISION_DONE);
    EXPECT_COMMANDS(w, first, HUB_TOKEN_WRAPPED);
    drop(w);
}

/* ---- keys that cannot persist ---- */
static void expect_wrapped(struct world *w, enum tpm_unkept why)
{
    assert_int_equal(boot(w), PROVISION_DONE);
    struct provision_report r = provision_report(w->machine);
    assert_int_equal(r.identity_handle, 0);
    assert_int_equal(r.identity_unkept, why);
    assert_slot_honest(w);
    assert_nothing_loaded(w);
    unsigned proofs = w->service.proofs;
    assert_int_equal(boot(w), PROVISION_DONE); /* straight to the hub, with the key as it was stored */
    assert_int_equal(w->service.proofs, proofs);
    assert_nothing_loaded(w);
}

static void an_owned_tpm(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->tpm.owner_auth = true;
    expect_wrapped(w, TPM_UNKEPT_OWNER_AUTH);
    assert_false(w->tpm.has_identity);
    drop(w);

    w = build(NOW_S, true);
    w->tpm.owner_auth = true;
    w->config.tpm.owner_auth = SPAN_LITERAL("another");
    expect_wrapped(w, TPM_UNKEPT_OWNER_AUTH);
    drop(w);

    w = build(NOW_S, false); /* with its authorisation everything is made and persists */
    w->tpm.owner_auth = true;
    w->config.tpm.owner_auth = SPAN_LITERAL("owner");
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_int_equal(provision_report(w->machine).identity_handle, HANDLE_IDENTITY_KEY);
    assert_true(w->tpm.has_ek && w->tpm.has_srk && w->tpm.has_identity);
    drop(w);

    w = build(NOW_S, false); /* without, an EK can be made, an SRK cannot */
    w->tpm.owner_auth = true;
    assert_int_equal(boot(w), PROVISION_FAILED);
    assert_err(ERR_TPM_OWNER_AUTH, provision_last_error(w->machine));
    assert_nothing_loaded(w);
    w->tpm.has_srk = true;
    expect_wrapped(w, TPM_UNKEPT_OWNER_AUTH);
    assert_false(w->tpm.has_ek);
    drop(w);
}

static void a_full_tpm(void **state)
{
    (void)state;
    for (int keys = 0; keys < 2; keys++) {
        struct world *w = build(NOW_S, keys);
        w->tpm.full = true;
        expect_wrapped(w, TPM_UNKEPT_FULL);
        w->tpm.full = false; /* there is room again: the next provisioning persists */
        w->hub.refuse = 1;
        assert_int_equal(boot(w), PROVISION_DONE);
        assert_int_equal(provision_report(w->machine).identity_handle, HANDLE_IDENTITY_KEY);
        assert_slot_honest(w);
        drop(w);
    }
}

static void a_handle_that_somebody_else_has(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->tpm.identity_taken = true;
    expect_wrapped(w, TPM_UNKEPT_TAKEN);
    assert_true(w->tpm.identity_taken); /* nothing evicted it: the toy would say that it is absent */
    drop(w);

    w = build(NOW_S, true); /* taken between two boots: the hub key is gone, the device recovers */
    assert_int_equal(boot(w), PROVISION_DONE);
    w->tpm.has_identity = false;
    w->tpm.identity_taken = true;
    expect_wrapped(w, TPM_UNKEPT_TAKEN);
    drop(w);

    w = build(NOW_S, true); /* an identity key of an earlier life is replaced, and that is told */
    w->tpm.has_identity = true;
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_true(provision_report(w->machine).identity_replaced);
    assert_slot_honest(w);
    w->hub.refuse = 1;
    drop(w);
}

/* ---- cleared between two boots ---- */
static void a_cleared_tpm(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++)
        for (int srk_back = 0; srk_back < 2; srk_back++) {
            struct world *w = build(NOW_S, true);
            w->tpm.full = full;
            assert_int_equal(boot(w), PROVISION_DONE);
            w->tpm.has_ek = w->tpm.has_identity = false;
            w->tpm.has_srk = srk_back; /* somebody else was here first */
            w->tpm.seed++;
            assert_int_equal(boot(w), PROVISION_DONE);
            assert_int_equal(w->service.proofs, 2);
            assert_slot_honest(w);
            assert_nothing_loaded(w);
            drop(w);
        }
}

/* ---- others' keys ---- */
static void an_srk_that_wants_an_authorisation(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    w->tpm.srk_locked = true;
    w->config.attempts_max = 2;
    assert_int_equal(boot(w), PROVISION_DONE);
    struct provision_report r = provision_report(w->machine);
    assert_int_equal(r.srk_place.handle, HANDLE_SRK_SECOND);
    assert_err(ERR_UNAUTHORIZED, r.srk_place.passed_over);
    assert_nothing_loaded(w);
    drop(w);
}

static void a_certificate_for_another_key(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, true);
    toytpm_certify(&w->tpm, false);
    assert_int_equal(boot(w), PROVISION_DONE); /* the template's is not the certificate's either */
    assert_int_equal(provision_report(w->machine).ek_place.handle, HANDLE_EK);
    assert_nothing_loaded(w);
    drop(w);
}

static void a_tpm_without_rsa(void **state)
{
    (void)state;
    struct world *w = build(NOW_S, false);
    w->fake.tpm.plan = (struct fake_tpm_plan){ /* the first CreatePrimary: the template's type */
        .at = 5, .fault = FAKE_TPM_RESPONSE_CODE, .value = 0x2ca};
    assert_int_equal(boot(w), PROVISION_DONE);
    assert_int_equal(w->fake.tpm.hit_code, CC_CREATE_PRIMARY);
    assert_int_equal(w->tpm.first_primary, 0x23); /* TPM_ALG_ECC */
    drop(w);
}

/* ---- power ---- */

/* Before the n-th command, or when it has taken effect and nobody has heard. */
static void power_cut_at_every_command(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        bool keys = kind & 1, after = kind & 2, full = kind & 4, untouched = false;
        for (unsigned at = 1; !untouched; at++) {
            struct world *w = build(NOW_S, keys);
            w->tpm.full = full;
            w->fake.tpm.plan =
                (struct fake_tpm_plan){.at = at, .fault = FAKE_TPM_GONE, .value = after};
            untouched = boot(w) == PROVISION_DONE;
            assert_true(untouched || provision_last_error(w->machine) == ERR_TPM_TRANSPORT);
            w->fake.tpm.plan = (struct fake_tpm_plan){0};
            w->tpm.transients = w->tpm.sessions = 0; /* a TPM without power forgets them */
            assert_slot_honest(w);
            assert_int_equal(boot(w), PROVISION_DONE);
            assert_slot_honest(w);
            assert_nothing_loaded(w);
            assert_true(untouched || at < 50);
            drop(w);
        }
    }
}

/* Every third boot has lost its storage, every fifth is refused by the hub. */
static void a_thousand_boots_leave_nothing(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct world *w = build(NOW_S, true);
        w->tpm.full = full;
        for (int i = 0; i < 1000; i++) {
            if (i % 3 == 0)
                fake_storage_init(&w->fake.storage);
            w->hub.refuse = i % 5 == 0;
            w->config.attempts_max = 2;
            assert_int_equal(boot(w), PROVISION_DONE);
            assert_nothing_loaded(w);
            assert_slot_honest(w);
        }
        assert_int_equal(w->tpm.has_identity, !full);
        drop(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_boot_issues_these_commands_and_no_others),
        cmocka_unit_test(an_owned_tpm),
        cmocka_unit_test(a_full_tpm),
        cmocka_unit_test(a_handle_that_somebody_else_has),
        cmocka_unit_test(a_cleared_tpm),
        cmocka_unit_test(an_srk_that_wants_an_authorisation),
        cmocka_unit_test(a_certificate_for_another_key),
        cmocka_unit_test(a_tpm_without_rsa),
        cmocka_unit_test(power_cut_at_every_command),
        cmocka_unit_test(a_thousand_boots_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
