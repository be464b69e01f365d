/* The first load: a fresh file whose b-trees are written from left to right, the rows as they come and
 * the indexes out of sorted keys in the end; then one rename. Until that moment nothing has happened;
 * after it all has. */
#include "internal.h"
#include "pages.h"
#include "row.h"
#include "runs.h"
#include "schema.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Written into the file that was replaced, over its application_id: who opened it a moment before must
 * not take it for a database without enrollments. */
#define LOAD_DEAD "dead"
#define LOAD_DEAD_AT 68

/* Profiles are known by number at once, and few: SQLite keeps them aside until the end, for it must not
 * write to a file that grows without it. */
#define LOAD_PREPARE                                                                               \
    "PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"           \
    "VACUUM; PRAGMA temp_store = FILE;"                                                            \
    "CREATE TEMP TABLE profile (number INTEGER PRIMARY KEY, tags TEXT NOT NULL, hubs TEXT NOT "    \
    "NULL, allocation TEXT NOT NULL, twin TEXT NOT NULL, document TEXT NOT NULL, hash BLOB, uses " \
    "INTEGER NOT NULL);"                                                                           \
    "CREATE UNIQUE INDEX temp.profile_once ON profile (tags, hubs, allocation, twin, document);"
#define LOAD_PROFILES "INSERT INTO main.profile SELECT * FROM temp.profile"

/* Sorted in memory: 7 MiB for each index, twice. */
#define LOAD_KEYS_AT_ONCE (1u << 17)

enum load_index { LOAD_ID, LOAD_KEY, LOAD_DEVICE, LOAD_INDEXES };

struct load_index_keys {
    struct store_load *load;
    uint32_t root;
    int64_t rows;
    struct runs *keys; /* NULL: none yet */
    enum err outcome;  /* of the thread that wrote it */
    int why;
};

struct store_load {
    struct store *store;
    struct db db;
    char path[DB_PATH_CAP];
    char directory[DB_PATH_CAP];
    int64_t rows;
    struct pages *pages;
    struct tree *enrollments, *certificates;
    struct load_index_keys index[LOAD_INDEXES];
};

static enum err load_lock(struct store *s)
{
    uint64_t count = 0;

    /* Leaving the log needs the file for oneself: it fails if any other process has it open. */
    (void)sqlite3_busy_timeout(s->import.handle, 0);
    enum err e = db_script(&s->import, "PRAGMA journal_mode = DELETE", NULL);
    db_take_turns(&s->import, STORE_IMPORT_BUSY_WAIT_MS);
    TRY(e);
    TRY(db_script(&s->import, "BEGIN EXCLUSIVE", NULL));
    TRY(row_find_number(&s->import, ENROLLMENT_COUNT, &count));
    if (count == 0) /* the rows of a load are numbered from 1 */
        TRY(row_find_number(&s->import, ENROLLMENT_SPENT, &count));
    return count == 0 ? ERR_OK : ERR_DUPLICATE;
}

static void load_unlock(struct store *s)
{
    db_abandon(&s->import);
    (void)!db_script(&s->import, "PRAGMA journal_mode = WAL", NULL);
}

static void load_remove(const struct store_load *l)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char path[DB_PATH_CAP + 16];

    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s%s", l->path, tails[i]);
        (void)unlink(path);
    }
}

static enum err load_fail(const struct store_load *l, enum err e, struct store_reason *ret_reason)
{
    const char *why = e == ERR_DUPLICATE ? "two rows share an id, a key or a device id"
                      : e == ERR_MEMORY  ? "out of memory"
                                         : strerror(errno);
    if (e != ERR_OK)
        db_reason(ret_reason, "%s: %s", l->path, why);
    return e == ERR_DUPLICATE ? ERR_STORE : e;
}

static enum err load_root(struct store_load *l, const char *static_text, uint32_t *ret_root,
                          struct store_reason *ret_reason)
{
    int64_t root = 0;

