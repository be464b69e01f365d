#include "inner.h"

#include <string.h>
#include <wire/text.h>

/* Recursive descent, its depth bounded by the nesting the reader allows. */
#define DEPTH_MAX 16

enum token { TOKEN_END, TOKEN_WORD, TOKEN_TEXT, TOKEN_MARK, TOKEN_BAD };
struct reader {
    struct manager_exchange *x;
    struct query *q;
    struct span all, rest;
    enum token token;
    struct span text; /* of the token; a literal without its quotes */
    int depth;
};

/* ---- tokens ---- */
static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '.' || c == '-';
}

static void token_take(struct reader *r, enum token token, size_t from, size_t len, size_t next)
{
    r->token = token;
    r->text = span_slice(r->rest, from, len);
    r->rest = span_slice(r->rest, next, r->rest.len);
}

static void literal(struct reader *r)
{
    size_t end = 1;
    while (end < r->rest.len && r->rest.at[end] != r->rest.at[0])
        end++;
    if (end == r->rest.len)
        r->token = TOKEN_BAD;
    else
        token_take(r, TOKEN_TEXT, 1, end - 1, end + 1);
}

static void advance(struct reader *r)
{
    static const char *const pairs[] = {"!=", "<>", "<=", ">="};
    while (r->rest.len > 0 && is_space(r->rest.at[0]))
        r->rest = span_slice(r->rest, 1, r->rest.len);
    r->text = span_slice(r->rest, 0, 1);
    if (r->rest.len == 0) {
        r->token = TOKEN_END;
        return;
    }
    if (r->rest.at[0] == '\'' || r->rest.at[0] == '"') {
        literal(r);
        return;
    }
    size_t len = 0;
    while (len < r->rest.len && is_word(r->rest.at[len]))
        len++;
    if (len > 0) {
        token_take(r, TOKEN_WORD, 0, len, len);
        return;
    }
    len = 1;
    for (size_t i = 0; i < 4; i++)
        if (span_starts_with(r->rest, span_text(pairs[i])))
            len = 2;
    token_take(r, TOKEN_MARK, 0, len, len);
}

static bool at_word(const struct reader *r, const char *word)
{
    return r->token == TOKEN_WORD && span_equal_ignoring_case(r->text, span_text(word));
}

static bool at_mark(const struct reader *r, const char *mark)
{
    return r->token == TOKEN_MARK && span_equal(r->text, span_text(mark));
}

static bool skip_word(struct reader *r, const char *word)
{
    if (!at_word(r, word))
        return false;
    advance(r);
    return true;
}

static bool skip_mark(struct reader *r, const char *mark)
{
    if (!at_mark(r, mark))
        return false;
    advance(r);
    return true;
}

/* Says where, counted in characters from one, and what would have done. */
static enum err expected(struct reader *r, const char *what)
{
    size_t at = r->token == TOKEN_END ? r->all.len : (size_t)(r->text.at - r->all.at);
    if (r->token == TOKEN_BAD)
        return refuse(r->x, ERR_INVALID_ARGUMENT, "query: a quoted text does not end");
    return refuse(r->x, ERR_INVALID_ARGUMENT, "query, character %zu: %s expected, not \"%s\"",
                  at + 1, what, r->token == TOKEN_END ? "the end" : SHOW(r->text));
}

/* ---- conditions ---- */
static enum err node_add(struct reader *r, const struct query_node *node, int *ret_index)
{
    if (r->q->count == QUERY_NODES_MAX)
        return refuse(r->x, ERR_INVALID_ARGUMENT, "query: more than %d conditions",
                      QUERY_NODES_MAX);
    r->q->nodes[r->q->count] = *node;
    *ret_index = r->q->count++;
    return ERR_OK;
}

static const struct {
    const char *name;
    enum field field;
} fields[] = {
    {"registrationId", FIELD_ID},
    {"enrollmentGroupId", FIELD_ID},
    {"deviceId", FIELD_DEVICE_ID},
    {"provisioningStatus", FIELD_STATUS},
    {"attestation.type", FIELD_TYPE},
    {"createdDateTimeUtc", FIELD_CREATED},
    {"lastUpdatedDateTimeUtc", FIELD_UPDATED},
    {"ekHash", FIELD_EK_HASH},
};

