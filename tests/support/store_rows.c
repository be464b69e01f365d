#include "store_rows.h"
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct regid rows_id(const char *text)
{
    struct regid id = {0};

    (void)snprintf(id.text, sizeof id.text, "%s", text);
    return id;
}

/* Spreads neighbouring numbers over the whole key space, as real hashes would. */
static uint32_t rows_mix(uint32_t n)
{
    n = (n ^ n >> 16) * 0x45d9f3bu;
    n = (n ^ n >> 16) * 0x45d9f3bu;
    return n ^ n >> 16;
}

static void rows_fill(uint8_t *at, size_t len, unsigned n)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(rows_mix(n + (uint32_t)i * 7919u) >> 8);
    at[0] = (uint8_t)(n >> 24);
    at[1] = (uint8_t)(n >> 16);
    at[2] = (uint8_t)(n >> 8);
    at[3] = (uint8_t)n;
}

struct store_enrollment rows_enrollment(unsigned n)
{
    struct store_enrollment row = {.enabled = true, .created_s = 1700000000, .updated_s = 1700000000};

    (void)snprintf(row.id.text, sizeof row.id.text, "%08xaaaabbbbccccddddeeeeffffgggghhhhiiiijjjjkkkk-%u",
                   rows_mix(n), n);
    (void)snprintf(row.device_id.text, sizeof row.device_id.text, "%s", row.id.text);
    row.ek_len = 316;
    rows_fill(row.ek, row.ek_len, n);
    rows_fill(row.ek_hash, sizeof row.ek_hash, rows_mix(n));
    return row;
}

struct store_registration rows_registration(unsigned n, uint64_t generation)
{
    struct store_enrollment enrollment = rows_enrollment(n);
    struct store_registration row = {
        .id = enrollment.id,
        .device_id = enrollment.device_id,
        .generation = generation,
        .srk_len = 280,
        .challenge_window = 28333333 + (int64_t)generation,
        .created_s = 1700000000 + (int64_t)generation,
        .updated_s = 1700000000 + (int64_t)generation,
    };

    memcpy(row.ek_hash, enrollment.ek_hash, sizeof row.ek_hash);
    rows_fill(row.srk, row.srk_len, n + 1000000);
    (void)snprintf(row.hub, sizeof row.hub, "hub-%u.example.net", n % 3);
    (void)snprintf(row.operation_id, sizeof row.operation_id, "4.0123456789abcdef.%08x-%llu", n,
                   (unsigned long long)generation);
    (void)snprintf(row.etag, sizeof row.etag, "etag-%u-%llu", n, (unsigned long long)generation);
    return row;
}

void rows_directory_make(char *ret_path, size_t cap)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(ret_path, cap, "%s/cradle-store-XXXXXX", base != NULL ? base : "/tmp");
    ERR_ASSERT(mkdtemp(ret_path) != NULL);
}

static int rows_remove_entry(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    (void)info;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void rows_directory_remove(const char *path)
{
    (void)nftw(path, rows_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void rows_put(struct store *s, unsigned from, unsigned to)
{
    struct store_batch *batch = NULL;
    enum store_put outcome;
    struct regid other;

    ERR_ASSERT(store_batch_begin(s, &batch) == ERR_OK);
    for (unsigned n = from; n < to; n++) {
        struct store_enrollment row = rows_enrollment(n);
        ERR_ASSERT(store_batch_put(batch, &row, &outcome, &other) == ERR_OK);
        ERR_ASSERT(outcome == STORE_PUT_NEW);
    }
    ERR_ASSERT(store_batch_commit(batch) == ERR_OK);
}

void rows_create(const char *dir, unsigned count)
{
    struct store *s = NULL;

    ERR_ASSERT(store_open(dir, STORE_CREATE, &s, NULL) == ERR_OK);
    for (unsigned from = 0; from < count; from += STORE_BATCH_MAX)
        rows_put(s, from, count - from < STORE_BATCH_MAX ? count : from + STORE_BATCH_MAX);
    store_close(s);
}

void rows_enroll(const char *dir, const struct store_enrollment *row)
{
    struct store *s = NULL;
    struct store_batch *batch = NULL;
    enum store_put outcome;
    struct regid other;

    ERR_ASSERT(store_open(dir, STORE_IMPORT, &s, NULL) == ERR_OK);
    ERR_ASSERT(store_batch_begin(s, &batch) == ERR_OK);
    ERR_ASSERT(store_batch_put(batch, row, &outcome, &other) == ERR_OK);
    ERR_ASSERT(outcome == STORE_PUT_NEW);
    ERR_ASSERT(store_batch_commit(batch) == ERR_OK);
    store_close(s);
}

struct rows_waiter {
    struct store_waiter waiter;
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done;
    enum err outcome;
};

static void rows_done(struct store_waiter *waiter, enum err outcome)
{
    struct rows_waiter *w = (struct rows_waiter *)waiter;

    (void)pthread_mutex_lock(&w->lock);
    w->done = true;
    w->outcome = outcome;
    (void)pthread_cond_signal(&w->told);
    (void)pthread_mutex_unlock(&w->lock);
}

static enum err rows_wait(struct rows_waiter *w)
{
    (void)pthread_mutex_lock(&w->lock);
    while (!w->done)
        (void)pthread_cond_wait(&w->told, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
    return w->outcome;
}

#define ROWS_WAITER                                                                                \
    {.waiter = {.done = rows_done}, .lock = PTHREAD_MUTEX_INITIALIZER,                             \
     .told = PTHREAD_COND_INITIALIZER}

enum err rows_assign(struct store *s, const struct store_registration *row)
{
    struct rows_waiter w = ROWS_WAITER;

    TRY(store_registration_assign(s, row, &w.waiter));
    return rows_wait(&w);
}

enum err rows_change_list(struct store *s, struct store_change *changes, size_t count)
{
    struct rows_waiter w = ROWS_WAITER;

    TRY(store_change_apply(s, changes, count, &w.waiter));
    return rows_wait(&w);
}

enum err rows_change(struct store *s, struct store_change *change)
{
    enum err e = rows_change_list(s, change, 1);

    return e == ERR_OK ? change->outcome : e;
}
