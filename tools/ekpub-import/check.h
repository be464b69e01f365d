/* Purpose: from a row of text to an enrollment, or to the reason why not. Pure, and slow enough
 * (the search for weak keys) to be spread over all processors.
 */
#ifndef IMPORT_CHECK_H
#define IMPORT_CHECK_H

#include "row.h"

/* Any error: the row is refused, and ret_reason says why. */
MUST_USE enum err check_row(const struct import_row *row, int64_t now_s,
                            struct store_enrollment *ret_enrollment,
                            struct import_reason *ret_reason);

/* The same for every row of a block, on all processors: sets the items' enrollments, or their
 * outcome IMPORT_REFUSED and reason. */
struct checkers;
MUST_USE enum err checkers_open(struct checkers **ret_checkers); /* ERR_MEMORY */
void checkers_close(struct checkers *c);                         /* NULL is fine */
void checkers_run(struct checkers *c, struct import_block *b, int64_t now_s);

#endif
