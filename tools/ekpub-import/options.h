/* Purpose: what a run or a row says of its devices beyond their keys: tags, linked hubs, allocation,
 * initial twin, and whether they may be provisioned yet. What a row says goes before what the run
 * says.
 */
#ifndef IMPORT_OPTIONS_H
#define IMPORT_OPTIONS_H

#include "row.h"

struct import_options {
    struct store_profile profile;
    bool disabled;
};

/* tags and hubs: names separated by commas or blanks, or a JSON array of them; a twin is a JSON
 * object. ERR_ENCODING with a reason that names the column. */
MUST_USE enum err options_set(struct import_options *o, enum import_column column,
                              struct span text, struct import_reason *ret_reason);
/* Whether the row has any column that makes its profile another one than the run's. */
bool options_has_profile(const struct import_row *row);
/* The row's own over those of the run, which it comes with. */
MUST_USE enum err options_read(const struct import_row *row, struct import_options *o,
                               struct import_reason *ret_reason);

#endif
