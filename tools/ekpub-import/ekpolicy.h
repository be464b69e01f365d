/* Purpose: the EK certificate a row may come with: whether it must, whether it is believed, and the
 * grade that the key has by it.
 */
#ifndef IMPORT_EKPOLICY_H
#define IMPORT_EKPOLICY_H

#include <ekcert.h>

#include "row.h"

enum ekpolicy_use {
    EKPOLICY_IF_PRESENT, /* a certificate that is there must be in order */
    EKPOLICY_REQUIRE,    /* and it must be there; where trust is given, it must be trusted */
    EKPOLICY_IGNORE,     /* it is not looked at, save for a key that comes in it */
};
struct ekpolicy {
    enum ekpolicy_use use;
    struct ekcert_trust *trust; /* NULL: nobody is trusted */
    struct ekcert_policy rules;
};

/* A row with a certificate alone has its key in there. */
void ekpolicy_prepare(struct import_row *row);
/* Judges the certificate of a row whose key is good: sets grade, vendor, certificate, and, of what is
 * odd about it, a note in reason. The certificate takes the place of the field it was in. Any error:
 * the row is refused, and reason says why. */
MUST_USE enum err ekpolicy_apply(const struct ekpolicy *p, int64_t now_s, struct import_item *item);

/* Files of roots and intermediates, told apart by who signed them, and CRLs; PEM or DER. ERR_CONFIG,
 * ERR_IO, ERR_MEMORY; the reason names the file. */
MUST_USE enum err ekpolicy_trust_add(struct ekpolicy *p, const char *file,
                                     struct import_reason *ret_reason);
void ekpolicy_close(struct ekpolicy *p);

#endif
