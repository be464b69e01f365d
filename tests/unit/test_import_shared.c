/* Keys that share primes are found, whichever way they lie among others; others are not. */
#include <coprime.h>
#include <gmp.h>
#include <primetree.h>
#include <sharedprimes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "unit.h"

#define PRIMES 12
#define CROWD 10000

static mpz_t primes[PRIMES]; /* of 1024 bits, as real keys have them */
static uint8_t (*crowd)[COPRIME_LEN];

static int make_numbers(void **state)
{
    (void)state;
    gmp_randstate_t source;
    gmp_randinit_default(source);
    for (int i = 0; i < PRIMES; i++) {
        mpz_init(primes[i]);
        mpz_urandomb(primes[i], source, 1022);
        mpz_setbit(primes[i], 1023);
        mpz_setbit(primes[i], 1022);
        mpz_nextprime(primes[i], primes[i]);
    }
    gmp_randclear(source);
    crowd = malloc(CROWD * sizeof *crowd);
    struct coprime *c = coprime_open();
    for (int i = 0; i < CROWD; i++)
        coprime_next(c, crowd[i]);
    coprime_close(c);
    return 0;
}

static int free_numbers(void **state)
{
    (void)state;
    for (int i = 0; i < PRIMES; i++)
        mpz_clear(primes[i]);
    free(crowd);
    return 0;
}

struct key {
    uint8_t modulus[TPM_RSA_LEN];
};

static struct key key_of(int p, int q)
{
    struct key k;
    mpz_t n;
    mpz_init(n);
    mpz_mul(n, primes[p], primes[q]);
    assert_int_equal(2048, mpz_sizeinbase(n, 2));
    mpz_export(k.modulus, NULL, 1, 1, 1, 0, n);
    mpz_clear(n);
    return k;
}

static struct sharedprimes *open_keys(size_t part_max, size_t found_max)
{
    struct sharedprimes *s = NULL;
    struct import_reason why;
    assert_ok(sharedprimes_open("/tmp", part_max, found_max, &s, &why));
    return s;
}

static void add(struct sharedprimes *s, const uint8_t *modulus, uint32_t line)
{
    struct sharedprimes_place place = {
        .file_index = 7, .line = line, .column = COLUMN_ENDORSEMENT_KEY};
    (void)snprintf(place.id, sizeof place.id, "id-%u", line);
    assert_ok(sharedprimes_add(s, modulus, &place));
}

static bool always(void *context, size_t done, size_t steps)
{
    size_t *calls = context;
    assert_int_equal(*calls, done);
    assert_true(done < steps);
    ++*calls;
    return true;
}

static void search(struct sharedprimes *s)
{
    size_t calls = 0;
    assert_ok(sharedprimes_search(s, always, &calls));
}

static void expect_none(struct sharedprimes *s, const uint8_t *modulus)
{
    struct sharedprimes_place other;
    POISON(other);
    assert_int_equal(SHAREDPRIMES_NONE, sharedprimes_find(s, modulus, &other));
    assert_poisoned(other);
}

static void expect_shared(struct sharedprimes *s, const uint8_t *modulus, uint32_t line)
{
    struct sharedprimes_place other;
    char id[20];
    assert_int_equal(SHAREDPRIMES_SHARED, sharedprimes_find(s, modulus, &other));
    if (other.line != line)
        fail_msg("shared with %u, not with %u", other.line, line);
    (void)snprintf(id, sizeof id, "id-%u", line);
    assert_string_equal(id, other.id);
    assert_int_equal(7, other.file_index);
    assert_int_equal(COLUMN_ENDORSEMENT_KEY, other.column);
}

/* ---- the tree by itself ---- */

/* What each of a few small numbers has in common with the product of the others. */
static void the_tree(void **state)
{
    static const struct {
        size_t count;
        uint8_t numbers[7];
        unsigned long others;
        unsigned long common[7];
    } table[] = {
        {1, {35}, 1, {1}},
        {1, {35}, 7, {7}},
        {1, {35}, 0, {35}},
        {2, {15, 21}, 1, {3, 3}},
        {2, {15, 77}, 1, {1, 1}},
        {2, {15, 77}, 22, {1, 11}},
        {3, {15, 22, 91}, 1, {1, 1, 1}},
        {3, {15, 21, 35}, 1, {15, 21, 35}},
        {4, {3, 5, 7, 15}, 1, {3, 5, 1, 15}},
        {5, {4, 9, 25, 49, 143}, 13, {1, 1, 1, 1, 13}},
        {5, {6, 35, 143, 221, 19}, 1, {1, 1, 13, 13, 1}},
        {7, {2, 3, 5, 7, 11, 13, 17}, 1, {1, 1, 1, 1, 1, 1, 1}},
        {7, {2, 3, 5, 7, 11, 13, 34}, 1, {2, 1, 1, 1, 1, 1, 2}},
    };
    (void)state;
    for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
        struct primetree *t = NULL;
        mpz_t others, common[7];
        mpz_init_set_ui(others, table[row].others);
        assert_ok(primetree_open(table[row].numbers, 1, 1, table[row].count, &t));
        for (size_t i = 0; i < table[row].count; i++)
            mpz_init(common[i]);
        assert_ok(primetree_common(t, others, common));
        for (size_t i = 0; i < table[row].count; i++) {
            if (mpz_cmp_ui(common[i], table[row].common[i]) != 0)
                fail_msg("row %zu, number %zu: %lu, not %lu", row, i, mpz_get_ui(common[i]),
                         table[row].common[i]);
            mpz_clear(common[i]);
        }
        mpz_clear(others);
        primetree_close(t);
    }
}

