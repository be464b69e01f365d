/* The contract of hal.h (halcheck.h) held against hal/fake, hal/linux and the TPM in process; and
 * against ports that break it in one place each, which it has to see. */
#include <unit.h>
#include <contract.h>

#include <hal/fake.h>
#include <hal/linux.h>
#include <simtpm.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW_S INT64_C(1800000000)

/* ---- entropy ---- */
static enum err fills_short(struct hal_entropy *e, uint8_t *ret_bytes, size_t len)
{
    struct fake_entropy *f = (struct fake_entropy *)e, inner;
    fake_entropy_init(&inner, f->seed);
    enum err done = inner.table.fill(&inner.table, ret_bytes, len > 0 ? len - 1 : 0);
    f->seed = inner.seed;
    return done;
}

static enum err fills_nothing(struct hal_entropy *e, uint8_t *ret_bytes, size_t len)
{
    (void)e, (void)ret_bytes, (void)len;
    return ERR_OK;
}

static enum err fills_the_same(struct hal_entropy *e, uint8_t *ret_bytes, size_t len)
{
    struct fake_entropy again;
    (void)e;
    fake_entropy_init(&again, 3);
    return again.table.fill(&again.table, ret_bytes, len);
}

static enum err fills_few_ones(struct hal_entropy *e, uint8_t *ret_bytes, size_t len)
{
    struct fake_entropy *f = (struct fake_entropy *)e, two;
    uint8_t mask[1000];
    fake_entropy_init(&two, f->seed);
    TRY(two.table.fill(&two.table, ret_bytes, len));
    TRY(two.table.fill(&two.table, mask, len));
    f->seed = two.seed;
    for (size_t i = 0; i < len; i++)
        ret_bytes[i] &= mask[i] | 0x55;
    return ERR_OK;
}

static void entropy(void **state)
{
    (void)state;
    struct hal_linux port;
    struct fake_entropy fake;
    assert_ok(hal_linux_open(&port, &(struct hal_linux_config){0}));
    assert_kept(halcheck_entropy(port.hal.entropy));
    fake_entropy_init(&fake, 1);
    assert_kept(halcheck_entropy(&fake.table));
    unsigned calls = fake.calls;
    for (unsigned at = 1; at <= calls; at++) {
        fake_entropy_init(&fake, 1);
        fake.fail_at = at;
        assert_broken("entropy", "a fill that fails", halcheck_entropy(&fake.table));
    }
    enum err (*const mutants[])(struct hal_entropy *, uint8_t *, size_t) = {
        fills_short, fills_nothing, fills_the_same, fills_few_ones};
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        fake_entropy_init(&fake, 1);
        fake.table.fill = mutants[i];
        assert_broken("entropy", "a mutant", halcheck_entropy(&fake.table));
    }
}

/* ---- clock ---- */
static uint64_t goes_back_ms(struct hal_clock *c)
{
    struct fake_clock *f = (struct fake_clock *)c;
    return f->looks++ % 900 == 899 ? f->now_ms : f->now_ms + 1;
}

static void sleeps_too_little(struct hal_clock *c, uint32_t ms)
{
    ((struct fake_clock *)c)->now_ms += ms - ms / 10;
}

static void clocks(void **state)
{
    (void)state;
    struct hal_linux port;
    struct fake_clock fake;
    assert_ok(hal_linux_open(&port, &(struct hal_linux_config){0}));
    assert_kept(halcheck_clock(port.hal.clock));
    for (int known = 0; known < 2; known++) {
        fake_clock_init(&fake, known ? NOW_S : 0);
        assert_kept(halcheck_clock(&fake.table));
    }
    fake_clock_init(&fake, NOW_S);
    fake.table.monotonic_ms = goes_back_ms;
    assert_broken("clock", "a monotonic clock that goes back", halcheck_clock(&fake.table));
    fake_clock_init(&fake, NOW_S);
    fake.table.sleep_ms = sleeps_too_little;
    assert_broken("clock", "a sleep that is too short", halcheck_clock(&fake.table));
    static const int64_t jumps_s[] = {1, 1500000000, 4102444800, NOW_S - 1, NOW_S + 61, 0};
    for (unsigned at = 1; at <= 2; at++)
        for (size_t i = 0; i < sizeof jumps_s / sizeof *jumps_s; i++) {
            if (at == 1 && (i > 2)) /* from the beginning on it is simply another time */
                continue;
            fake_clock_init(&fake, NOW_S);
            fake.jump_at = at;
            fake.jump_to_s = jumps_s[i];
            assert_broken("clock", "a wall clock that jumps", halcheck_clock(&fake.table));
        }
}

