/* Purpose: from a row of text to an enrollment, or to the reason why not. Pure, and slow enough
 * (the search for weak keys) to be spread over all processors.
 */
#ifndef IMPORT_CHECK_H
#define IMPORT_CHECK_H

#include "row.h"

struct ekpolicy;
struct sharedscan;

/* How far weak keys are searched for. CHECK_FAST, microseconds a key: shape, ROCA, 100 rounds of
 * Fermat's method, squares, factors below 752, curve points. CHECK_THOROUGH, milliseconds: also
 * factors up to 2000, and a modulus that is itself prime. The first rows of a run are always
 * searched thoroughly: enough to notice a list of random numbers. */
enum check_care { CHECK_FAST, CHECK_THOROUGH };
#define CHECK_FIRST_ROWS 64

struct check_terms {
    const struct ekpolicy *ek; /* NULL: certificates are not looked at */
    const struct sharedscan *shared; /* NULL: keys are not compared with each other */
    enum check_care care;
    int64_t now_s;
    bool disabled; /* what a row without provisioningStatus gets */
};

/* Any error: the row is refused, and ret_reason says why. */
MUST_USE enum err check_row(const struct import_row *row, enum check_care care, int64_t now_s,
                            struct store_enrollment *ret_enrollment,
                            struct import_reason *ret_reason);

/* The same for every row of a block, on all processors: sets the items' enrollments, or their
 * outcome IMPORT_REFUSED and reason. */
struct checkers;
MUST_USE enum err checkers_open(struct checkers **ret_checkers); /* ERR_MEMORY */
void checkers_close(struct checkers *c);                         /* NULL is fine */
/* The block is theirs until the end; the caller may do something else in between, and lends a hand
 * with what is left in the end. */
void checkers_start(struct checkers *c, struct import_block *b, const struct check_terms *terms);
void checkers_wait(struct checkers *c);

#endif
