#include "runs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_BYTES 40u /* of a run's memory; a run of longer ones ends earlier */
#define READ_AT_ONCE 65536u
#define WRITE_AT_ONCE (1u << 20)
#define ENTRY_MAX (1u + RUNS_KEY_MAX + 4u) /* length, key, number: in memory as in the file */
#define PATH_CAP 700

/* Eight bytes of the key decide nearly every comparison. */
struct item {
    uint64_t prefix;
    uint32_t entry; /* where in bytes */
};

struct run {
    uint8_t *bytes;
    struct item *items;
    size_t len, count;
    size_t shared; /* bytes with which all keys begin */
    int fd;
    uint64_t at; /* of the file */
    enum err outcome;
    int why;
};

/* A run on its way back from the file. */
struct source {
    uint64_t at, end; /* what of the file was not read yet */
    size_t from, to;  /* what was, and was not taken yet */
    struct span key;
    uint32_t number;
    uint8_t bytes[READ_AT_ONCE];
};

struct runs {
    int fd;
    uint64_t end;          /* of the file */
    size_t keys_at_once, bytes_at_once;
    struct run runs[2], *filling, *other;
    bool sorting; /* the other is being sorted, by: */
    pthread_t sorter;
    uint64_t *ends; /* of the runs in the file */
    size_t count, cap;
    struct source **heap; /* the one with the lowest key first */
    size_t heap_len;
    uint8_t last[RUNS_KEY_MAX];
    size_t last_len;
    bool begun;
};

/* ---- one run, sorted and written ---- */

static struct span entry_key(const uint8_t *entry)
{
    return span_of(entry + 1, entry[0]);
}

static int compare_spans(struct span a, struct span b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_items(const void *a, const void *b, void *context)
{
    const struct item *x = a, *y = b;
    const struct run *run = context;

    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return compare_spans(entry_key(run->bytes + x->entry), entry_key(run->bytes + y->entry));
}

static void share_less(struct run *run, struct span key)
{
    struct span first = entry_key(run->bytes);
    size_t most = run->shared < key.len ? run->shared : key.len, same = 0;

    while (same < most && first.at[same] == key.at[same])
        same++;
    run->shared = same;
}

/* Zeros after its end: they come before any longer key, and an equal prefix decides nothing. */
static uint64_t prefix_of(struct span key, size_t from)
{
    uint64_t prefix = 0;

    for (size_t i = from; i < from + 8; i++)
        prefix = prefix << 8 | (i < key.len ? key.at[i] : 0);
    return prefix;
}

static enum err write_all(int fd, const uint8_t *bytes, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t done = pwrite(fd, bytes, len, (off_t)at);
        if (done < 0 && errno != EINTR)
            return errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
        if (done > 0) {
            bytes += done;
            at += (uint64_t)done;
            len -= (size_t)done;
        }
    }
    return ERR_OK;
}

static enum err run_write(const struct run *run)
{
    uint8_t *out = malloc(WRITE_AT_ONCE);
    uint64_t at = run->at;
    size_t len = 0;
    enum err e = out == NULL ? ERR_MEMORY : ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < run->count; i++) {
        const uint8_t *entry = run->bytes + run->items[i].entry;
        size_t entry_len = 1 + (size_t)entry[0] + 4;
        memcpy(out + len, entry, entry_len);
        len += entry_len;
        if (len > WRITE_AT_ONCE - ENTRY_MAX || i + 1 == run->count) {
            e = write_all(run->fd, out, len, at);
            at += len;
            len = 0;
        }
    }
    free(out);
    return e;
}

static void *run_sort(void *context)
{
    struct run *run = context;

    for (size_t i = 0; i < run->count; i++) {
        struct item *item = &run->items[i];
        item->prefix = prefix_of(entry_key(run->bytes + item->entry), run->shared);
    }
    qsort_r(run->items, run->count, sizeof run->items[0], compare_items, run);
    run->outcome = run_write(run);
    run->why = errno;
    return NULL;
}