/* ---- storage ---- */
static struct fake_storage memory;
static struct hal_storage honest; /* its functions */
static unsigned broken_at, changes;

static enum err read_past_room(struct hal_storage *s, const char *slot, uint8_t *ret, size_t cap, size_t *ret_len)
{
    uint8_t all[HAL_SLOT_CAP];
    size_t len;
    TRY(honest.read(s, slot, all, sizeof all, &len));
    *ret_len = len < cap ? len : cap;
    memcpy(ret, all, *ret_len);
    return ERR_OK;
}

static enum err read_tells_length_first(struct hal_storage *s, const char *slot, uint8_t *ret, size_t cap,
                                        size_t *ret_len)
{
    *ret_len = 0;
    return honest.read(s, slot, ret, cap, ret_len);
}

static enum err read_empty_for_absent(struct hal_storage *s, const char *slot, uint8_t *ret, size_t cap,
                                      size_t *ret_len)
{
    enum err e = honest.read(s, slot, ret, cap, ret_len);
    if (e == ERR_ABSENT)
        *ret_len = 0;
    return e == ERR_ABSENT ? ERR_OK : e;
}

static enum err read_absent_for_empty(struct hal_storage *s, const char *slot, uint8_t *ret, size_t cap,
                                      size_t *ret_len)
{
    size_t len;
    TRY(honest.read(s, slot, ret, cap, &len));
    if (len == 0)
        return ERR_ABSENT;
    *ret_len = len;
    return ERR_OK;
}

static enum err read_whole_pages(struct hal_storage *s, const char *slot, uint8_t *ret, size_t cap,
                                 size_t *ret_len)
{
    TRY(honest.read(s, slot, ret, cap, ret_len));
    if (*ret_len < cap)
        ret[*ret_len] = 0;
    return ERR_OK;
}

static enum err write_cuts_off(struct hal_storage *s, const char *slot, struct span bytes)
{
    return honest.write(s, slot, span_slice(bytes, 0, HAL_SLOT_CAP));
}

static enum err write_overlays(struct hal_storage *s, const char *slot, struct span bytes)
{
    uint8_t all[HAL_SLOT_CAP];
    size_t len = 0;
    if (honest.read(s, slot, all, sizeof all, &len) != ERR_OK)
        len = 0;
    if (bytes.len > sizeof all)
        return ERR_FULL;
    memcpy(all, bytes.at, bytes.len);
    return honest.write(s, slot, span_of(all, bytes.len > len ? bytes.len : len));
}

static enum err write_forgets_before(struct hal_storage *s, const char *slot, struct span bytes)
{
    TRY(honest.remove(s, slot));
    return honest.write(s, slot, bytes);
}

static enum err write_of_one_slot(struct hal_storage *s, const char *slot, struct span bytes)
{
    (void)slot;
    return honest.write(s, "check-a", bytes);
}

static enum err remove_wants_something(struct hal_storage *s, const char *slot)
{
    uint8_t all[HAL_SLOT_CAP];
    size_t len;
    TRY(honest.read(s, slot, all, sizeof all, &len));
    return honest.remove(s, slot);
}

static enum err remove_empties(struct hal_storage *s, const char *slot)
{
    return honest.write(s, slot, span_of("", 0));
}

/* Two halves, one after the other: what a port without a plan for power cuts does. */
static enum err write_in_halves(struct hal_storage *s, const char *slot, struct span bytes)
{
    TRY(honest.write(s, slot, span_slice(bytes, 0, bytes.len / 2)));
    return honest.write(s, slot, bytes);
}

static enum err write_later(struct hal_storage *s, const char *slot, struct span bytes)
{
    (void)!honest.write(s, slot, bytes);
    return ERR_OK;
}

static enum err nth_change_is_lost(struct hal_storage *s, const char *slot, struct span bytes)
{
    return ++changes == broken_at ? ERR_OK : honest.write(s, slot, bytes);
}

static void fresh_memory(void)
{
    fake_storage_init(&memory);
    honest = memory.table;
}

static void cut_at(void *context, unsigned n)
{
    memory.writes = 0;
    memory.cut_at = n;
    memory.cut = *(enum fake_cut *)context;
}

static struct hal_storage *restore(void *context)
{
    (void)context;
    fake_storage_power_on(&memory);
    return &memory.table;
}

static const char *check_cuts(enum fake_cut kind)
{
    const struct halcheck_power power = {.context = &kind, .cut_at = cut_at, .restore = restore};
    return halcheck_storage_cuts(&power);
}