static enum err field_read(struct reader *r, enum field *ret_field)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (at_word(r, fields[i].name)) {
            *ret_field = fields[i].field;
            advance(r);
            return ERR_OK;
        }
    return expected(r, "registrationId, enrollmentGroupId, deviceId, provisioningStatus, "
                       "attestation.type, createdDateTimeUtc, lastUpdatedDateTimeUtc or ekHash");
}

static enum err comparison_read(struct reader *r, enum comparison *ret_comparison)
{
    static const struct {
        const char *text;
        enum comparison comparison;
    } marks[] = {{"=", IS_EQUAL},  {"!=", IS_UNEQUAL}, {"<>", IS_UNEQUAL}, {"<", IS_LESS},
                 {"<=", IS_AT_MOST}, {">", IS_MORE},   {">=", IS_AT_LEAST}};
    if (skip_word(r, "LIKE")) {
        *ret_comparison = IS_LIKE;
        return ERR_OK;
    }
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (skip_mark(r, marks[i].text)) {
            *ret_comparison = marks[i].comparison;
            return ERR_OK;
        }
    return expected(r, "=, !=, <, <=, >, >= or LIKE");
}

/* LIKE takes one % and only at the end: what is kept is the text before it. */
static enum err value_read(struct reader *r, struct query_node *node)
{
    struct span value = r->text;
    if (r->token != TOKEN_TEXT)
        return expected(r, "a quoted text");
    bool like = node->comparison == IS_LIKE;
    if (like && value.len > 0 && value.at[value.len - 1] == '%')
        value.len--;
    else if (like)
        node->comparison = IS_EQUAL;
    struct span rest = value;
    (void)span_cut(&rest, '%');
    if (like && rest.at != NULL)
        return refuse(r->x, ERR_INVALID_ARGUMENT, "query: LIKE takes a %% at the end only");
    if (span_to_text(value, node->value, sizeof node->value) != ERR_OK)
        return refuse(r->x, ERR_INVALID_ARGUMENT, "query: a text of more than %d characters",
                      QUERY_VALUE_CAP - 1);
    advance(r);
    return ERR_OK;
}

static enum err condition_read(struct reader *r, int *ret_index);

static enum err unary_read(struct reader *r, int *ret_index)
{
    struct query_node node = {.kind = NODE_COMPARE};
    if (skip_word(r, "NOT")) {
        if (++r->depth > DEPTH_MAX)
            return refuse(r->x, ERR_INVALID_ARGUMENT, "query: nested too deeply");
        node.kind = NODE_NOT;
        TRY(unary_read(r, &node.left));
        r->depth--;
        return node_add(r, &node, ret_index);
    }
    if (skip_mark(r, "(")) {
        if (++r->depth > DEPTH_MAX)
            return refuse(r->x, ERR_INVALID_ARGUMENT, "query: nested too deeply");
        TRY(condition_read(r, ret_index));
        r->depth--;
        return skip_mark(r, ")") ? ERR_OK : expected(r, ")");
    }
    TRY(field_read(r, &node.field));
    TRY(comparison_read(r, &node.comparison));
    TRY(value_read(r, &node));
    return node_add(r, &node, ret_index);
}

static enum err and_read(struct reader *r, int *ret_index)
{
    TRY(unary_read(r, ret_index));
    while (skip_word(r, "AND")) {
        struct query_node node = {.kind = NODE_AND, .left = *ret_index};
        TRY(unary_read(r, &node.right));
        TRY(node_add(r, &node, ret_index));
    }
    return ERR_OK;
}

static enum err condition_read(struct reader *r, int *ret_index)
{
    TRY(and_read(r, ret_index));
    while (skip_word(r, "OR")) {
        struct query_node node = {.kind = NODE_OR, .left = *ret_index};
        TRY(and_read(r, &node.right));
        TRY(node_add(r, &node, ret_index));
    }
    return ERR_OK;
}

/* ---- the whole ---- */
static enum err selection_read(struct reader *r)
{
    bool all = false;
    if (!skip_word(r, "SELECT"))
        return expected(r, "SELECT");
    do {
        if (skip_mark(r, "*"))
            all = true;
        else if (skip_word(r, "registrationState"))
            r->q->with_state = true;
        else
            return expected(r, "* or registrationState");
    } while (skip_mark(r, ","));
    return all ? ERR_OK : expected(r, "*");
}

