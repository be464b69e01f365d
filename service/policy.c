#include <attest.h>
#include <manager.h>

#include "cradled.h"

#include <stdio.h>
#include <wire/text.h>

static enum err root_read(const struct options *o, struct secret *ret_root)
{
    struct config c;
    struct config_reason reason = {.text = ""};
    SECRET master = {.len = 0};
    enum err e = config_read(o->data, &c, &reason);
    if (e == ERR_OK)
        e = config_secret_read(&c, "master", &master, &reason);
    if (e != ERR_OK) {
        complain("%s", reason.text);
        return e;
    }
    return attest_root(&master, ATTEST_ROOT_POLICY, ret_root);
}

static enum err print_key(const struct secret *root, const char *policy, enum manager_key which)
{
    char text[BASE64_LEN(SECRET_CAP) + 1];
    struct buf b = BUF_OVER(text);
    SECRET key = {.len = 0};
    TRY(manager_policy_key(root, span_text(policy), which, &key));
    base64_write(&b, secret_span(&key));
    TRY(buf_end_text(&b));
    printf("%s=SharedAccessKeyName=%s;SharedAccessKey=%s\n",
           which == MANAGER_PRIMARY ? "primary" : "secondary", policy, text);
    bytes_wipe(text, sizeof text);
    return ERR_OK;
}

int command_policy(const struct options *o)
{
    SECRET root = {.len = 0};
    if (root_read(o, &root) != ERR_OK)
        return 1;
    enum err e = print_key(&root, o->id, MANAGER_PRIMARY);
    if (e == ERR_OK)
        e = print_key(&root, o->id, MANAGER_SECONDARY);
    if (e != ERR_OK)
        return complain("%s: %s", o->id, e == ERR_ABSENT ? "no such policy" : err_text(e));
    return 0;
}
