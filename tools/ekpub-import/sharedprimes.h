/* Purpose: the RSA keys of one run that have a prime in common with another key of it. Whoever has
 * both public keys has both private ones.
 *
 * Memory is bounded whatever their number, but for 24 bytes a key: keys lie in a file that has no
 * name, and are searched in parts of PRIMETREE_MAX, each within itself and against the product of
 * every other part. That takes 1.5 GiB at most, and time by the square of the number of parts.
 */
#ifndef IMPORT_SHAREDPRIMES_H
#define IMPORT_SHAREDPRIMES_H

#include "row.h"

/* Where a key stands. */
#define SHAREDPRIMES_ID_CAP 52
struct sharedprimes_place {
    uint32_t file_index, line;
    uint32_t column;              /* enum import_column */
    char id[SHAREDPRIMES_ID_CAP]; /* what the row has for one, or its beginning; for people */
};

/* Of more keys than this that share primes none is told apart: it is no list of keys. */
#define SHAREDPRIMES_FOUND_MAX 65536

struct sharedprimes;
/* dir: where the file goes. part_max: 1 to PRIMETREE_MAX. found_max: as many may share primes. ERR_IO,
 * ERR_MEMORY; with a reason. */
MUST_USE enum err sharedprimes_open(const char *dir, size_t part_max, size_t found_max,
                                    struct sharedprimes **ret_keys,
                                    struct import_reason *ret_reason);
void sharedprimes_close(struct sharedprimes *s); /* NULL is fine */
/* The same modulus twice is one key, where it came first. ERR_IO (no space), ERR_MEMORY. */
MUST_USE enum err sharedprimes_add(struct sharedprimes *s, const uint8_t modulus[TPM_RSA_LEN],
                                   const struct sharedprimes_place *place);
uint64_t sharedprimes_count(const struct sharedprimes *s);

/* Once, after all were added. go_on is asked between steps, of which so many are done. ERR_UNAVAILABLE
 * when it said no; ERR_KEY_WEAK when too many share primes; ERR_IO, ERR_MEMORY. */
MUST_USE enum err sharedprimes_search(struct sharedprimes *s,
                                      bool (*go_on)(void *context, size_t done, size_t steps),
                                      void *context);

/* SHARED: another key has a prime of this one, ret_other if its column is not COLUMN_COUNT. UNKNOWN:
 * the key was not added. */
enum sharedprimes_what { SHAREDPRIMES_NONE, SHAREDPRIMES_SHARED, SHAREDPRIMES_UNKNOWN };
enum sharedprimes_what sharedprimes_find(const struct sharedprimes *s,
                                         const uint8_t modulus[TPM_RSA_LEN],
                                         struct sharedprimes_place *ret_other);

#endif
