/* The adversary does what its plan says, at the count the plan names, and nothing before. */
#include <unit.h>

#include <hal/fake.h>

#define NOW_S 1900000000

static size_t echo(void *context, struct span request, struct buf *reply)
{
    (void)context;
    buf_put(reply, request);
    return request.len;
}

static void open_stream(struct hal_fake *f)
{
    struct hal_peer peer;
    f->transport.peer = echo;
    assert_ok(f->transport.table.open(&f->transport.table, "h", 1, NOW_S, 100, &peer));
}

static int send_text(struct hal_fake *f, const char *text)
{
    return f->transport.table.send(&f->transport.table, span_text(text), 100);
}

static int receive(struct hal_fake *f, uint8_t *at, size_t cap)
{
    return f->transport.table.receive(&f->transport.table, at, cap, 100);
}

static void transport_echoes_in_chunks(void **state)
{
    (void)state;
    struct hal_fake f;
    hal_fake_init(&f, NOW_S);
    f.transport.plan.chunk = 3;
    open_stream(&f);
    uint8_t at[16];
    assert_int_equal(send_text(&f, "abcde"), 3);
    assert_int_equal(send_text(&f, "de"), 2);
    assert_int_equal(receive(&f, at, sizeof at), 3);
    assert_int_equal(receive(&f, at + 3, sizeof at - 3), 2);
    assert_memory_equal(at, "abcde", 5);
    uint64_t before_ms = f.clock.now_ms;
    assert_int_equal(receive(&f, at, sizeof at), 0);
    assert_int_equal(f.clock.now_ms - before_ms, 100); /* silence takes the whole wait */
}

static void transport_is_gone_at_byte_n(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 8; n++) {
        struct hal_fake f;
        hal_fake_init(&f, NOW_S);
        f.transport.plan.gone_after = n;
        open_stream(&f);
        uint8_t at[16];
        uint64_t moved = 0;
        for (int got; moved < 4 && (got = send_text(&f, "abcd" + moved)) > 0;)
            moved += (uint64_t)got;
        for (int got; (got = receive(&f, at, sizeof at)) > 0;)
            moved += (uint64_t)got;
        assert_int_equal(moved, n);
        assert_int_equal(send_text(&f, "x"), -1);
        f.transport.table.close(&f.transport.table);
        struct hal_peer peer;
        assert_err(ERR_NETWORK, f.transport.table.open(&f.transport.table, "h", 1, NOW_S, 1, &peer));
    }
}

static void transport_closes_once_or_blocks(void **state)
{
    (void)state;
    struct hal_fake f;
    hal_fake_init(&f, NOW_S);
    f.transport.plan.close_after = 2;
    open_stream(&f);
    assert_int_equal(send_text(&f, "abcd"), 2);
    assert_int_equal(send_text(&f, "cd"), -1);
    f.transport.table.close(&f.transport.table);
    open_stream(&f);
    f.transport.calls = 0;
    f.transport.plan.would_block_at = 2;
    assert_int_equal(send_text(&f, "a"), 1);
    assert_int_equal(send_text(&f, "b"), 0);
    assert_int_equal(send_text(&f, "b"), 1);
}

static void transport_refuses_dates_and_opens(void **state)
{
    (void)state;
    struct hal_fake f;
    hal_fake_init(&f, NOW_S);
    f.transport.plan.peer = (struct hal_peer){.not_before_s = 100, .not_after_s = 200};
    struct hal_peer peer;
    POISON(peer);
    struct hal_transport *t = &f.transport.table;
    assert_err(ERR_TLS_DATE, t->open(t, "h", 1, 99, 1, &peer));
    assert_err(ERR_TLS_DATE, t->open(t, "h", 1, 201, 1, &peer));
    assert_poisoned(peer);
    assert_ok(t->open(t, "h", 1, 0, 1, &peer)); /* the caller will look at it */
    assert_int_equal(peer.not_after_s, 200);
    t->close(t);
    f.transport.plan.fail_open_at = 4;
    f.transport.plan.open_error = ERR_TLS_TRUST;
    assert_err(ERR_TLS_TRUST, t->open(t, "h", 1, 150, 1, &peer));
    assert_ok(t->open(t, "h", 1, 150, 1, &peer));
}

