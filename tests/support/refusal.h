/* What every refusal of the registrar has, whatever it is for; for tests that have a `struct world w`. */
#ifndef SUPPORT_REFUSAL_H
#define SUPPORT_REFUSAL_H

#include "registrar_world.h"
#include "unit.h"

#include <wire/text.h>

/* Every refusal has the four members, no key, and one line in the log that is a JSON object. */
static inline void refusal_check(const struct world *w, const char *what, const struct answer *a,
                                 int status, int32_t code)
{
    if (a->status != status || a->code != code)
        fail_msg("%s: %d %d, not %d %d: %s", what, a->status, a->code, status, code, a->body);
    assert_int_equal(json_object_size(a->json), 4);
    assert_int_equal(strlen(answer_text(a, "trackingId")), 36);
    assert_string_equal(answer_text(a, "trackingId"), a->request_id);
    assert_int_equal(strlen(answer_text(a, "timestampUtc")), 28);
    assert_true(strlen(answer_text(a, "message")) > 0);
    assert_null(strstr(a->body, "authenticationKey"));
    assert_false(a->expects_answer);
    assert_string_equal(a->location, "");
    assert_null(strchr(w->last_line, '\n'));
    json_t *line = json_loads(w->last_line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "tracking")), a->request_id);
    json_decref(line);
}

/* A register request with that body. */
static inline void refusal_put(struct world *w, const char *id, const char *token, struct span body,
                               struct answer *ret_answer)
{
    char path[512];
    world_path(path, id, "/register");
    const struct call c = {.method = "PUT", .path = path, .token = token, .body = body,
                           .content_type = "application/json"};
    world_call(w, &c, ret_answer);
}

/* A body with these two public areas and nothing else. */
static inline void refusal_body(struct buf *out, struct span ek, struct span srk)
{
    buf_put_text(out, "{\"tpm\":{\"endorsementKey\":\"");
    base64_write(out, ek);
    buf_put_text(out, "\",\"storageRootKey\":\"");
    base64_write(out, srk);
    buf_put_text(out, "\"}}");
    assert_ok(buf_end(out));
}

#endif
