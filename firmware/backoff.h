/* Purpose: how long a device waits before it tries again.
 *
 *   the n-th failure in a row    a random time in the upper half of 2^(n-1) seconds, at most
 *                                BACKOFF_MOST_MS
 *   the service says Retry-After at least that long, and up to a quarter more: devices that were sent
 *                                away together do not come back together
 *
 * So there are at most 2 tries in the first second, 7 in the first minute, and then ever fewer down to
 * one in two and a half to five minutes.
 */
#ifndef FIRMWARE_BACKOFF_H
#define FIRMWARE_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS 1000u
#define BACKOFF_MOST_MS 300000u

/* failures: in a row, at least 1. retry_after_s: 0 if none was told, else at most
 * HTTPC_RETRY_AFTER_MAX_S. random: any number; 0 is the shortest wait. */
uint32_t backoff_ms(unsigned failures, uint32_t retry_after_s, uint32_t random);

#endif