static void tpm_answers_wrongly(void **state)
{
    (void)state;
    static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};
    static const struct {
        enum fake_tpm_fault fault;
        uint32_t value;
        enum err expected;
        size_t len;
    } rows[] = {
        {FAKE_TPM_RESPONSE_CODE, 0x922, ERR_OK, 10}, {FAKE_TPM_TRUNCATE, 4, ERR_OK, 4},
        {FAKE_TPM_TRUNCATE_FIXED, 8, ERR_OK, 8},     {FAKE_TPM_FLIP, 9, ERR_OK, 10},
        {FAKE_TPM_GARBAGE, 7, ERR_OK, 64},           {FAKE_TPM_HUGE, 0, ERR_OK, 128},
        {FAKE_TPM_GONE, 0, ERR_TPM_TRANSPORT, 0},    {FAKE_TPM_LOST_REPLY, 0, ERR_TPM_TRANSPORT, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_tpm t;
        fake_tpm_init(&t, NULL);
        t.plan = (struct fake_tpm_plan){.at = 2, .fault = rows[i].fault, .value = rows[i].value};
        uint8_t good[128], bad[128];
        size_t len = 0;
        assert_ok(t.table.transact(&t.table, SPAN_ARRAY(command), good, sizeof good, &len));
        assert_int_equal(len, 10);
        len = 0;
        assert_err(rows[i].expected,
                   t.table.transact(&t.table, SPAN_ARRAY(command), bad, sizeof bad, &len));
        assert_int_equal(len, rows[i].len);
        assert_int_equal(t.last_code, 0x17b);
        enum err third = t.table.transact(&t.table, SPAN_ARRAY(command), bad, sizeof bad, &len);
        assert_err(rows[i].fault == FAKE_TPM_GONE ? ERR_TPM_TRANSPORT : ERR_OK, third);
    }
}

static void clock_jumps(void **state)
{
    (void)state;
    struct fake_clock c;
    fake_clock_init(&c, NOW_S);
    c.table.sleep_ms(&c.table, 5000);
    assert_int_equal(c.table.wall_s(&c.table), NOW_S + 5);
    c.jump_at = 2;
    c.jump_to_s = 1234567890;
    assert_int_equal(c.table.wall_s(&c.table), 1234567890);
    assert_int_equal(c.table.monotonic_ms(&c.table), 5000);
    fake_clock_init(&c, 0);
    c.table.sleep_ms(&c.table, 5000);
    assert_int_equal(c.table.wall_s(&c.table), 0);
}

static void storage_cuts_the_power(void **state)
{
    (void)state;
    for (int after = 0; after < 2; after++) {
        struct fake_storage s;
        fake_storage_init(&s);
        struct hal_storage *t = &s.table;
        uint8_t at[8];
        size_t len = 0;
        assert_err(ERR_ABSENT, t->read(t, "a", at, sizeof at, &len));
        assert_ok(t->write(t, "a", span_text("old")));
        s.cut_at = 2;
        s.cut = after ? FAKE_CUT_AFTER : FAKE_CUT_BEFORE;
        assert_err(ERR_IO, t->write(t, "a", span_text("newer")));
        assert_err(ERR_IO, t->read(t, "a", at, sizeof at, &len));
        assert_err(ERR_IO, t->remove(t, "a"));
        fake_storage_power_on(&s);
        assert_ok(t->read(t, "a", at, sizeof at, &len));
        assert_text(after ? "newer" : "old", span_of(at, len));
        assert_err(ERR_FULL, t->read(t, "a", at, 2, &len));
        s.fail_at = 1;
        assert_err(ERR_IO, t->write(t, "a", span_text("x")));
        assert_ok(t->remove(t, "a"));
        assert_ok(t->remove(t, "a"));
        assert_err(ERR_ABSENT, t->read(t, "a", at, sizeof at, &len));
    }
}

static void entropy_repeats_and_fails(void **state)
{
    (void)state;
    struct fake_entropy a, b;
    fake_entropy_init(&a, 7);
    fake_entropy_init(&b, 7);
    uint8_t x[16], y[16];
    assert_ok(a.table.fill(&a.table, x, sizeof x));
    assert_ok(b.table.fill(&b.table, y, sizeof y));
    assert_memory_equal(x, y, sizeof x);
    assert_ok(b.table.fill(&b.table, y, sizeof y));
    assert_memory_not_equal(x, y, sizeof x);
    a.fail_at = 2;
    POISON(x);
    assert_err(ERR_ENTROPY, a.table.fill(&a.table, x, sizeof x));
    assert_poisoned(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transport_echoes_in_chunks),
        cmocka_unit_test(transport_is_gone_at_byte_n),
        cmocka_unit_test(transport_closes_once_or_blocks),
        cmocka_unit_test(transport_refuses_dates_and_opens),
        cmocka_unit_test(tpm_answers_wrongly),
        cmocka_unit_test(clock_jumps),
        cmocka_unit_test(storage_cuts_the_power),
        cmocka_unit_test(entropy_repeats_and_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
