/* Purpose: absolute deadlines, thousands of them, for the price of a list operation.
 *
 * All deadlines of one kind last equally long, so a list to whose end new ones are added is always
 * in order: setting, clearing and finding the next are O(1). One set per loop; not shared.
 */
#ifndef HTTP_DEADLINE_H
#define HTTP_DEADLINE_H

#include <wire/bytes.h>

enum http_deadline_kind {
    DEADLINE_HEADER, /* handshake and first request's headers, or a later request's headers */
    DEADLINE_BODY,
    DEADLINE_IDLE,      /* between requests */
    DEADLINE_CHALLENGE, /* between a challenge and its answer */
    DEADLINE_WRITE,
    DEADLINE_LINGER, /* after a refusal, for the client to read it */
    DEADLINE_SETTLE, /* of a first idling that is no mere pause: memory can be given back */
    DEADLINE_KINDS
};

struct http_deadline { /* embedded in what has the deadline; all zero: none is set */
    struct http_deadline *before, *after;
    int64_t at_ms;
    enum http_deadline_kind kind;
    bool set;
};

struct http_deadlines {
    struct {
        struct http_deadline *first, *last;
    } list[DEADLINE_KINDS];
    uint32_t lasts_ms[DEADLINE_KINDS];
};

void http_deadline_set(struct http_deadlines *all, struct http_deadline *d,
                       enum http_deadline_kind kind, int64_t now_ms);
void http_deadline_clear(struct http_deadlines *all, struct http_deadline *d);
/* One that has passed, no longer set; NULL when there is none. */
struct http_deadline *http_deadline_passed(struct http_deadlines *all, int64_t now_ms);
/* Milliseconds until the next one, 0 if it has passed, -1 when none is set. */
int http_deadline_wait_ms(const struct http_deadlines *all, int64_t now_ms);

#endif
