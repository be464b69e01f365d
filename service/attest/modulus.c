#include "modulus.h"

#include <pthread.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- residues ---- */

/* An odd divisor and its inverse modulo 2^64. */
struct divisor {
    uint64_t value, inverse;
    uint64_t shift; /* 2^(64*32) modulo it */
};

static struct divisor divisor_of(uint64_t value)
{
    struct divisor d = {.value = value, .inverse = value, .shift = 1};
    for (int i = 0; i < 5; i++) /* each step doubles the bits that are right */
        d.inverse *= 2 - value * d.inverse;
    for (int i = 0; i < MODULUS_WORDS; i++)
        d.shift = (uint64_t)(((u128)d.shift << 64) % value);
    return d;
}

/* Takes multiples of the divisor from below until only one word is left: n = -c * 2^(64*count) modulo
 * it. Two products a word instead of a division. */
static uint64_t exact(const uint64_t *word, size_t count, const struct divisor *d)
{
    uint64_t c = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t left = word[i] - c;
        uint64_t borrow = word[i] < c;
        uint64_t q = left * d->inverse;
        c = (uint64_t)((u128)q * d->value >> 64) + borrow;
    }
    return c;
}

/* count: MODULUS_WORDS, or fewer where the shift is given for them. */
static uint64_t residue(const uint64_t *word, size_t count, const struct divisor *d, uint64_t shift)
{
    uint64_t c = exact(word, count, d) % d->value;
    return (uint64_t)((u128)(c == 0 ? 0 : d->value - c) * shift % d->value);
}

/* ---- tables, made once ---- */

#define SMALL_PRIME_MAX 751
#define SMALL_PRIMES 132
#define SMALL_GROUPS 32
static const uint16_t roca_primes[] = {11, 13, 17,  19,  37,  53,  61,  71, 73,
                                       79, 97, 103, 107, 109, 127, 151, 157};
#define ROCA_FIRST 10 /* the first ten make 52 bits, the others 49 */
static const uint16_t square_moduli[] = {63, 65, 11, 17, 19, 23, 29, 31};
static const uint16_t square_primes[] = {37, 41, 43, 47, 53, 59, 61, 67, 71, 73};

static struct tables {
    size_t groups;
    struct {
        struct divisor product;
        size_t from, to; /* its primes */
    } group[SMALL_GROUPS];
    struct {
        uint64_t inverse, limit; /* divides x if x * inverse <= limit */
    } prime[SMALL_PRIMES];
    struct divisor roca[2];
    bool power_of_65537[COUNT(roca_primes)][160];
    struct divisor squares, more_squares;
    uint64_t squares_shift_16, more_squares_shift_17;
    bool square_64[64];
    bool square[COUNT(square_moduli)][65];
    bool square_prime[COUNT(square_primes)][73];
} tables;
static pthread_once_t tables_made = PTHREAD_ONCE_INIT;

static bool is_prime(unsigned p)
{
    for (unsigned d = 2; d * d <= p; d++)
        if (p % d == 0)
            return false;
    return true;
}

static void make_small_primes(void)
{
    uint64_t product = 1;
    size_t count = 0, from = 0;
    for (unsigned p = 3; p <= SMALL_PRIME_MAX; p += 2) {
        if (!is_prime(p))
            continue;
        if ((u128)product * p >> 64 != 0) {
            tables.group[tables.groups].product = divisor_of(product);
            tables.group[tables.groups].from = from;
            tables.group[tables.groups++].to = count;
            product = 1;
            from = count;
        }
        product *= p;
        tables.prime[count].inverse = divisor_of(p).inverse;
        tables.prime[count++].limit = UINT64_MAX / p;
    }
    tables.group[tables.groups].product = divisor_of(product);
    tables.group[tables.groups].from = from;
    tables.group[tables.groups++].to = count;
}

static void make_roca(void)
{
    uint64_t product[2] = {1, 1};
    for (size_t i = 0; i < COUNT(roca_primes); i++) {
        unsigned p = roca_primes[i], power = 1;
        product[i >= ROCA_FIRST] *= p;
        do {
            tables.power_of_65537[i][power] = true;
            power = power * (65537 % p) % p;
        } while (power != 1);
    }
    for (int i = 0; i < 2; i++)
        tables.roca[i] = divisor_of(product[i]);
}

static uint64_t shift_by(uint64_t value, int words)
{
    uint64_t shift = 1;
    for (int i = 0; i < words; i++)
        shift = (uint64_t)(((u128)shift << 64) % value);
    return shift;
}

