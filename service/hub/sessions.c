#include "sessions.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define CAP_FIRST 64u

void sessions_open(struct sessions *s)
{
    *s = (struct sessions){.first_end_s = SESSION_ENDLESS};
}

void sessions_close(struct sessions *s)
{
    free(s->rows);
    free(s->next);
    free(s->heads);
    sessions_open(s);
}

/* Handles are addresses: their low bits are alike, so they are stirred first. */
static uint32_t head_of(const struct sessions *s, const void *client)
{
    uint64_t x = (uint64_t)(uintptr_t)client;
    x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
    x ^= x >> 32;
    return (uint32_t)x & (s->cap - 1);
}

static void link_row(struct sessions *s, uint32_t i)
{
    uint32_t *head = &s->heads[head_of(s, s->rows[i].client)];
    s->next[i] = *head;
    *head = i;
}

/* The link that names row i: in its head or in the row before it. */
static uint32_t *link_to(struct sessions *s, uint32_t i)
{
    uint32_t *link = &s->heads[head_of(s, s->rows[i].client)];
    while (*link != i)
        link = &s->next[*link];
    return link;
}

static uint32_t index_of(const struct sessions *s, const void *client)
{
    if (s->cap == 0)
        return NONE;
    uint32_t i = s->heads[head_of(s, client)];
    while (i != NONE && s->rows[i].client != client)
        i = s->next[i];
    return i;
}

static enum err grow(struct sessions *s)
{
    uint32_t cap = s->cap == 0 ? CAP_FIRST : s->cap * 2;
    if (cap > SESSIONS_MAX)
        return ERR_FULL;
    struct session *rows = reallocarray(s->rows, cap, sizeof *rows);
    if (rows != NULL)
        s->rows = rows;
    uint32_t *next = reallocarray(s->next, cap, sizeof *next);
    if (next != NULL)
        s->next = next;
    uint32_t *heads = reallocarray(s->heads, cap, sizeof *heads);
    if (heads != NULL)
        s->heads = heads;
    if (rows == NULL || next == NULL || heads == NULL)
        return ERR_MEMORY;
    s->cap = cap;
    memset(heads, 0xff, cap * sizeof *heads);
    for (uint32_t i = 0; i < s->count; i++)
        link_row(s, i);
    return ERR_OK;
}

enum err sessions_put(struct sessions *s, const struct session *row)
{
    uint32_t i = index_of(s, row->client);
    if (i == NONE) {
        if (s->count == s->cap)
            TRY(grow(s));
        i = s->count++;
        s->rows[i] = *row;
        link_row(s, i);
    } else {
        s->rows[i] = *row;
    }
    if (row->end_s < s->first_end_s)
        s->first_end_s = row->end_s;
    return ERR_OK;
}

const struct session *sessions_find(const struct sessions *s, const void *client)
{
    uint32_t i = index_of(s, client);
    return i == NONE ? NULL : &s->rows[i];
}

static void remove_row(struct sessions *s, uint32_t i)
{
    *link_to(s, i) = s->next[i];
    uint32_t last = --s->count;
    if (i == last)
        return;
    *link_to(s, last) = i;
    s->rows[i] = s->rows[last];
    s->next[i] = s->next[last];
}

void sessions_remove(struct sessions *s, const void *client)
{
    uint32_t i = index_of(s, client);
    if (i != NONE)
        remove_row(s, i);
}

void sessions_sweep(struct sessions *s, int64_t now_s,
                    void (*ended)(void *context, const struct session *row), void *context)
{
    if (now_s < s->first_end_s)
        return;
    s->first_end_s = SESSION_ENDLESS;
    for (uint32_t i = s->count; i-- > 0;) {
        if (i >= s->count) /* `ended` removed some */
            continue;
        struct session row = s->rows[i];
        if (row.end_s <= now_s) {
            remove_row(s, i);
            ended(context, &row);
        } else if (row.end_s < s->first_end_s) {
            s->first_end_s = row.end_s;
        }
    }
}
