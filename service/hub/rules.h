/* Purpose: what the hub's protocol lets a client call itself and touch, as pure functions: user names
 * (device protocol, 8.3) and topics (8.4). No state, no I/O, nothing of the broker.
 */
#ifndef HUB_RULES_H
#define HUB_RULES_H

#include <wire/bytes.h>
#include <wire/regid.h>

/* ---- user names ---- */
#define HUB_USERNAME_MAX 1024

struct hub_username {
    struct span host;      /* empty in the plain form */
    struct regid device_id;
};
/* "{hub}/{deviceId}/?api-version=…[&…]" or plain "{deviceId}"; visible ASCII only, since the broker
 * writes user names to its log as they are. Spans point into text. ERR_UNAUTHORIZED. */
MUST_USE enum err hub_username_read(struct span text, struct hub_username *ret_username);

/* Whether a client id is a device id in its one canonical spelling. The broker tells client ids
 * apart byte for byte, so a second spelling would be a second session. ERR_REG_ID. */
MUST_USE enum err hub_client_id_read(struct span text, struct regid *ret_id);

/* ---- topics ---- */
enum hub_access { HUB_READ, HUB_WRITE, HUB_SUBSCRIBE };

/* A device publishes below devices/{id}/messages/events/, never retained (each topic would stay in
 * the broker's memory for good), and subscribes to and reads only what is below
 * devices/{id}/messages/devicebound/. client_id was checked when the client connected. */
bool hub_device_may(struct span client_id, enum hub_access access, struct span topic, bool retain);

/* The operator's consumers read and subscribe to anything below devices/ and publish to
 * devices/{id}/messages/devicebound/…, {id} being a device id. */
bool hub_backend_may(enum hub_access access, struct span topic);

/* ---- for the log ---- */
#define HUB_SHOWN_CAP 160
/* Text of a stranger, made safe for one line of a log: what is not visible ASCII, a quote or a
 * backslash becomes \xNN; cut with "..." where it is long. */
void hub_text_show(struct span text, char ret_shown[HUB_SHOWN_CAP]);

#endif