static void storage_on_linux(void **state)
{
    (void)state;
    struct hal_linux port;
    char dir[] = "/tmp/cradle-contract.XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_ok(hal_linux_open(&port, &(struct hal_linux_config){.state_dir = dir}));
    assert_kept(halcheck_storage(port.hal.storage));
    hal_linux_close(&port);
    assert_int_equal(remove(dir), 0); /* nothing is left in it */
}

static void storage(void **state)
{
    (void)state;
    fresh_memory();
    assert_kept(halcheck_storage(&memory.table));
    unsigned writes = memory.writes;
    for (unsigned at = 1; at <= writes; at++) {
        fresh_memory();
        memory.fail_at = at;
        assert_broken("storage", "a change that fails", halcheck_storage(&memory.table));
    }
    for (broken_at = 1; broken_at <= 7; broken_at++) {
        fresh_memory();
        changes = 0;
        memory.table.write = nth_change_is_lost;
        assert_broken("storage", "a write that is lost", halcheck_storage(&memory.table));
    }
}

static void storage_mutants(void **state)
{
    (void)state;
    enum err (*const reads[])(struct hal_storage *, const char *, uint8_t *, size_t, size_t *) = {
        read_past_room, read_tells_length_first, read_empty_for_absent, read_absent_for_empty,
        read_whole_pages};
    enum err (*const writes[])(struct hal_storage *, const char *, struct span) = {
        write_cuts_off, write_overlays, write_of_one_slot};
    enum err (*const removes[])(struct hal_storage *, const char *) = {remove_wants_something,
                                                                      remove_empties};
    char name[40];
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        fresh_memory();
        memory.table.read = reads[i];
        (void)snprintf(name, sizeof name, "read mutant %zu", i);
        assert_broken("storage", name, halcheck_storage(&memory.table));
    }
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        fresh_memory();
        memory.table.write = writes[i];
        (void)snprintf(name, sizeof name, "write mutant %zu", i);
        assert_broken("storage", name, halcheck_storage(&memory.table));
    }
    for (size_t i = 0; i < sizeof removes / sizeof *removes; i++) {
        fresh_memory();
        memory.table.remove = removes[i];
        (void)snprintf(name, sizeof name, "remove mutant %zu", i);
        assert_broken("storage", name, halcheck_storage(&memory.table));
    }
}

static void storage_and_power(void **state)
{
    (void)state;
    enum err (*const writes[])(struct hal_storage *, const char *, struct span) = {
        write_in_halves, write_forgets_before, write_later};
    for (enum fake_cut kind = FAKE_CUT_BEFORE; kind <= FAKE_CUT_AFTER; kind++) {
        fresh_memory();
        assert_kept(check_cuts(kind));
    }
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        fresh_memory();
        memory.table.write = writes[i];
        assert_broken("storage", "a write that a power cut tears", check_cuts(FAKE_CUT_BEFORE));
    }
    fresh_memory();
    memory.table.remove = remove_empties;
    assert_broken("storage", "a removal that is none", check_cuts(FAKE_CUT_BEFORE));
}

/* ---- tpm ---- */
static struct simtpm_image image; /* its TPM is made by the first command */

static enum err keeps_its_own_size(struct hal_tpm *t, struct span command, uint8_t *ret_reply, size_t cap,
                                   size_t *ret_len)
{
    struct hal_tpm *inner = ((struct fake_tpm *)t)->inner;
    uint8_t all[HAL_TPM_BYTES_CAP];
    size_t len;
    TRY(inner->transact(inner, command, all, sizeof all, &len));
    *ret_len = len < cap ? len : cap;
    memcpy(ret_reply, all, *ret_len);
    return ERR_OK;
}

static enum err makes_codes_errors(struct hal_tpm *t, struct span command, uint8_t *ret_reply, size_t cap,
                                   size_t *ret_len)
{
    struct hal_tpm *inner = ((struct fake_tpm *)t)->inner;
    TRY(inner->transact(inner, command, ret_reply, cap, ret_len));
    return *ret_len == 10 && ret_reply[8] != 0 ? ERR_TPM_TRANSPORT : ERR_OK;
}

static enum err is_one_behind(struct hal_tpm *t, struct span command, uint8_t *ret_reply, size_t cap,
                              size_t *ret_len)
{
    static uint8_t last[HAL_TPM_BYTES_CAP];
    static size_t last_len;
    struct hal_tpm *inner = ((struct fake_tpm *)t)->inner;
    uint8_t now[HAL_TPM_BYTES_CAP];
    size_t len;
    TRY(inner->transact(inner, command, now, sizeof now, &len));
    size_t give = last_len > 0 ? last_len : len;
    if (give > cap)
        return ERR_FULL;
    memcpy(ret_reply, last_len > 0 ? last : now, give);
    memcpy(last, now, len);
    last_len = len;
    *ret_len = give;
    return ERR_OK;
}

