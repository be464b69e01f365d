/* Purpose: joins a key and its certificate, which stand next to each other in a bundle, a directory
 * or an archive, into one row: same id or none, same key, one of them a certificate.
 */
#ifndef IMPORT_PAIR_H
#define IMPORT_PAIR_H

#include "row.h"

struct pair_half {
    struct import_row row; /* its fields point into bytes */
    size_t len;
    uint8_t bytes[2 * IMPORT_ROW_CAP];
};
struct pair {
    bool waiting;     /* the other half is a row that has not been given out */
    unsigned current; /* the half that was given out */
    enum err ended;   /* met when looking ahead */
    struct pair_half half[2];
};

/* next: the rows as they stand there, ERR_ABSENT at the end. Returns its errors. */
MUST_USE enum err pair_next(struct pair *p, enum err (*next)(void *, struct import_row *),
                            void *context, struct import_row *ret_row);

#endif