    TRY(db_pragma_integer(&l->db, static_text, &root, ret_reason));
    *ret_root = (uint32_t)root;
    return ERR_OK;
}

static enum err load_open_trees(struct store_load *l, uint32_t enrollment, uint32_t certificate)
{
    TRY(pages_open(l->path, &l->pages));
    TRY(tree_open(l->pages, TREE_TABLE, enrollment, &l->enrollments));
    TRY(tree_open(l->pages, TREE_TABLE, certificate, &l->certificates));
    for (int i = 0; i < LOAD_DEVICE; i++)
        TRY(runs_open(l->directory, LOAD_KEYS_AT_ONCE, &l->index[i].keys));
    return ERR_OK;
}

#define ROOT_OF(name) "SELECT rootpage FROM main.sqlite_schema WHERE name = '" name "'"
static enum err load_make_trees(struct store_load *l, struct store_reason *ret_reason)
{
    static const char *const roots[] = {ROOT_OF("enrollment_id"), ROOT_OF("enrollment_key"),
                                        ROOT_OF("enrollment_device")};
    uint32_t enrollment, certificate;

    TRY(load_root(l, ROOT_OF("enrollment"), &enrollment, ret_reason));
    TRY(load_root(l, ROOT_OF("certificate"), &certificate, ret_reason));
    for (int i = 0; i < LOAD_INDEXES; i++) {
        l->index[i].load = l;
        TRY(load_root(l, roots[i], &l->index[i].root, ret_reason));
    }
    return load_fail(l, load_open_trees(l, enrollment, certificate), ret_reason);
}

static enum err load_make(struct store_load *l, struct store_reason *ret_reason)
{
    load_remove(l);
    int fd = open(l->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return load_fail(l, ERR_STORE, ret_reason);
    (void)close(fd);
    TRY(db_open(&l->db, l->path, DB_WRITE, STORE_BUSY_WAIT_MS, ret_reason));
    TRY(schema_settle(&l->db, &store_schemas[ENROLLMENTS], SCHEMA_NEW, ret_reason));
    TRY(db_script(&l->db, LOAD_PREPARE, ret_reason));
    TRY(carry_over(&l->store->import, &l->db, ret_reason));
    TRY(db_prepare(&l->db, ENROLLMENTS, ret_reason));
    TRY(load_make_trees(l, ret_reason));
    return db_script(&l->db, "BEGIN", ret_reason); /* of the profiles */
}

/* All but the lock on the old file. */
static void load_close(struct store_load *l)
{
    for (int i = 0; i < LOAD_INDEXES; i++)
        runs_close(l->index[i].keys);
    tree_close(l->enrollments);
    tree_close(l->certificates);
    pages_close(l->pages);
    db_close(&l->db);
}

enum err store_load_begin(struct store *s, struct store_load **ret_load,
                          struct store_reason *ret_reason)
{
    ERR_ASSERT(s->import.handle != NULL && !s->in_batch);
    struct store_load *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ERR_MEMORY;
    l->store = s;
    (void)snprintf(l->path, sizeof l->path, "%.*s.load", DB_PATH_CAP - 8,
                   s->place.path[ENROLLMENTS]);
    (void)snprintf(l->directory, sizeof l->directory, "%s", l->path);
    *strrchr(l->directory, '/') = 0;
    enum err e = load_lock(s);
    if (e == ERR_OK) {
        e = load_make(l, ret_reason);
        if (e != ERR_OK) {
            load_close(l);
            load_remove(l);
        }
    }
    if (e != ERR_OK) {
        load_unlock(s);
        free(l);
        return e;
    }
    s->in_batch = true;
    *ret_load = l;
    return ERR_OK;
}

/* ---- rows ---- */

static enum err load_key(struct store_load *l, enum load_index which, struct span key)
{
    struct load_index_keys *index = &l->index[which];

