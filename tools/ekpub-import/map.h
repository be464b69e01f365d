/* Purpose: how a list calls its columns: its own names for ours, and those of no concern here.
 */
#ifndef IMPORT_MAP_H
#define IMPORT_MAP_H

#include "row.h"

#define IMPORT_MAP_MAX 32
struct import_map {
    size_t count;
    struct {
        struct span from;      /* into the text it was read from */
        enum import_column to; /* COLUMN_COUNT: passed over */
    } names[IMPORT_MAP_MAX];
};
/* "COLUMN=FIELD", or "COLUMN=-" for one to be passed over; the text stays the caller's.
 * ERR_INVALID_ARGUMENT: no such field, or nothing on the left; ERR_DUPLICATE; ERR_FULL. */
MUST_USE enum err import_map_add(struct import_map *m, const char *text);
/* What a column of a list is, by the map (NULL: none) or by its own name. */
bool import_map_find(const struct import_map *m, struct span name, enum import_column *ret_column);

#endif
