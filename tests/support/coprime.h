/* Moduli of 2048 bits of which no two have a factor in common, by the thousand in a second: products
 * of primes below 2^32, each used once, the largest first. */
#ifndef SUPPORT_COPRIME_H
#define SUPPORT_COPRIME_H

#include <stddef.h>
#include <stdint.h>

#define COPRIME_LEN 256
#define COPRIME_MAX 2500000 /* then the primes are used up */

struct coprime;
struct coprime *coprime_open(void);
void coprime_close(struct coprime *c);
/* The first hundred thousand have their highest bit set. */
void coprime_next(struct coprime *c, uint8_t ret_modulus[COPRIME_LEN]);

#endif
