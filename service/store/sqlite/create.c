/* Making the databases, all or nothing: they grow in DIR/db.new, which is renamed to DIR/db when
 * complete. A power cut leaves either no databases or both. */
#include "internal.h"
#include "schema.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct create_paths {
    char parent[DB_PATH_CAP];
    char made[DB_PATH_CAP + 8];
    char final[DB_PATH_CAP + 8];
};

static enum err create_failed(const char *path, struct store_reason *ret_reason)
{
    int why = errno;

    db_reason(ret_reason, "%s: %s", path, strerror(why));
    return why == ENOSPC || why == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
}

static void create_close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
#define FD __attribute__((cleanup(create_close_fd))) int

static enum err create_sync_directory(const char *path, struct store_reason *ret_reason)
{
    FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0)
        return create_failed(path, ret_reason);
    return ERR_OK;
}

enum err create_sync_directories(const char *data_dir, struct store_reason *ret_reason)
{
    char path[DB_PATH_CAP];

    (void)snprintf(path, sizeof path, "%s/db", data_dir);
    TRY(create_sync_directory(path, ret_reason));
    return create_sync_directory(data_dir, ret_reason);
}

static bool create_is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Calls unlink on what is in it, or only counts. */
static enum err create_walk(const char *path, bool remove, int *ret_count,
                            struct store_reason *ret_reason)
{
    DIR *directory = opendir(path);
    int count = 0;

    if (directory == NULL && errno == ENOENT) {
        *ret_count = 0;
        return ERR_OK;
    }
    if (directory == NULL)
        return create_failed(path, ret_reason);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (create_is_dot(entry->d_name))
            continue;
        count++;
        if (remove)
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    (void)closedir(directory);
    *ret_count = count;
    return ERR_OK;
}

static enum err create_refuse_existing(const char *path, struct store_reason *ret_reason)
{
    int count = 0;

    TRY(create_walk(path, false, &count, ret_reason));
    if (count == 0)
        return ERR_OK;
    db_reason(ret_reason, "%s is there already", path);
    return ERR_DUPLICATE;
}

/* What an attempt that was cut off left behind is nobody's: it never became DIR/db. */
static enum err create_make_directory(const char *path, struct store_reason *ret_reason)
{
    int count = 0;

    TRY(create_walk(path, true, &count, ret_reason));
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return create_failed(path, ret_reason);
    return ERR_OK;
}

/* The log and its index take over the mode of the database's file. */
static enum err create_file(const char *path, struct store_reason *ret_reason)
{
    FD fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    return fd < 0 ? create_failed(path, ret_reason) : ERR_OK;
}

static enum err create_database(const char *directory, const struct schema *schema,
                                struct store_reason *ret_reason)
{
    char path[DB_PATH_CAP];
    int len = snprintf(path, sizeof path, "%s/%s", directory, schema->file);
    DB db = {0};

    if (len < 0 || len >= (int)sizeof path) {
        db_reason(ret_reason, "the name of the data directory is too long");
        return ERR_STORE;
    }
    TRY(create_file(path, ret_reason));
    TRY(db_open(&db, path, DB_WRITE, STORE_BUSY_WAIT_MS, ret_reason));
    TRY(schema_settle(&db, schema, SCHEMA_NEW, ret_reason));
    enum err e = db_checkpoint(&db, DB_CHECKPOINT_TRUNCATE);
    if (e != ERR_OK)
        db_reason(ret_reason, "%s could not be written", path);
    return e;
}

static enum err create_publish(const struct create_paths *paths, struct store_reason *ret_reason)
{
    TRY(create_sync_directory(paths->made, ret_reason));
    if (rename(paths->made, paths->final) != 0) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return create_failed(paths->final, ret_reason);
        db_reason(ret_reason, "%s is there already", paths->final);
        return ERR_DUPLICATE;
    }
    return create_sync_directory(paths->parent, ret_reason);
}

enum err create_databases(const char *data_dir, struct store_reason *ret_reason)
{
    struct create_paths paths;

    (void)snprintf(paths.parent, sizeof paths.parent, "%s", data_dir);
    (void)snprintf(paths.made, sizeof paths.made, "%s/db.new", paths.parent);
    (void)snprintf(paths.final, sizeof paths.final, "%s/db", paths.parent);
    TRY(create_refuse_existing(paths.final, ret_reason));
    TRY(create_make_directory(paths.made, ret_reason));
    for (int i = 0; i < DATABASE_COUNT; i++)
        TRY(create_database(paths.made, &store_schemas[i], ret_reason));
    return create_publish(&paths, ret_reason);
}
