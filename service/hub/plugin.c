/* The plugin as the broker (Mosquitto 2, plugin interface 5) sees it: events in, answers out. What is
 * decided, and why, is hub.c's. */
#include "hub.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <string.h>
#include <time.h>

#define EXPORTED __attribute__((visibility("default")))

struct plugin {
    struct hub *hub;
    mosquitto_plugin_id_t *id;
    bool ticks;     /* the broker has called on_tick at least once */
    bool reloading; /* from a reload until the next tick */
    bool kicking;   /* a session is being ended right now */
};

static struct plugin plugin;

static int64_t clock_read(clockid_t which, int64_t unit_per_s)
{
    struct timespec t;
    ERR_ASSERT(clock_gettime(which, &t) == 0);
    return (int64_t)t.tv_sec * unit_per_s + t.tv_nsec / (1000000000 / unit_per_s);
}

static int64_t wall_s(void)
{
    return clock_read(CLOCK_REALTIME, 1);
}

static int64_t mono_ms(void)
{
    return clock_read(CLOCK_MONOTONIC, 1000);
}

/* ---- connecting ---- */
static void log_refusal(const struct hub_connect *c, enum hub_verdict why)
{
    char id[HUB_SHOWN_CAP], user[HUB_SHOWN_CAP], address[HUB_SHOWN_CAP];
    hub_text_show(c->client_id, id);
    hub_text_show(c->username, user);
    hub_text_show(c->address, address);
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "cradle: refused client '%s' user '%s' from %s: %s", id,
                         user, address, hub_verdict_text(why));
}

/* On a reload the broker asks again about every session it keeps, those of absent clients too, and
 * refusing an absent one damages its list of expiring sessions. An absent client can do nothing
 * before it connects anew and is checked then. Over plain connections no new client can come
 * between reload and tick; over websockets one can, and is checked. */
static bool is_absent(const struct mosquitto *client)
{
    return plugin.ticks && plugin.reloading && !hub_knows(plugin.hub, client) &&
           mosquitto_client_protocol(client) != mp_websockets;
}

static int on_basic_auth(int event, void *data, void *userdata)
{
    (void)event, (void)userdata;
    struct mosquitto_evt_basic_auth *e = data;
    if (is_absent(e->client))
        return MOSQ_ERR_SUCCESS;
    struct hub_connect c = {
        .client = e->client,
        .client_id = span_text(mosquitto_client_id(e->client)),
        .username = span_text(e->username),
        .password = span_text(e->password),
        .address = span_text(mosquitto_client_address(e->client)),
        .wall_s = wall_s(),
        .mono_ms = mono_ms(),
    };
    /* The first tick comes before the first CONNECT can, but never with per_listener_settings. */
    if (!plugin.ticks) {
        mosquitto_log_printf(MOSQ_LOG_ERR, "cradle: the broker does not tick, so no session would "
                                           "end; set per_listener_settings false");
        return MOSQ_ERR_UNKNOWN;
    }
    enum hub_verdict v = hub_connect(plugin.hub, &c);
    if (v == HUB_WELCOME)
        return MOSQ_ERR_SUCCESS;
    log_refusal(&c, v);
    /* A device that is told it is refused provisions anew: no help when the fault is here. */
    return v == HUB_TROUBLE ? MOSQ_ERR_UNKNOWN : MOSQ_ERR_AUTH;
}

static int on_disconnect(int event, void *data, void *userdata)
{
    (void)event, (void)userdata;
    struct mosquitto_evt_disconnect *e = data;
    hub_disconnect(plugin.hub, e->client);
    return MOSQ_ERR_SUCCESS;
}

