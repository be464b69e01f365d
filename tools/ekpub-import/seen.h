/* Purpose: which line of this run a key, an id or a device id came from. It lets a reason name the
 * line a row collides with, lets a dry run find collisions that a real run would meet in the store,
 * and lets a first load do without the store's indexes. Bounded: past so many rows it learns
 * nothing more, and says so.
 *
 * What was seen is known by 64 bits of a hash under a key drawn at random: nobody can make two rows
 * collide on purpose, and ten million do so by chance once in a hundred thousand runs.
 */
#ifndef IMPORT_SEEN_H
#define IMPORT_SEEN_H

#include "row.h"

#define SEEN_ROWS_MAX 25000000 /* some 1200 MiB; 600 for ten million */

struct seen_place {
    uint32_t file_index; /* the file's number on the command line, from 0 */
    uint32_t line;
};
/* In the order the store compares in. SEEN_SAME: the whole row was there before. */
enum seen_what { SEEN_NOTHING, SEEN_SAME, SEEN_ID, SEEN_KEY, SEEN_DEVICE };

struct seen;
MUST_USE enum err seen_open(size_t rows_max, struct seen **ret_seen); /* ERR_MEMORY */
void seen_close(struct seen *s);                     /* NULL is fine */
/* What a row is known by. To make it some rows before it is needed spares waiting for memory. */
struct seen_print {
    uint64_t id, key, device, device_as_id, whole;
};
struct seen_print seen_print(const struct seen *s, const struct store_enrollment *row);
void seen_find(const struct seen *s, const struct seen_print *row, enum seen_what *ret_what,
               struct seen_place *ret_place);
/* Of a row that is in. Where a part of it is known already, the first place stays. */
void seen_add(struct seen *s, const struct seen_print *row, struct seen_place place);
void seen_clear(struct seen *s);
size_t seen_room(const struct seen *s); /* for so many rows more, memory permitting */
bool seen_is_full(const struct seen *s);

#endif
