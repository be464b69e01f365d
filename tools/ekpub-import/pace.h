/* Purpose: how long a transaction of the import may hold the write lock: what was measured, and the
 * share of it that the next one may spend on its rows, so that with its commit it stays below
 * PACE_LIMIT_US on a slow disk, too. All times in microseconds.
 */
#ifndef IMPORT_PACE_H
#define IMPORT_PACE_H

#include <stdint.h>

#define PACE_LIMIT_US 5000
#define PACE_STEP_US 100
#define PACE_STEPS 1000 /* of the histogram; what took longer is in the last one */

struct pace {
    int64_t rows_us; /* for the rows of the next transaction */
    uint64_t count;  /* of transactions */
    int64_t whole_us, longest_us;
    uint64_t over;   /* those above the limit */
    uint32_t steps[PACE_STEPS];
};
void pace_begin(struct pace *p);
void pace_note(struct pace *p, int64_t held_us);
/* So many of a thousand transactions took at most that long; to the step above. 0: there were none. */
int64_t pace_quantile_us(const struct pace *p, unsigned of_thousand);
/* How long to leave the lock alone, so that others who want it find it free. */
int64_t pace_rest_us(int64_t held_us);

#endif
