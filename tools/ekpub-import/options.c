#include "options.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64
#define NAME_MAX_LEN 128

static void json_release(json_t **value)
{
    json_decref(*value);
}

static enum err refuse(enum import_column column, const char *why, struct import_reason *ret_reason)
{
    import_reason_set(ret_reason, "%s: %s", import_column_name(column), why);
    return ERR_ENCODING;
}

static int compare_names(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static bool is_name(struct span s)
{
    if (s.len == 0 || s.len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && memchr("-._:=/@+", c, 8) == NULL)
            return false;
    }
    return true;
}

static bool is_host(struct span s)
{
    if (s.len == 0 || s.len >= STORE_HOST_CAP || s.at[0] == '.' || s.at[0] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return true;
}

/* Sorted, each once, a comma between. */
static enum err names_write(struct span *names, size_t count, char *ret_text, size_t cap)
{
    struct buf out = buf_over(ret_text, cap);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && compare_names(&names[i], &names[i - 1]) == 0)
            continue;
        if (out.len > 0)
            buf_put_u8(&out, ',');
        buf_put(&out, names[i]);
    }
    return buf_end_text(&out);
}

static enum err names_set(enum import_column column, struct span text, char *ret_text, size_t cap,
                          struct import_reason *ret_reason)
{
    struct span names[NAMES_MAX];
    size_t count = 0, at = 0;
    bool hubs = column == COLUMN_HUBS;
    while (at < text.len) {
        size_t from = at;
        while (at < text.len && memchr(", ;[]\"", text.at[at], 6) == NULL)
            at++;
        struct span name = span_slice(text, from, at - from);
        at++;
        if (name.len == 0)
            continue;
        if (hubs ? !is_host(name) : !is_name(name))
            return refuse(column, hubs ? "not a host name in small letters" : "not a name",
                          ret_reason);
        if (count == NAMES_MAX)
            return refuse(column, "too many", ret_reason);
        names[count++] = name;
    }
    if (names_write(names, count, ret_text, cap) != ERR_OK)
        return refuse(column, "too long", ret_reason);
    return ERR_OK;
}

static enum err allocation_set(struct span text, char *ret_text, struct import_reason *ret_reason)
{
    static const char *const policies[] = {"hashed", "geoLatency", "static", "custom"};
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++)
        if (span_equal(text, span_text(policies[i])))
            return span_to_text(text, ret_text, STORE_ALLOCATION_CAP);
    return refuse(COLUMN_ALLOCATION, "not hashed, geoLatency, static or custom", ret_reason);
}

static enum err twin_set(struct span text, char *ret_text, struct import_reason *ret_reason)
{
    json_error_t error;
    __attribute__((cleanup(json_release))) json_t *twin =
        json_loadb((const char *)text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(twin))
        return refuse(COLUMN_TWIN, "not a JSON object", ret_reason);
    const char *name;
    json_t *value;
    json_object_foreach(twin, name, value)
    {
        if (strcmp(name, "tags") != 0 && strcmp(name, "properties") != 0)
            return refuse(COLUMN_TWIN, "has another member than tags and properties", ret_reason);
        if (!json_is_object(value))
            return refuse(COLUMN_TWIN, "its members must be objects", ret_reason);
    }
    size_t len = json_dumpb(twin, ret_text, STORE_TWIN_CAP - 1, JSON_COMPACT | JSON_SORT_KEYS);
    if (len == 0 || len > STORE_TWIN_CAP - 1)
        return refuse(COLUMN_TWIN, "too long", ret_reason);
    ret_text[len] = 0;
    return ERR_OK;
}

static enum err status_set(struct span text, bool *ret_disabled, struct import_reason *ret_reason)
{
    bool disabled = span_equal(text, SPAN_LITERAL("disabled"));
    if (!disabled && !span_equal(text, SPAN_LITERAL("enabled")))
        return refuse(COLUMN_STATUS, "neither enabled nor disabled", ret_reason);
    *ret_disabled = disabled;
    return ERR_OK;
}

enum err options_set(struct import_options *o, enum import_column column, struct span text,
                     struct import_reason *ret_reason)
{
    struct store_profile *p = &o->profile;
    switch (column) {
    case COLUMN_TAGS:
        return names_set(column, text, p->tags, sizeof p->tags, ret_reason);
    case COLUMN_HUBS:
        return names_set(column, text, p->hubs, sizeof p->hubs, ret_reason);
    case COLUMN_ALLOCATION:
        return allocation_set(text, p->allocation, ret_reason);
    case COLUMN_TWIN:
        return twin_set(text, p->twin, ret_reason);
    case COLUMN_STATUS:
        return status_set(text, &o->disabled, ret_reason);
    default:
        ERR_ASSERT(false);
        return ERR_CONFIG;
    }
}

bool options_has_profile(const struct import_row *row)
{
    return row->fields[COLUMN_TAGS].len > 0 || row->fields[COLUMN_HUBS].len > 0 ||
           row->fields[COLUMN_ALLOCATION].len > 0 || row->fields[COLUMN_TWIN].len > 0;
}

enum err options_read(const struct import_row *row, struct import_options *o,
                      struct import_reason *ret_reason)
{
    for (unsigned c = COLUMN_TAGS; c <= COLUMN_STATUS; c++)
        if (row->fields[c].len > 0)
            TRY(options_set(o, (enum import_column)c, row->fields[c], ret_reason));
    return ERR_OK;
}