/* The fourth command wants to be told that its reply has no room: nothing of a reply can be spoilt.
 * The command that does not exist wants a response code. */
static bool makes_no_difference(const struct fake_tpm *fake)
{
    switch (fake->plan.fault) {
    case FAKE_TPM_RESPONSE_CODE:
        return fake->hit_code == 0;
    case FAKE_TPM_TRUNCATE:
    case FAKE_TPM_TRUNCATE_FIXED:
    case FAKE_TPM_FLIP:
    case FAKE_TPM_LOST_REPLY:
        return fake->plan.at == 4;
    default:
        return false;
    }
}

static void tpm(void **state)
{
    (void)state;
    static struct simtpm sim;
    struct fake_tpm fake;
    simtpm_init(&sim, &image);
    assert_kept(halcheck_tpm(&sim.table)); /* not started yet */
    assert_kept(halcheck_tpm(&sim.table));
    fake_tpm_init(&fake, &sim.table);
    assert_kept(halcheck_tpm(&fake.table));
    unsigned commands = fake.commands;
    static const struct fake_tpm_plan faults[] = {
        {.fault = FAKE_TPM_RESPONSE_CODE, .value = 0x922}, {.fault = FAKE_TPM_TRUNCATE, .value = 9},
        {.fault = FAKE_TPM_TRUNCATE_FIXED, .value = 9},    {.fault = FAKE_TPM_FLIP, .value = 0},
        {.fault = FAKE_TPM_FLIP, .value = 5},              {.fault = FAKE_TPM_GARBAGE, .value = 1},
        {.fault = FAKE_TPM_HUGE},                          {.fault = FAKE_TPM_GONE},
        {.fault = FAKE_TPM_LOST_REPLY}};
    for (unsigned at = 1; at <= commands; at++)
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
            fake_tpm_init(&fake, &sim.table);
            fake.plan = faults[i];
            fake.plan.at = at;
            const char *broken = halcheck_tpm(&fake.table);
            char name[40];
            (void)snprintf(name, sizeof name, "fault %zu at command %u", i, at);
            if (!makes_no_difference(&fake))
                assert_broken("tpm", name, broken);
        }
    enum err (*const mutants[])(struct hal_tpm *, struct span, uint8_t *, size_t, size_t *) = {
        keeps_its_own_size, makes_codes_errors, is_one_behind};
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        fake_tpm_init(&fake, &sim.table);
        fake.table.transact = mutants[i];
        assert_broken("tpm", "a mutant", halcheck_tpm(&fake.table));
    }
    simtpm_power_off(&sim);
}

/* Two TPMs in one process: each has its own state, and a power cut loses what it has to. */
static void two_tpms(void **state)
{
    (void)state;
    static struct simtpm_image other_image;
    static struct simtpm one, two;
    simtpm_init(&one, &image);
    simtpm_init(&two, &other_image);
    assert_kept(halcheck_tpm(&one.table));
    assert_kept(halcheck_tpm(&two.table));
    static const uint8_t read_clock[] = {0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x81};
    uint8_t first[64], second[64];
    size_t len = 0, later = 0;
    assert_ok(one.table.transact(&one.table, SPAN_ARRAY(read_clock), first, sizeof first, &len));
    assert_ok(two.table.transact(&two.table, SPAN_ARRAY(read_clock), second, sizeof second, &later));
    assert_int_equal(first[9], 0);  /* awake again, it needs no Startup */
    assert_memory_not_equal(&image, &other_image, sizeof image);
    simtpm_power_off(&one);
    assert_ok(one.table.transact(&one.table, SPAN_ARRAY(read_clock), first, sizeof first, &len));
    assert_int_equal(len, 10);
    assert_int_equal(first[8] << 8 | first[9], 0x100); /* TPM_RC_INITIALIZE */
    assert_ok(two.table.transact(&two.table, SPAN_ARRAY(read_clock), second, sizeof second, &later));
    assert_int_equal(second[9], 0);
    simtpm_power_off(&one);
    simtpm_power_off(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entropy),
        cmocka_unit_test(clocks),
        cmocka_unit_test(storage_on_linux),
        cmocka_unit_test(storage),
        cmocka_unit_test(storage_mutants),
        cmocka_unit_test(storage_and_power),
        cmocka_unit_test(tpm),
        cmocka_unit_test(two_tpms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
