/* DER element by element: what is read, and what is not DER. */
#include <der_read.h>
#include "unit.h"

static struct rd over(const char *hex, uint8_t *at, size_t cap)
{
    return rd_over(unhex(hex, at, cap));
}
#define OVER(hex) over((hex), (uint8_t[64]){0}, 64)

static void lengths(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "04",         "0480",           "0402aa",       "048101aa", "04817f", "04820080",
        "0482000161", "0484000000aabb", "048500000001", "04ff",     "1f01aa", "04830000ff",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct rd r = OVER(wrong[i]);
        struct der_element e = der_next(&r);
        assert_true(r.bad && r.rest.len == 0 && e.content.len == 0 && e.whole.len == 0);
    }
    uint8_t big[3 + 0x80] = {0x04, 0x81, 0x80}, bigger[4 + 0x100] = {0x04, 0x82, 0x01, 0x00};
    struct rd r = rd_over(SPAN_ARRAY(big));
    assert_int_equal(der_take(&r, DER_TAG_OCTETS).len, 0x80);
    assert_ok(rd_end(&r));
    r = rd_over(SPAN_ARRAY(bigger));
    assert_int_equal(der_take_whole(&r, DER_TAG_OCTETS).len, sizeof bigger);
    assert_ok(rd_end(&r));
    /* the same without need of a second byte, or of a third */
    uint8_t longer[4 + 0x80] = {0x04, 0x82, 0x00, 0x80}, short_81[3 + 0x7f] = {0x04, 0x81, 0x7f};
    r = rd_over(SPAN_ARRAY(longer));
    assert_int_equal(der_take(&r, DER_TAG_OCTETS).len, 0);
    assert_true(r.bad);
    r = rd_over(SPAN_ARRAY(short_81));
    assert_int_equal(der_take(&r, DER_TAG_OCTETS).len, 0);
    assert_true(r.bad);
}

static void other_tags_spoil(void **state)
{
    (void)state;
    struct rd r = OVER("0401aa 0401bb");
    struct span content = {0};
    assert_false(der_take_if(&r, DER_TAG_INTEGER, &content));
    assert_false(r.bad);
    assert_true(der_take_if(&r, DER_TAG_OCTETS, &content));
    assert_int_equal(content.at[0], 0xaa);
    assert_int_equal(der_peek(&r), DER_TAG_OCTETS);
    assert_int_equal(der_take(&r, DER_TAG_INTEGER).len, 0);
    assert_true(r.bad);
    assert_int_equal(der_peek(&r), -1);
}

static void left_overs_spoil_the_outer(void **state)
{
    (void)state;
    struct rd r = OVER("3006 0401aa 0401bb");
    struct rd inner = der_open(&r, DER_TAG_SEQUENCE);
    assert_int_equal(der_take(&inner, DER_TAG_OCTETS).len, 1);
    struct rd copy = r;
    der_close(&copy, &inner);
    assert_true(copy.bad);
    assert_int_equal(der_take(&inner, DER_TAG_OCTETS).len, 1);
    der_close(&r, &inner);
    assert_ok(rd_end(&r));
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool good;
        uint32_t value;
    } cases[] = {
        {"020100", true, 0},         {"02017f", true, 127},     {"02020080", true, 128},
        {"02047fffffff", true, INT32_MAX}, {"0200", false, 0},  {"020180", false, 0},
        {"0202007f", false, 0},      {"02020000", false, 0},    {"0202ff80", false, 0},
        {"02050080000000", false, 0}, {"02050100000000", false, 0}, {"040101", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rd r = OVER(cases[i].hex);
        uint32_t value = der_small(&r);
        if ((rd_end(&r) == ERR_OK) != cases[i].good || value != cases[i].value)
            fail_msg("%s: %u", cases[i].hex, value);
    }
    struct rd r = OVER("0203008001");
    struct span v = der_unsigned(&r);
    assert_int_equal(v.len, 2); /* without its sign byte */
}

static void bits_and_truth(void **state)
{
    (void)state;
    struct rd r = OVER("0303 00aabb 0101ff 010100");
    assert_int_equal(der_bits(&r).len, 2);
    assert_true(der_bool(&r));
    assert_false(der_bool(&r));
    assert_ok(rd_end(&r));
    static const char *const wrong[] = {"0300", "030201aa", "0401aa"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        r = OVER(wrong[i]);
        assert_int_equal(der_bits(&r).len, 0);
        assert_true(r.bad);
    }
    static const char *const untrue[] = {"010101", "0100", "0102ffff"};
    for (size_t i = 0; i < sizeof untrue / sizeof *untrue; i++) {
        r = OVER(untrue[i]);
        der_bool(&r);
        assert_true(r.bad);
    }
}

static struct rd time_over(const char *text, uint8_t *at)
{
    struct buf b = buf_over(at, 64);
    buf_put_u8(&b, strlen(text) == 13 ? DER_TAG_UTC_TIME : DER_TAG_GENERAL_TIME);
    buf_put_u8(&b, (uint8_t)strlen(text));
    buf_put_text(&b, text);
    return rd_over(buf_span(&b));
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_s;
    } good[] = {
        {"700101000000Z", 0},
        {"20010909014640Z", 1000000000},
        {"000229235959Z", 951868799},
        {"000301000000Z", 951868800},
        {"491231235959Z", 2524607999},
        {"500101000000Z", -631152000},
        {"20991231235959Z", 4102444799},
        {"21000301000000Z", 4107542400},
        {"240229120000Z", 1709208000},
        {"241231000000Z", 1735603200},
        {"99991231235959Z", 253402300799},
        {"00010101000000Z", -62135596800},
    };
    static const char *const wrong[] = {
        "700101000000",    "700101000000z",   "7001010000Z",     "701301000000Z", "700001000000Z",
        "700100000000Z",   "700132000000Z",   "700431000000Z",   "010229000000Z", "21000229000000Z",
        "700101240000Z",   "700101006000Z",   "700101000060Z",   "7001010000+0Z", "00000101000000Z",
        "19700101000000.0Z", "700101000000+0100", "",
    };
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct rd r = time_over(good[i].text, bytes);
        int64_t wall_s = der_time(&r);
        if (rd_end(&r) != ERR_OK || wall_s != good[i].wall_s)
            fail_msg("%s: %lld", good[i].text, (long long)wall_s);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct rd r = time_over(wrong[i], bytes);
        der_time(&r);
        if (!r.bad)
            fail_msg("%s is read", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths), cmocka_unit_test(other_tags_spoil),
        cmocka_unit_test(left_overs_spoil_the_outer), cmocka_unit_test(numbers),
        cmocka_unit_test(bits_and_truth), cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
