/* Purpose: the sessions the hub has let in and must watch: who, until when, by which generation of
 * the device's key.
 *
 * Keyed by the broker's handle of the connection, not by the device: when a device connects a second
 * time, the broker reports the end of the old connection after the new one was let in, and that must
 * not take the new one's record away. A dense array with a chained hash over it; grows by doubling
 * up to SESSIONS_MAX. Removing a row moves the last one into its place, so walk from the end.
 */
#ifndef HUB_SESSIONS_H
#define HUB_SESSIONS_H

#include <wire/bytes.h>
#include <wire/regid.h>

#define SESSIONS_MAX (1u << 17)
#define SESSION_ENDLESS INT64_MAX

struct session {
    const void *client;     /* the broker's handle, never followed */
    struct regid device_id; /* empty: one of the operator's consumers */
    uint64_t generation;
    uint64_t token_mark;    /* of the token's signature: tells tokens apart */
    int64_t end_s;          /* wall clock; SESSION_ENDLESS for the operator's */
};

struct sessions {
    struct session *rows;   /* count of them in use */
    uint32_t *next;         /* the row after this one in its chain */
    uint32_t *heads;        /* cap of them */
    uint32_t count, cap;
    int64_t first_end_s;    /* no row ends before */
};

void sessions_open(struct sessions *s); /* empty, nothing allocated */
void sessions_close(struct sessions *s);
/* Adds a row or replaces the one of the same client. ERR_FULL, ERR_MEMORY. */
MUST_USE enum err sessions_put(struct sessions *s, const struct session *row);
/* NULL: none. Good until the next put or removal. */
const struct session *sessions_find(const struct sessions *s, const void *client);
void sessions_remove(struct sessions *s, const void *client); /* fine where there is none */

/* Takes out every row that ends at or before now_s and hands it to `ended`, which may remove others.
 * Costs nothing before first_end_s, which is exact afterwards. */
void sessions_sweep(struct sessions *s, int64_t now_s,
                    void (*ended)(void *context, const struct session *row), void *context);

#endif
