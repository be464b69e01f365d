/* Purpose: the elements of one JSON array (RFC 8259), found one after the other as the text streams
 * past; each is then a JSON text of its own for somebody who reads it whole.
 */
#ifndef IMPORT_JSONARRAY_H
#define IMPORT_JSONARRAY_H

#include "source.h"

struct jsonarray {
    bool begun;
    bool ended;
};
/* The next element, not longer than IMPORT_ROW_CAP; valid until the next call. A longer one is
 * passed over: its span is empty. ERR_ABSENT at the end. ERR_IO: what is there is no array, or does
 * not end. */
MUST_USE enum err jsonarray_next(struct jsonarray *a, struct source *s, struct span *ret_element,
                                 uint64_t *ret_line);

#endif
