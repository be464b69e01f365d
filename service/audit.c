#include "cradled.h"

#include <attest.h>
#include <store.h>

#include <stdio.h>
#include <string.h>
#include <wire/text.h>

enum err audit_key_read(const struct config *c, struct secret *ret_key,
                        struct config_reason *ret_reason)
{
    SECRET master = {.len = 0};
    TRY(config_secret_read(c, "master", &master, ret_reason));
    return attest_root(&master, ATTEST_ROOT_AUDIT, ret_key);
}

static const char *const log_names[STORE_LOGS] = {
    [STORE_LOG_ENROLLMENTS] = "enrollments",
    [STORE_LOG_REGISTRATIONS] = "registrations",
};

struct hex {
    char text[2 * STORE_AUDIT_HASH_LEN + 1];
};

static struct hex hex_of(const uint8_t hash[STORE_AUDIT_HASH_LEN])
{
    struct hex hex;
    struct buf b = BUF_OVER(hex.text);
    hex_write(&b, span_of(hash, STORE_AUDIT_HASH_LEN));
    ERR_ASSERT(buf_end_text(&b) == ERR_OK);
    return hex;
}

/* ---- verify ---- */

static int say_verdict(const char *log, const struct store_audit_verdict *v)
{
    if (v->wrong != 0)
        return complain("audit log of %s: entry %llu was altered, removed or moved; %llu before it "
                        "are sound", log, (unsigned long long)v->wrong,
                        (unsigned long long)v->chained);
    if (!v->sealed)
        return complain("audit log of %s: its end is not signed, or not with this key: entries may "
                        "have been cut off", log);
    printf("%s: %llu entries sound, last hash %s; %llu not chained yet\n", log,
           (unsigned long long)v->chained, hex_of(v->hash).text, (unsigned long long)v->unchained);
    return 0;
}

static int verify(struct store_reader *r, const struct options *o)
{
    struct config c;
    struct config_reason reason = {.text = ""};
    SECRET key = {.len = 0};
    int status = 0;
    if (config_read(o->data, &c, &reason) != ERR_OK ||
        audit_key_read(&c, &key, &reason) != ERR_OK)
        return complain("%s", reason.text);
    for (int log = 0; log < STORE_LOGS; log++) {
        struct store_audit_verdict v;
        enum err e = store_audit_verify(r, (enum store_log)log, &key, &v);
        status |= e == ERR_OK ? say_verdict(log_names[log], &v)
                              : complain("audit log of %s: %s", log_names[log], err_text(e));
    }
    return status;
}

/* ---- list ---- */

/* What came from outside is escaped; ASCII only. */
static void print_text(const char *name, const char *text)
{
    printf(",\"%s\":\"", name);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e || *c == '"' || *c == '\\')
            printf("\\u%04x", (unsigned char)*c);
        else
            putchar(*c);
    }
    putchar('"');
}

struct cursor {
    uint64_t number;
    struct store_audit entry;
    struct hex hash;
    bool over;
};

static void print_entry(enum store_log log, const struct cursor *c)
{
    const struct store_audit *entry = &c->entry;
    char time[40];
    struct buf b = BUF_OVER(time);
    time_iso_write(&b, entry->at_s);
    ERR_ASSERT(buf_end_text(&b) == ERR_OK);
    printf("{\"time\":\"%s\",\"log\":\"%s\",\"number\":%llu", time, log_names[log],
           (unsigned long long)c->number);
    print_text("who", entry->who);
    print_text("what", entry->what);
    print_text("object", entry->object);
    if (entry->id.text[0] != '\0')
        print_text("id", entry->id.text);
    print_text("outcome", err_name(entry->outcome));
    if (entry->reason[0] != '\0')
        print_text("reason", entry->reason);
    printf(",\"hash\":\"%s\"}\n", c->hash.text);
}

static enum err cursor_step(struct store_reader *r, enum store_log log, struct cursor *c)
{
    uint8_t hash[STORE_AUDIT_HASH_LEN];
    enum err e = store_audit_next(r, log, c->number, &c->number, &c->entry, hash);
    c->over = e != ERR_OK;
    if (e == ERR_OK)
        c->hash = hex_of(hash);
    return e == ERR_ABSENT ? ERR_OK : e;
}

/* Both logs, by time. */
static enum err list(struct store_reader *r)
{
    static struct cursor cursors[STORE_LOGS];
    for (int log = 0; log < STORE_LOGS; log++)
        TRY(cursor_step(r, (enum store_log)log, &cursors[log]));
    for (;;) {
        const struct cursor *a = &cursors[STORE_LOG_ENROLLMENTS],
                            *b = &cursors[STORE_LOG_REGISTRATIONS];
        if (a->over && b->over)
            return ERR_OK;
        enum store_log log = b->over || (!a->over && a->entry.at_s <= b->entry.at_s)
                                 ? STORE_LOG_ENROLLMENTS : STORE_LOG_REGISTRATIONS;
        print_entry(log, &cursors[log]);
        TRY(cursor_step(r, log, &cursors[log]));
    }
}

static int run(struct store_reader *r, const struct options *o)
{
    if (strcmp(o->id, "verify") == 0)
        return verify(r, o);
    enum err e = list(r);
    if (e != ERR_OK)
        return complain("audit log: %s", err_text(e));
    return fflush(stdout) == 0 ? 0 : complain("the log could not be written out");
}

int command_audit(const struct options *o)
{
    struct store *store = NULL;
    struct store_reader *r = NULL;
    struct store_reason reason = {.text = ""};
    if (strcmp(o->id, "verify") != 0 && strcmp(o->id, "list") != 0)
        return complain("audit wants verify or list, not %s", o->id);
    enum err e = store_open(o->data, STORE_READ, &store, &reason);
    if (e == ERR_OK)
        e = store_reader_open(store, &r);
    int status = e == ERR_OK
                     ? run(r, o)
                     : complain("%s: %s", o->data, reason.text[0] != '\0' ? reason.text : err_text(e));
    store_reader_close(r);
    store_close(store);
    return status;
}
