/* The contract of hal.h in unit tests: what a port has to keep, and what a broken one has to be found
 * out by. Include after unit.h. */
#ifndef SUPPORT_CONTRACT_H
#define SUPPORT_CONTRACT_H

#include <halcheck.h>

static inline void assert_kept(const char *broken)
{
    if (broken)
        fail_msg("%s", broken);
}

/* With the promise's first word, so that another check's failure is none. */
static inline void assert_broken(const char *of, const char *mutant, const char *broken)
{
    if (!broken || strncmp(broken, of, strlen(of)) != 0)
        fail_msg("%s is not noticed: %s", mutant, broken ? broken : "all promises kept");
}

#endif
