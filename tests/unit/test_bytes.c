#include <unit.h>

/* ---- span ---- */
static void span_text_takes_null(void **state)
{
    (void)state;
    assert_int_equal(0, span_text(NULL).len);
    assert_int_equal(3, span_text("abc").len);
}

static void span_comparisons(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal, ignoring_case, starts_with;
    } rows[] = {
        {"", "", true, true, true},           {"abc", "abc", true, true, true},
        {"abc", "abd", false, false, false},  {"abc", "ab", false, false, true},
        {"ab", "abc", false, false, false},   {"aBc", "AbC", false, true, false},
        {"@[`{", "`{@[", false, false, false}, /* next to the letters: not a case apart */
        {"abc", "", false, false, true},      {"k-1", "K-1", false, true, false},
        {"\xe9", "\xc9", false, false, false}, /* only ASCII has case here */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span a = span_text(rows[i].a), b = span_text(rows[i].b);
        assert_int_equal(rows[i].equal, span_equal(a, b));
        assert_int_equal(rows[i].equal, span_equal_constant_time(a, b));
        assert_int_equal(rows[i].ignoring_case, span_equal_ignoring_case(a, b));
        assert_int_equal(rows[i].starts_with, span_starts_with(a, b));
    }
    const struct span none = {0};
    assert_true(span_equal(none, SPAN_LITERAL("")));
    assert_true(span_equal_constant_time(none, none));
}

static void constant_time_sees_every_bit(void **state)
{
    (void)state;
    uint8_t a[33] = {0}, b[33] = {0};
    for (size_t bit = 0; bit < sizeof a * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(span_equal_constant_time(SPAN_ARRAY(a), SPAN_ARRAY(b)));
        b[bit / 8] = 0;
    }
    assert_true(span_equal_constant_time(SPAN_ARRAY(a), SPAN_ARRAY(b)));
}

static void slices_are_clipped(void **state)
{
    (void)state;
    struct span s = SPAN_LITERAL("abcdef");
    assert_text("abcdef", span_slice(s, 0, 6));
    assert_text("cd", span_slice(s, 2, 2));
    assert_text("ef", span_slice(s, 4, SIZE_MAX));
    assert_text("", span_slice(s, 6, 1));
    assert_text("", span_slice(s, SIZE_MAX, SIZE_MAX));
    assert_text("", span_slice((struct span){0}, 0, 1));
}

static void cutting(void **state)
{
    (void)state;
    struct span s = SPAN_LITERAL("a&&bc&");
    assert_text("a", span_cut(&s, '&'));
    assert_text("", span_cut(&s, '&'));
    assert_text("bc", span_cut(&s, '&'));
    assert_int_equal(0, s.len);
    assert_non_null(s.at); /* there was a mark: one more piece, an empty one */
    assert_text("", span_cut(&s, '&'));
    assert_null(s.at);
    assert_text("", span_cut(&s, '&'));
    struct span whole = SPAN_LITERAL("abc");
    assert_text("abc", span_cut(&whole, '&'));
    assert_null(whole.at);
    assert_int_equal(0, whole.len);
}

static void text_refuses_what_a_c_string_cannot_hold(void **state)
{
    (void)state;
    char text[4];
    POISON(text);
    assert_err(ERR_FULL, span_to_text(SPAN_LITERAL("abcd"), text, sizeof text));
    assert_err(ERR_FULL, span_to_text(SPAN_LITERAL(""), text, 0));
    assert_err(ERR_ENCODING, span_to_text(SPAN_LITERAL("a\0b"), text, sizeof text));
    assert_err(ERR_ENCODING, span_to_text(SPAN_LITERAL("\0"), text, sizeof text));
    assert_poisoned(text);
    assert_ok(span_to_text(SPAN_LITERAL("abc"), text, sizeof text));
    assert_string_equal("abc", text);
    assert_ok(span_to_text((struct span){0}, text, sizeof text));
    assert_string_equal("", text);
}