enum err query_read(struct manager_exchange *x, struct span text, struct query *ret_query)
{
    struct reader r = {.x = x, .q = ret_query, .all = text, .rest = text};
    ret_query->with_state = false;
    ret_query->root = -1;
    ret_query->count = 0;
    advance(&r);
    if (r.token == TOKEN_END)
        return ERR_OK;
    if (!skip_mark(&r, "*"))
        TRY(selection_read(&r));
    if (skip_word(&r, "FROM")) {
        if (r.token != TOKEN_WORD)
            return expected(&r, "a name");
        advance(&r);
    }
    if (skip_word(&r, "WHERE"))
        TRY(condition_read(&r, &ret_query->root));
    return r.token == TOKEN_END ? ERR_OK : expected(&r, r.q->root < 0 ? "WHERE" : "AND, OR");
}

/* ---- matching ---- */
static const char *const type_names[] = {
    [STORE_TPM] = "tpm", [STORE_SYMMETRIC_KEY] = "symmetricKey", [STORE_X509] = "x509",
};

static void time_put(struct buf *b, int64_t wall_s) { time_iso_write(b, wall_s); }

/* The field as text; "" where a row has none. Times are compared as their text, which sorts alike. */
static void field_write(const struct row *row, enum field field, struct buf *b)
{
    const struct store_enrollment *e = &row->enrollment;
    const struct store_group *g = &row->group;
    bool group = row->kind == KIND_GROUP;
    switch (field) {
    case FIELD_ID:
        buf_put(b, regid_span(row_id(row)));
        return;
    case FIELD_DEVICE_ID:
        buf_put(b, group ? span_of("", 0) : regid_span(&e->device_id));
        return;
    case FIELD_STATUS:
        buf_put_text(b, (group ? g->enabled : e->enabled) ? "enabled" : "disabled");
        return;
    case FIELD_TYPE:
        buf_put_text(b, type_names[group ? g->attestation : e->attestation]);
        return;
    case FIELD_CREATED:
        time_put(b, group ? g->created_s : e->created_s);
        return;
    case FIELD_UPDATED:
        time_put(b, group ? g->updated_s : e->updated_s);
        return;
    case FIELD_EK_HASH:
        if (!group && e->ek_len > 0)
            hex_write(b, SPAN_ARRAY(e->ek_hash));
        return;
    }
}

static uint8_t folded(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c; }

/* Ids, states and types are the same in either case, and of times only T and Z are letters. */
static int compare(struct span a, struct span b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int d = folded(a.at[i]) - folded(b.at[i]);
        if (d != 0)
            return d;
    }
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

static bool node_compare(const struct query_node *n, const struct row *row)
{
    uint8_t text[QUERY_VALUE_CAP];
    struct buf b = BUF_OVER(text);
    struct span value = span_text(n->value);
    field_write(row, n->field, &b);
    if (n->comparison == IS_LIKE)
        return compare(span_slice(buf_span(&b), 0, value.len), value) == 0;
    int d = compare(buf_span(&b), value);
    switch (n->comparison) {
    case IS_EQUAL:
        return d == 0;
    case IS_UNEQUAL:
        return d != 0;
    case IS_LESS:
        return d < 0;
    case IS_AT_MOST:
        return d <= 0;
    case IS_MORE:
        return d > 0;
    default:
        return d >= 0;
    }
}

/* As deep as the tree, which query_read has bounded: a chain of ANDs leans left. */
static bool node_matches(const struct query *q, int index, const struct row *row)
{
    const struct query_node *n = &q->nodes[index];
    switch (n->kind) {
    case NODE_COMPARE:
        return node_compare(n, row);
    case NODE_NOT:
        return !node_matches(q, n->left, row);
    case NODE_AND:
        return node_matches(q, n->left, row) && node_matches(q, n->right, row);
    default:
        return node_matches(q, n->left, row) || node_matches(q, n->right, row);
    }
}

bool query_matches(const struct query *q, const struct row *row)
{
    return q->root < 0 || node_matches(q, q->root, row);
}

static bool node_pins(const struct query *q, int index, enum field field, struct span *ret_value)
{
    const struct query_node *n = &q->nodes[index];
    if (n->kind == NODE_AND)
        return node_pins(q, n->left, field, ret_value) || node_pins(q, n->right, field, ret_value);
    if (n->kind != NODE_COMPARE || n->field != field || n->comparison != IS_EQUAL)
        return false;
    *ret_value = span_text(n->value);
    return true;
}

bool query_pins(const struct query *q, enum field field, struct span *ret_value)
{
    return q->root >= 0 && node_pins(q, q->root, field, ret_value);
}