    if (index->keys == NULL)
        TRY(runs_open(l->directory, LOAD_KEYS_AT_ONCE, &index->keys));
    index->rows++;
    return runs_put(index->keys, key, (uint32_t)l->rows);
}

static enum err load_put(struct store_load *l, const struct store_enrollment *row)
{
    uint8_t bytes[RECORD_HEAD + ROW_ENROLLMENT_CAP];
    struct record record = record_over(bytes, sizeof bytes);

    row_write_enrollment(&record, row);
    TRY(tree_put(l->enrollments, (uint64_t)l->rows, record_end(&record)));
    TRY(load_key(l, LOAD_ID, regid_span(&row->id)));
    TRY(load_key(l, LOAD_KEY, SPAN_ARRAY(row->ek_hash)));
    if (strcmp(row->device_id.text, row->id.text) == 0)
        return ERR_OK;
    return load_key(l, LOAD_DEVICE, regid_span(&row->device_id));
}

enum err store_load_put(struct store_load *l, const struct store_enrollment *row)
{
    ERR_ASSERT(row->ek_len >= 1 && row->ek_len <= sizeof row->ek &&
               row->srk_len <= sizeof row->srk);
    if (l->rows == UINT32_MAX)
        return ERR_FULL;
    l->rows++;
    return load_put(l, row);
}

enum err store_load_certificate(struct store_load *l, struct span der)
{
    uint8_t bytes[RECORD_HEAD + STORE_CERTIFICATE_CAP];
    struct record record = record_over(bytes, sizeof bytes);

    ERR_ASSERT(der.len >= 1 && der.len <= STORE_CERTIFICATE_CAP);
    record_put_null(&record); /* the number is the row's own */
    record_put_blob(&record, der);
    return tree_put(l->certificates, (uint64_t)l->rows, record_end(&record));
}

enum err store_load_profile(struct store_load *l, const struct store_profile *profile,
                            int64_t *ret_number)
{
    return row_settle_profile(&l->db, profile, ret_number);
}

/* ---- the end ---- */

static enum err index_write(struct load_index_keys *index, struct tree *tree)
{
    struct span key;
    uint32_t number;
    bool text = index != &index->load->index[LOAD_KEY];
    enum err e;

    TRY(runs_sort(index->keys));
    while ((e = runs_next(index->keys, &key, &number)) == ERR_OK) {
        uint8_t bytes[RECORD_HEAD + RUNS_KEY_MAX + 8];
        struct record record = record_over(bytes, sizeof bytes);
        if (text)
            record_put_text(&record, key);
        else
            record_put_blob(&record, key);
        record_put_integer(&record, number);
        TRY(tree_put(tree, 0, record_end(&record)));
    }
    return e == ERR_ABSENT ? tree_finish(tree) : e;
}

static void *index_run(void *context)
{
    struct load_index_keys *index = context;
    struct tree *tree = NULL;

    index->outcome = tree_open(index->load->pages, TREE_INDEX, index->root, &tree);
    if (index->outcome == ERR_OK)
        index->outcome = index_write(index, tree);
    index->why = errno;
    tree_close(tree);
    return NULL;
}

/* The index of ids on a thread of its own, unless there is none to be had. */
static enum err load_write_indexes(struct store_load *l)
{
    pthread_t thread;
    bool apart = store_thread_start("load", index_run, &l->index[LOAD_ID], &thread) == ERR_OK;

