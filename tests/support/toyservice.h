/* Purpose: the other side of a boot, for tests of the device's state machine: a service that answers
 * over the fake transport and a hub that stands in for MQTT. Both check what they are shown as the
 * real ones do; the activation blobs they give are for toytpm, or made by wrap.
 */
#ifndef SUPPORT_TOYSERVICE_H
#define SUPPORT_TOYSERVICE_H

#include <firmware/provision.h>
#include <hal/fake.h>

#define TOY_SCOPE "0ne000A0001"
#define TOY_HUB "hub.example.net"
#define TOY_DEVICE "pump-1"
#define TOY_REQUESTS 8

struct toyservice {
    struct fake_clock *clock; /* the service's time goes on with it … */
    int64_t time_s;           /* … from here */
    bool tells_time;          /* sends Date */
    unsigned polls_before_assigned;
    uint32_t retry_after_s;
    void (*wrap)(void *context, const uint8_t key[32], struct buf *out); /* NULL: for toytpm */
    void *wrap_context;
    const char *raw[TOY_REQUESTS]; /* the n-th request gets this instead, where there is one */
    const char *storm;        /* every request does, where this is set; "": silence */
    const char *hub;          /* where it assigns devices to; TOY_HUB */

    unsigned requests, proofs, polls;
    uint8_t nonce_key[32], hub_key[32];
    char last_path[256];
    bool saw_payload;
};
void toyservice_init(struct toyservice *s, struct fake_clock *clock, int64_t time_s);
fake_peer toyservice_serve;   /* context: the toyservice */

struct toyhub {
    struct provision_hub table;
    struct toyservice *service;
    struct fake_transport *transport; /* must be closed when the hub is joined */
    unsigned refuse;                  /* so many of the next connects */
    enum err connect_error;           /* every connect, if not ERR_OK … */
    const char *dead;                 /* … or if it is to this host, ERR_NETWORK */
    enum err publish_error, idle_error; /* the next one */
    bool is_open;
    unsigned connects, publishes;
    uint32_t idled_ms;
    int64_t last_now_s;
    char last_topic[160], last_payload[64];
};
void toyhub_init(struct toyhub *h, struct toyservice *service, struct fake_transport *transport);

#endif