/* ---- putting ---- */

static enum err file_open(const char *directory, int *ret_fd)
{
    char path[PATH_CAP];

    (void)snprintf(path, sizeof path, "%s/sort-XXXXXX", directory);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
    (void)unlink(path); /* whatever happens, nobody has to clear it away */
    *ret_fd = fd;
    return ERR_OK;
}

/* Of what is never filled the system gives no memory. */
static enum err run_allocate(const struct runs *r, struct run *run)
{
    run->bytes = malloc(r->bytes_at_once);
    run->items = malloc(r->keys_at_once * sizeof run->items[0]);
    return run->bytes == NULL || run->items == NULL ? ERR_MEMORY : ERR_OK;
}

static void run_free(struct run *run)
{
    free(run->bytes);
    free(run->items);
    run->bytes = NULL;
    run->items = NULL;
}

enum err runs_open(const char *directory, size_t keys_at_once, struct runs **ret_runs)
{
    struct runs *r = calloc(1, sizeof *r);

    if (r == NULL)
        return ERR_MEMORY;
    r->fd = -1;
    r->keys_at_once = keys_at_once;
    r->bytes_at_once = keys_at_once * KEY_BYTES + ENTRY_MAX;
    r->filling = &r->runs[0];
    r->other = &r->runs[1];
    enum err e = file_open(directory, &r->fd);
    for (int i = 0; i < 2 && e == ERR_OK; i++)
        e = run_allocate(r, &r->runs[i]);
    if (e != ERR_OK) {
        int why = errno;
        runs_close(r);
        errno = why;
        return e;
    }
    *ret_runs = r;
    return ERR_OK;
}

static enum err sorter_join(struct runs *r)
{
    if (!r->sorting)
        return ERR_OK;
    r->sorting = false;
    (void)pthread_join(r->sorter, NULL);
    errno = r->other->why;
    return r->other->outcome;
}

void runs_close(struct runs *r)
{
    if (r == NULL)
        return;
    (void)!sorter_join(r);
    if (r->fd >= 0)
        (void)close(r->fd);
    for (size_t i = 0; i < r->heap_len; i++)
        free(r->heap[i]);
    free(r->heap);
    free(r->ends);
    run_free(&r->runs[0]);
    run_free(&r->runs[1]);
    free(r);
}

static enum err note_end(struct runs *r)
{
    if (r->count == r->cap) {
        size_t cap = r->cap == 0 ? 64 : 2 * r->cap;
        uint64_t *ends = realloc(r->ends, cap * sizeof *ends);
        if (ends == NULL)
            return ERR_MEMORY;
        r->ends = ends;
        r->cap = cap;
    }
    r->ends[r->count++] = r->end;
    return ERR_OK;
}

/* A full run is sorted while the next one fills. */
static enum err run_leave(struct runs *r)
{
    TRY(sorter_join(r));
    struct run *run = r->filling;
    run->fd = r->fd;
    run->at = r->end;
    r->end += run->len;
    TRY(note_end(r));
    r->filling = r->other;
    r->other = run;
    r->filling->len = r->filling->count = 0;
    r->sorting = true;
    if (pthread_create(&r->sorter, NULL, run_sort, run) == 0)
        return ERR_OK;
    r->sorting = false;
    (void)run_sort(run);
    errno = run->why;
    return run->outcome;
}

enum err runs_put(struct runs *r, struct span key, uint32_t number)
{
    ERR_ASSERT(key.len <= RUNS_KEY_MAX);
    struct run *run = r->filling;
    if (run->count == r->keys_at_once || run->len + ENTRY_MAX > r->bytes_at_once) {
        TRY(run_leave(r));
        run = r->filling;
    }
    uint8_t *entry = run->bytes + run->len;
    run->items[run->count].entry = (uint32_t)run->len;
    entry[0] = (uint8_t)key.len;
    memcpy(entry + 1, key.at, key.len);
    memcpy(entry + 1 + key.len, &number, sizeof number);
    run->len += 1 + key.len + sizeof number;
    if (run->count++ == 0)
        run->shared = key.len;
    else
        share_less(run, key);
    return ERR_OK;
}

