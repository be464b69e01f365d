#include "parts.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#define YEAR_2020_S 1577836800
#define YEAR_2100_S 4102444800

static int64_t wall_s(struct hal_clock *c)
{
    (void)c;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_sec < YEAR_2020_S ||
        now.tv_sec >= YEAR_2100_S)
        return 0;
    return now.tv_sec;
}

/* CLOCK_BOOTTIME goes on while the machine sleeps, as the peers' clocks do. */
uint64_t linux_now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t monotonic_ms(struct hal_clock *c)
{
    (void)c;
    return linux_now_ms();
}

static void sleep_ms(struct hal_clock *c, uint32_t ms)
{
    (void)c;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static enum err fill(struct hal_entropy *e, uint8_t *ret_bytes, size_t len)
{
    (void)e;
    for (size_t done = 0; done < len;) {
        ssize_t got = getrandom(ret_bytes + done, len - done, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ERR_ENTROPY;
        done += (size_t)got;
    }
    return ERR_OK;
}

const struct hal_clock linux_clock = {
    .wall_s = wall_s, .monotonic_ms = monotonic_ms, .sleep_ms = sleep_ms};
const struct hal_entropy linux_entropy = {.fill = fill};
