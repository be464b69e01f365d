#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <wire/err.h>

struct entry {
    const char *name;
    const char *text;
    int http_status;
    int32_t code;
    enum err_action action;
};

static const struct entry table[ERR_COUNT] = {
#define ERR(name, http, code, action, text) {#name, text, http, code, ERR_##action},
#include <wire/err.def>
#undef ERR
};

static const struct entry *entry_of(enum err e)
{
    return &table[(size_t)e < ERR_COUNT ? e : ERR_INTERNAL];
}

const char *err_name(enum err e) { return entry_of(e)->name; }

const char *err_text(enum err e) { return entry_of(e)->text; }

int err_http_status(enum err e) { return entry_of(e)->http_status; }

int32_t err_code(enum err e) { return entry_of(e)->code; }

enum err_action err_device_action(enum err e) { return entry_of(e)->action; }

/* Several errors share a code or a status. The refusals of the protocol stand first in the table, so
 * the first match is the one the service meant. */
enum err err_from_answer(int http_status, int32_t code)
{
    if (http_status < 300)
        return ERR_OK;
    for (int e = ERR_OK + 1; e < ERR_COUNT; e++)
        if (table[e].code == code)
            return (enum err)e;
    for (int e = ERR_OK + 1; e < ERR_COUNT; e++)
        if (table[e].http_status == http_status)
            return (enum err)e;
    if (http_status < 400)
        return ERR_PROTOCOL;
    return http_status < 500 ? ERR_BAD_REQUEST : ERR_UNAVAILABLE;
}

void err_assert_failed(const char *file, int line, const char *expression)
{
    fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, expression);
    abort();
}
