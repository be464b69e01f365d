#include "backoff.h"

uint32_t backoff_ms(unsigned failures, uint32_t retry_after_s, uint32_t random)
{
    uint32_t most_ms = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < failures && most_ms < BACKOFF_MOST_MS; i++)
        most_ms *= 2;
    if (most_ms > BACKOFF_MOST_MS)
        most_ms = BACKOFF_MOST_MS;
    uint32_t wait_ms = most_ms / 2 + random % (most_ms / 2 + 1);
    uint32_t told_ms = retry_after_s * 1000;
    return wait_ms > told_ms ? wait_ms : told_ms + random % (told_ms / 4 + 1);
}
