#include "cradled.h"

#include <store.h>

#include <stdio.h>

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
