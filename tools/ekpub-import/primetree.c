#include "primetree.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define LEVELS_MAX 18   /* 2^17 numbers and their product */
#define GUARD_BITS 64   /* each level of the way down may double an error of one in the last place */

struct level {
    size_t count;
    mpz_t *node;
};

struct primetree {
    size_t levels;
    struct level level[LEVELS_MAX]; /* the numbers first */
    mpz_t sum; /* of the product divided by each number */
};

/* ---- many at a time ---- */

struct work {
    void (*run)(void *context, size_t index);
    void *context;
    size_t count;
    atomic_size_t next;
};

static void *work_run(void *context)
{
    struct work *w = context;
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->count;)
        w->run(w->context, i);
    return NULL;
}

void primetree_each(void (*run)(void *context, size_t index), void *context, size_t count)
{
    struct work w = {.run = run, .context = context, .count = count};
    pthread_t threads[PRIMETREE_THREADS - 1];
    size_t started = 0;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    while (started < PRIMETREE_THREADS - 1 && started + 1 < count &&
           (long)started + 1 < processors &&
           pthread_create(&threads[started], NULL, work_run, &w) == 0)
        started++;
    (void)work_run(&w);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
}

/* ---- numbers side by side ---- */

static void numbers_free(mpz_t *n, size_t count)
{
    for (size_t i = 0; n != NULL && i < count; i++)
        mpz_clear(n[i]);
    free(n);
}

static mpz_t *numbers_make(size_t count)
{
    mpz_t *n = malloc(count * sizeof *n);
    for (size_t i = 0; n != NULL && i < count; i++)
        mpz_init(n[i]);
    return n;
}

static enum err level_make(struct level *l, size_t count)
{
    l->node = numbers_make(count);
    l->count = l->node == NULL ? 0 : count;
    return l->node == NULL ? ERR_MEMORY : ERR_OK;
}

static void level_free(struct level *l)
{
    numbers_free(l->node, l->count);
    *l = (struct level){0};
}

/* ---- up: products, and the sum ---- */

struct climb {
    const struct level *below;
    struct level *above;
    mpz_t *sums_below, *sums_above, *halves; /* NULL: no sum is wanted */
};

static void multiply(void *context, size_t i)
{
    struct climb *c = context;
    const struct level *b = c->below;
    if (2 * i + 1 < b->count)
        mpz_mul(c->above->node[i], b->node[2 * i], b->node[2 * i + 1]);
    else
        mpz_set(c->above->node[i], b->node[2 * i]);
}

/* Of the sum over both children, left' * right + right' * left, one half. */
static void multiply_sum(void *context, size_t task)
{
    struct climb *c = context;
    size_t i = task / 2, left = 2 * i, right = left + 1;
    if (right >= c->below->count) {
        if (task % 2 == 0)
            mpz_set(c->sums_above[i], c->sums_below[left]);
    } else if (task % 2 == 0) {
        mpz_mul(c->sums_above[i], c->sums_below[left], c->below->node[right]);
    } else {
        mpz_mul(c->halves[i], c->sums_below[right], c->below->node[left]);
    }
}

static enum err climb_sums(struct climb *c)
{
    size_t count = c->above->count;
    c->sums_above = numbers_make(count);
    c->halves = numbers_make(count);
    bool good = c->sums_above != NULL && c->halves != NULL;
    if (good)
        primetree_each(multiply_sum, c, 2 * count);
    for (size_t i = 0; good && i < count; i++)
        mpz_add(c->sums_above[i], c->sums_above[i], c->halves[i]);
    numbers_free(c->halves, count);
    numbers_free(c->sums_below, c->below->count);
    c->sums_below = good ? c->sums_above : NULL;
    if (!good)
        numbers_free(c->sums_above, count);
    return good ? ERR_OK : ERR_MEMORY;
}

static enum err take_numbers(struct level *l, const uint8_t *numbers, size_t len, size_t stride,
                             size_t count)
{
    TRY(level_make(l, count));
    for (size_t i = 0; i < count; i++)
        mpz_import(l->node[i], len, 1, 1, 1, 0, numbers + i * stride);
    return ERR_OK;
}

/* The levels above the first one. */
static enum err climb_all(struct primetree *t, struct climb *c)
{
    while (t->level[t->levels - 1].count > 1) {
        ERR_ASSERT(t->levels < LEVELS_MAX);
        c->below = &t->level[t->levels - 1];
        c->above = &t->level[t->levels];
        TRY(level_make(c->above, (c->below->count + 1) / 2));
        t->levels++;
        primetree_each(multiply, c, c->above->count);
        TRY(climb_sums(c));
    }
    return ERR_OK;
}

