#include "csv.h"

#include <string.h>

/* A cursor over the window, and what it has unquoted so far. */
struct scan {
    struct span window;
    bool whole;
    size_t at;
    uint8_t *out;
    size_t out_len;
};

enum step { STEP_FIELD, STEP_RECORD, STEP_BROKEN, STEP_SHORT };

/* What stands at the cursor: -1 at the end of the window. */
static int peek(const struct scan *s)
{
    return s->at < s->window.len ? s->window.at[s->at] : -1;
}

/* After a field: a comma, a line break or the end of all. */
static enum step field_end(struct scan *s, const char **ret_why)
{
    int c = peek(s);
    if (c < 0)
        return s->whole ? STEP_RECORD : STEP_SHORT;
    s->at++;
    if (c == ',')
        return STEP_FIELD;
    if (c == '\n')
        return STEP_RECORD;
    if (c == '\r') {
        int next = peek(s);
        if (next == '\n') {
            s->at++;
            return STEP_RECORD;
        }
        if (next < 0)
            return s->whole ? STEP_RECORD : STEP_SHORT;
        *ret_why = "a carriage return without a line feed";
        return STEP_BROKEN;
    }
    *ret_why = "text follows a closing quote";
    return STEP_BROKEN;
}

static enum step field_quoted(struct scan *s, const char **ret_why)
{
    s->at++; /* the opening quote */
    for (;;) {
        int c = peek(s);
        if (c < 0) {
            *ret_why = "a quote is not closed";
            return s->whole ? STEP_BROKEN : STEP_SHORT;
        }
        s->at++;
        if (c == '"' && peek(s) != '"')
            return field_end(s, ret_why);
        if (c == '"')
            s->at++; /* a doubled quote stands for one */
        if (c == 0) {
            *ret_why = "a NUL byte";
            return STEP_BROKEN;
        }
        s->out[s->out_len++] = (uint8_t)c;
    }
}

static enum step field_plain(struct scan *s, const char **ret_why)
{
    for (;;) {
        int c = peek(s);
        if (c < 0 || c == ',' || c == '\n' || c == '\r')
            return field_end(s, ret_why);
        if (c == '"' || c == 0) {
            *ret_why = c == 0 ? "a NUL byte" : "a quote inside an unquoted field";
            return STEP_BROKEN;
        }
        s->out[s->out_len++] = (uint8_t)c;
        s->at++;
    }
}

static enum step field_any(struct scan *s, struct csv_record *record)
{
    size_t begin = s->out_len;
    enum step step = peek(s) == '"' ? field_quoted(s, &record->why) : field_plain(s, &record->why);
    if (record->count < CSV_FIELDS_MAX)
        record->fields[record->count] = span_of(s->out + begin, s->out_len - begin);
    record->count++;
    return step;
}

/* Nearly every record: one line, nothing quoted. Its fields point into the window itself. */
static bool plain_record(struct span window, bool whole, struct csv_record *ret_record)
{
    const uint8_t *mark = memchr(window.at, '\n', window.len);
    if (mark == NULL && !whole)
        return false;
    struct csv_record r = {.len = mark != NULL ? (size_t)(mark - window.at) + 1 : window.len};
    struct span rest = span_of(window.at, mark != NULL ? r.len - 1 : r.len);
    if (mark != NULL && rest.len > 0 && rest.at[rest.len - 1] == '\r')
        rest.len--;
    if (memchr(rest.at, '"', rest.len) != NULL || memchr(rest.at, 0, rest.len) != NULL ||
        memchr(rest.at, '\r', rest.len) != NULL)
        return false;
    for (const uint8_t *comma; (comma = memchr(rest.at, ',', rest.len)) != NULL;) {
        size_t len = (size_t)(comma - rest.at);
        if (r.count < CSV_FIELDS_MAX)
            r.fields[r.count] = span_of(rest.at, len);
        r.count++;
        rest = span_of(comma + 1, rest.len - len - 1);
    }
    if (r.count < CSV_FIELDS_MAX)
        r.fields[r.count] = rest;
    r.count++;
    *ret_record = r;
    return true;
}

enum csv_find csv_record_find(struct span window, bool whole, uint8_t *scratch,
                              struct csv_record *ret_record)
{
    if (window.len > IMPORT_ROW_CAP) {
        window.len = IMPORT_ROW_CAP;
        whole = false;
    }
    if (plain_record(window, whole, ret_record))
        return CSV_RECORD;
    struct scan scan = {.window = window, .whole = whole, .out = scratch};
    struct csv_record record = {0};
    enum step step;
    do
        step = field_any(&scan, &record);
    while (step == STEP_FIELD);
    record.len = scan.at;
    *ret_record = record;
    if (step == STEP_RECORD)
        return CSV_RECORD;
    return step == STEP_BROKEN ? CSV_BROKEN : CSV_TOO_LONG;
}

