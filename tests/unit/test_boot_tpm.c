/* The boot with a real TPM, libtpms in this process: the power is cut before and after every command,
 * the TPM left in every state that a killed process can leave it in, a thousand boots counted. */
#include <unit.h>

#include <attest.h>
#include <simtpm.h>
#include <toyboot.h>
#include <tpmhandles.h>
#include <tpmsys.h>

#define BOOTS 1000

static struct attest *attest;

struct bench {
    struct world *w;
    struct simtpm tpm;
    struct simtpm_image image;
};

/* The service's true blobs, for the keys that the device has shown. */
static void wrap(void *context, const uint8_t key[32], struct buf *out)
{
    struct world *w = context;
    struct provision_report r = provision_report(w->machine);
    assert_ok(attest_wrap(attest, r.ek, r.srk, span_of(key, 32), SPAN_LITERAL("hub"), out));
}

static struct bench *bench_build(const struct simtpm_image *image)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    b->image = *image;
    simtpm_init(&b->tpm, &b->image);
    b->w = build(NOW_S, true);
    b->w->fake.tpm.inner = &b->tpm.table;
    b->w->service.wrap = wrap;
    b->w->service.wrap_context = b->w;
    return b;
}

static void bench_drop(struct bench *b)
{
    drop(b->w);
    simtpm_power_off(&b->tpm);
    free(b);
}

static void assert_nothing_in(struct bench *b)
{
    assert_int_equal(tpm_handles(&b->tpm.table, HANDLES_TRANSIENT).count, 0);
    assert_int_equal(tpm_handles(&b->tpm.table, HANDLES_SESSION).count, 0);
    assert_int_equal(tpm_handles(&b->tpm.table, HANDLES_SESSION_SAVED).count, 0);
}

/* Whatever was stored is whole, and the hub knows its key, or is about to refuse it once. */
static void assert_stored_whole(struct bench *b)
{
    struct assignment a;
    uint8_t bytes[HAL_SLOT_CAP];
    size_t len;
    struct hal_storage *s = b->w->fake.hal.storage;
    if (s->read(s, SLOT_NAME, bytes, sizeof bytes, &len) == ERR_ABSENT)
        return;
    assert_true(slot_is(b->w, &a));
    assert_string_equal(a.hub, TOY_HUB);
}

/* ---- TPMs to begin with ---- */
static void blank(struct simtpm_image *ret)
{
    static struct simtpm_image image; /* one factory: the same seeds for all */
    if (image.len == 0) {
        struct simtpm t;
        static struct tpmdev d;
        struct fake_clock clock;
        TPM2B_PUBLIC area;
        fake_clock_init(&clock, NOW_S);
        simtpm_init(&t, &image);
        tpmdev_init(&d, &t.table, &clock.table);
        assert_err(ERR_ABSENT, tpmsys_public_read(&d, HANDLE_EK, &area)); /* starts it */
        simtpm_power_off(&t);
    }
    *ret = image;
}

static void persist(struct tpmdev *d, enum tpm_key_role role, uint32_t at)
{
    HELD key = {.dev = d};
    struct tpm_public pub;
    assert_ok(tpmsys_primary_create(d, role, TPM_KEY_ECC_P256, &key, &pub));
    assert_int_equal(tpmsys_evict(d, key.handle, at), 0);
}

/* With P-256 keys that a platform has made: a boot takes milliseconds. */
static void with_keys(struct simtpm_image *ret)
{
    static struct simtpm_image image;
    if (image.len == 0) {
        struct simtpm t;
        static struct tpmdev d;
        struct fake_clock clock;
        fake_clock_init(&clock, NOW_S);
        blank(&image);
        simtpm_init(&t, &image);
        tpmdev_init(&d, &t.table, &clock.table);
        persist(&d, TPM_ROLE_EK, HANDLE_EK);
        persist(&d, TPM_ROLE_SRK, HANDLE_SRK);
        simtpm_power_off(&t);
    }
    *ret = image;
}

/* The same, and the owner has set an authorisation that we are not told. */
static void owned(struct simtpm_image *ret)
{
    static const uint8_t change_auth[] = {0x80, 2, 0, 0, 0, 33, 0, 0, 1, 0x29, 0x40, 0, 0, 1,
                                          0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0,
                                          0, 4, 'o', 'u', 'r', 's'};
    static const uint8_t startup[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};
    static struct simtpm_image image;
    if (image.len == 0) {
        struct simtpm t;
        with_keys(&image);
        simtpm_init(&t, &image);
        assert_int_equal(tpm_command(&t.table, SPAN_ARRAY(startup)), 0);
        assert_int_equal(tpm_command(&t.table, SPAN_ARRAY(change_auth)), 0);
        simtpm_power_off(&t);
    }
    *ret = image;
}

/* ---- power ---- */
static void assert_persistent(struct bench *b, bool identity)
{
    struct tpm_handles h = tpm_handles(&b->tpm.table, HANDLES_PERSISTENT);
    assert_int_equal(h.count, identity ? 3 : 2);
    assert_int_equal(h.at[0], HANDLE_SRK);
    assert_int_equal(h.at[h.count - 1], HANDLE_EK);
    if (identity)
        assert_int_equal(h.at[1], HANDLE_IDENTITY_KEY);
}

