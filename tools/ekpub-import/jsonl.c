#include "jsonl.h"

#include <jansson.h>
#include <string.h>

static void json_release(json_t **value)
{
    json_decref(*value);
}

/* Copies the member's text; a decoded string is never longer than the line that held it. */
static bool take_member(const struct import_map *map, struct buf *scratch, const char *name,
                        json_t *value, struct import_row *row)
{
    enum import_column column;
    if (!import_map_find(map, span_text(name), &column)) {
        char safe[80];
        import_text_safe(span_text(name), safe, sizeof safe);
        import_reason_set(&row->broken, "unknown member \"%s\"", safe);
        return false;
    }
    if (column == COLUMN_COUNT)
        return true;
    bool flag = column == COLUMN_PIN_SRK;
    size_t begin = scratch->len;
    if (column >= COLUMN_TAGS && (json_is_object(value) || json_is_array(value))) {
        size_t left = scratch->cap - scratch->len;
        size_t len = json_dumpb(value, (char *)scratch->at + begin, left, JSON_COMPACT);
        if (len > left) {
            import_reason_set(&row->broken, "%s is too long", name);
            return false;
        }
        scratch->len += len;
        row->fields[column] = span_of(scratch->at + begin, len);
        return true;
    }
    if (flag ? !json_is_boolean(value) : !json_is_string(value)) {
        import_reason_set(&row->broken, "%s is not a %s", name, flag ? "boolean" : "string");
        return false;
    }
    if (flag)
        buf_put_text(scratch, json_is_true(value) ? "true" : "false");
    else
        buf_put(scratch, span_of(json_string_value(value), json_string_length(value)));
    row->fields[column] = span_of(scratch->at + begin, scratch->len - begin);
    return true;
}

void jsonl_row_read(struct jsonl *j, struct span line, struct import_row *row)
{
    json_error_t error;
    __attribute__((cleanup(json_release))) json_t *root =
        json_loadb((const char *)line.at, line.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL || !json_is_object(root)) {
        char why[120];
        import_text_safe(span_text(root == NULL ? error.text : "no object"), why, sizeof why);
        import_reason_set(&row->broken, "not a JSON object: %s", why);
        return;
    }
    struct buf scratch = BUF_OVER(j->scratch);
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        if (!take_member(j->map, &scratch, name, value, row))
            return;
    }
    ERR_ASSERT(!scratch.full);
}

static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (strchr(" \t\r", line.at[i]) == NULL || line.at[i] == 0)
            return false;
    return true;
}

/* The next line that is not blank, not consumed; *ret_taken is what it takes of the input. */
static enum err find_line(struct source *s, struct span *ret_line, size_t *ret_taken)
{
    for (;;) {
        struct span window;
        TRY(source_window(s, IMPORT_ROW_CAP + 1, &window));
        if (window.len == 0)
            return ERR_ABSENT;
        struct span rest = window;
        *ret_line = span_cut(&rest, '\n');
        *ret_taken = window.len - rest.len;
        if (ret_line->len > IMPORT_ROW_CAP || !is_blank(*ret_line))
            return ERR_OK;
        source_take(s, *ret_taken);
    }
}

enum err jsonl_next(struct jsonl *j, struct source *s, struct import_row *ret_row)
{
    struct span line;
    size_t taken;
    TRY(find_line(s, &line, &taken));
    struct import_row row = {.line = s->line};
    if (line.len > IMPORT_ROW_CAP) {
        import_reason_set(&row.broken, "the line is longer than %d bytes", IMPORT_ROW_CAP);
        TRY(source_skip_line(s));
    } else {
        jsonl_row_read(j, line, &row);
        row.origin = line;
        source_take(s, taken);
    }
    *ret_row = row;
    return ERR_OK;
}
