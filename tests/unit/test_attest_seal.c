/* Sealing: what is stored opens in its place, under its key, unaltered, and otherwise not at all. */
#include "unit.h"

#include <attest.h>

static struct attest *attest;
static const struct secret key = {.at = {1, 2, 3}, .len = ATTEST_KEY_LEN};
static const struct secret other_key = {.at = {1, 2, 4}, .len = ATTEST_KEY_LEN};
#define PLACE SPAN_LITERAL("enrollment keys press-1")

static int open_attest(void **state)
{
    (void)state;
    return attest_open(&attest) == ERR_OK ? 0 : -1;
}

static int close_attest(void **state)
{
    (void)state;
    attest_close(attest);
    return 0;
}

static void seal(struct span plain, struct buf *out)
{
    assert_ok(attest_seal(attest, &key, PLACE, plain, out));
    assert_int_equal(out->len, plain.len + ATTEST_SEAL_OVERHEAD);
}

static void test_opens_again(void **state)
{
    (void)state;
    static uint8_t plain[ATTEST_SEAL_PLAIN_CAP], sealed[sizeof plain + ATTEST_SEAL_OVERHEAD];
    uint8_t opened[sizeof plain];
    memset(plain, 7, sizeof plain);
    for (size_t len = 0; len <= sizeof plain; len += len < 40 ? 1 : 1352) {
        struct buf out = BUF_OVER(sealed), back = BUF_OVER(opened);
        seal(span_of(plain, len), &out);
        assert_ok(attest_unseal(&key, PLACE, buf_span(&out), &back));
        assert_span_equal(span_of(plain, len), buf_span(&back));
    }
}

static void test_two_of_the_same_differ(void **state)
{
    (void)state;
    uint8_t one[64], two[64];
    struct buf a = BUF_OVER(one), b = BUF_OVER(two);
    seal(SPAN_LITERAL("the same secret"), &a);
    seal(SPAN_LITERAL("the same secret"), &b);
    assert_false(span_equal(buf_span(&a), buf_span(&b)));
}

static void test_every_bit_counts(void **state)
{
    (void)state;
    uint8_t sealed[64], opened[64];
    struct buf out = BUF_OVER(sealed);
    seal(SPAN_LITERAL("a secret"), &out);
    for (size_t bit = 0; bit < 8 * out.len; bit++) {
        struct buf back = BUF_OVER(opened);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_err(ERR_CRYPTO, attest_unseal(&key, PLACE, buf_span(&out), &back));
        assert_int_equal(back.len, 0);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < out.len; len++) {
        struct buf back = BUF_OVER(opened);
        assert_err(ERR_CRYPTO, attest_unseal(&key, PLACE, span_of(sealed, len), &back));
    }
}

static void test_elsewhere_it_stays_shut(void **state)
{
    (void)state;
    uint8_t sealed[64], opened[64];
    struct buf out = BUF_OVER(sealed), back = BUF_OVER(opened), small = buf_over(opened, 7);
    seal(SPAN_LITERAL("a secret"), &out);
    assert_err(ERR_CRYPTO, attest_unseal(&other_key, PLACE, buf_span(&out), &back));
    assert_err(ERR_CRYPTO, attest_unseal(&key, SPAN_LITERAL("enrollment keys press-2"),
                                         buf_span(&out), &back));
    assert_err(ERR_FULL, attest_unseal(&key, PLACE, buf_span(&out), &small));
    assert_err(ERR_FULL, attest_seal(attest, &key, PLACE, SPAN_LITERAL("x"), &small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_again),
        cmocka_unit_test(test_two_of_the_same_differ),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_elsewhere_it_stays_shut),
    };
    return cmocka_run_group_tests(tests, open_attest, close_attest);
}
