#include "outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static const struct {
    const char *reason; /* NULL: not in the table */
    int status;
} table[ERR_COUNT] = {
#define OUTCOME(error, exit_status, why) [ERR_##error] = {why, exit_status},
#include "outcome.def"
#undef OUTCOME
};

static bool is_known(enum err e)
{
    return (size_t)e < ERR_COUNT && table[e].reason;
}

int outcome_status(enum err e)
{
    return is_known(e) ? table[e].status : EXIT_SERVICE;
}

const char *outcome_reason(enum err e)
{
    return is_known(e) ? table[e].reason : err_text(e);
}