static void make_squares(void)
{
    uint64_t product = 1, more = 1;
    for (unsigned x = 0; x < 64; x++)
        tables.square_64[x * x % 64] = true;
    for (size_t i = 0; i < COUNT(square_moduli); i++) {
        product *= square_moduli[i];
        for (unsigned x = 0; x < square_moduli[i]; x++)
            tables.square[i][x * x % square_moduli[i]] = true;
    }
    for (size_t i = 0; i < COUNT(square_primes); i++) {
        more *= square_primes[i];
        for (unsigned x = 0; x < square_primes[i]; x++)
            tables.square_prime[i][x * x % square_primes[i]] = true;
    }
    tables.squares = divisor_of(product);
    tables.squares_shift_16 = shift_by(product, 16);
    tables.more_squares = divisor_of(more);
    tables.more_squares_shift_17 = shift_by(more, 17);
}

static void make_tables(void)
{
    make_small_primes();
    make_roca();
    make_squares();
}

struct modulus modulus_of(const uint8_t bytes[TPM_RSA_LEN])
{
    struct modulus n;
    (void)pthread_once(&tables_made, make_tables);
    for (size_t i = 0; i < MODULUS_WORDS; i++) {
        const uint8_t *at = bytes + TPM_RSA_LEN - 8 * (i + 1);
        uint64_t word = 0;
        for (int k = 0; k < 8; k++)
            word = word << 8 | at[k];
        n.word[i] = word;
    }
    return n;
}

/* ---- small factors and ROCA ---- */

/* Each chain of products waits for itself; four side by side wait for nobody. Groups past the last
 * have an inverse of 0 and do no harm. */
#define AT_ONCE 4
static void exact_at_once(const struct modulus *n, size_t group, uint64_t ret_c[AT_ONCE])
{
    uint64_t c[AT_ONCE] = {0}, inverse[AT_ONCE], value[AT_ONCE];
    for (int k = 0; k < AT_ONCE; k++) {
        inverse[k] = tables.group[group + (size_t)k].product.inverse;
        value[k] = tables.group[group + (size_t)k].product.value;
    }
    for (size_t i = 0; i < MODULUS_WORDS; i++)
        for (int k = 0; k < AT_ONCE; k++) {
            uint64_t left = n->word[i] - c[k];
            uint64_t borrow = n->word[i] < c[k];
            c[k] = (uint64_t)((u128)(left * inverse[k]) * value[k] >> 64) + borrow;
        }
    memcpy(ret_c, c, sizeof c);
}

bool modulus_has_small_factor(const struct modulus *n)
{
    if (n->word[0] % 2 == 0)
        return true;
    for (size_t g = 0; g < tables.groups; g += AT_ONCE) {
        uint64_t c[AT_ONCE];
        exact_at_once(n, g, c);
        for (size_t k = 0; k < AT_ONCE && g + k < tables.groups; k++)
            for (size_t i = tables.group[g + k].from; i < tables.group[g + k].to; i++)
                if (c[k] * tables.prime[i].inverse <= tables.prime[i].limit)
                    return true;
    }
    return false;
}

bool modulus_is_roca(const struct modulus *n)
{
    uint64_t rest[2] = {0, 0};
    for (size_t i = 0; i < COUNT(roca_primes); i++) {
        size_t half = i >= ROCA_FIRST;
        if (i == 0 || i == ROCA_FIRST)
            rest[half] =
                residue(n->word, MODULUS_WORDS, &tables.roca[half], tables.roca[half].shift);
        if (!tables.power_of_65537[i][rest[half] % roca_primes[i]])
            return false;
    }
    return true;
}

/* ---- square root ---- */

#define ROOT_WORDS 16
struct root {
    uint64_t s[ROOT_WORDS];        /* floor of the root */
    uint64_t rest[ROOT_WORDS + 3]; /* n less its square; at most twice s */
};

/* The root of the two highest words, by pen and paper in binary. */
static uint64_t first_root(u128 n, u128 *ret_rest)
{
    u128 root = 0;
    for (u128 bit = (u128)1 << 126; bit != 0; bit >>= 2) {
        if (n >= root + bit) {
            n -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    *ret_rest = n;
    return (uint64_t)root;
}

/* t -= q * x, count words. Returns the borrow. */
static uint64_t subtract_product(uint64_t *t, const uint64_t *x, size_t count, uint64_t q)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < count; i++) {
        u128 product = (u128)q * x[i] + carry;
        uint64_t low = (uint64_t)product;
        carry = (uint64_t)(product >> 64) + (t[i] < low);
        t[i] -= low;
    }
    return carry;
}

