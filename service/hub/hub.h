/* Purpose: who may be at this hub, and for how long. All of the plugin's decisions, without the
 * broker: plugin.c brings its events here and carries the answers out.
 *
 * A device is let in with a SAS token over {hub}/devices/{deviceId}, signed with the hub key of its
 * registration's current generation, while its enrollment is enabled and it is assigned to this hub.
 * Its session ends with the token (which then opens no other, though a token that is first seen a
 * little late is taken, for slow clocks), and as soon as any of that is no longer so: hub_tick looks again
 * whenever the databases may have changed, a slice of the sessions at a time, so that a busy line
 * does not hold up the broker.
 *
 * One thread. Times are handed in: wall_s seconds since 1970, mono_ms of a clock that never steps.
 */
#ifndef HUB_H
#define HUB_H

#include "rules.h"
#include "sessions.h"

#include <config.h>

#define HUB_TICK_MS 100          /* work is done at most this often */
#define HUB_ROUND_MS 1000        /* a look at all sessions begins at most this often */
#define HUB_ROUND_TICKS 20       /* and is spread over so many ticks, */
#define HUB_SLICE_MIN 64         /* unless there are few */
#define HUB_SUBSCRIPTIONS_MAX 16 /* of one device */
#define HUB_SPENT_MARKS 4096     /* expired tokens remembered; the newest stay */

/* Why somebody is refused or sent away; for the log, clients only learn that they are. */
#define HUB_VERDICTS(X)                                                                            \
    X(WELCOME, "welcome")                                                                          \
    X(ANONYMOUS, "no user name or no password")                                                    \
    X(USERNAME, "the user name is neither {hub}/{deviceId}/?api-version=... nor a device id")      \
    X(OTHER_HUB, "the user name names another hub")                                                \
    X(CLIENT_ID, "the client id is not the device id of the user name")                            \
    X(TOKEN, "the password is not a shared access signature")                                      \
    X(AUDIENCE, "the token is for another resource")                                               \
    X(EXPIRED, "the token has expired or is valid for too long")                                   \
    X(SPENT, "the token has expired, a session ended with it")                                     \
    X(SIGNATURE, "the token was not signed with the device's current key")                         \
    X(UNKNOWN, "the device is not provisioned")                                                    \
    X(DISABLED, "the enrollment is disabled")                                                      \
    X(ELSEWHERE, "the device is assigned to another hub")                                          \
    X(OTHER_KEY, "the enrollment has another endorsement key now")                                 \
    X(NEWER, "the device has been provisioned anew")                                               \
    X(TOKEN_END, "the token's time is over")                                                       \
    X(PASSWORD, "wrong password for the back-end account")                                         \
    X(THROTTLED, "too many tries for the back-end account")                                        \
    X(TROUBLE, "this cannot be decided now")
enum hub_verdict {
#define HUB_VERDICT(name, text) HUB_##name,
    HUB_VERDICTS(HUB_VERDICT)
#undef HUB_VERDICT
};
const char *hub_verdict_text(enum hub_verdict v);

struct hub;
/* ERR_CONFIG (with a reason: no such hub, unreadable secret), and what the store reports. */
MUST_USE enum err hub_open(const char *data_dir, const char *hub_name, struct hub **ret_hub,
                           struct config_reason *ret_reason);
void hub_close(struct hub *h);
/* Reads configuration and hub root again; on an error all stays as it was. */
MUST_USE enum err hub_reload(struct hub *h, struct config_reason *ret_reason);
const char *hub_host(const struct hub *h);

struct hub_connect {
    const void *client; /* the broker's handle */
    struct span client_id, username, password;
    struct span address;
    int64_t wall_s, mono_ms;
};
/* HUB_WELCOME: the session is watched from now on, until hub_disconnect. HUB_TROUBLE: not the
 * client's fault, so do not tell it that it is refused. */
enum hub_verdict hub_connect(struct hub *h, const struct hub_connect *c);
void hub_disconnect(struct hub *h, const void *client);
bool hub_knows(const struct hub *h, const void *client);

struct hub_use {
    struct span client_id, username; /* of a client that was let in, now or before */
    enum hub_access access;
    struct span topic;
    bool retain;
    int subscriptions; /* it has already */
};
bool hub_may(const struct hub *h, const struct hub_use *use);

/* Calls `end` for each session that must end; the session is forgotten by then. */
void hub_tick(struct hub *h, int64_t wall_s, int64_t mono_ms,
              void (*end)(void *context, const struct session *row, enum hub_verdict why),
              void *context);

#endif
