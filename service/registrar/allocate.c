#include "inner.h"

#include <jansson.h>

/* Which hub a device gets. The enrollment's profile may narrow the linked hubs down, keep a device where
 * it is, or leave the choice to others; without one every linked hub counts alike. */

static void json_drop(json_t **j) { json_decref(*j); }
#define JSON __attribute__((cleanup(json_drop))) json_t

/* ---- by weight ---- */
static uint64_t weight_of(const struct registrar_hub *hub, const struct regid *id)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a over name, 0, id; then mixed (MurmurHash3's finish) */
    for (const char *c = hub->name; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 0x100000001b3u;
    h *= 0x100000001b3u;
    for (const char *c = id->text; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 0x100000001b3u;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

/* Whether a text with commas between names the hub, by host or by name. */
static bool names_hub(struct span list, const struct registrar_hub *hub)
{
    while (list.at != NULL && list.len > 0) {
        struct span one = span_cut(&list, ',');
        if (span_equal_ignoring_case(one, span_text(hub->host)) ||
            span_equal_ignoring_case(one, span_text(hub->name)))
            return true;
    }
    return false;
}

/* The same hub for the same id, as long as that hub is there: a hub that is added or taken away moves
 * no device but those it gains or loses. among: empty for every linked hub. */
static const struct registrar_hub *choose(const struct registrar_config *c, const struct regid *id,
                                          struct span among)
{
    const struct registrar_hub *best = NULL;
    uint64_t most = 0;
    for (int i = 0; i < c->hub_count; i++) {
        uint64_t weight = weight_of(&c->hubs[i], id);
        if (among.len > 0 && !names_hub(among, &c->hubs[i]))
            continue;
        if (best == NULL || weight > most) {
            best = &c->hubs[i];
            most = weight;
        }
    }
    return best;
}

/* ---- by the enrollment ---- */
struct wishes {
    char only[STORE_HOST_CAP]; /* iotHubHostName; "" for none */
    bool stay;                 /* never leave a hub */
    bool reset;                /* leave the device's data behind */
};

static bool is_false(const json_t *policy, const char *member)
{
    return json_is_false(json_object_get(policy, member));
}

static enum err wishes_read(const struct store_profile *profile, struct wishes *ret_wishes)
{
    json_error_t error;
    struct wishes w = {.only = ""};
    if (profile->document[0] != '\0') {
        JSON *document = json_loads(profile->document, 0, &error);
        if (document == NULL)
            return json_error_code(&error) == json_error_out_of_memory ? ERR_MEMORY : ERR_STORE;
        const json_t *only = json_object_get(document, "iotHubHostName");
        const json_t *policy = json_object_get(document, "reprovisionPolicy");
        if (json_is_string(only))
            TRY(span_to_text(span_of(json_string_value(only), json_string_length(only)), w.only,
                             sizeof w.only));
        w.stay = is_false(policy, "updateHubAssignment");
        w.reset = is_false(policy, "migrateDeviceData");
    }
    *ret_wishes = w;
    return ERR_OK;
}

static enum err profile_read(struct registrar_worker *w, const struct subject *s,
                             struct store_profile *ret_profile, struct wishes *ret_wishes)
{
    *ret_wishes = (struct wishes){.only = ""};
    ret_profile->hubs[0] = ret_profile->allocation[0] = '\0';
    if (s->enrollment.profile == 0)
        return ERR_OK;
    TRY(store_profile_find(w->reader, s->enrollment.profile, ret_profile));
    return wishes_read(ret_profile, ret_wishes);
}

static enum substatus substatus_for(const struct subject *s, const struct registrar_hub *hub,
                                    bool reset)
{
    if (!s->registered)
        return SUBSTATUS_INITIAL;
    if (span_equal(span_text(s->registration.hub), span_text(hub->host)))
        return SUBSTATUS_MIGRATED;
    return reset ? SUBSTATUS_RESET : SUBSTATUS_REPROVISIONED;
}

enum err allocate(struct registrar_worker *w, struct registrar_exchange *x, const struct subject *s,
                  const struct registrar_hub **ret_hub, enum substatus *ret_substatus)
{
    const struct registrar_config *c = &w->registrar->config;
    const struct regid *id = &s->enrollment.id;
    struct store_profile profile;
    struct wishes wishes;
    const struct registrar_hub *hub = NULL;
    TRY(profile_read(w, s, &profile, &wishes));
    x->reason = "custom allocation has no webhook that is asked";
    if (span_equal(span_text(profile.allocation), SPAN_LITERAL("custom")))
        return ERR_NO_HUB;
    if (wishes.stay && s->registered)
        hub = choose(c, id, span_text(s->registration.hub));
    if (hub == NULL && wishes.only[0] != '\0')
        hub = choose(c, id, span_text(wishes.only));
    else if (hub == NULL)
        hub = choose(c, id, span_text(profile.hubs));
    x->reason = "no linked hub is among those of the enrollment";
    if (hub == NULL)
        return ERR_NO_HUB;
    x->reason = NULL;
    *ret_hub = hub;
    *ret_substatus = substatus_for(s, hub, wishes.reset);
    return ERR_OK;
}
