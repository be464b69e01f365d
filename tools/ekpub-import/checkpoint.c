#include "checkpoint.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dir.h"

#define MAGIC "cradle-import-1"
#define TEXT_CAP 16384

void checkpoint_path(const char *data_dir, const char *const *files, size_t count,
                     char ret_path[CHECKPOINT_PATH_CAP])
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: a name, not a proof */
    for (size_t i = 0; i < count; i++) {
        char real[4096];
        const char *name = realpath(files[i], real) != NULL ? real : files[i];
        for (size_t k = 0; k <= strlen(name); k++)
            hash = (hash ^ (uint8_t)name[k]) * 1099511628211u;
    }
    (void)snprintf(ret_path, CHECKPOINT_PATH_CAP, "%.500s/import-%016" PRIx64 ".checkpoint",
                   data_dir, hash);
}

/* What tells one file from another by the same name: only its size and when it was written; of a
 * directory, that of all its files. */
static void describe(const char *const *files, size_t count, char *ret_text, size_t cap)
{
    size_t len = 0;
    ret_text[0] = 0;
    for (size_t i = 0; i < count && len < cap; i++) {
        struct stat st = {0};
        (void)stat(files[i], &st);
        bool folder = S_ISDIR(st.st_mode);
        int n = folder ? snprintf(ret_text + len, cap - len, " %016" PRIx64, dir_print(files[i]))
                       : snprintf(ret_text + len, cap - len, " %lld:%lld.%09ld",
                                  (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                                  st.st_mtim.tv_nsec);
        len += n > 0 ? (size_t)n : 0;
    }
}

static void fd_release(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* Somebody else may import the same file at the same time: their checkpoints share their names, and
 * either will do, for the rows of both are in. Locked, so that they take turns. -1: an error. */
static int open_alone(const char *path)
{
    for (;;) {
        struct stat opened, named;
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return -1;
        bool good = flock(fd, LOCK_EX) == 0 && fstat(fd, &opened) == 0;
        bool lasts = good && stat(path, &named) == 0 && named.st_ino == opened.st_ino;
        if (lasts && ftruncate(fd, 0) == 0)
            return fd;
        (void)close(fd);
        if (!good || lasts)
            return -1;
        /* While this one waited, the other gave the file its final name: once more. */
    }
}

static enum err sync_directory(const char *path)
{
    char name[CHECKPOINT_PATH_CAP];
    (void)snprintf(name, sizeof name, "%.*s", (int)(strrchr(path, '/') - path), path);
    __attribute__((cleanup(fd_release))) int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? ERR_OK : ERR_IO;
}

static void name_next(const char *path, char ret_next[CHECKPOINT_PATH_CAP + 8])
{
    (void)snprintf(ret_next, CHECKPOINT_PATH_CAP + 8, "%s.new", path);
}

static enum err replace(const char *path, const char *text)
{
    char next[CHECKPOINT_PATH_CAP + 8];
    name_next(path, next);
    __attribute__((cleanup(fd_release))) int fd = open_alone(next);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) != 0)
        return ERR_IO;
    return rename(next, path) == 0 ? sync_directory(path) : ERR_IO;
}

enum err checkpoint_write(const char *path, const char *const *files, size_t count,
                          const struct checkpoint *c)
{
    char inputs[TEXT_CAP], text[TEXT_CAP + 400];
    describe(files, count, inputs, sizeof inputs);
    (void)snprintf(text, sizeof text,
                   MAGIC "\n%zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                         " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n%s\n",
                   c->file_index, c->file_rows, c->outcomes[IMPORT_NEW], c->outcomes[IMPORT_SAME],
                   c->outcomes[IMPORT_REPLACED], c->outcomes[IMPORT_SKIPPED],
                   c->outcomes[IMPORT_REFUSED], c->report_bytes, c->rejects_bytes, inputs);
    return replace(path, text);
}

static bool parse(char *text, struct checkpoint *ret_checkpoint, const char **ret_inputs)
{
    struct checkpoint c = {0};
    int at = 0;
    if (sscanf(text,
               MAGIC "\n%zu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                     " %" SCNu64 " %" SCNu64 "\n%n",
               &c.file_index, &c.file_rows, &c.outcomes[IMPORT_NEW], &c.outcomes[IMPORT_SAME],
               &c.outcomes[IMPORT_REPLACED], &c.outcomes[IMPORT_SKIPPED],
               &c.outcomes[IMPORT_REFUSED], &c.report_bytes, &c.rejects_bytes, &at) != 9 ||
        at == 0)
        return false;
    *ret_checkpoint = c;
    *ret_inputs = text + at - 1; /* the white space that the scan ate with the line's end */
    return true;
}

enum err checkpoint_read(const char *path, const char *const *files, size_t count,
                         struct checkpoint *ret_checkpoint, struct import_reason *ret_reason)
{
    char text[TEXT_CAP + 400] = "", inputs[TEXT_CAP];
    const char *then = NULL;
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return ERR_ABSENT;
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    (void)fclose(in);
    struct checkpoint c;
    describe(files, count, inputs, sizeof inputs);
    if (!parse(text, &c, &then) || c.file_index > count) {
        import_reason_set(ret_reason, "the checkpoint is damaged; import without --resume");
        return ERR_CONFIG;
    }
    size_t len = strcspn(then, "\n");
    if (!span_equal(span_of(then, len), span_text(inputs))) {
        import_reason_set(ret_reason,
                          "an input has changed since the checkpoint; import without --resume");
        return ERR_CONFIG;
    }
    *ret_checkpoint = c;
    return ERR_OK;
}

void checkpoint_remove(const char *path)
{
    char next[CHECKPOINT_PATH_CAP + 8];
    name_next(path, next);
    __attribute__((cleanup(fd_release))) int fd = open_alone(next);
    if (fd >= 0)
        (void)unlink(next);
    (void)unlink(path);
}
