#include "hubc.h"
#include "hubport.h"

#include <MQTTClient.h>
#include <string.h>
#include <wire/names.h>

#define KEEP_ALIVE_S 60
#define NAP_MS 5000 /* longest wait without letting Paho look at its keep-alive */
#define USER_NAME_CAP 448
#define HUB_API_VERSION "2021-04-12"

/* CONNACK return codes, MQTT 3.1.1 section 3.2.2.3 */
#define CONNACK_IDENTIFIER_REJECTED 2
#define CONNACK_SERVER_UNAVAILABLE 3
#define CONNACK_BAD_CREDENTIALS 4
#define CONNACK_NOT_AUTHORIZED 5

static struct hubc *mine(struct provision_hub *table)
{
    return (struct hubc *)table;
}

static void hub_close(struct provision_hub *table)
{
    struct hubc *h = mine(table);
    if (h->client) {
        MQTTClient client = h->client;
        (void)MQTTClient_disconnect(client, 0);
        MQTTClient_destroy(&client);
        h->client = NULL;
    }
    hubport_detach();
    h->transport->close(h->transport);
}

static enum err err_from_connack(int code)
{
    switch (code) {
    case MQTTCLIENT_SUCCESS:
        return ERR_OK;
    case CONNACK_IDENTIFIER_REJECTED:
    case CONNACK_BAD_CREDENTIALS:
    case CONNACK_NOT_AUTHORIZED:
        return ERR_HUB_REFUSED;
    case CONNACK_SERVER_UNAVAILABLE:
        return ERR_UNAVAILABLE;
    default:
        return code > 0 ? ERR_PROTOCOL : ERR_NETWORK;
    }
}

static enum err user_name_write(const char *host, const char *device_id, char *ret_text, size_t cap)
{
    struct buf out = buf_over(ret_text, cap);
    buf_put_text(&out, host);
    buf_put_text(&out, "/");
    buf_put_text(&out, device_id);
    buf_put_text(&out, "/?" NAME_API_VERSION "=" HUB_API_VERSION);
    return buf_end_text(&out);
}

/* The address is never looked up: the stream is there already. */
static enum err mqtt_connect(struct hubc *h, const char *host, const char *device_id,
                             const char *sas_token)
{
    char user_name[USER_NAME_CAP];
    TRY(user_name_write(host, device_id, user_name, sizeof user_name));
    MQTTClient client;
    if (MQTTClient_create(&client, "tcp://hub:8883", device_id, MQTTCLIENT_PERSISTENCE_NONE,
                          NULL) != MQTTCLIENT_SUCCESS)
        return ERR_MEMORY;
    h->client = client;
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.keepAliveInterval = KEEP_ALIVE_S;
    options.cleansession = 1;
    options.connectTimeout = (int)(h->timeout_ms / 1000);
    options.username = user_name;
    options.password = sas_token;
    return err_from_connack(MQTTClient_connect(client, &options));
}

static enum err hub_connect(struct provision_hub *table, const char *host, uint16_t port,
                            const char *device_id, const char *sas_token, int64_t now_s)
{
    struct hubc *h = mine(table);
    struct hal_peer peer;
    ERR_ASSERT(now_s != 0); /* so that the transport checks the dates */
    TRY(h->transport->open(h->transport, host, port, now_s, h->timeout_ms, &peer));
    hubport_attach(h->transport, h->timeout_ms);
    enum err e = mqtt_connect(h, host, device_id, sas_token);
    if (e != ERR_OK)
        hub_close(table);
    return e;
}

/* Lets Paho take one packet, if there is one, and look at its keep-alive; never waits. (Its yield
 * and its wait for completion always last a tenth of a second.) */
static void take_packet(struct hubc *h)
{
    char *topic = NULL;
    int topic_len = 0;
    MQTTClient_message *message = NULL;
    (void)MQTTClient_receive(h->client, &topic, &topic_len, &message, 0);
    if (message)
        MQTTClient_freeMessage(&message);
    if (topic)
        MQTTClient_free(topic);
}

static bool is_delivered(struct hubc *h)
{
    MQTTClient_deliveryToken *pending = NULL;
    int rc = MQTTClient_getPendingDeliveryTokens(h->client, &pending);
    bool none = rc == MQTTCLIENT_SUCCESS && (!pending || pending[0] == -1);
    if (pending)
        MQTTClient_free(pending);
    return none;
}

/* Until the time is over, or until what was published is acknowledged. */
static enum err attend(struct hubc *h, uint32_t ms, bool until_delivered)
{
    uint64_t end_ms = h->clock->monotonic_ms(h->clock) + ms;
    for (;;) {
        if (!h->client || !MQTTClient_isConnected(h->client))
            return ERR_NETWORK;
        if (until_delivered && is_delivered(h))
            return ERR_OK;
        if (hubport_is_gone())
            return ERR_NETWORK;
        uint64_t now_ms = h->clock->monotonic_ms(h->clock);
        if (now_ms >= end_ms)
            return until_delivered ? ERR_TIMEOUT : ERR_OK;
        hubport_wait(end_ms - now_ms < NAP_MS ? (uint32_t)(end_ms - now_ms) : NAP_MS);
        take_packet(h);
    }
}

static enum err hub_publish(struct provision_hub *table, const char *topic, struct span payload)
{
    struct hubc *h = mine(table);
    if (!h->client)
        return ERR_NETWORK;
    if (MQTTClient_publish(h->client, topic, (int)payload.len, payload.at, 1, 0, NULL) !=
        MQTTCLIENT_SUCCESS)
        return ERR_NETWORK;
    return attend(h, h->timeout_ms, true);
}

static enum err hub_idle(struct provision_hub *table, uint32_t ms)
{
    return attend(mine(table), ms, false);
}

void hubc_init(struct hubc *h, struct hal_transport *transport, struct hal_clock *clock,
               uint32_t timeout_ms)
{
    *h = (struct hubc){
        .table = {.connect = hub_connect, .publish = hub_publish, .idle = hub_idle,
                  .close = hub_close},
        .transport = transport,
        .clock = clock,
        .timeout_ms = timeout_ms,
    };
}
