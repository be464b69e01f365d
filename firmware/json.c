#include "json.h"

#include <cjson/cJSON.h>
#include <string.h>

#define POOL_CAP 12288 /* the largest answer that fits in a reply makes a tree of about 5 KB */

/* cJSON takes its memory through hooks that carry no context. What it gives back is not used
 * again before the pool as a whole is. */
static union {
    max_align_t align;
    uint8_t at[POOL_CAP];
} pool;
static size_t pool_used;

static void *pool_take(size_t len)
{
    const size_t step = sizeof(max_align_t);
    if (len > POOL_CAP)
        return NULL;
    len = (len + step - 1) / step * step;
    if (len > POOL_CAP - pool_used)
        return NULL;
    void *at = pool.at + pool_used;
    pool_used += len;
    return at;
}

static void pool_give_back(void *at)
{
    (void)at;
}

void json_end(void)
{
    bytes_wipe(pool.at, pool_used);
    pool_used = 0;
}

static bool is_blank(const char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at) && *at)
        at++;
    return at == end;
}

/* cJSON ends a string at a NUL, however it was written. */
static bool has_nul(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == 0 || span_starts_with(span_slice(text, i, text.len), SPAN_LITERAL("\\u0000")))
            return true;
    return false;
}

enum err json_parse(struct span text, const struct cJSON **ret_tree)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = pool_take, .free_fn = pool_give_back});
    json_end();
    if (text.len == 0 || has_nul(text))
        return ERR_PROTOCOL;
    const char *at = (const char *)text.at, *end = NULL;
    const struct cJSON *tree = cJSON_ParseWithLengthOpts(at, text.len, &end, false);
    if (!tree || !is_blank(end, at + text.len)) {
        json_end();
        return ERR_PROTOCOL;
    }
    *ret_tree = tree;
    return ERR_OK;
}

static enum err member(const struct cJSON *object, const char *name, const struct cJSON **ret_value)
{
    if (!cJSON_IsObject(object))
        return ERR_PROTOCOL;
    const struct cJSON *found = NULL, *each;
    cJSON_ArrayForEach(each, object)
    {
        if (strcmp(each->string, name) != 0)
            continue;
        if (found)
            return ERR_PROTOCOL;
        found = each;
    }
    if (!found || cJSON_IsNull(found))
        return ERR_ABSENT;
    *ret_value = found;
    return ERR_OK;
}

enum err json_object(const struct cJSON *object, const char *name, const struct cJSON **ret_member)
{
    const struct cJSON *value;
    TRY(member(object, name, &value));
    if (!cJSON_IsObject(value))
        return ERR_PROTOCOL;
    *ret_member = value;
    return ERR_OK;
}

enum err json_text(const struct cJSON *object, const char *name, struct span *ret_text)
{
    const struct cJSON *value;
    TRY(member(object, name, &value));
    if (!cJSON_IsString(value))
        return ERR_PROTOCOL;
    *ret_text = span_text(value->valuestring);
    return ERR_OK;
}

enum err json_integer(const struct cJSON *object, const char *name, int32_t *ret_value)
{
    const struct cJSON *value;
    TRY(member(object, name, &value));
    if (!cJSON_IsNumber(value) || value->valuedouble < INT32_MIN ||
        value->valuedouble > INT32_MAX || value->valuedouble != (double)value->valueint)
        return ERR_PROTOCOL;
    *ret_value = value->valueint;
    return ERR_OK;
}
