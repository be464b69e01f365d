/* The quick look at a modulus, against slow arithmetic that others wrote. T13. */
#include <wolfssl/options.h>

#include "unit.h"
#include <attest.h>
#include <modulus.h>
#include <string.h>
#include <wolfssl/wolfcrypt/integer.h>
#include <wolfssl/wolfcrypt/types.h>

static uint64_t state = 88172645463325252u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void draw_bytes(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(draw() >> 24);
}

static bool divisible(const uint8_t n[TPM_RSA_LEN], unsigned p)
{
    unsigned rest = 0;
    for (size_t i = 0; i < TPM_RSA_LEN; i++)
        rest = (rest << 8 | n[i]) % p;
    return rest == 0;
}

static bool has_factor_below_752(const uint8_t n[TPM_RSA_LEN])
{
    for (unsigned p = 2; p < 752; p++)
        if (divisible(n, p))
            return true;
    return false;
}

static void small_factors_are_found_and_no_others(void **unused)
{
    (void)unused;
    unsigned found = 0;
    for (int i = 0; i < 3000; i++) {
        uint8_t bytes[TPM_RSA_LEN];
        draw_bytes(bytes, sizeof bytes);
        bytes[0] |= 0x80;
        bytes[TPM_RSA_LEN - 1] |= 1;
        struct modulus n = modulus_of(bytes);
        bool expected = has_factor_below_752(bytes);
        assert_int_equal(expected, modulus_has_small_factor(&n));
        found += expected;
    }
    assert_in_range(found, 1000, 2990);
}

/* A random number without small factors is, to these tests, as good as a key. */
static void draw_rough(uint8_t bytes[TPM_RSA_LEN])
{
    struct modulus n;
    do {
        draw_bytes(bytes, TPM_RSA_LEN);
        bytes[0] |= 0x80;
        bytes[TPM_RSA_LEN - 1] |= 1;
        n = modulus_of(bytes);
    } while (modulus_has_small_factor(&n));
}

static void t13_a_hundred_thousand_random_keys_pass(void **unused)
{
    (void)unused;
    for (int i = 0; i < 100000; i++) {
        struct tpm_public pub = {.kind = TPM_KEY_RSA_2048, .key_len = TPM_RSA_LEN};
        enum attest_weakness weakness = ATTEST_WEAK_PRIME;
        draw_rough(pub.key);
        assert_ok(attest_key_judge_quick(&pub, &weakness));
        assert_int_equal(ATTEST_KEY_GOOD, weakness);
    }
}

/* ---- close primes ---- */

static void put_number(mp_int *a, uint64_t word, int shift)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(word >> (56 - 8 * i));
    assert_int_equal(0, mp_read_unsigned_bin(a, bytes, 8));
    assert_int_equal(0, mp_mul_2d(a, shift, a));
}

/* n = p * (p + 2 * gap * 2^shift), p of 1024 bits: Fermat needs about gap^2 * 2^(2 * shift - 1025)
 * rounds. */
static void draw_close(uint8_t bytes[TPM_RSA_LEN], uint64_t gap, int shift)
{
    mp_int p, q, n;
    uint8_t start[128];
    struct modulus small;
    assert_int_equal(0, mp_init_multi(&p, &q, &n, NULL, NULL, NULL));
    do {
        draw_bytes(start, sizeof start);
        start[0] |= 0xc0;
        start[127] |= 1;
        put_number(&q, gap, shift + 1);
        if (mp_read_unsigned_bin(&p, start, sizeof start) != 0 || mp_add(&p, &q, &q) != 0 ||
            mp_mul(&p, &q, &n) != 0 || mp_to_unsigned_bin_len(&n, bytes, TPM_RSA_LEN) != 0)
            fail_msg("arithmetic");
        small = modulus_of(bytes);
    } while (modulus_has_small_factor(&small));
}

static void t13_close_primes_are_found(void **unused)
{
    (void)unused;
    unsigned close = 0;
    for (int i = 0; i < 300; i++) {
        struct tpm_public pub = {.kind = TPM_KEY_RSA_2048, .key_len = TPM_RSA_LEN};
        enum attest_weakness quick, thorough;
        uint64_t gap = 1 + draw() % 64;
        draw_close(pub.key, gap, i % 3 == 0 ? (int)(draw() % 510) : 511 + i % 4);
        assert_ok(attest_key_judge_quick(&pub, &quick));
        struct modulus n = modulus_of(pub.key);
        bool may = modulus_may_have_close_primes(&n);
        assert_int_equal(quick == ATTEST_WEAK_CLOSE_PRIMES, may);
        if (i % 4 == 0) { /* milliseconds each */
            assert_ok(attest_key_judge(&pub, &thorough));
            if (thorough != ATTEST_WEAK_SMALL_FACTOR)
                assert_int_equal(thorough, quick);
        }
        close += may;
    }
    assert_in_range(close, 120, 290);
}

static void squares_are_found(void **unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) {
        uint8_t bytes[TPM_RSA_LEN];
        draw_close(bytes, 0, 0);
        struct modulus n = modulus_of(bytes);
        assert_true(modulus_may_have_close_primes(&n));
    }
}

static void extremes(void **unused)
{
    (void)unused;
    uint8_t bytes[TPM_RSA_LEN];
    memset(bytes, 0xff, sizeof bytes); /* (2^1024 - 1)^2 is not far below */
    struct modulus n = modulus_of(bytes);
    assert_true(modulus_has_small_factor(&n));
    (void)modulus_may_have_close_primes(&n);
    memset(bytes, 0, sizeof bytes);
    bytes[0] = 0x80;
    bytes[TPM_RSA_LEN - 1] = 1;
    n = modulus_of(bytes);
    (void)modulus_may_have_close_primes(&n);
    bytes[127] = 1;
    n = modulus_of(bytes);
    (void)modulus_may_have_close_primes(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_factors_are_found_and_no_others),
        cmocka_unit_test(t13_a_hundred_thousand_random_keys_pass),
        cmocka_unit_test(t13_close_primes_are_found),
        cmocka_unit_test(squares_are_found),
        cmocka_unit_test(extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
