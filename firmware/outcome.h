/* Purpose: how cradle-device ends: the exit status of an error, and the reason on one line. */
#ifndef FIRMWARE_OUTCOME_H
#define FIRMWARE_OUTCOME_H

#include <wire/err.h>

/* Beside EXIT_SUCCESS; docs/device.md tells what each asks of whoever started the program. */
enum {
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3,
    EXIT_TPM = 4,
    EXIT_NETWORK = 5,
    EXIT_SERVICE = 6,
    EXIT_HUB = 7,
    EXIT_STORAGE = 8,
    EXIT_CLOCK = 9,
};
#define EXIT_TEXT                                                                                  \
    "Exit status: 0 published; 1 other failure; 2 usage or configuration; 3 the service refuses "  \
    "this device; 4 TPM; 5 network or TLS; 6 the service's answer; 7 the hub refuses; 8 storage; " \
    "9 the time cannot be known."

int outcome_status(enum err e);
const char *outcome_reason(enum err e); /* static; a sentence */

#endif
