#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar.h"

struct dir {
    int fd;
    char **names; /* paths from there; sorted: files of one stem beside each other */
    size_t count, cap, next;
    uint8_t content[FILEROW_CAP + 1];
    uint8_t entry[IMPORT_ROW_CAP]; /* the row, as it would be written out */
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

static enum err add_name(struct dir *d, char *name)
{
    if (name == NULL)
        return ERR_MEMORY;
    if (d->count == d->cap) {
        size_t cap = d->cap > 0 ? 2 * d->cap : 64;
        char **names = reallocarray(d->names, cap, sizeof *names);
        if (names == NULL) {
            free(name);
            return ERR_MEMORY;
        }
        d->names = names;
        d->cap = cap;
    }
    d->names[d->count++] = name;
    return ERR_OK;
}

static bool is_directory(int fd, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static char *join(const char *folder, const char *name)
{
    size_t folder_len = strlen(folder), len = strlen(name) + 1;
    char *path = malloc(folder_len + 1 + len);
    if (path == NULL)
        return NULL;
    memcpy(path, folder, folder_len);
    path[folder_len] = '/';
    memcpy(path + folder_len + (folder_len > 0), name, len);
    return path;
}

static enum err list(struct dir *d, int fd, const char *folder, int depth);

/* One that is nested too deep is left in the list, to be refused there. */
static enum err list_entry(struct dir *d, int fd, const char *folder, int depth,
                           const struct dirent *entry)
{
    if (filerow_is_hidden(span_text(entry->d_name)))
        return ERR_OK;
    char *path = join(folder, entry->d_name);
    int inner = -1;
    if (path != NULL && depth < DIR_DEPTH_MAX && is_directory(fd, entry)) {
        inner = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        enum err e = inner < 0 ? ERR_IO : list(d, inner, path, depth + 1);
        free(path);
        return e;
    }
    return add_name(d, path);
}

/* Closes fd. */
static enum err list(struct dir *d, int fd, const char *folder, int depth)
{
    __attribute__((cleanup(stream_release))) DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        (void)close(fd);
        return ERR_IO;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL)
            return errno == 0 ? ERR_OK : ERR_IO;
        TRY(list_entry(d, fd, folder, depth, entry));
    }
}

static enum err list_all(struct dir *d)
{
    int again = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
    if (again < 0)
        return ERR_IO;
    TRY(list(d, again, "", 1));
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
    enum err e = list_all(d);
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

/* Directory by directory: a link in the path may lead anywhere. */
static int open_beneath(const struct dir *d, const char *path, int flags)
{
    int at = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
    for (const char *slash; at >= 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        char name[NAME_MAX + 1] = "";
        memcpy(name, path, (size_t)(slash - path));
        int inner = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        (void)close(at);
        at = inner;
    }
    int fd = at < 0 ? -1 : openat(at, path, flags);
    int why = errno;
    if (at >= 0)
        (void)close(at);
    errno = why;
    return fd;
}

/* A pipe would make the opening wait, a link may lead anywhere. */
static void read_one(struct dir *d, const char *name, struct import_row *row)
{
    __attribute__((cleanup(fd_release))) int fd =
        open_beneath(d, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    size_t len = 0;
    if (fd < 0 && errno != ELOOP)
        import_reason_set(&row->broken, "the file cannot be read: %s", strerror(errno));
    else if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        import_reason_set(&row->broken, "directories nested deeper than %d are not read",
                          DIR_DEPTH_MAX);
    else if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        import_reason_set(&row->broken, "not a regular file");
    else if (!read_content(fd, d->content, sizeof d->content, &len))
        import_reason_set(&row->broken, "the file cannot be read: %s", strerror(errno));
    else if (len > FILEROW_CAP)
        import_reason_set(&row->broken, "the file is too long for a key");
    else
        tar_row_read(span_text(name), span_of(d->content, len), d->entry, row);
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

uint64_t dir_print(const char *path)
{
    struct dir *d;
    struct import_reason why;
    uint64_t print = 14695981039346656037u; /* FNV-1a: to notice a change, not to withstand a forger */
    if (dir_open(path, &d, &why) != ERR_OK)
        return 0;
    for (size_t i = 0; i < d->count; i++) {
        struct stat st = {0};
        char line[64];
        (void)fstatat(d->fd, d->names[i], &st, AT_SYMLINK_NOFOLLOW);
        (void)snprintf(line, sizeof line, " %lld %lld.%09ld\n", (long long)st.st_size,
                       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        for (const char *c = d->names[i]; *c != 0; c++)
            print = (print ^ (uint8_t)*c) * 1099511628211u;
        for (const char *c = line; *c != 0; c++)
            print = (print ^ (uint8_t)*c) * 1099511628211u;
    }
    dir_close(d);
    return print;
}
