#include "cradled.h"

#include <store.h>

#include <stdio.h>

/* A device is locked whether or not the key of the audit log can be had: without it the next process
 * that has it chains the entry. */
static enum err use_audit_key(const struct options *o, struct store *store)
{
    struct config c;
    struct config_reason reason = {.text = ""};
    SECRET key = {.len = 0};
    if (config_read(o->data, &c, &reason) != ERR_OK ||
        audit_key_read(&c, &key, &reason) != ERR_OK)
        return ERR_OK;
    return store_audit_key(store, &key);
}

static int set_enabled(const struct options *o, bool enabled)
{
    struct store *store = NULL;
    struct store_reason reason = {.text = ""};
    struct regid id;
    if (regid_read(span_text(o->id), &id) != ERR_OK)
        return complain("%s: not a registration id", o->id);
    enum err e = store_open(o->data, STORE_IMPORT, &store, &reason);
    if (e != ERR_OK)
        return complain("%s: %s", o->data, reason.text[0] != '\0' ? reason.text : err_text(e));
    e = use_audit_key(o, store);
    if (e == ERR_OK)
        e = store_enrollment_set_enabled(store, &id, enabled, wall_now_s(NULL));
    store_close(store);
    if (e == ERR_ABSENT)
        return complain("%s: no such enrollment", id.text);
    if (e != ERR_OK)
        return complain("%s: %s", id.text, err_text(e));
    printf("%s %s\n", id.text, enabled ? "enabled" : "disabled");
    return 0;
}

int command_enable(const struct options *o) { return set_enabled(o, true); }

int command_disable(const struct options *o) { return set_enabled(o, false); }