static void the_product(void **state)
{
    (void)state;
    static const uint8_t numbers[] = {0, 3, 9, 1, 0, 9, 0, 7, 9};
    mpz_t product;
    mpz_init(product);
    assert_ok(primetree_product(numbers, 2, 3, 3, product));
    assert_int_equal(3 * 256 * 7, mpz_get_ui(product));
    mpz_clear(product);
}

/* ---- many keys ---- */

static void ten_thousand_that_share_nothing(void **state)
{
    static const struct {
        size_t part;
        uint32_t count;
    } table[] = {{PRIMETREE_MAX, CROWD}, {1024, 4000}};
    (void)state;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        struct sharedprimes *s = open_keys(table[k].part, 1);
        for (uint32_t i = 0; i < table[k].count; i++)
            add(s, crowd[i], i);
        assert_int_equal(table[k].count, sharedprimes_count(s));
        search(s);
        for (uint32_t i = 0; i < table[k].count; i++)
            expect_none(s, crowd[i]);
        sharedprimes_close(s);
    }
}

static void pair_among(uint32_t count, size_t part, uint32_t first, uint32_t second)
{
    struct key one = key_of(0, 1), two = key_of(1, 2);
    struct sharedprimes *s = open_keys(part, 2);
    for (uint32_t i = 0; i < count; i++)
        add(s, i == first ? one.modulus : i == second ? two.modulus : crowd[i], i);
    search(s);
    expect_shared(s, one.modulus, second);
    expect_shared(s, two.modulus, first);
    for (uint32_t i = 0; i < count; i++)
        if (i != first && i != second)
            expect_none(s, crowd[i]);
    sharedprimes_close(s);
}

/* Two keys with one prime in common, anywhere among others, in parts of any size. */
static void two_that_share_a_prime(void **state)
{
    static const struct {
        uint32_t count, part;
    } table[] = {{9, 1},     {9, 2},     {10, 3},    {20, 7},   {300, 64}, {300, 149},
                 {300, 150}, {300, 299}, {300, 300}, {257, 300}};
    (void)state;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        uint32_t count = table[k].count, part = table[k].part;
        pair_among(count, part, 0, 1);
        pair_among(count, part, 0, count - 1);
        pair_among(count, part, count - 2, count - 1);
        pair_among(count, part, count / 2 - 1, count / 2);
        pair_among(count, part, 1, count / 2 + 1);
    }
}

/* Whoever shares has another one named that it does share with. */
static void ways_to_share(void **state)
{
    static const struct {
        const char *what;
        size_t count;
        int primes[5][2];
        uint32_t other[5]; /* which one; 9: none */
    } table[] = {
        {"nobody", 3, {{0, 1}, {2, 3}, {4, 5}}, {9, 9, 9}},
        {"three", 3, {{0, 1}, {0, 2}, {0, 3}}, {1, 2, 1}},
        {"both primes, with different keys", 3, {{0, 1}, {0, 2}, {1, 3}}, {1, 0, 0}},
        {"a chain", 4, {{0, 1}, {1, 2}, {2, 3}, {4, 5}}, {1, 0, 1, 9}},
        {"a ring", 3, {{0, 1}, {1, 2}, {2, 0}}, {1, 0, 0}},
        {"two pairs", 5, {{0, 1}, {2, 3}, {4, 5}, {1, 6}, {3, 7}}, {3, 4, 9, 0, 1}},
    };
    (void)state;
    for (size_t row = 0; row < sizeof table / sizeof *table; row++)
        for (size_t part = 1; part <= 5; part++) {
            struct sharedprimes *s = open_keys(part, 5);
            struct key keys[5];
            for (size_t i = 0; i < table[row].count; i++) {
                keys[i] = key_of(table[row].primes[i][0], table[row].primes[i][1]);
                add(s, keys[i].modulus, (uint32_t)i);
            }
            search(s);
            for (size_t i = 0; i < table[row].count; i++) {
                struct sharedprimes_place other = {.line = 9};
                bool shared = sharedprimes_find(s, keys[i].modulus, &other) == SHAREDPRIMES_SHARED;
                bool common = false; /* with the one that is named */
                for (int k = 0; shared && k < 4; k++)
                    common = common || table[row].primes[i][k / 2] ==
                                           table[row].primes[other.line][k % 2];
                if (shared != (table[row].other[i] != 9) || common != shared ||
                    (shared && other.line == i))
                    fail_msg("%s, in parts of %zu: key %zu with %u", table[row].what, part, i,
                             other.line);
            }
            sharedprimes_close(s);
        }
}

