/* An answer of the service, from its bytes to what the device makes of it. Reading it in two parts
 * gives the same as reading it whole; a truncated one is never taken for an answer; what is taken is
 * within its bounds. */
#include "fuzz.h"

#include <answer.h>
#include <stdlib.h>

static bool same(const struct httpc_reply *a, const struct httpc_reply *b)
{
    return a->status == b->status && span_equal(a->body, b->body) && a->is_json == b->is_json &&
           a->closes == b->closes && a->date_s == b->date_s &&
           a->retry_after_s == b->retry_after_s && a->consumed == b->consumed;
}

static void is_in_bounds(const struct httpc_reply *r, size_t size)
{
    MUST_HOLD(r->status >= 200 && r->status <= 599);
    MUST_HOLD(r->consumed <= size && r->body.len <= r->consumed);
    MUST_HOLD(r->retry_after_s <= HTTPC_RETRY_AFTER_MAX_S);
}

static void is_a_sound_answer(const struct httpc_reply *r)
{
    struct answer a;
    if (answer_read(r, &a) != ERR_OK)
        return;
    MUST_HOLD(a.kind != ANSWER_REFUSED || a.why != ERR_OK);
    MUST_HOLD(a.blob_len <= sizeof a.blob);
    MUST_HOLD(a.kind != ANSWER_ASSIGNED || (answer_hub_is_valid(span_text(a.hub)) &&
                                            answer_device_id_is_valid(span_text(a.device_id))));
    MUST_HOLD(a.kind != ANSWER_ASSIGNING || a.operation_id[0] != '\0');
    for (const char *c = a.message; *c; c++)
        MUST_HOLD(*c >= ' ' && *c < 0x7f);
}

static uint8_t *copy_of(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    MUST_HOLD(copy);
    if (size)
        memcpy(copy, data, size);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > HTTPC_BYTES_CAP)
        return 0;
    uint8_t *whole = copy_of(data, size), *part = copy_of(data, size);
    struct httpc_reply reply, again;
    enum err e = httpc_reply_read(whole, size, &reply);
    size_t cut = size / 2;
    enum err first = httpc_reply_read(part, cut, &again);
    if (first == ERR_TRUNCATED) { /* as if nothing had been read */
        MUST_HOLD(cut == 0 || memcmp(part, data, cut) == 0);
        MUST_HOLD(httpc_reply_read(part, size, &again) == e);
    } else {
        MUST_HOLD(first == e);
    }
    if (e == ERR_OK) {
        MUST_HOLD(same(&reply, &again));
        is_in_bounds(&reply, size);
        is_a_sound_answer(&reply);
    }
    free(whole);
    free(part);
    return 0;
}
