/* Purpose: JSON Lines: one object a line, members named like the columns of the CSV; strings, save
 * pinSrk, a boolean. An unknown or repeated member refuses its row.
 */
#ifndef IMPORT_JSONL_H
#define IMPORT_JSONL_H

#include "map.h"
#include "source.h"

struct jsonl {
    const struct import_map *map;
    uint8_t scratch[IMPORT_ROW_CAP];
};
/* The row in one line of text. Its fields point into scratch. */
void jsonl_row_read(struct jsonl *j, struct span line, struct import_row *row);
/* ERR_ABSENT at the end. ERR_IO. */
MUST_USE enum err jsonl_next(struct jsonl *j, struct source *s, struct import_row *ret_row);

#endif
