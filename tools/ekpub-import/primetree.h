/* Purpose: which of many numbers have a factor in common with another one of them, in nearly linear
 * time (batch GCD): a tree of products upwards, a tree of remainders downwards. Nothing here is
 * secret. Works on all processors, at most PRIMETREE_THREADS; GMP ends the process where there is no
 * memory.
 *
 * With n = n_1 … n_k, the sum of all n/n_j is n/n_i modulo n_i, since n_i divides every other term;
 * what it has in common with n_i is what n_i has in common with the others. Taking that sum down the
 * tree needs numbers half as long as taking n down modulo squares would.
 */
#ifndef IMPORT_PRIMETREE_H
#define IMPORT_PRIMETREE_H

#include <gmp.h>
#include <wire/bytes.h>

#define PRIMETREE_MAX 131072 /* numbers in one tree; of 2048 bits they take 700 MiB */
#define PRIMETREE_THREADS 4

struct primetree;
/* numbers: count of them, 1 to PRIMETREE_MAX, none 0, no two the same; big-endian, len bytes each,
 * stride bytes from one to the next. ERR_MEMORY. */
MUST_USE enum err primetree_open(const uint8_t *numbers, size_t len, size_t stride, size_t count,
                                 struct primetree **ret_tree);
void primetree_close(struct primetree *t); /* NULL is fine */
/* For each number what it has in common with `others` times the rest of the tree: 1, or a factor, or
 * the number itself. others: 1, or a product of other numbers, modulo the tree's own product.
 * ret_common: count, each initialised. ERR_MEMORY. */
MUST_USE enum err primetree_common(struct primetree *t, const mpz_t others, mpz_t *ret_common);

/* The product alone, which is smaller work. ERR_MEMORY. */
MUST_USE enum err primetree_product(const uint8_t *numbers, size_t len, size_t stride, size_t count,
                                    mpz_t ret_product);

/* Runs one call for each index below count, several at a time. */
void primetree_each(void (*run)(void *context, size_t index), void *context, size_t count);

#endif