/* ---- buf ---- */
static void puts_are_big_endian(void **state)
{
    (void)state;
    uint8_t bytes[32], expected[32];
    struct buf b = BUF_OVER(bytes);
    buf_put_u8(&b, 0x01);
    buf_put_u16(&b, 0x0203);
    buf_put_u32(&b, 0x04050607);
    buf_put_u64(&b, 0x08090a0b0c0d0e0f);
    buf_put(&b, SPAN_LITERAL("\x10\x11"));
    buf_put(&b, (struct span){0});
    buf_put_text(&b, "\x12");
    assert_ok(buf_end(&b));
    assert_span_equal(UNHEX("0102030405060708090a0b0c0d0e0f101112", expected), buf_span(&b));
}

static void decimals(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {7, "7"},
        {10, "10"},
        {-1, "-1"},
        {1700000000, "1700000000"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[20];
        struct buf b = BUF_OVER(bytes);
        buf_put_decimal(&b, rows[i].value);
        assert_ok(buf_end(&b));
        assert_text(rows[i].text, buf_span(&b));
    }
}

static void full_is_sticky_and_writes_nothing_more(void **state)
{
    (void)state;
    uint8_t bytes[4];
    POISON(bytes);
    struct buf b = buf_over(bytes, 3);
    buf_put_u16(&b, 1);
    buf_put_u16(&b, 2); /* one byte too many */
    assert_err(ERR_FULL, buf_end(&b));
    buf_put_u8(&b, 3); /* would fit, comes too late */
    assert_null(buf_reserve(&b, 0));
    assert_int_equal(2, b.len);
    assert_true(is_poisoned(bytes + 2, 2));
    assert_err(ERR_FULL, buf_end_text(&b));
    assert_err(ERR_FULL, buf_end(&b));
}

static void reserve_does_not_overflow(void **state)
{
    (void)state;
    uint8_t bytes[4];
    struct buf b = BUF_OVER(bytes);
    buf_put_u8(&b, 1);
    assert_ptr_equal(bytes + 1, buf_reserve(&b, 3));
    struct buf again = BUF_OVER(bytes);
    buf_put_u8(&again, 1);
    assert_null(buf_reserve(&again, SIZE_MAX));
    assert_err(ERR_FULL, buf_end(&again));
    struct buf none = buf_over(NULL, 0);
    buf_put(&none, (struct span){0});
    assert_ok(buf_end(&none));
    buf_put_u8(&none, 1);
    assert_err(ERR_FULL, buf_end(&none));
}

static void sized_parts_nest(void **state)
{
    (void)state;
    uint8_t bytes[16], expected[16];
    struct buf b = BUF_OVER(bytes);
    size_t outer = buf_open_u16(&b);
    buf_put_u8(&b, 0xaa);
    size_t inner = buf_open_u16(&b);
    buf_put_u8(&b, 0xbb);
    buf_close_u16(&b, inner);
    size_t empty = buf_open_u16(&b);
    buf_close_u16(&b, empty);
    buf_close_u16(&b, outer);
    assert_ok(buf_end(&b));
    assert_span_equal(UNHEX("0006 aa 0001 bb 0000", expected), buf_span(&b));
}

static void sized_part_that_does_not_fit(void **state)
{
    (void)state;
    uint8_t bytes[3];
    struct buf b = buf_over(bytes, 1);
    size_t mark = buf_open_u16(&b);
    buf_close_u16(&b, mark);
    assert_err(ERR_FULL, buf_end(&b));

    static uint8_t large[2 + 65536];
    struct buf longest = BUF_OVER(large);
    mark = buf_open_u16(&longest);
    assert_non_null(buf_reserve(&longest, 65535));
    buf_close_u16(&longest, mark);
    assert_ok(buf_end(&longest));
    assert_memory_equal("\xff\xff", large, 2);
    struct buf too_long = BUF_OVER(large);
    mark = buf_open_u16(&too_long);
    assert_non_null(buf_reserve(&too_long, 65536));
    buf_close_u16(&too_long, mark);
    assert_err(ERR_FULL, buf_end(&too_long));
}

static void text_ends_with_a_nul_that_does_not_count(void **state)
{
    (void)state;
    char text[4];
    struct buf b = BUF_OVER(text);
    buf_put_text(&b, "abc");
    assert_ok(buf_end_text(&b));
    assert_string_equal("abc", text);
    assert_int_equal(3, b.len);
    buf_put_u8(&b, 'd');
    assert_err(ERR_FULL, buf_end_text(&b));
}

