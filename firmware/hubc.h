/* Purpose: the hub over MQTT 3.1.1, by Paho's synchronous client without threads of its own, on the
 * hal's transport. One hub at a time in a process (see hubport.h). */
#ifndef FIRMWARE_HUBC_H
#define FIRMWARE_HUBC_H

#include <firmware/provision.h>

struct hubc {
    struct provision_hub table;
    struct hal_transport *transport;
    struct hal_clock *clock;
    uint32_t timeout_ms;
    void *client; /* MQTTClient */
};

/* timeout_ms bounds connecting, and each publish with its acknowledgement. */
void hubc_init(struct hubc *h, struct hal_transport *transport, struct hal_clock *clock,
               uint32_t timeout_ms);

#endif