/* ---- merging ---- */

static enum err source_read(const struct runs *r, struct source *s)
{
    memmove(s->bytes, s->bytes + s->from, s->to - s->from);
    s->to -= s->from;
    s->from = 0;
    while (s->at < s->end && s->to < sizeof s->bytes) {
        size_t want = sizeof s->bytes - s->to;
        if (want > s->end - s->at)
            want = (size_t)(s->end - s->at);
        ssize_t got = pread(r->fd, s->bytes + s->to, want, (off_t)s->at);
        if (got == 0 || (got < 0 && errno != EINTR))
            return ERR_STORE;
        if (got > 0) {
            s->at += (uint64_t)got;
            s->to += (size_t)got;
        }
    }
    return ERR_OK;
}

/* ERR_ABSENT after its last key. */
static enum err source_next(const struct runs *r, struct source *s)
{
    if (s->to - s->from < ENTRY_MAX && s->at < s->end)
        TRY(source_read(r, s));
    if (s->from == s->to)
        return ERR_ABSENT;
    s->key = entry_key(s->bytes + s->from);
    memcpy(&s->number, s->key.at + s->key.len, sizeof s->number);
    s->from += 1 + s->key.len + sizeof s->number;
    ERR_ASSERT(s->from <= s->to);
    return ERR_OK;
}

static void heap_sink(struct runs *r, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < r->heap_len; i = child) {
        if (child + 1 < r->heap_len &&
            compare_spans(r->heap[child + 1]->key, r->heap[child]->key) < 0)
            child++;
        if (compare_spans(r->heap[i]->key, r->heap[child]->key) <= 0)
            return;
        struct source *s = r->heap[i];
        r->heap[i] = r->heap[child];
        r->heap[child] = s;
    }
}

static enum err sources_open(struct runs *r)
{
    r->heap = calloc(r->count > 0 ? r->count : 1, sizeof(struct source *));
    if (r->heap == NULL)
        return ERR_MEMORY;
    for (uint64_t at = 0; r->heap_len < r->count; at = r->ends[r->heap_len - 1]) {
        struct source *s = malloc(sizeof *s);
        if (s == NULL)
            return ERR_MEMORY;
        s->at = at;
        s->end = r->ends[r->heap_len];
        s->from = s->to = 0;
        r->heap[r->heap_len++] = s;
        TRY(source_next(r, s));
    }
    return ERR_OK;
}

enum err runs_sort(struct runs *r)
{
    if (r->filling->count > 0)
        TRY(run_leave(r));
    TRY(sorter_join(r));
    run_free(&r->runs[0]);
    run_free(&r->runs[1]);
    TRY(sources_open(r));
    for (size_t i = r->heap_len / 2; i-- > 0;)
        heap_sink(r, i);
    return ERR_OK;
}

/* The one whose key went last is asked for its next. */
static enum err heap_next(struct runs *r)
{
    enum err e = source_next(r, r->heap[0]);

    if (e == ERR_ABSENT) {
        free(r->heap[0]);
        r->heap[0] = r->heap[--r->heap_len];
        e = ERR_OK;
    }
    heap_sink(r, 0);
    return e;
}

enum err runs_next(struct runs *r, struct span *ret_key, uint32_t *ret_number)
{
    if (r->begun && r->heap_len > 0)
        TRY(heap_next(r));
    if (r->heap_len == 0)
        return ERR_ABSENT;
    struct span key = r->heap[0]->key;
    if (r->begun && span_equal(key, span_of(r->last, r->last_len)))
        return ERR_DUPLICATE;
    r->begun = true;
    memcpy(r->last, key.at, key.len);
    r->last_len = key.len;
    *ret_key = span_of(r->last, r->last_len);
    *ret_number = r->heap[0]->number;
    return ERR_OK;
}
