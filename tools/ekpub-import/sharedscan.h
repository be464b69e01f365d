/* Purpose: the pass over all inputs that goes before a run with --shared-factors, since only the whole
 * list tells which of its keys share primes; and what it says of each row afterwards. Endorsement
 * keys and storage root keys of all rows are compared, also those of rows that will be refused, but
 * not with keys that are enrolled already.
 */
#ifndef IMPORT_SHAREDSCAN_H
#define IMPORT_SHAREDSCAN_H

#include "run.h"

struct sharedscan;
/* Says on standard error how far it is. Keeps the arguments. ERR_CONFIG: an input that cannot be read
 * twice; ERR_UNAVAILABLE: interrupted; inputs_open's and sharedprimes_search's errors; with a reason. */
MUST_USE enum err sharedscan_open(const struct import_args *args, struct sharedscan **ret_scan,
                                  struct import_reason *ret_reason);
void sharedscan_close(struct sharedscan *s); /* NULL is fine */

/* Of an enrollment made from a row of these inputs. ERR_KEY_WEAK with a reason; several threads may
 * ask. */
MUST_USE enum err sharedscan_judge(const struct sharedscan *s, const struct store_enrollment *e,
                                   struct import_reason *ret_reason);

#endif
