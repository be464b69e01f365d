#include "modulus.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- residues ---- */

/* An odd divisor, its inverse modulo 2^64, and what each word of a number counts modulo it. Below 2^59: then
 * 32 products of a word and such a count add up to less than 2^128. */
#define DIVISOR_MAX ((uint64_t)1 << 59)
struct divisor {
    uint64_t value, inverse;
    uint64_t counts[MODULUS_WORDS];
};

static uint64_t inverse_of(uint64_t odd)
{
    uint64_t inverse = odd;
    for (int i = 0; i < 5; i++) /* each step doubles the bits that are right */
        inverse *= 2 - odd * inverse;
    return inverse;
}

static struct divisor divisor_of(uint64_t value)
{
    struct divisor d = {.value = value, .inverse = inverse_of(value)};
    uint64_t count = 1 % value;
    for (int i = 0; i < MODULUS_WORDS; i++) {
        d.counts[i] = count;
        count = (uint64_t)(((u128)count << 64) % value);
    }
    return d;
}

/* Two words that are the same modulo the divisor. No product waits for another. */
static u128 shorten(const uint64_t *word, size_t count, const struct divisor *d)
{
    u128 sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (u128)word[i] * d->counts[i];
    return sum;
}

static uint64_t residue(const uint64_t *word, size_t count, const struct divisor *d)
{
    return (uint64_t)(shorten(word, count, d) % d->value);
}

/* A word that each factor of the divisor divides if it divides the number. Takes multiples of the
 * divisor from below until only one word is left: two products instead of a division. */
static uint64_t reduce(u128 number, const struct divisor *d)
{
    uint64_t low = (uint64_t)number, high = (uint64_t)(number >> 64);
    uint64_t c = (uint64_t)((u128)(low * d->inverse) * d->value >> 64);
    uint64_t left = high - c, borrow = high < c;
    return (uint64_t)((u128)(left * d->inverse) * d->value >> 64) + borrow;
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

/* For s of these residues, which of s + 1, s + 2, … squared less n may be a square. */
#define ROUND_WORDS 3 /* the largest of the moduli and all rounds */
struct rounds {
    uint64_t bits[ROUND_WORDS];
};

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
    struct rounds rounds_64[64], rounds[COUNT(square_moduli)][65]; /* by the residue of n */
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
        if (product >= DIVISOR_MAX / p) {
            tables.group[tables.groups].product = divisor_of(product);
            tables.group[tables.groups].from = from;
            tables.group[tables.groups++].to = count;
            product = 1;
            from = count;
        }
        product *= p;
        tables.prime[count].inverse = inverse_of(p);
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

/* Bit x of the rounds of n: whether x * x - n is a square modulo m. */
static void make_rounds(unsigned m, struct rounds *ret_rounds)
{
    bool square[65] = {false};
    for (unsigned x = 0; x < m; x++)
        square[x * x % m] = true;
    for (unsigned n = 0; n < m; n++) {
        struct rounds r = {{0}};
        for (unsigned x = 0; x < 64 * ROUND_WORDS; x++)
            r.bits[x / 64] |= (uint64_t)square[(x * x + m - n) % m] << x % 64;
        ret_rounds[n] = r;
    }
}

static void make_squares(void)
{
    uint64_t product = 1, more = 1;
    make_rounds(64, tables.rounds_64);
    for (size_t i = 0; i < COUNT(square_moduli); i++) {
        product *= square_moduli[i];
        make_rounds(square_moduli[i], tables.rounds[i]);
    }
    for (size_t i = 0; i < COUNT(square_primes); i++) {
        more *= square_primes[i];
        for (unsigned x = 0; x < square_primes[i]; x++)
            tables.square_prime[i][x * x % square_primes[i]] = true;
    }
    tables.squares = divisor_of(product);
    tables.more_squares = divisor_of(more);
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
        uint64_t word;
        memcpy(&word, at, sizeof word);
        n.word[i] = be64toh(word);
    }
    return n;
}

/* ---- small factors and ROCA ---- */

bool modulus_has_small_factor(const struct modulus *n)
{
    if (n->word[0] % 2 == 0)
        return true;
    for (size_t g = 0; g < tables.groups; g++) {
        const struct divisor *d = &tables.group[g].product;
        uint64_t rest = reduce(shorten(n->word, MODULUS_WORDS, d), d);
        for (size_t i = tables.group[g].from; i < tables.group[g].to; i++)
            if (rest * tables.prime[i].inverse <= tables.prime[i].limit)
                return true;
    }
    return false;
}

bool modulus_is_roca(const struct modulus *n)
{
    uint64_t rest = 0;
    for (size_t i = 0; i < COUNT(roca_primes); i++) {
        if (i == 0 || i == ROCA_FIRST)
            rest = residue(n->word, MODULUS_WORDS, &tables.roca[i > 0]);
        if (!tables.power_of_65537[i][rest % roca_primes[i]])
            return false;
    }
    return true;
}