/* ---- topics ---- */
static int on_acl_check(int event, void *data, void *userdata)
{
    (void)event, (void)userdata;
    struct mosquitto_evt_acl_check *e = data;
    struct hub_use use = {
        .client_id = span_text(mosquitto_client_id(e->client)),
        .username = span_text(mosquitto_client_username(e->client)),
        .topic = span_text(e->topic),
        .retain = e->retain,
    };
    switch (e->access) {
    case MOSQ_ACL_READ:
        use.access = HUB_READ;
        break;
    case MOSQ_ACL_WRITE:
        use.access = HUB_WRITE;
        break;
    case MOSQ_ACL_SUBSCRIBE:
        use.access = HUB_SUBSCRIBE;
        /* When a session is ended the broker asks about its subscriptions once more: none is new. */
        use.subscriptions = plugin.kicking ? 0 : mosquitto_client_sub_count(e->client);
        break;
    case MOSQ_ACL_UNSUBSCRIBE:
        return MOSQ_ERR_SUCCESS;
    default:
        return MOSQ_ERR_ACL_DENIED;
    }
    return hub_may(plugin.hub, &use) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* ---- watching ---- */
static void end_session(void *context, const struct session *row, enum hub_verdict why)
{
    (void)context;
    /* A will speaks for a device that is still trusted, not for one that was turned off. */
    bool with_will = why == HUB_TOKEN_END;
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "cradle: ending the session of '%s': %s",
                         row->device_id.text, hub_verdict_text(why));
    plugin.kicking = true;
    (void)mosquitto_kick_client_by_clientid(row->device_id.text, with_will);
    plugin.kicking = false;
}

static int on_tick(int event, void *data, void *userdata)
{
    (void)event, (void)data, (void)userdata;
    plugin.ticks = true;
    plugin.reloading = false;
    hub_tick(plugin.hub, wall_s(), mono_ms(), end_session, NULL);
    return MOSQ_ERR_SUCCESS;
}

static int on_reload(int event, void *data, void *userdata)
{
    (void)event, (void)data, (void)userdata;
    struct config_reason why = {{0}};
    enum err e = hub_reload(plugin.hub, &why);
    if (e != ERR_OK)
        mosquitto_log_printf(MOSQ_LOG_ERR, "cradle: not reloaded, the old settings stay: %s (%s)",
                             why.text, err_name(e));
    plugin.reloading = true;
    return MOSQ_ERR_PLUGIN_DEFER; /* so that other plugins hear of it too */
}

/* ---- coming and going ---- */
static const char *option(const struct mosquitto_opt *options, int count, const char *key)
{
    for (int i = 0; i < count; i++)
        if (strcmp(options[i].key, key) == 0)
            return options[i].value;
    return NULL;
}

static const struct {
    int event;
    MOSQ_FUNC_generic_callback call;
} events[] = {
    {MOSQ_EVT_BASIC_AUTH, on_basic_auth}, {MOSQ_EVT_DISCONNECT, on_disconnect},
    {MOSQ_EVT_ACL_CHECK, on_acl_check},   {MOSQ_EVT_TICK, on_tick},
    {MOSQ_EVT_RELOAD, on_reload},
};
#define EVENT_COUNT (sizeof events / sizeof *events)

EXPORTED int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
    for (int i = 0; i < supported_version_count; i++)
        if (supported_versions[i] == MOSQ_PLUGIN_VERSION)
            return MOSQ_PLUGIN_VERSION;
    return -1;
}

static int listen_to_events(void)
{
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        int rc = mosquitto_callback_register(plugin.id, events[i].event, events[i].call, NULL, NULL);
        if (rc != MOSQ_ERR_SUCCESS)
            return rc;
    }
    return MOSQ_ERR_SUCCESS;
}

EXPORTED int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                                   struct mosquitto_opt *options, int option_count)
{
    (void)userdata;
    const char *data_dir = option(options, option_count, "data");
    const char *hub_name = option(options, option_count, "hub");
    if (plugin.hub != NULL || data_dir == NULL || hub_name == NULL) {
        mosquitto_log_printf(MOSQ_LOG_ERR, "cradle: plugin_opt_data and plugin_opt_hub are needed, "
                                           "and the plugin can be loaded once");
        return MOSQ_ERR_INVAL;
    }
    struct config_reason why = {{0}};
    enum err e = hub_open(data_dir, hub_name, &plugin.hub, &why);
    if (e != ERR_OK) {
        mosquitto_log_printf(MOSQ_LOG_ERR, "cradle: %s (%s)", why.text, err_name(e));
        return MOSQ_ERR_UNKNOWN;
    }
    plugin.id = identifier;
    mosquitto_log_printf(MOSQ_LOG_INFO, "cradle: guarding the hub %s", hub_host(plugin.hub));
    return listen_to_events();
}

EXPORTED int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options,
                                      int option_count)
{
    (void)userdata, (void)options, (void)option_count;
    for (size_t i = 0; plugin.hub != NULL && i < EVENT_COUNT; i++)
        (void)mosquitto_callback_unregister(plugin.id, events[i].event, events[i].call, NULL);
    hub_close(plugin.hub);
    plugin = (struct plugin){0};
    return MOSQ_ERR_SUCCESS;
}
