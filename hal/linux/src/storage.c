#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT_NAME_MAX 32
#define FILE_NAME_CAP (SLOT_NAME_MAX + sizeof ".new")

static void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
#define OWNED_FD __attribute__((cleanup(fd_close))) int

static int dir_of(struct hal_storage *s)
{
    return ((struct linux_storage *)s)->dir_fd;
}

/* Slot names are the firmware's own constants: lower-case letters and dashes. */
static void check_name(const char *slot)
{
    size_t len = strlen(slot);
    ERR_ASSERT(len > 0 && len <= SLOT_NAME_MAX);
    ERR_ASSERT(strspn(slot, "abcdefghijklmnopqrstuvwxyz-") == len);
}

static enum err read_all(int fd, uint8_t *at, size_t cap, size_t *ret_len)
{
    size_t len = 0;
    for (;;) {
        uint8_t probe; /* one byte past cap tells a full slot from one that is too large */
        ssize_t got = len < cap ? read(fd, at + len, cap - len) : read(fd, &probe, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ERR_IO;
        if (got == 0)
            break;
        if (len == cap)
            return ERR_FULL;
        len += (size_t)got;
    }
    *ret_len = len;
    return ERR_OK;
}

static enum err storage_read(struct hal_storage *s, const char *slot, uint8_t *ret_bytes,
                             size_t cap, size_t *ret_len)
{
    check_name(slot);
    OWNED_FD fd = openat(dir_of(s), slot, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? ERR_ABSENT : ERR_IO;
    return read_all(fd, ret_bytes, cap, ret_len);
}

static enum err write_all(int fd, struct span bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t put = write(fd, bytes.at + done, bytes.len - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return ERR_IO;
        done += (size_t)put;
    }
    return ERR_OK;
}

static enum err write_new(int dir, const char *name, struct span bytes)
{
    OWNED_FD fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return ERR_IO;
    TRY(write_all(fd, bytes));
    return fsync(fd) == 0 ? ERR_OK : ERR_IO;
}

/* The rename is the moment of truth: before it a power cut leaves the old slot, after it the new
 * one, and the directory's fsync makes that durable. */
static enum err storage_write(struct hal_storage *s, const char *slot, struct span bytes)
{
    check_name(slot);
    if (bytes.len > HAL_SLOT_CAP)
        return ERR_FULL;
    char fresh[FILE_NAME_CAP];
    (void)snprintf(fresh, sizeof fresh, "%s.new", slot);
    int dir = dir_of(s);
    enum err e = write_new(dir, fresh, bytes);
    if (e == ERR_OK && renameat(dir, fresh, dir, slot) != 0)
        e = ERR_IO;
    if (e != ERR_OK) {
        (void)unlinkat(dir, fresh, 0);
        return e;
    }
    return fsync(dir) == 0 ? ERR_OK : ERR_IO;
}

static enum err storage_remove(struct hal_storage *s, const char *slot)
{
    check_name(slot);
    if (unlinkat(dir_of(s), slot, 0) != 0)
        return errno == ENOENT ? ERR_OK : ERR_IO;
    return fsync(dir_of(s)) == 0 ? ERR_OK : ERR_IO;
}

enum err linux_storage_open(struct linux_storage *s, const char *dir)
{
    if (mkdir(dir, S_IRWXU) != 0 && errno != EEXIST)
        return ERR_IO;
    OWNED_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat what;
    if (fd < 0 || fstat(fd, &what) != 0)
        return ERR_IO;
    if (what.st_mode & (S_IWGRP | S_IWOTH))
        return ERR_CONFIG;
    s->table = (struct hal_storage){
        .read = storage_read, .write = storage_write, .remove = storage_remove};
    s->dir_fd = fd;
    fd = -1;
    return ERR_OK;
}

void linux_storage_close(struct linux_storage *s)
{
    fd_close(&s->dir_fd);
    s->dir_fd = -1;
}
