/* What a fuzz target needs. A property that does not hold aborts: libFuzzer and the replay driver
 * both report that together with the input. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wire/bytes.h>
#include <wire/err.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST_HOLD(x) ERR_ASSERT(x)

#endif