static enum err build(struct primetree *t, const uint8_t *numbers, size_t len, size_t stride,
                      size_t count)
{
    TRY(take_numbers(&t->level[0], numbers, len, stride, count));
    t->levels = 1;
    struct climb c = {.sums_below = numbers_make(count)};
    if (c.sums_below == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        mpz_set_ui(c.sums_below[i], 1);
    enum err e = climb_all(t, &c);
    if (e == ERR_OK)
        mpz_swap(t->sum, c.sums_below[0]);
    numbers_free(c.sums_below, t->level[t->levels - 1].count);
    return e;
}

enum err primetree_open(const uint8_t *numbers, size_t len, size_t stride, size_t count,
                        struct primetree **ret_tree)
{
    ERR_ASSERT(count > 0 && count <= PRIMETREE_MAX);
    struct primetree *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_MEMORY;
    mpz_init(t->sum);
    enum err e = build(t, numbers, len, stride, count);
    if (e == ERR_OK)
        *ret_tree = t;
    else
        primetree_close(t);
    return e;
}

void primetree_close(struct primetree *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < LEVELS_MAX; i++)
        level_free(&t->level[i]);
    mpz_clear(t->sum);
    free(t);
}

enum err primetree_product(const uint8_t *numbers, size_t len, size_t stride, size_t count,
                           mpz_t ret_product)
{
    struct level below = {0};
    TRY(take_numbers(&below, numbers, len, stride, count));
    while (below.count > 1) {
        struct level above;
        struct climb c = {.below = &below, .above = &above};
        enum err e = level_make(&above, (below.count + 1) / 2);
        if (e == ERR_OK)
            primetree_each(multiply, &c, above.count);
        level_free(&below);
        TRY(e);
        below = above;
    }
    mpz_swap(ret_product, below.node[0]);
    level_free(&below);
    return ERR_OK;
}

/* ---- down: remainders, as fractions ----
 * x modulo m is kept as the fraction of x/m, with as many bits as m has and a few more: modulo a
 * divisor of m it is the fraction of (x/m) times what m has beside it, which takes a product where
 * a remainder would take a division. */

static size_t bits_of(const mpz_t m)
{
    return mpz_sizeinbase(m, 2) + GUARD_BITS;
}

struct descent {
    const struct level *above, *below;
    mpz_t *from, *to;
};

static void descend_one(void *context, size_t i)
{
    struct descent *d = context;
    size_t sibling = i ^ 1;
    if (sibling >= d->below->count) {
        mpz_swap(d->to[i], d->from[i / 2]);
        return;
    }
    size_t bits = bits_of(d->above->node[i / 2]);
    mpz_mul(d->to[i], d->from[i / 2], d->below->node[sibling]);
    mpz_fdiv_r_2exp(d->to[i], d->to[i], bits);
    mpz_fdiv_q_2exp(d->to[i], d->to[i], bits - bits_of(d->below->node[i]));
}

/* The fraction at the root: of others times the sum, by the product. */
static void begin_fraction(const struct primetree *t, const mpz_t others, mpz_t fraction)
{
    mpz_srcptr product = t->level[t->levels - 1].node[0];
    mpz_mul(fraction, others, t->sum);
    mpz_mod(fraction, fraction, product);
    mpz_mul_2exp(fraction, fraction, bits_of(product));
    mpz_fdiv_q(fraction, fraction, product);
}

struct finish {
    const struct level *numbers;
    mpz_t *fractions, *common;
};

/* Back from a fraction to the number, which is whole: the nearest one. */
static void finish_one(void *context, size_t i)
{
    struct finish *f = context;
    mpz_srcptr n = f->numbers->node[i];
    size_t bits = bits_of(n);
    mpz_t half;
    mpz_init(half);
    mpz_setbit(half, bits - 1);
    mpz_mul(f->fractions[i], f->fractions[i], n);
    mpz_add(f->fractions[i], f->fractions[i], half);
    mpz_fdiv_q_2exp(f->fractions[i], f->fractions[i], bits);
    mpz_gcd(f->common[i], f->fractions[i], n);
    mpz_clear(half);
}

enum err primetree_common(struct primetree *t, const mpz_t others, mpz_t *ret_common)
{
    mpz_t *fractions = numbers_make(1);
    if (fractions == NULL)
        return ERR_MEMORY;
    begin_fraction(t, others, fractions[0]);
    for (size_t l = t->levels - 1; l-- > 0;) {
        struct descent d = {.above = &t->level[l + 1], .below = &t->level[l], .from = fractions};
        d.to = numbers_make(d.below->count);
        if (d.to != NULL)
            primetree_each(descend_one, &d, d.below->count);
        numbers_free(fractions, d.above->count);
        if (d.to == NULL)
            return ERR_MEMORY;
        fractions = d.to;
    }
    struct finish f = {&t->level[0], fractions, ret_common};
    primetree_each(finish_one, &f, t->level[0].count);
    numbers_free(fractions, t->level[0].count);
    return ERR_OK;
}