/* The same key twice shares nothing with itself; with another one it does, each time it comes. */
static void the_same_key_twice(void **state)
{
    (void)state;
    for (size_t part = 1; part <= 4; part++) {
        struct key one = key_of(0, 1), two = key_of(2, 3), three = key_of(3, 4);
        struct sharedprimes *s = open_keys(part, 4);
        add(s, one.modulus, 1);
        add(s, two.modulus, 2);
        add(s, one.modulus, 3);
        add(s, two.modulus, 4);
        add(s, three.modulus, 5);
        add(s, two.modulus, 6);
        assert_int_equal(3, sharedprimes_count(s));
        search(s);
        expect_none(s, one.modulus);
        expect_shared(s, two.modulus, 5);
        expect_shared(s, three.modulus, 2);
        sharedprimes_close(s);
    }
}

static void too_many_share(void **state)
{
    enum { COUNT = 8 };
    (void)state;
    size_t calls = 0;
    struct sharedprimes *s = open_keys(COUNT, COUNT - 1);
    for (int i = 0; i < COUNT; i++)
        add(s, key_of(0, 1 + i).modulus, (uint32_t)i);
    assert_err(ERR_KEY_WEAK, sharedprimes_search(s, always, &calls));
    sharedprimes_close(s);
}

static void few_or_none(void **state)
{
    (void)state;
    struct sharedprimes *s = open_keys(4, 1);
    search(s);
    sharedprimes_close(s);
    s = open_keys(4, 1);
    add(s, crowd[0], 1);
    search(s);
    expect_none(s, crowd[0]);
    struct sharedprimes_place other;
    POISON(other);
    assert_int_equal(SHAREDPRIMES_UNKNOWN, sharedprimes_find(s, crowd[1], &other));
    assert_poisoned(other);
    sharedprimes_close(s);
}

static void every_byte_makes_another_key(void **state)
{
    (void)state;
    struct sharedprimes *s = open_keys(1, 1);
    uint8_t modulus[TPM_RSA_LEN];
    for (size_t i = 0; i < sizeof modulus; i++) {
        memcpy(modulus, crowd[0], sizeof modulus);
        modulus[i] ^= 0x10;
        add(s, modulus, 1);
        assert_int_equal(i + 1, sharedprimes_count(s));
    }
    sharedprimes_close(s);
}

/* ---- what can go wrong ---- */

static bool twice(void *context, size_t done, size_t steps)
{
    int *left = context;
    (void)done;
    (void)steps;
    return (*left)-- > 0;
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    for (int after = 0; after < 4; after++) {
        struct sharedprimes *s = open_keys(2, 1);
        int left = after;
        for (uint32_t i = 0; i < 4; i++)
            add(s, crowd[i], i);
        assert_err(ERR_UNAVAILABLE, sharedprimes_search(s, twice, &left));
        sharedprimes_close(s);
    }
}

static void no_place_for_the_file(void **state)
{
    (void)state;
    struct sharedprimes *s = NULL;
    struct import_reason why;
    assert_err(ERR_IO, sharedprimes_open("/nonexistent", 2, 1, &s, &why));
    assert_string_equal("No such file or directory", why.text);
    assert_null(s);
}

static void no_space_for_the_keys(void **state)
{
    (void)state;
    struct rlimit before, small = {.rlim_cur = 20000};
    assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &before));
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    struct sharedprimes *s = open_keys(128, 1);
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &small));
    enum err e = ERR_OK;
    struct sharedprimes_place place = {0};
    for (int i = 0; i < 1000 && e == ERR_OK; i++)
        e = sharedprimes_add(s, crowd[i], &place);
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &before));
    assert_err(ERR_IO, e);
    sharedprimes_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree),
        cmocka_unit_test(the_product),
        cmocka_unit_test(ten_thousand_that_share_nothing),
        cmocka_unit_test(two_that_share_a_prime),
        cmocka_unit_test(ways_to_share),
        cmocka_unit_test(the_same_key_twice),
        cmocka_unit_test(too_many_share),
        cmocka_unit_test(few_or_none),
        cmocka_unit_test(every_byte_makes_another_key),
        cmocka_unit_test(it_can_be_stopped),
        cmocka_unit_test(no_place_for_the_file),
        cmocka_unit_test(no_space_for_the_keys),
    };
    return cmocka_run_group_tests(tests, make_numbers, free_numbers);
}
