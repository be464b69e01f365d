/* Purpose: the ground under Paho. Its archive without TLS is linked so that its socket calls end
 * here (paho/onto-hal), and go on over the hal's transport: one TLS stack, and one place where a
 * peer is verified, for the service and the hub alike.
 *
 * Paho's functions carry no context, so there is one stream at a time.
 */
#ifndef FIRMWARE_HUBPORT_H
#define FIRMWARE_HUBPORT_H

#include <hal/hal.h>

/* An open stream for Paho's next connection; lost forgets it. Opening and closing it is the
 * caller's. send_timeout_ms bounds each write. */
void hubport_attach(struct hal_transport *stream, uint32_t send_timeout_ms);
void hubport_detach(void);
/* Waits until there is something for Paho to read, or the stream is gone. */
void hubport_wait(uint32_t timeout_ms);
bool hubport_is_gone(void); /* and everything that came before has been read */

#endif
