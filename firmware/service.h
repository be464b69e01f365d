/* Purpose: the requests a device makes of the service, and the tokens it shows, as text. */
#ifndef FIRMWARE_SERVICE_H
#define FIRMWARE_SERVICE_H

#include <wire/regid.h>
#include <wire/sas.h>
#include <wire/tpmpub.h>

#define SERVICE_PATH_CAP 512
#define SERVICE_SR_CAP 512
#define SERVICE_PAYLOAD_MAX 2048
#define SERVICE_BODY_CAP 4096

/* /{idScope}/registrations/{id}/register?…, or …/operations/{operationId}?… */
void service_register_path(struct buf *out, const char *id_scope, const struct regid *id);
void service_operation_path(struct buf *out, const char *id_scope, const struct regid *id,
                            const char *operation_id);

/* payload: a JSON value as text, or NULL. */
void service_register_body(struct buf *out, const struct regid *id, const struct tpm_public *ek,
                           const struct tpm_public *srk, const char *payload);

/* What a token speaks for, percent-encoded as a whole: {idScope}/registrations/{id} at the service,
 * {hub}/devices/{deviceId} at the hub. */
void service_sr(struct buf *out, const char *id_scope, const struct regid *id);
void hub_sr(struct buf *out, const char *hub, const char *device_id);

#endif