static void wiping_clears_all_of_it(void **state)
{
    (void)state;
    uint8_t bytes[8];
    const uint8_t zeros[8] = {0};
    POISON(bytes);
    struct buf b = BUF_OVER(bytes);
    buf_put_u8(&b, 1);
    buf_wipe(&b);
    assert_int_equal(0, b.len);
    assert_memory_equal(zeros, bytes, sizeof bytes);
}

/* ---- rd ---- */
static void reads_what_was_put(void **state)
{
    (void)state;
    uint8_t bytes[32];
    struct rd r = rd_over(UNHEX("01 0203 04050607 08090a0b0c0d0e0f 1011 0002 1213 0000", bytes));
    assert_int_equal(0x01, rd_u8(&r));
    assert_int_equal(0x0203, rd_u16(&r));
    assert_int_equal(0x04050607, rd_u32(&r));
    assert_true(rd_u64(&r) == 0x08090a0b0c0d0e0f);
    assert_text("\x10\x11", rd_take(&r, 2));
    assert_err(ERR_TRAILING, rd_end(&r));
    assert_text("\x12\x13", rd_sized_u16(&r));
    assert_text("", rd_sized_u16(&r));
    assert_ok(rd_end(&r));
}

static void past_the_end_is_sticky(void **state)
{
    (void)state;
    struct rd r = rd_over(SPAN_LITERAL("\x01\x02\x03"));
    assert_int_equal(0, rd_u32(&r));
    assert_int_equal(0, rd_u8(&r)); /* would be there, comes too late */
    assert_int_equal(0, rd_take(&r, 0).len);
    assert_err(ERR_TRUNCATED, rd_end(&r));

    struct rd sized = rd_over(SPAN_LITERAL("\x00\x04\x01\x02\x03"));
    assert_int_equal(0, rd_sized_u16(&sized).len);
    assert_err(ERR_TRUNCATED, rd_end(&sized));

    struct rd huge = rd_over(SPAN_LITERAL("\x01"));
    assert_int_equal(0, rd_take(&huge, SIZE_MAX).len);
    assert_err(ERR_TRUNCATED, rd_end(&huge));

    struct rd none = rd_over((struct span){0});
    assert_ok(rd_end(&none));
    assert_int_equal(0, rd_take(&none, 0).len);
    assert_ok(rd_end(&none));
    assert_int_equal(0, rd_u16(&none));
    assert_err(ERR_TRUNCATED, rd_end(&none));
}

/* ---- secret ---- */
static void secrets_hold_64_bytes(void **state)
{
    (void)state;
    uint8_t bytes[SECRET_CAP + 1];
    POISON(bytes);
    struct secret s;
    POISON(s);
    assert_err(ERR_FULL, secret_set(&s, SPAN_ARRAY(bytes)));
    assert_poisoned(s);
    assert_ok(secret_set(&s, span_of(bytes, SECRET_CAP)));
    assert_span_equal(span_of(bytes, SECRET_CAP), secret_span(&s));
    assert_ok(secret_set(&s, SPAN_LITERAL("short")));
    assert_text("short", secret_span(&s));
    for (size_t i = 5; i < SECRET_CAP; i++)
        assert_int_equal(0, s.at[i]); /* nothing of the longer one is left */
    secret_wipe(&s);
    assert_int_equal(0, secret_span(&s).len);
    for (size_t i = 0; i < SECRET_CAP; i++)
        assert_int_equal(0, s.at[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(span_text_takes_null),
        cmocka_unit_test(span_comparisons),
        cmocka_unit_test(constant_time_sees_every_bit),
        cmocka_unit_test(slices_are_clipped),
        cmocka_unit_test(cutting),
        cmocka_unit_test(text_refuses_what_a_c_string_cannot_hold),
        cmocka_unit_test(puts_are_big_endian),
        cmocka_unit_test(decimals),
        cmocka_unit_test(full_is_sticky_and_writes_nothing_more),
        cmocka_unit_test(reserve_does_not_overflow),
        cmocka_unit_test(sized_parts_nest),
        cmocka_unit_test(sized_part_that_does_not_fit),
        cmocka_unit_test(text_ends_with_a_nul_that_does_not_count),
        cmocka_unit_test(wiping_clears_all_of_it),
        cmocka_unit_test(reads_what_was_put),
        cmocka_unit_test(past_the_end_is_sticky),
        cmocka_unit_test(secrets_hold_64_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
