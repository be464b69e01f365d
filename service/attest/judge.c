#include <wolfssl/options.h>

#include <attest.h>
#include <wolfssl/wolfcrypt/integer.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/types.h>

#include "modulus.h"

/* Weaknesses that show in the modulus alone. None of the numbers here is secret. */

#define SMALL_FACTOR_MAX 2000
#define PRIME_ROUNDS 3    /* a prime passes any number; a composite that passes is refused too */

const char *attest_weakness_text(enum attest_weakness w)
{
    switch (w) {
    case ATTEST_KEY_GOOD:
        return "no weakness was found";
    case ATTEST_WEAK_ROCA:
        return "the modulus has the structure of CVE-2017-15361 (ROCA): it can be factored";
    case ATTEST_WEAK_CLOSE_PRIMES:
        return "the primes of the modulus are too close together: it can be factored";
    case ATTEST_WEAK_SMALL_FACTOR:
        return "the modulus has a small factor";
    case ATTEST_WEAK_PRIME:
        return "the modulus is prime, not a product of two primes";
    case ATTEST_WEAK_SQUARE:
        return "the modulus is a square";
    }
    return "unknown weakness";
}

static uint32_t residue(const uint8_t modulus[TPM_RSA_LEN], uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = 0; i < TPM_RSA_LEN; i += 4) {
        uint32_t digit = (uint32_t)modulus[i] << 24 | (uint32_t)modulus[i + 1] << 16 |
                         (uint32_t)modulus[i + 2] << 8 | modulus[i + 3];
        rest = (rest << 32 | digit) % divisor;
    }
    return (uint32_t)rest;
}

/* Every odd prime, and few others. */
static bool is_candidate(uint32_t d)
{
    static const uint32_t primes[] = {3, 5, 7, 11, 13};
    for (size_t i = 0; i < sizeof primes / sizeof *primes; i++)
        if (d % primes[i] == 0)
            return d == primes[i];
    return d % 2 == 1;
}

static bool shares_factor(uint32_t rest, uint32_t from, uint32_t to)
{
    for (uint32_t d = from; d < to; d++)
        if (is_candidate(d) && rest % d == 0)
            return true;
    return false;
}

/* Several candidates share one pass over the modulus: its residue by their product tells them all.
 */
static bool has_small_factor(const uint8_t modulus[TPM_RSA_LEN])
{
    uint32_t product = 1;
    uint32_t first = 3; /* of the candidates in product */
    if (modulus[TPM_RSA_LEN - 1] % 2 == 0)
        return true;
    for (uint32_t d = 3; d <= SMALL_FACTOR_MAX; d++) {
        if (!is_candidate(d))
            continue;
        if ((uint64_t)product * d > UINT32_MAX) {
            if (shares_factor(residue(modulus, product), first, d))
                return true;
            product = 1;
            first = d;
        }
        product *= d;
    }
    return shares_factor(residue(modulus, product), first, SMALL_FACTOR_MAX + 1);
}

/* ---- squares and close primes ---- */

/* Floor of the square root by Newton's method, from above: the first step that does not fall ends
 * it. */
static int square_root(const mp_int *n, mp_int *ret_root)
{
    mp_int x;
    mp_int next;
    int failed = mp_init_multi(&x, &next, NULL, NULL, NULL, NULL);
    if (failed == 0)
        failed = mp_2expt(&x, (mp_count_bits(n) + 1) / 2);
    while (failed == 0) {
        failed = mp_div(n, &x, &next, NULL);
        if (failed == 0)
            failed = mp_add(&next, &x, &next);
        if (failed == 0)
            failed = mp_div_2(&next, &next);
        if (failed != 0 || mp_cmp(&next, &x) != MP_LT)
            break;
        failed = mp_copy(&next, &x);
    }
    return failed != 0 ? failed : mp_copy(&x, ret_root);
}