/* ---- square root ---- */

#define ROOT_WORDS 16
struct root {
    uint64_t s[ROOT_WORDS];       /* floor of the root */
    uint64_t rest[MODULUS_WORDS]; /* n less its square; at most twice s: the words above are 0 */
};

/* By pen and paper in binary, without a branch that nobody could foresee. */
static uint64_t root_of_word(uint64_t n)
{
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 62; bit != 0; bit >>= 2) {
        uint64_t trial = root + bit, fits = -(uint64_t)(n >= trial);
        n -= trial & fits;
        root = (root >> 1) + (bit & fits);
    }
    return root;
}

/* The root of the two highest words. One step of Newton's, which never ends below it. */
static uint64_t first_root(u128 n, u128 *ret_rest)
{
    u128 root = (u128)root_of_word((uint64_t)(n >> 64)) << 32 | UINT32_MAX;
    root = (root + n / (uint64_t)root) >> 1;
    if (root > UINT64_MAX)
        root = UINT64_MAX;
    while (root * root > n)
        root--;
    *ret_rest = n - root * root;
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

/* One more word q, below the k words s of the root: the greatest with q * (2 * s * B + q) <= rest. The
 * guess from the highest words is at most a few too large. */
static void root_grow(uint64_t *rest, uint64_t *s, size_t k)
{
    uint64_t twice[ROOT_WORDS + 2];
    uint64_t top = rest[k + 2] << 63 | rest[k + 1] >> 1;
    uint64_t next = rest[k + 1] << 63 | rest[k] >> 1;
    uint64_t q = UINT64_MAX;
    if (top < s[k - 1])
        q = (uint64_t)(((u128)top << 64 | next) / s[k - 1]);
    for (size_t i = 0; i < k; i++)
        twice[i + 1] = s[i] << 1 | (i > 0 ? s[i - 1] >> 63 : 0);
    twice[k + 1] = s[k - 1] >> 63;
    twice[0] = q;
    uint64_t borrow = subtract_product(rest, twice, k + 2, q);
    bool negative = rest[k + 2] < borrow;
    rest[k + 2] -= borrow;
    while (negative) {
        q--;
        uint64_t middle = twice[1];
        twice[0] = q << 1 | 1;
        twice[1] |= q >> 63; /* its lowest bit is free: it was doubled */
        uint64_t carry = add(rest, twice, k + 2);
        uint64_t before = rest[k + 2];
        rest[k + 2] += carry;
        negative = rest[k + 2] >= before; /* until it comes round to zero */
        twice[1] = middle;
    }
    s[-1] = q;
}

/* From the highest words on: what is left of n stays where it is. */
static void root_take(const struct modulus *n, struct root *ret_root)
{
    u128 rest;
    memcpy(ret_root->rest, n->word, sizeof ret_root->rest);
    ret_root->s[ROOT_WORDS - 1] = first_root((u128)n->word[31] << 64 | n->word[30], &rest);
    ret_root->rest[30] = (uint64_t)rest;
    ret_root->rest[31] = (uint64_t)(rest >> 64);
    for (size_t k = 1; k < ROOT_WORDS; k++)
        root_grow(ret_root->rest + 30 - 2 * k, ret_root->s + ROOT_WORDS - k, k);
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
    uint64_t rest = residue(value, ROOT_WORDS + 1, &tables.more_squares);
    for (size_t i = 0; i < COUNT(square_primes); i++)
        if (!tables.square_prime[i][rest % square_primes[i]])
            return false;
    return true;
}

/* Rounds 1 to 64 and 65 to 128 of an s with that residue. */
static u128 rounds_from(const struct rounds *r, unsigned s)
{
    unsigned from = s + 1, word = from / 64, shift = from % 64;
    u128 both = (u128)r->bits[word + 1] << 64 | r->bits[word];
    return shift == 0 || word > 0 ? both >> shift
                                  : both >> shift | (u128)r->bits[2] << (128 - shift);
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
    root_take(n, &r);
    if (is_zero(r.rest, ROOT_WORDS + 1))
        return true;
    uint64_t s_rest = residue(r.s, ROOT_WORDS, &tables.squares);
    uint64_t n_rest = residue(n->word, MODULUS_WORDS, &tables.squares);
    u128 rounds = rounds_from(&tables.rounds_64[n->word[0] % 64], (unsigned)(r.s[0] % 64)) &
                  (((u128)1 << MODULUS_FERMAT_ROUNDS) - 1);
#pragma GCC unroll 8 /* then each remainder is by a constant, hence a product */
    for (size_t i = 0; i < COUNT(square_moduli); i++) {
        uint64_t m = square_moduli[i];
        rounds &= rounds_from(&tables.rounds[i][n_rest % m], (unsigned)(s_rest % m));
    }
    for (unsigned j = 1; rounds != 0; j++, rounds >>= 1)
        if ((rounds & 1) != 0 && may_be_square_whole(&r, j))
            return true;
    return false;
}
