#include "show.h"

#include <string.h>
#include <wire/bytes.h>

#define VALUE_CAP 160

static const json_t *find(const json_t *row, const char *path)
{
    struct span rest = span_text(path);
    while (rest.at != NULL && row != NULL) {
        char name[64];
        if (span_to_text(span_cut(&rest, '.'), name, sizeof name) != ERR_OK)
            return NULL;
        row = json_object_get(row, name);
    }
    return row;
}

/* Cut to what fits; UTF-8 is left to the terminal, control characters are not. */
static void value_text(const json_t *value, char ret_text[VALUE_CAP])
{
    ret_text[0] = 0;
    if (json_is_string(value))
        snprintf(ret_text, VALUE_CAP, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(ret_text, VALUE_CAP, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        snprintf(ret_text, VALUE_CAP, "%s", json_is_true(value) ? "true" : "false");
    else if (value != NULL && !json_is_null(value)) {
        size_t len = json_dumpb(value, ret_text, VALUE_CAP - 1, JSON_COMPACT | JSON_ENCODE_ANY);
        ret_text[len < VALUE_CAP ? len : VALUE_CAP - 1] = 0;
    }
    for (char *c = ret_text; *c != 0; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

static void put_row(FILE *out, const struct show_table *t, const json_t *row)
{
    for (size_t i = 0; i < t->count; i++) {
        char text[VALUE_CAP];
        if (row == NULL)
            snprintf(text, sizeof text, "%s", t->columns[i].title);
        else
            value_text(find(row, t->columns[i].path), text);
        if (i + 1 < t->count)
            fprintf(out, "%-*s  ", (int)t->widths[i], text);
        else
            fprintf(out, "%s\n", text);
    }
}

static void measure(struct show_table *t, const json_t *rows)
{
    size_t index;
    const json_t *row;
    for (size_t i = 0; i < t->count; i++) {
        t->widths[i] = strlen(t->columns[i].title);
        json_array_foreach(rows, index, row) {
            char text[VALUE_CAP];
            value_text(find(row, t->columns[i].path), text);
            if (strlen(text) > t->widths[i])
                t->widths[i] = strlen(text);
        }
    }
}

void show_page(FILE *out, struct show_table *t, const json_t *rows)
{
    size_t index;
    const json_t *row;
    ERR_ASSERT(t->count <= SHOW_COLUMNS_MAX);
    if (!t->titled) {
        measure(t, rows);
        put_row(out, t, NULL);
        t->titled = true;
    }
    json_array_foreach(rows, index, row)
        put_row(out, t, row);
}

static void put_members(FILE *out, const json_t *object, const char *prefix, int depth)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        char path[VALUE_CAP], text[1024 + VALUE_CAP];
        snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] != 0 ? "." : "", name);
        if (json_is_object(value) && depth < 8) {
            put_members(out, value, path, depth + 1);
            continue;
        }
        if (json_is_string(value)) { /* keys are longer than a table's value */
            snprintf(text, sizeof text, "%s", json_string_value(value));
            for (char *c = text; *c != 0; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                    *c = '?';
        } else {
            value_text(value, text);
        }
        if (text[0] != 0)
            fprintf(out, "%-32s %s\n", path, text);
        bytes_wipe(text, sizeof text);
    }
}

void show_members(FILE *out, const json_t *object) { put_members(out, object, "", 0); }

void show_json(FILE *out, const json_t *json)
{
    (void)json_dumpf(json, out, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', out);
}
