#include "inner.h"

#include <string.h>
#include <wire/text.h>

#define SEGMENT_CAP 400
#define SEGMENTS_MAX 3

struct segments {
    char text[SEGMENTS_MAX][SEGMENT_CAP];
    struct span at[SEGMENTS_MAX];
    int count;
};

static bool is(struct span segment, const char *name)
{
    return span_equal_ignoring_case(segment, span_text(name));
}

/* Escapes are undone once, after the path was cut: an escaped slash never separates. */
static enum err split(struct span path, struct segments *ret_segments)
{
    struct segments *s = ret_segments;
    struct span rest = path;
    s->count = 0;
    if (rest.len > 1 && rest.at[rest.len - 1] == '/')
        rest.len--;
    if (rest.len == 0 || span_cut(&rest, '/').len != 0)
        return ERR_NOT_FOUND;
    while (rest.at != NULL) {
        struct span raw = span_cut(&rest, '/');
        if (s->count == SEGMENTS_MAX || raw.len == 0)
            return ERR_NOT_FOUND;
        struct buf b = BUF_OVER(s->text[s->count]);
        enum err e = percent_read(raw, &b);
        if (e != ERR_OK)
            return e == ERR_FULL ? ERR_NOT_FOUND : ERR_BAD_REQUEST;
        s->at[s->count++] = buf_span(&b);
    }
    return ERR_OK;
}

static bool kind_of(struct span first, enum kind *ret_kind)
{
    if (is(first, "enrollments"))
        *ret_kind = KIND_ENROLLMENT;
    else if (is(first, "enrollmentGroups"))
        *ret_kind = KIND_GROUP;
    else if (is(first, "registrations"))
        *ret_kind = KIND_REGISTRATION;
    else
        return false;
    return true;
}

bool manager_has_path(struct span path)
{
    enum kind kind;
    struct span rest = path;
    return path.len > 0 && span_cut(&rest, '/').len == 0 && kind_of(span_cut(&rest, '/'), &kind);
}

/* What a path may be asked for, method by method. */
static const struct route {
    enum kind kind;
    int segments;
    const char *last; /* NULL: an id */
    const char *method;
    enum operation operation;
} routes[] = {
    {KIND_ENROLLMENT, 2, "query", "POST", OP_QUERY},
    {KIND_GROUP, 2, "query", "POST", OP_QUERY},
    {KIND_ENROLLMENT, 1, "", "POST", OP_BULK},
    {KIND_GROUP, 1, "", "POST", OP_BULK},
    {KIND_ENROLLMENT, 2, NULL, "GET", OP_GET},
    {KIND_ENROLLMENT, 2, NULL, "PUT", OP_PUT},
    {KIND_ENROLLMENT, 2, NULL, "DELETE", OP_DELETE},
    {KIND_GROUP, 2, NULL, "GET", OP_GET},
    {KIND_GROUP, 2, NULL, "PUT", OP_PUT},
    {KIND_GROUP, 2, NULL, "DELETE", OP_DELETE},
    {KIND_REGISTRATION, 2, NULL, "GET", OP_GET},
    {KIND_REGISTRATION, 2, NULL, "DELETE", OP_DELETE},
    {KIND_ENROLLMENT, 3, "attestationmechanism", "POST", OP_MECHANISM},
    {KIND_GROUP, 3, "attestationmechanism", "POST", OP_MECHANISM},
    {KIND_REGISTRATION, 3, "query", "POST", OP_QUERY},
};

static bool route_fits(const struct route *r, enum kind kind, const struct segments *s)
{
    if (r->kind != kind || r->segments != s->count)
        return false;
    return r->last == NULL || s->count == 1 || is(s->at[s->count - 1], r->last);
}

static enum err route_find(struct span method, enum kind kind, const struct segments *s,
                           const struct route **ret_route)
{
    bool known = false;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!route_fits(&routes[i], kind, s))
            continue;
        known = true;
        if (!span_equal(method, span_text(routes[i].method)))
            continue;
        *ret_route = &routes[i];
        return ERR_OK;
    }
    return known ? ERR_METHOD : ERR_NOT_FOUND;
}

static bool route_has_id(const struct route *r)
{
    return r->segments == 3 || (r->segments == 2 && r->last == NULL);
}

static const char *const api_versions[] = {
    "2017-08-31-preview", "2017-11-15", "2018-04-01", "2018-09-01-preview", "2018-11-01",
    "2019-03-31", "2021-06-01", "2021-10-01",
};

static enum err check_api_version(struct manager_exchange *x)
{
    struct span rest = x->request.query;
    while (rest.at != NULL && rest.len > 0) {
        struct span value = span_cut(&rest, '&');
        struct span name = span_cut(&value, '=');
        if (!is(name, "api-version"))
            continue;
        for (size_t i = 0; i < sizeof api_versions / sizeof api_versions[0]; i++)
            if (is(value, api_versions[i]))
                return ERR_OK;
        return refuse(x, ERR_BAD_REQUEST, "api-version %s is not supported; 2021-10-01 is",
                      SHOW(value));
    }
    return refuse(x, ERR_BAD_REQUEST, "api-version is missing; 2021-10-01 is supported");
}

/* A body must say that it is JSON; az sends a content type even where there is none. */
static enum err check_content_type(const struct manager_request *q)
{
    struct span type = q->content_type;
    if (q->body.len == 0)
        return ERR_OK;
    struct span media = span_cut(&type, ';');
    while (media.len > 0 && media.at[media.len - 1] == ' ')
        media.len--;
    return is(media, "application/json") ? ERR_OK : ERR_MEDIA_TYPE;
}

static const char *const operation_names[][6] = {
    [KIND_ENROLLMENT] = {"get enrollment", "put enrollment", "delete enrollment",
                         "bulk enrollments", "query enrollments",
                         "read attestation mechanism of enrollment"},
    [KIND_GROUP] = {"get enrollment group", "put enrollment group", "delete enrollment group",
                    "bulk enrollment groups", "query enrollment groups",
                    "read attestation mechanism of enrollment group"},
    [KIND_REGISTRATION] = {"get registration", "", "delete registration", "",
                           "query registrations", ""},
};

enum err target_read(struct manager_exchange *x, struct target *ret_target)
{
    struct segments s;
    const struct route *route = NULL;
    struct target t = {.id = {.text = ""}};
    TRY(split(x->request.path, &s));
    if (!kind_of(s.at[0], &t.kind))
        return ERR_NOT_FOUND;
    TRY(route_find(x->request.method, t.kind, &s, &route));
    t.operation = route->operation;
    x->operation = operation_names[t.kind][t.operation];
    if (route_has_id(route) && regid_read(s.at[1], &t.id) != ERR_OK)
        return refuse(x, ERR_REG_ID, "the id \"%s\" is not valid: 1 to 128 of a-z 0-9 - . _ :, the "
                      "last one a letter, a digit or -", SHOW(s.at[1]));
    x->id = t.id;
    TRY(check_api_version(x));
    TRY(check_content_type(&x->request));
    *ret_target = t;
    return ERR_OK;
}
