#include "pace.h"

/* Far below the limit: what the commit and the machine's other work add is not known before. */
#define AIM_US (PACE_LIMIT_US * 2 / 5)
#define ROWS_MAX_US 1600
#define ROWS_MIN_US 50

void pace_begin(struct pace *p)
{
    *p = (struct pace){.rows_us = ROWS_MAX_US / 2};
}

static int64_t within(int64_t low, int64_t value, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

void pace_note(struct pace *p, int64_t held_us)
{
    int64_t step = within(0, held_us / PACE_STEP_US, PACE_STEPS - 1);
    p->steps[step]++;
    p->count++;
    p->whole_us += held_us;
    p->over += held_us > PACE_LIMIT_US;
    p->longest_us = held_us > p->longest_us ? held_us : p->longest_us;
    int64_t next = held_us > AIM_US ? p->rows_us * 3 / 4 : p->rows_us + p->rows_us / 16 + 1;
    p->rows_us = within(ROWS_MIN_US, next, ROWS_MAX_US);
}

int64_t pace_quantile_us(const struct pace *p, unsigned of_thousand)
{
    uint64_t below = 0;
    for (int i = 0; i < PACE_STEPS; i++) {
        below += p->steps[i];
        if (below > 0 && below * 1000 >= p->count * of_thousand)
            return (int64_t)(i + 1) * PACE_STEP_US;
    }
    return 0;
}

int64_t pace_rest_us(int64_t held_us)
{
    return within(0, held_us / 8, PACE_LIMIT_US);
}