/* Rejects 99 of 100 numbers that are no squares, for the price of a few short divisions. */
static int may_be_square(mp_int *n, bool *ret_may)
{
    static const mp_digit moduli[] = {64, 63, 65, 11, 17, 19, 23, 29, 31};
    for (size_t i = 0; i < sizeof moduli / sizeof *moduli; i++) {
        mp_digit rest = 0;
        int failed = mp_mod_d(n, moduli[i], &rest);
        if (failed != 0)
            return failed;
        bool found = false;
        for (mp_digit root = 0; root <= moduli[i] / 2 && !found; root++)
            found = root * root % moduli[i] == rest;
        if (!found) {
            *ret_may = false;
            return 0;
        }
    }
    *ret_may = true;
    return 0;
}

static int is_square(mp_int *n, bool *ret_square)
{
    bool square = false;
    int failed = may_be_square(n, &square);
    if (failed != 0 || !square) {
        *ret_square = square;
        return failed;
    }
    mp_int root;
    failed = mp_init(&root);
    if (failed == 0)
        failed = square_root(n, &root);
    if (failed == 0)
        failed = mp_sqr(&root, &root);
    if (failed == 0)
        *ret_square = mp_cmp(&root, n) == MP_EQ;
    return failed;
}

/* Fermat: n = a*a - b*b with a just above the root of n, if the primes a+b and a-b are close. */
static int has_close_primes(const mp_int *n, bool *ret_close)
{
    mp_int a;
    mp_int rest;
    int failed = mp_init_multi(&a, &rest, NULL, NULL, NULL, NULL);
    if (failed == 0)
        failed = square_root(n, &a);
    bool close = false;
    for (int round = 0; failed == 0 && !close && round < MODULUS_FERMAT_ROUNDS; round++) {
        failed = mp_add_d(&a, 1, &a);
        if (failed == 0)
            failed = mp_sqr(&a, &rest);
        if (failed == 0)
            failed = mp_sub(&rest, n, &rest);
        if (failed == 0)
            failed = is_square(&rest, &close);
    }
    *ret_close = close;
    return failed;
}

/* ---- the verdict ---- */

static enum err judge_number(const uint8_t modulus[TPM_RSA_LEN], bool thorough,
                             enum attest_weakness *ret_weakness)
{
    mp_int n;
    bool square = false;
    bool close = false;
    int prime = 0;
    if (mp_init(&n) != 0 || mp_read_unsigned_bin(&n, modulus, TPM_RSA_LEN) != 0 ||
        is_square(&n, &square) != 0 || has_close_primes(&n, &close) != 0 ||
        (thorough && mp_prime_is_prime(&n, PRIME_ROUNDS, &prime) != 0))
        return ERR_CRYPTO;
    *ret_weakness = square       ? ATTEST_WEAK_SQUARE
                    : prime != 0 ? ATTEST_WEAK_PRIME
                    : close      ? ATTEST_WEAK_CLOSE_PRIMES
                                 : ATTEST_KEY_GOOD;
    return ERR_OK;
}

static enum err judge(const struct tpm_public *pub, bool thorough,
                      enum attest_weakness *ret_weakness)
{
    if (pub->kind != TPM_KEY_RSA_2048) {
        *ret_weakness = ATTEST_KEY_GOOD;
        return ERR_OK;
    }
    struct modulus n = modulus_of(pub->key);
    if (modulus_has_small_factor(&n) || (thorough && has_small_factor(pub->key)))
        *ret_weakness = ATTEST_WEAK_SMALL_FACTOR;
    else if (modulus_is_roca(&n))
        *ret_weakness = ATTEST_WEAK_ROCA;
    else if (thorough || modulus_may_have_close_primes(&n))
        return judge_number(pub->key, thorough, ret_weakness);
    else
        *ret_weakness = ATTEST_KEY_GOOD;
    return ERR_OK;
}

enum err attest_key_judge(const struct tpm_public *pub, enum attest_weakness *ret_weakness)
{
    return judge(pub, true, ret_weakness);
}

enum err attest_key_judge_quick(const struct tpm_public *pub, enum attest_weakness *ret_weakness)
{
    return judge(pub, false, ret_weakness);
}