static bool is_blank(const struct csv_record *r)
{
    return r->count == 1 && r->fields[0].len == 0;
}

/* Consumes blank lines, finds the next record, does not consume it. ERR_ABSENT at the end. */
static enum err find_next(struct csv *c, struct source *s, enum csv_find *ret_find,
                          struct csv_record *ret_record)
{
    for (;;) {
        struct span window;
        TRY(source_window(s, IMPORT_ROW_CAP + 1, &window));
        if (window.len == 0)
            return ERR_ABSENT;
        size_t breaks = 0; /* many at once: there are files of nothing else */
        while (breaks < window.len && window.at[breaks] == '\n')
            breaks++;
        if (breaks > 0) {
            source_take(s, breaks);
            continue;
        }
        *ret_find = csv_record_find(window, s->end, c->scratch, ret_record);
        if (*ret_find != CSV_RECORD || !is_blank(ret_record))
            return ERR_OK;
        source_take(s, ret_record->len);
    }
}

static enum err read_column(struct csv *c, size_t at, struct span field,
                            const struct import_map *map, struct import_reason *ret_reason)
{
    char name[80];
    import_text_safe(field, name, sizeof name);
    bool known = import_map_find(map, field, &c->columns[at]);
    bool twice = false;
    for (size_t i = 0; known && i < at && c->columns[at] != COLUMN_COUNT; i++)
        twice = twice || c->columns[i] == c->columns[at];
    if (known && !twice)
        return ERR_OK;
    import_reason_set(ret_reason, "the header has %s column \"%s\"",
                      twice ? "twice the" : "an unknown", name);
    return ERR_CONFIG;
}

static enum err read_header(struct csv *c, const struct csv_record *record,
                            const struct import_map *map, struct import_reason *ret_reason)
{
    bool has_key = false;
    if (record->count > CSV_FIELDS_MAX) {
        import_reason_set(ret_reason, "the header has more than %d columns", CSV_FIELDS_MAX);
        return ERR_CONFIG;
    }
    for (size_t i = 0; i < record->count; i++) {
        TRY(read_column(c, i, record->fields[i], map, ret_reason));
        has_key = has_key || c->columns[i] == COLUMN_ENDORSEMENT_KEY ||
                  c->columns[i] == COLUMN_EK_CERTIFICATE;
    }
    c->column_count = record->count;
    if (!has_key) {
        import_reason_set(ret_reason, "the header lacks the column endorsementKey");
        return ERR_CONFIG;
    }
    return ERR_OK;
}

enum err csv_begin(struct csv *c, struct source *s, const struct import_map *map,
                   struct import_reason *ret_reason)
{
    enum csv_find find;
    struct csv_record record;
    enum err e = find_next(c, s, &find, &record);
    if (e == ERR_ABSENT) {
        import_reason_set(ret_reason, "there is no header row");
        return ERR_CONFIG;
    }
    TRY(e);
    if (find != CSV_RECORD) {
        import_reason_set(ret_reason, "the header row is not CSV: %s",
                          find == CSV_TOO_LONG ? "it does not end" : record.why);
        return ERR_CONFIG;
    }
    TRY(read_header(c, &record, map, ret_reason));
    c->header_len = record.len <= sizeof c->header ? record.len : 0;
    memcpy(c->header, s->bytes + s->from, c->header_len);
    source_take(s, record.len);
    return ERR_OK;
}

static void read_fields(const struct csv *c, const struct csv_record *record,
                        struct import_row *row)
{
    if (record->count != c->column_count) {
        import_reason_set(&row->broken, "the row has %zu field%s, the header has %zu",
                          record->count, record->count == 1 ? "" : "s", c->column_count);
        return;
    }
    for (size_t i = 0; i < c->column_count; i++)
        if (c->columns[i] != COLUMN_COUNT)
            row->fields[c->columns[i]] = record->fields[i];
}

enum err csv_next(struct csv *c, struct source *s, struct import_row *ret_row)
{
    enum csv_find find;
    struct csv_record record;
    TRY(find_next(c, s, &find, &record));
    struct import_row row = {.line = s->line};
    if (find == CSV_RECORD) {
        read_fields(c, &record, &row);
        row.origin = span_of(s->bytes + s->from, record.len);
        source_take(s, record.len);
    } else {
        if (find == CSV_TOO_LONG)
            import_reason_set(&row.broken, "the row is longer than %d bytes (a quote not closed?)",
                              IMPORT_ROW_CAP);
        else
            import_reason_set(&row.broken, "the row is not CSV: %s", record.why);
        row.origin = source_line(s, IMPORT_ROW_CAP);
        if (row.origin.len > 0)
            source_take(s, row.origin.len);
        else
            TRY(source_skip_line(s));
    }
    *ret_row = row;
    return ERR_OK;
}
