/* Purpose: a device's first and every later boot, as a state machine that is stepped.
 *
 *   state        does                                             then
 *   START        reads the stored assignment                      HUB if there is one, else TPM
 *   TPM          EK and SRK: read, or create and persist          REQUEST
 *   REQUEST      PUT register without token, gets the challenge   ACTIVATE
 *   ACTIVATE     the TPM opens it, imports and persists the key   PROVE
 *   PROVE        PUT register with the TPM's token                POLL, or ADOPT if assigned at once
 *   POLL         GET the operation until it ends                  ADOPT
 *   ADOPT        the TPM imports the hub key; stores the          HUB
 *                assignment, all or nothing
 *   TIME         asks the service for the time, where the clock   HUB
 *                is unknown on a later boot
 *   HUB          connects to the hub and publishes                DONE; TPM again if refused
 *   WAIT         backs off: exponential, jittered, at least the   the state that failed, or TPM
 *                service's Retry-After
 *   DONE, FAILED end states
 *
 * No heap: everything lives in struct provision. The caller steps until an end state; each step is
 * bounded in time by provision_config.step_timeout_ms and the TPM's own speed.
 */
#ifndef FIRMWARE_PROVISION_H
#define FIRMWARE_PROVISION_H

#include <hal/hal.h>
#include <wire/regid.h>
#include <wire/tpmpub.h>

enum provision_state {
    PROVISION_START, PROVISION_TPM, PROVISION_REQUEST, PROVISION_ACTIVATE, PROVISION_PROVE,
    PROVISION_POLL, PROVISION_ADOPT, PROVISION_TIME, PROVISION_HUB, PROVISION_WAIT, PROVISION_DONE,
    PROVISION_FAILED,
};
const char *provision_state_name(enum provision_state s);

struct provision_config {
    const char *service_host;
    uint16_t service_port;
    const char *id_scope;
    const char *registration_id; /* NULL: derived from the EK */
    const char *ca_file;         /* PEM, for the hub connection */
    uint16_t hub_port;
    const char *payload;         /* JSON: sent with the registration and published as telemetry */
    uint32_t step_timeout_ms;    /* 0: 15,000 */
    uint32_t attempts_max;       /* failed attempts before FAILED; 0: no limit */
};

/* The hub, as the state machine sees it; hubc.c implements it over Paho. */
struct provision_hub {
    /* ERR_HUB_REFUSED when the hub answered but will not have the device. */
    enum err (*connect)(struct provision_hub *h, const char *host, uint16_t port,
                        const char *device_id, const char *sas_token, int64_t now_s);
    enum err (*publish)(struct provision_hub *h, const char *topic, struct span payload);
    void (*close)(struct provision_hub *h);
};

struct provision;
#define PROVISION_SIZE 24576 /* bytes, so that the caller can place it */
union provision_memory {
    max_align_t align;
    uint8_t bytes[PROVISION_SIZE];
};

struct provision *provision_init(union provision_memory *memory, const struct hal *hal,
                                 struct provision_hub *hub, const struct provision_config *config);

/* Does the current state's work; returns the state it went to. */
enum provision_state provision_step(struct provision *p);

/* What the last step met, and whether the machine waits because of it. */
enum err provision_last_error(const struct provision *p);
uint32_t provision_wait_ms(const struct provision *p);     /* in WAIT: how long the next step sleeps */
const char *provision_registration_id(const struct provision *p); /* "" before the TPM was read */
const char *provision_assigned_hub(const struct provision *p);    /* "" before */
const char *provision_device_id(const struct provision *p);       /* "" before */

/* Closes what is open and wipes everything. */
void provision_end(struct provision *p);

#endif