/* Returns whether the boot came to its end before the n-th command. */
static bool cut_at(const struct simtpm_image *image, unsigned n, bool after, bool identity)
{
    struct bench *b = bench_build(image);
    b->w->fake.tpm.plan = (struct fake_tpm_plan){.at = n, .fault = FAKE_TPM_GONE, .value = after};
    bool untouched = boot(b->w) == PROVISION_DONE;
    if (!untouched)
        assert_err(ERR_TPM_TRANSPORT, provision_last_error(b->w->machine));
    simtpm_power_off(&b->tpm);
    assert_stored_whole(b);
    b->w->fake.tpm.plan = (struct fake_tpm_plan){0};
    assert_int_equal(boot(b->w), PROVISION_DONE);
    assert_stored_whole(b);
    assert_nothing_in(b);
    assert_persistent(b, identity);
    bench_drop(b);
    return untouched;
}

static void power_cut_at_every_command(void **state)
{
    (void)state;
    static const struct {
        void (*make)(struct simtpm_image *ret);
        bool identity;
    } rows[] = {{blank, true}, {with_keys, true}, {owned, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int after = 0; after < 2; after++) {
            struct simtpm_image image;
            unsigned n = 1;
            rows[i].make(&image);
            while (!cut_at(&image, n, after, rows[i].identity))
                assert_true(++n < 60);
            assert_true(n > 19);
        }
}

/* A process that is killed leaves what it holds loaded, in a TPM without a resource manager. */
static void killed_at_every_command(void **state)
{
    (void)state;
    bool untouched = false;
    struct simtpm_image image;
    with_keys(&image);
    struct bench *b = bench_build(&image);
    b->w->config.attempts_max = 2;
    for (unsigned n = 1; !untouched; n++) {
        fake_storage_init(&b->w->fake.storage);
        b->w->fake.tpm.commands = 0;
        b->w->fake.tpm.plan = (struct fake_tpm_plan){.at = n, .fault = FAKE_TPM_GONE, .value = 1};
        untouched = boot(b->w) == PROVISION_DONE;
        b->w->fake.tpm.plan = (struct fake_tpm_plan){0};
        fake_storage_init(&b->w->fake.storage);
        assert_int_equal(boot(b->w), PROVISION_DONE);
        assert_persistent(b, true);
        assert_true(n < 60);
    }
    bench_drop(b);
}

/* ---- sessions and objects of others, who are gone ---- */
static void a_tpm_that_was_left_full(void **state)
{
    (void)state;
    static const uint8_t start_session[] = {0x80, 1, 0, 0, 0, 43, 0, 0, 1, 0x76, 0x40, 0, 0, 7,
                                            0x40, 0, 0, 7, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                            0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0xb};
    for (int policy = 0; policy < 2; policy++) {
        struct simtpm_image image;
        uint8_t command[sizeof start_session];
        unsigned n = 0;
        with_keys(&image);
        struct bench *b = bench_build(&image);
        memcpy(command, start_session, sizeof command);
        command[38] = (uint8_t)policy;
        b->w->config.attempts_max = 2;
        assert_int_equal(boot(b->w), PROVISION_DONE); /* also starts it */
        while (tpm_command(&b->tpm.table, SPAN_ARRAY(command)) == 0)
            assert_true(++n < 70);
        assert_true(n > 0);
        fake_storage_init(&b->w->fake.storage);
        assert_int_equal(boot(b->w), PROVISION_DONE);
        assert_nothing_in(b);
        bench_drop(b);
    }
}

/* ---- counting ---- */

/* Every fourth boot has lost its storage, every seventh is refused by the hub; now and then the power
 * is cut. */
static void boots_leave_nothing(void (*make)(struct simtpm_image *ret), bool identity, unsigned count)
{
    struct simtpm_image image;
    make(&image);
    struct bench *b = bench_build(&image);
    for (unsigned i = 0; i < count; i++) {
        if (i % 4 == 0)
            fake_storage_init(&b->w->fake.storage);
        if (i % 100 == 99)
            simtpm_power_off(&b->tpm);
        b->w->hub.refuse = i % 7 == 0;
        b->w->config.attempts_max = 2;
        assert_int_equal(boot(b->w), PROVISION_DONE);
        assert_nothing_in(b);
        assert_persistent(b, identity);
    }
    bench_drop(b);
}

static void a_thousand_boots_leave_nothing(void **state)
{
    (void)state;
    boots_leave_nothing(with_keys, true, BOOTS);
    boots_leave_nothing(owned, false, BOOTS / 10);
}

static int setup(void **state)
{
    (void)state;
    return attest_open(&attest) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    attest_close(attest);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cut_at_every_command),
        cmocka_unit_test(killed_at_every_command),
        cmocka_unit_test(a_tpm_that_was_left_full),
        cmocka_unit_test(a_thousand_boots_leave_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
