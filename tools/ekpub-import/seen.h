/* Purpose: which line of this run a key, an id or a device id came from. It lets a reason name the
 * line a row collides with, and lets a dry run find collisions that a real run would meet in the
 * store. Bounded: past SEEN_ROWS_MAX rows it learns nothing more, and says so.
 */
#ifndef IMPORT_SEEN_H
#define IMPORT_SEEN_H

#include "row.h"

#define SEEN_ROWS_MAX 400000 /* 48 MiB */

struct seen_place {
    uint32_t file_index; /* the file's number on the command line, from 0 */
    uint32_t line;
};
/* In the order the store compares in. SEEN_SAME: the whole row was there before. */
enum seen_what { SEEN_NOTHING, SEEN_SAME, SEEN_ID, SEEN_KEY, SEEN_DEVICE };

struct seen;
MUST_USE enum err seen_open(struct seen **ret_seen); /* ERR_MEMORY */
void seen_close(struct seen *s);                     /* NULL is fine */
MUST_USE enum err seen_find(const struct seen *s, const struct store_enrollment *row,
                            enum seen_what *ret_what,
                            struct seen_place *ret_place); /* ERR_CRYPTO */
/* Of a row that is in. Where a part of it is known already, the first place stays. ERR_CRYPTO. */
MUST_USE enum err seen_add(struct seen *s, const struct store_enrollment *row,
                           struct seen_place place);
bool seen_is_full(const struct seen *s);

#endif
