#include "../vectors/rsa.h"

#include <attest.h>
#include <unit.h>

static void verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *what, *modulus;
        enum attest_weakness wanted;
    } rows[] = {
        {"openssl 1", VECTOR_RSA_EK_N, ATTEST_KEY_GOOD},
        {"openssl 2", VECTOR_RSA_SRK_N, ATTEST_KEY_GOOD},
        {"openssl 3", VECTOR_RSA_GOOD_1, ATTEST_KEY_GOOD},
        {"openssl 4", VECTOR_RSA_GOOD_2, ATTEST_KEY_GOOD},
        {"ROCA", VECTOR_RSA_ROCA, ATTEST_WEAK_ROCA},
        {"nearly ROCA", VECTOR_RSA_NEARLY_ROCA, ATTEST_KEY_GOOD},
        {"close primes", VECTOR_RSA_CLOSE, ATTEST_WEAK_CLOSE_PRIMES},
        {"close primes, last round", VECTOR_RSA_CLOSE_LATE, ATTEST_WEAK_CLOSE_PRIMES},
        {"close primes, one round later", VECTOR_RSA_NOT_CLOSE, ATTEST_KEY_GOOD},
        {"square of a prime", VECTOR_RSA_SQUARE, ATTEST_WEAK_SQUARE},
        {"prime", VECTOR_RSA_PRIME, ATTEST_WEAK_PRIME},
        {"factor 3", VECTOR_RSA_FACTOR_3, ATTEST_WEAK_SMALL_FACTOR},
        {"factor 1999", VECTOR_RSA_FACTOR_1999, ATTEST_WEAK_SMALL_FACTOR},
        {"factor 2003", VECTOR_RSA_FACTOR_2003, ATTEST_KEY_GOOD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* Made by hand: a square would not get past tpm_public_read. */
        struct tpm_public pub = {.kind = TPM_KEY_RSA_2048, .key_len = TPM_RSA_LEN};
        enum attest_weakness got;
        POISON(got);
        assert_int_equal(UNHEX(rows[i].modulus, pub.key).len, TPM_RSA_LEN);
        assert_err_of(rows[i].what, ERR_OK, attest_key_judge(&pub, &got));
        if (got != rows[i].wanted)
            fail_msg("%s: %s", rows[i].what, attest_weakness_text(got));
    }
}

/* Each small prime, and each bit of an even number: no factor falls through the sieve. */
static void small_factors(void **state)
{
    (void)state;
    static const uint32_t primes[] = {2,   3,   5,   7,   11,   13,   17,  127,
                                      251, 257, 991, 997, 1009, 1499, 1999};
    for (size_t i = 0; i < sizeof primes / sizeof *primes; i++) {
        struct tpm_public pub = {.kind = TPM_KEY_RSA_2048, .key_len = TPM_RSA_LEN};
        enum attest_weakness got = ATTEST_KEY_GOOD;
        uint64_t carry = 0;
        UNHEX(VECTOR_RSA_GOOD_1, pub.key);
        for (size_t j = 0; j < 4; j++)
            pub.key[j] = 0; /* room for the product */
        for (size_t j = TPM_RSA_LEN; j-- > 0;) {
            carry += (uint64_t)pub.key[j] * primes[i];
            pub.key[j] = (uint8_t)carry;
            carry >>= 8;
        }
        assert_ok(attest_key_judge(&pub, &got));
        if (got != ATTEST_WEAK_SMALL_FACTOR)
            fail_msg("factor %u: %s", primes[i], attest_weakness_text(got));
    }
}

static void ecc_has_nothing_to_judge(void **state)
{
    (void)state;
    uint8_t point[64];
    struct tpm_public pub;
    enum attest_weakness got;
    assert_ok(
        tpm_public_from_key(TPM_ROLE_EK, TPM_KEY_ECC_P256, UNHEX(VECTOR_ECC_EK_XY, point), &pub));
    POISON(got);
    assert_ok(attest_key_judge(&pub, &got));
    assert_int_equal(got, ATTEST_KEY_GOOD);
}

static void every_weakness_has_its_text(void **state)
{
    (void)state;
    for (enum attest_weakness w = ATTEST_KEY_GOOD; w <= ATTEST_WEAK_SQUARE; w++) {
        assert_string_not_equal(attest_weakness_text(w), "unknown weakness");
        for (enum attest_weakness v = ATTEST_KEY_GOOD; v < w; v++)
            assert_string_not_equal(attest_weakness_text(v), attest_weakness_text(w));
    }
    assert_string_equal(attest_weakness_text((enum attest_weakness)99), "unknown weakness");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(small_factors),
        cmocka_unit_test(ecc_has_nothing_to_judge),
        cmocka_unit_test(every_weakness_has_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
