/* Purpose: a device's first and every later boot, as a state machine that is stepped.
 *
 *   state        does                                             then
 *   START        reads the stored assignment                      HUB if there is one, else TPM
 *   TPM          EK and SRK: read, or create and persist          REQUEST
 *   REQUEST      PUT register without token, gets the challenge   ACTIVATE
 *   ACTIVATE     forgets a stored assignment; the TPM opens the   PROVE
 *                challenge and signs a token with its key
 *   PROVE        PUT register with that token                     WAIT for POLL, or ADOPT if
 *                                                                 assigned at once
 *   POLL         GET the operation                                the same
 *   ADOPT        the TPM imports the hub key; stores the          HUB
 *                assignment (and the key, wrapped, if it cannot
 *                persist), all or nothing
 *   TIME         asks the service for the time, where the clock   HUB
 *                is unknown on a later boot
 *   HUB          connects to the hub and publishes                DONE; TPM again if refused, or if
 *                                                                 its key is gone; TIME
 *   WAIT         backs off: exponential, jittered, at least the   the state that failed, or TPM
 *                service's Retry-After (backoff.h)
 *   DONE         provision_stay
 *   FAILED       nothing can help, or attempts_max is reached. Without a limit a device that is
 *                not enrolled waits and asks again: the list may come later
 *
 * A hub that could not be reached eight times in a row (or one time less than attempts_max) may have
 * been replaced: the service is asked, and where it cannot be, the hub is tried again. A hub that lets
 * the device in and drops it before it has stayed for a while counts as a failure, not as a new start.
 *
 * An assignment is stored only while its key is in the TPM, or with it: what leads to another key
 * forgets it first. A slot that is not whole counts as none.
 *
 * Time: TLS goes by the wall clock. Where that is unknown, the first connection is made without
 * checking dates; the Date of the first answer on it, an authenticated one, becomes the time, the
 * peer's dates are checked against it, and only then is the answer used. Tokens go by the service's
 * time wherever it has told it.
 *
 * No heap: everything lives in struct provision. The caller steps until an end state; each step is
 * bounded in time by provision_config.step_timeout_ms and the TPM's own speed. One machine at a time
 * in a process: cJSON and Paho keep state of their own.
 */
#ifndef FIRMWARE_PROVISION_H
#define FIRMWARE_PROVISION_H

#include <firmware/tpm.h>
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
    uint16_t hub_port;
    const char *payload;         /* a JSON value, at most 2,048 bytes: sent with the registration and
                                  * published as telemetry; NULL: none, and {} */
    uint32_t step_timeout_ms;    /* 0: 15,000 */
    bool read_ek_certificate;    /* for the report; costs nothing where the choice of the EK read it */
    struct tpm_choice tpm;       /* zero: TPM_EK_AUTO, no owner authorisation */
    uint32_t attempts_max;       /* failed attempts before FAILED; 0: no limit */
};

/* The hub, as the state machine sees it; hubc.c implements it over Paho. */
struct provision_hub {
    /* ERR_HUB_REFUSED when the hub answered but will not have the device. */
    enum err (*connect)(struct provision_hub *h, const char *host, uint16_t port,
                        const char *device_id, const char *sas_token, int64_t now_s);
    /* Returns when the hub has acknowledged. */
    enum err (*publish)(struct provision_hub *h, const char *topic, struct span payload);
    /* Attends the connection for that long. ERR_NETWORK: it is lost. */
    enum err (*idle)(struct provision_hub *h, uint32_t ms);
    void (*close)(struct provision_hub *h);
};

struct provision;
#define PROVISION_SIZE 28672 /* bytes, so that the caller can place it */
union provision_memory {
    max_align_t align;
    uint8_t bytes[PROVISION_SIZE];
};

struct provision *provision_init(union provision_memory *memory, const struct hal *hal,
                                 struct provision_hub *hub, const struct provision_config *config);

/* Does the current state's work; returns the state it went to. */
enum provision_state provision_step(struct provision *p);

/* In DONE: attends the hub for ms, then publishes the payload again; connects anew before the token
 * ends. Returns DONE, or the state that mends what happened. */
enum provision_state provision_stay(struct provision *p, uint32_t ms);

/* What the last step met: ERR_OK, why the machine waits or has failed, or why HUB led to TPM
 * (ERR_HUB_REFUSED; ERR_ABSENT: the key was gone). */
enum err provision_last_error(const struct provision *p);
uint32_t provision_wait_ms(const struct provision *p);     /* in WAIT: how long the next step sleeps */
const char *provision_registration_id(const struct provision *p); /* "" before the TPM was read */
const char *provision_assigned_hub(const struct provision *p);    /* "" before */
const char *provision_device_id(const struct provision *p);       /* "" before */

/* Details for people; zero and "" where there are none. */
struct provision_report {
    const struct tpm_public *ek, *srk; /* NULL before the TPM was read */
    struct tpm_place ek_place, srk_place;
    enum tpm_ek_why ek_why;
    uint32_t identity_handle;          /* of the hub key; 0: it is wrapped, with the assignment */
    enum tpm_unkept identity_unkept;   /* why */
    bool identity_replaced;            /* an older identity key was removed for it */
    enum err certificate_error;        /* of reading the EK certificate, where that was asked for:
                                        * ERR_ABSENT, ERR_PROTOCOL, ERR_TPM, ERR_TPM_TRANSPORT */
    uint32_t certificate_nv_index;     /* 0: not asked for, or not read */
    uint16_t certificate_len;
    bool certificate_is_of_ek;
    uint32_t tpm_code;                 /* the TPM's last response code that was an error */
    int32_t service_code;              /* the six digits of the last refusal */
    const char *service_message;
    bool time_from_service;            /* the wall clock is unknown */
};
struct provision_report provision_report(const struct provision *p);

/* Closes what is open and wipes everything. */
void provision_end(struct provision *p);

#endif
