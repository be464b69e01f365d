/* Purpose: what the rows of a run came to: by outcome, by grade, by vendor and by reason.
 */
#ifndef IMPORT_TALLY_H
#define IMPORT_TALLY_H

#include "row.h"

#define TALLY_NAMES 48
#define TALLY_NAME_CAP 112

struct tally_name {
    char name[TALLY_NAME_CAP];
    uint64_t count;
};

struct tally {
    uint64_t outcomes[IMPORT_OUTCOMES];
    uint64_t grades[STORE_EK_CERTIFICATE_TRUSTED + 1]; /* of rows that are not refused */
    struct tally_name vendors[TALLY_NAMES], reasons[TALLY_NAMES];
};

void tally_block(struct tally *t, const struct import_block *b);
uint64_t tally_rows(const struct tally *t);
uint64_t tally_in(const struct tally *t); /* rows that changed the store */
/* On standard output. */
void tally_print(const struct tally *t);

#endif
