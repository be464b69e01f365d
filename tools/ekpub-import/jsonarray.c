#include "jsonarray.h"

#include <string.h>

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum err fail(struct source *s, const char *why)
{
    import_reason_set(&s->why, "line %llu: %s", (unsigned long long)s->line, why);
    return ERR_IO;
}

/* The next byte that is no white space, not consumed; -1 at the end. */
static enum err peek(struct source *s, int *ret_c)
{
    for (;;) {
        struct span window;
        size_t spaces = 0;
        TRY(source_window(s, 1, &window));
        while (spaces < window.len && is_space(window.at[spaces]))
            spaces++;
        *ret_c = spaces < window.len ? window.at[spaces] : -1;
        bool empty = window.len == 0;
        source_take(s, spaces);
        if (*ret_c >= 0 || empty)
            return ERR_OK;
    }
}

/* How far an element has been looked through. */
struct scan {
    size_t depth;
    bool text, escaped;
};

/* Whether c is the element's last byte, or, of a number or a word, the first one behind it. */
enum scan_step { SCAN_ON, SCAN_LAST, SCAN_BEHIND };
static enum scan_step scan_step(struct scan *scan, uint8_t c)
{
    if (scan->text) {
        if (!scan->escaped && c == '"') {
            scan->text = false;
            return scan->depth == 0 ? SCAN_LAST : SCAN_ON;
        }
        scan->escaped = !scan->escaped && c == '\\';
        return SCAN_ON;
    }
    if (c == '"')
        scan->text = true;
    else if (c == '{' || c == '[')
        scan->depth++;
    else if ((c == '}' || c == ']') && scan->depth > 0)
        return --scan->depth == 0 ? SCAN_LAST : SCAN_ON;
    else if (scan->depth == 0 && (c == ',' || c == ']' || c == '}' || is_space(c)))
        return SCAN_BEHIND;
    return SCAN_ON;
}

/* Where the element ends in the window, from its beginning; 0: not in there. */
static size_t scan_window(struct scan *scan, struct span window)
{
    for (size_t i = 0; i < window.len; i++) {
        enum scan_step step = scan_step(scan, window.at[i]);
        if (step != SCAN_ON)
            return i + (step == SCAN_LAST);
    }
    return 0;
}

/* Consumes an element that is too long to be looked at. */
static enum err skip_element(struct source *s)
{
    struct scan scan = {0};
    for (;;) {
        struct span window;
        TRY(source_window(s, 1, &window));
        if (window.len == 0)
            return fail(s, "the JSON array does not end");
        for (size_t i = 0; i < window.len; i++) {
            enum scan_step step = scan_step(&scan, window.at[i]);
            if (step != SCAN_ON) {
                source_take(s, i + (step == SCAN_LAST));
                return ERR_OK;
            }
        }
        source_take(s, window.len);
    }
}

static enum err find_element(struct source *s, struct span *ret_element)
{
    struct span window;
    struct scan scan = {0};
    TRY(source_window(s, IMPORT_ROW_CAP + 1, &window));
    bool all = s->end && window.len <= IMPORT_ROW_CAP;
    size_t len = scan_window(&scan, span_slice(window, 0, IMPORT_ROW_CAP + 1));
    if (len > 0 && len <= IMPORT_ROW_CAP) {
        *ret_element = span_slice(window, 0, len);
        source_take(s, len); /* stays where it is until the next window */
        return ERR_OK;
    }
    if (len == 0 && all)
        return fail(s, "the JSON array does not end");
    TRY(skip_element(s));
    *ret_element = span_of(NULL, 0);
    return ERR_OK;
}

static enum err end(struct jsonarray *a, struct source *s)
{
    int c;
    source_take(s, 1);
    TRY(peek(s, &c));
    if (c >= 0)
        return fail(s, "something follows the JSON array");
    a->ended = true;
    return ERR_ABSENT;
}

/* To the first byte of an element. */
static enum err find_begin(struct jsonarray *a, struct source *s)
{
    int c;
    TRY(peek(s, &c));
    if (!a->begun && c != '[')
        return fail(s, "not a JSON array");
    if (a->begun && c == ']')
        return end(a, s);
    if (a->begun && c != ',')
        return fail(s, c < 0 ? "the JSON array does not end"
                             : "neither comma nor bracket behind an element of the JSON array");
    source_take(s, 1);
    TRY(peek(s, &c));
    if (c == ']' && !a->begun)
        return end(a, s);
    a->begun = true;
    if (c < 0)
        return fail(s, "the JSON array does not end");
    if (c == ',' || c == ']' || c == '}')
        return fail(s, "an element of the JSON array is missing");
    return ERR_OK;
}

enum err jsonarray_next(struct jsonarray *a, struct source *s, struct span *ret_element,
                        uint64_t *ret_line)
{
    if (a->ended)
        return ERR_ABSENT;
    TRY(find_begin(a, s));
    uint64_t line = s->line;
    TRY(find_element(s, ret_element));
    *ret_line = line;
    return ERR_OK;
}