static uint64_t add(uint64_t *t, const uint64_t *x, size_t count)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < count; i++) {
        u128 sum = (u128)t[i] + x[i] + carry;
        t[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

/* One more word q of a root of k words: the greatest with q * (2 * s * B + q) <= rest. The guess from
 * the highest words is at most a few too large. */
static void root_grow(struct root *r, size_t k, uint64_t high, uint64_t low)
{
    uint64_t twice[ROOT_WORDS + 2];
    memmove(r->rest + 2, r->rest, (k + 1) * sizeof r->rest[0]);
    r->rest[1] = high;
    r->rest[0] = low;
    uint64_t top = r->rest[k + 2] << 63 | r->rest[k + 1] >> 1;
    uint64_t next = r->rest[k + 1] << 63 | r->rest[k] >> 1;
    uint64_t q = UINT64_MAX;
    if (top < r->s[k - 1])
        q = (uint64_t)(((u128)top << 64 | next) / r->s[k - 1]);
    for (size_t i = 0; i < k; i++)
        twice[i + 1] = r->s[i] << 1 | (i > 0 ? r->s[i - 1] >> 63 : 0);
    twice[k + 1] = r->s[k - 1] >> 63;
    twice[0] = q;
    uint64_t borrow = subtract_product(r->rest, twice, k + 2, q);
    bool negative = r->rest[k + 2] < borrow;
    r->rest[k + 2] -= borrow;
    while (negative) {
        q--;
        uint64_t middle = twice[1];
        twice[0] = q << 1 | 1;
        twice[1] |= q >> 63; /* its lowest bit is free: it was doubled */
        uint64_t carry = add(r->rest, twice, k + 2);
        uint64_t before = r->rest[k + 2];
        r->rest[k + 2] += carry;
        negative = r->rest[k + 2] >= before; /* until it comes round to zero */
        twice[1] = middle;
    }
    memmove(r->s + 1, r->s, k * sizeof r->s[0]);
    r->s[0] = q;
}

static void root_take(const struct modulus *n, struct root *ret_root)
{
    struct root r = {0};
    u128 rest;
    r.s[0] = first_root((u128)n->word[31] << 64 | n->word[30], &rest);
    r.rest[0] = (uint64_t)rest;
    r.rest[1] = (uint64_t)(rest >> 64);
    for (size_t k = 1; k < ROOT_WORDS; k++)
        root_grow(&r, k, n->word[31 - 2 * k], n->word[30 - 2 * k]);
    *ret_root = r;
}

/* ---- Fermat: n = a*a - b*b with a just above the root, if the primes a+b and a-b are close ---- */

/* (s + j)^2 - n = 2sj + j^2 - rest, whole, by primes that were not asked before. */
static bool may_be_square_whole(const struct root *r, uint64_t j)
{
    uint64_t value[ROOT_WORDS + 1], minus[ROOT_WORDS + 1];
    u128 carry = (u128)j * j;
    for (size_t i = 0; i < ROOT_WORDS; i++) {
        carry += (u128)r->s[i] * (2 * j);
        value[i] = (uint64_t)carry;
        carry >>= 64;
    }
    value[ROOT_WORDS] = (uint64_t)carry;
    memcpy(minus, r->rest, sizeof minus);
    (void)subtract_product(value, minus, ROOT_WORDS + 1, 1);
    uint64_t rest =
        residue(value, ROOT_WORDS + 1, &tables.more_squares, tables.more_squares_shift_17);
    for (size_t i = 0; i < COUNT(square_primes); i++)
        if (!tables.square_prime[i][rest % square_primes[i]])
            return false;
    return true;
}

struct small_residues {
    unsigned s[COUNT(square_moduli)], n[COUNT(square_moduli)];
};

static bool may_be_square(const struct small_residues *at, unsigned j)
{
#pragma GCC unroll 8 /* then each remainder is by a constant, hence a product */
    for (size_t i = 0; i < COUNT(square_moduli); i++) {
        unsigned m = square_moduli[i], a = at->s[i] + j;
        if (!tables.square[i][(a * a + m - at->n[i]) % m])
            return false;
    }
    return true;
}

static bool is_zero(const uint64_t *word, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all |= word[i];
    return all == 0;
}

bool modulus_may_have_close_primes(const struct modulus *n)
{
    struct root r;
    struct small_residues at;
    root_take(n, &r);
    if (is_zero(r.rest, ROOT_WORDS + 1))
        return true;
    uint64_t s_rest = residue(r.s, ROOT_WORDS, &tables.squares, tables.squares_shift_16);
    uint64_t n_rest = residue(n->word, MODULUS_WORDS, &tables.squares, tables.squares.shift);
    for (size_t i = 0; i < COUNT(square_moduli); i++) {
        at.s[i] = (unsigned)(s_rest % square_moduli[i]);
        at.n[i] = (unsigned)(n_rest % square_moduli[i]);
    }
    for (unsigned j = 1; j <= MODULUS_FERMAT_ROUNDS; j++) {
        uint64_t a = r.s[0] + j;
        if (tables.square_64[(a * a - n->word[0]) % 64] && may_be_square(&at, j) &&
            may_be_square_whole(&r, j))
            return true;
    }
    return false;
}
