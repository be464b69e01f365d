/* Purpose: from a row of text to an enrollment, or to the reason why not. Pure, and slow enough
 * (the search for weak keys) to be spread over all processors.
 */
#ifndef IMPORT_CHECK_H
#define IMPORT_CHECK_H

#include "row.h"

/* That a modulus is itself prime takes milliseconds to find out, more than all the rest: a long
 * list would take hours. So the first rows of a run are searched for that too, and of the rest one
 * key in CHECK_SAMPLE, chosen by its hash: enough to notice a list of random numbers. */
#define CHECK_THOROUGH_ROWS 1000
#define CHECK_SAMPLE 32
enum check_care { CHECK_EACH, CHECK_SOME };

/* Any error: the row is refused, and ret_reason says why. */
MUST_USE enum err check_row(const struct import_row *row, enum check_care care, int64_t now_s,
                            struct store_enrollment *ret_enrollment,
                            struct import_reason *ret_reason);

/* The same for every row of a block, on all processors: sets the items' enrollments, or their
 * outcome IMPORT_REFUSED and reason. */
struct checkers;
MUST_USE enum err checkers_open(struct checkers **ret_checkers); /* ERR_MEMORY */
void checkers_close(struct checkers *c);                         /* NULL is fine */
void checkers_run(struct checkers *c, struct import_block *b, int64_t now_s);

#endif