    if (!apart)
        (void)index_run(&l->index[LOAD_ID]);
    (void)index_run(&l->index[LOAD_KEY]);
    if (l->index[LOAD_DEVICE].keys != NULL)
        (void)index_run(&l->index[LOAD_DEVICE]);
    if (apart)
        (void)pthread_join(thread, NULL);
    for (int i = 0; i < LOAD_INDEXES; i++) {
        errno = l->index[i].why;
        TRY(l->index[i].outcome);
    }
    return ERR_OK;
}

static enum err load_write_rest(struct store_load *l)
{
    TRY(tree_finish(l->enrollments));
    TRY(tree_finish(l->certificates));
    TRY(load_write_indexes(l));
    return pages_finish(l->pages);
}

/* What SQLite says of a work that is not its own: each index has as many rows as the table, and the ends
 * of the table are what they must be. tests/unit/test_store_load.c has it look at every byte. */
static enum err load_check(struct store_load *l, struct store_reason *ret_reason)
{
    static const char *const counts[] = {
        "SELECT count(*) FROM enrollment INDEXED BY enrollment_id",
        "SELECT count(*) FROM enrollment INDEXED BY enrollment_key",
        "SELECT count(*) FROM enrollment INDEXED BY enrollment_device WHERE device_id IS NOT NULL",
        "SELECT coalesce(max(number), 0) FROM enrollment",
    };
    for (int i = 0; i < 4; i++) {
        int64_t count = -1, want = i < LOAD_INDEXES ? l->index[i].rows : l->rows;
        TRY(db_pragma_integer(&l->db, counts[i], &count, ret_reason));
        if (count != want) {
            db_reason(ret_reason, "%s holds %lld rows, not %lld", l->path, (long long)count,
                      (long long)want);
            return ERR_STORE;
        }
    }
    return ERR_OK;
}

static enum err load_sync(const char *path, struct store_reason *ret_reason)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int why = errno;

    if (fd >= 0)
        (void)close(fd);
    if (!ok)
        db_reason(ret_reason, "%s: %s", path, strerror(why));
    return ok ? ERR_OK : why == ENOSPC || why == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
}

/* The old file is ours alone until the end: nobody reads it as empty, and nobody the new one before
 * it is durable. */
static enum err load_publish(struct store_load *l, struct store_reason *ret_reason)
{
    struct store *s = l->store;

    TRY(load_sync(l->path, ret_reason));
    int old = open(s->place.path[ENROLLMENTS], O_WRONLY | O_CLOEXEC);
    if (old < 0 || rename(l->path, s->place.path[ENROLLMENTS]) != 0) {
        db_reason(ret_reason, "%s: %s", l->path, strerror(errno));
        if (old >= 0) {
            db_close(&s->import);
            (void)close(old);
        }
        return ERR_STORE;
    }
    /* Only once the new name lasts: else a cut of the power brings the old file back, marked. */
    enum err e = load_sync(l->directory, ret_reason);
    if (e == ERR_OK &&
        pwrite(old, LOAD_DEAD, sizeof LOAD_DEAD - 1, LOAD_DEAD_AT) != sizeof LOAD_DEAD - 1)
        db_reason(ret_reason, "the file that was replaced could not be marked");
    db_close(&s->import);
    (void)close(old); /* not before: it would let go of the other's lock too */
    TRY(e);
    TRY(store_place_open(&s->place, ENROLLMENTS, DB_WRITE, STORE_IMPORT_BUSY_WAIT_MS, &s->import,
                         ret_reason));
    db_take_turns(&s->import, STORE_IMPORT_BUSY_WAIT_MS);
    return db_script(&s->import, DB_CACHE_LARGE, ret_reason);
}

static enum err load_finish(struct store_load *l, struct store_reason *ret_reason)
{
    TRY(db_script(&l->db, "COMMIT", ret_reason));
    TRY(load_fail(l, load_write_rest(l), ret_reason));
    TRY(db_script(&l->db, LOAD_PROFILES, ret_reason));
    TRY(load_check(l, ret_reason));
    db_close(&l->db);
    return load_publish(l, ret_reason);
}

enum err store_load_commit(struct store_load *l, struct store_reason *ret_reason)
{
    struct store *s = l->store;
    enum err e = load_finish(l, ret_reason);

    if (e != ERR_OK) {
        store_load_abandon(l);
        return e;
    }
    load_close(l);
    s->in_batch = false;
    free(l);
    return ERR_OK;
}

void store_load_abandon(struct store_load *l)
{
    if (l == NULL)
        return;
    load_close(l);
    load_remove(l);
    if (l->store->import.handle != NULL)
        load_unlock(l->store);
    l->store->in_batch = false;
    free(l);
}
