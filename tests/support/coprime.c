#include "coprime.h"

#include <gmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT (1u << 20)
#define ROOT 65536u
#define PRIMES_A_MODULUS 64 /* of nearly 32 bits */

struct coprime {
    bool small_composite[ROOT];
    bool composite[SEGMENT];
    uint64_t from; /* of the segment; primes are given out from its end */
    uint64_t next; /* everything from here up was given out */
    mpz_t product;
};

static void sieve_segment(struct coprime *c)
{
    c->from -= SEGMENT;
    memset(c->composite, 0, sizeof c->composite);
    for (uint64_t p = 2; p < ROOT; p++)
        for (uint64_t n = (c->from + p - 1) / p * p; !c->small_composite[p] && n < c->from + SEGMENT;
             n += p)
            c->composite[n - c->from] = true;
}

struct coprime *coprime_open(void)
{
    struct coprime *c = calloc(1, sizeof *c);
    if (c == NULL)
        abort();
    for (uint64_t p = 2; p * p < ROOT; p++)
        for (uint64_t n = p * p; n < ROOT; n += p)
            c->small_composite[n] = true;
    mpz_init(c->product);
    c->from = c->next = (uint64_t)1 << 32;
    return c;
}

void coprime_close(struct coprime *c)
{
    mpz_clear(c->product);
    free(c);
}

static uint64_t next_prime(struct coprime *c)
{
    do {
        if (c->next == c->from)
            sieve_segment(c);
        c->next--;
    } while (c->composite[c->next - c->from]);
    return c->next;
}

void coprime_next(struct coprime *c, uint8_t ret_modulus[COPRIME_LEN])
{
    size_t len;
    mpz_set_ui(c->product, 1);
    for (int i = 0; i < PRIMES_A_MODULUS; i++)
        mpz_mul_ui(c->product, c->product, next_prime(c));
    len = (mpz_sizeinbase(c->product, 2) + 7) / 8;
    memset(ret_modulus, 0, COPRIME_LEN);
    mpz_export(ret_modulus + COPRIME_LEN - len, NULL, 1, 1, 1, 0, c->product);
}
