/* Purpose: keys put in any order and taken out sorted, however many: in memory there is only one run
 * of them (and another that is being sorted), the others lie in a file. Private to the store.
 */
#ifndef STORE_SQLITE_RUNS_H
#define STORE_SQLITE_RUNS_H

#include <wire/bytes.h>

#define RUNS_KEY_MAX 255

/* directory: for a file without a name. keys_at_once: in a run, which takes 56 bytes for each. ERR_MEMORY,
 * ERR_STORE, ERR_STORE_FULL; with errno. */
struct runs;
MUST_USE enum err runs_open(const char *directory, size_t keys_at_once, struct runs **ret_runs);
void runs_close(struct runs *r); /* NULL is fine */
MUST_USE enum err runs_put(struct runs *r, struct span key, uint32_t number);
/* After the last one. */
MUST_USE enum err runs_sort(struct runs *r);
/* The next key in the order of memcmp, the shorter first. It stands until the next call. ERR_ABSENT at
 * the end; ERR_DUPLICATE: the key was there before. */
MUST_USE enum err runs_next(struct runs *r, struct span *ret_key, uint32_t *ret_number);

#endif
