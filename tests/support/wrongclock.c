/* Preloaded: the wall clock says WRONG_CLOCK, in seconds since 1970, and goes on from there; all other
 * clocks are right. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

typedef int clock_reader(clockid_t, struct timespec *);

static clock_reader *real(void)
{
    static clock_reader *found;
    if (!found)
        *(void **)(&found) = dlsym(RTLD_NEXT, "clock_gettime");
    return found;
}

int clock_gettime(clockid_t id, struct timespec *ret_now)
{
    static time_t start_s;
    const char *wrong = getenv("WRONG_CLOCK");
    if (!wrong || id != CLOCK_REALTIME)
        return real()(id, ret_now);
    struct timespec since;
    if (real()(CLOCK_MONOTONIC, &since) != 0)
        return -1;
    if (start_s == 0)
        start_s = since.tv_sec;
    ret_now->tv_sec = (time_t)strtoll(wrong, NULL, 10) + since.tv_sec - start_s;
    ret_now->tv_nsec = 0;
    return 0;
}
