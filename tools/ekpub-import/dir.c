#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dir {
    int fd;
    char **names; /* sorted: files of one stem beside each other */
    size_t count, cap, next;
    uint8_t content[FILEROW_CAP + 1];
};

static void fd_release(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void stream_release(DIR **stream)
{
    if (*stream != NULL)
        (void)closedir(*stream);
}

/* By id, then by name, so that a key and its certificate are neighbours. */
static int compare(const void *a, const void *b)
{
    const char *left = *(char *const *)a, *right = *(char *const *)b;
    struct span x = filerow_id(span_text(left)), y = filerow_id(span_text(right));
    int order = memcmp(x.at, y.at, x.len < y.len ? x.len : y.len);
    if (order == 0)
        order = (x.len > y.len) - (x.len < y.len);
    return order != 0 ? order : strcmp(left, right);
}

static enum err add_name(struct dir *d, const char *name)
{
    if (d->count == d->cap) {
        size_t cap = d->cap > 0 ? 2 * d->cap : 64;
        char **names = reallocarray(d->names, cap, sizeof *names);
        if (names == NULL)
            return ERR_MEMORY;
        d->names = names;
        d->cap = cap;
    }
    d->names[d->count] = strdup(name);
    if (d->names[d->count] == NULL)
        return ERR_MEMORY;
    d->count++;
    return ERR_OK;
}

static enum err list(struct dir *d)
{
    int again = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
    __attribute__((cleanup(stream_release))) DIR *stream = again < 0 ? NULL : fdopendir(again);
    if (stream == NULL) {
        if (again >= 0)
            (void)close(again);
        return ERR_IO;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL)
            break;
        if (!filerow_is_hidden(span_text(entry->d_name)))
            TRY(add_name(d, entry->d_name));
    }
    if (errno != 0)
        return ERR_IO;
    if (d->count > 0)
        qsort(d->names, d->count, sizeof *d->names, compare);
    return ERR_OK;
}

enum err dir_open(const char *path, struct dir **ret_dir, struct import_reason *ret_reason)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ENOENT))
        return ERR_ABSENT;
    struct dir *d = fd < 0 ? NULL : calloc(1, sizeof *d);
    import_reason_set(ret_reason, "%s", strerror(errno));
    if (fd < 0)
        return ERR_IO;
    if (d == NULL) {
        (void)close(fd);
        return ERR_MEMORY;
    }
    d->fd = fd;
    enum err e = list(d);
    if (e != ERR_OK) {
        import_reason_set(ret_reason, "%s", e == ERR_IO ? strerror(errno) : err_text(e));
        dir_close(d);
        return e;
    }
    *ret_dir = d;
    return ERR_OK;
}

void dir_close(struct dir *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->count; i++)
        free(d->names[i]);
    free(d->names);
    (void)close(d->fd);
    free(d);
}

/* At most one byte more than a key may have. */
static bool read_content(int fd, uint8_t *at, size_t cap, size_t *ret_len)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t got = read(fd, at + len, cap - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    *ret_len = len;
    return true;
}

/* A pipe would make the opening wait, a link may lead anywhere. */
static void read_one(struct dir *d, const char *name, struct import_row *row)
{
    __attribute__((cleanup(fd_release))) int fd =
        openat(d->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    size_t len = 0;
    if (fd < 0 && errno != ELOOP)
        import_reason_set(&row->broken, "the file cannot be read: %s", strerror(errno));
    else if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        import_reason_set(&row->broken, "not a regular file");
    else if (!read_content(fd, d->content, sizeof d->content, &len))
        import_reason_set(&row->broken, "the file cannot be read: %s", strerror(errno));
    else if (len > FILEROW_CAP)
        import_reason_set(&row->broken, "the file is too long for a key");
    else
        filerow_read(span_of(d->content, len), row);
}

enum err dir_next(struct dir *d, struct import_row *ret_row)
{
    if (d->next == d->count)
        return ERR_ABSENT;
    const char *name = d->names[d->next++];
    struct import_row row = {.line = d->next};
    row.fields[COLUMN_REGISTRATION_ID] = filerow_id(span_text(name));
    read_one(d, name, &row);
    *ret_row = row;
    return ERR_OK;
}
