#include "deadline.h"

#include <limits.h>

void http_deadline_clear(struct http_deadlines *all, struct http_deadline *d)
{
    if (!d->set)
        return;
    if (d->before != NULL)
        d->before->after = d->after;
    else
        all->list[d->kind].first = d->after;
    if (d->after != NULL)
        d->after->before = d->before;
    else
        all->list[d->kind].last = d->before;
    d->before = d->after = NULL;
    d->set = false;
}

void http_deadline_set(struct http_deadlines *all, struct http_deadline *d,
                       enum http_deadline_kind kind, int64_t now_ms)
{
    http_deadline_clear(all, d);
    *d = (struct http_deadline){
        .before = all->list[kind].last,
        .at_ms = now_ms + all->lasts_ms[kind],
        .kind = kind,
        .set = true,
    };
    if (d->before != NULL)
        d->before->after = d;
    else
        all->list[kind].first = d;
    all->list[kind].last = d;
}

struct http_deadline *http_deadline_passed(struct http_deadlines *all, int64_t now_ms)
{
    for (int kind = 0; kind < DEADLINE_KINDS; kind++) {
        struct http_deadline *d = all->list[kind].first;
        if (d == NULL || d->at_ms > now_ms)
            continue;
        http_deadline_clear(all, d);
        return d;
    }
    return NULL;
}

int http_deadline_wait_ms(const struct http_deadlines *all, int64_t now_ms)
{
    int64_t wait = -1;
    for (int kind = 0; kind < DEADLINE_KINDS; kind++) {
        const struct http_deadline *d = all->list[kind].first;
        if (d == NULL)
            continue;
        int64_t left = d->at_ms > now_ms ? d->at_ms - now_ms : 0;
        if (wait < 0 || left < wait)
            wait = left;
    }
    return wait > INT_MAX ? INT_MAX : (int)wait;
}
