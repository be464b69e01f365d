/* Purpose: a recorder of what a program does to the files below one directory, loaded before the C
 * library (LD_PRELOAD). From its log tests/support/powercut.py builds what a disk may hold after the
 * power was cut at any moment. It can also make the n-th operation fail.
 *
 *   POWERCUT_DIR     the directory that is watched; others are left alone
 *   POWERCUT_LOG     the log, appended to; several processes may share one
 *   POWERCUT_ACK_FD  what is written to that descriptor goes to the log too, in order
 *   POWERCUT_FAIL    KIND:N:ERROR[:COUNT]: KIND create, write, sync, name or any; from the N-th on,
 *                    COUNT times (1; 0: ever after); ERROR EIO, ENOSPC, or SHORT, a write of half the bytes
 *
 * Limits: what is written through a memory map or through stdio is not seen, so it counts as lost.
 * A failed sync loses what it should have written, as Linux does.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum op { OP_OPEN = 1, OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_SYNC_FAILED, OP_RENAME, OP_UNLINK,
          OP_MKDIR, OP_ACK, OP_INJECTED };

/* The head of each record; powercut.py reads it. Numbers as the machine has them. */
struct record {
    uint32_t op;
    uint32_t payload_len;
    uint64_t inode;
    uint64_t number; /* offset, size, or 1 for a file that is new */
};

#define FDS 4096
static struct {
    pthread_mutex_t lock;
    bool ready;
    int log_fd, ack_fd;
    char dir[PATH_MAX];
    uint64_t inodes[FDS]; /* of watched descriptors; 0: not watched */
    char fail_kind[8];
    long fail_at, fail_count, seen;
    int fail_error; /* -1: short */
} cut = {.lock = PTHREAD_MUTEX_INITIALIZER, .log_fd = -1, .ack_fd = -1};

static void cut_read_failure(const char *text)
{
    char error[16] = "";
    long count = 1;

    if (text == NULL || sscanf(text, "%7[a-z]:%ld:%15[A-Z]:%ld", cut.fail_kind, &cut.fail_at, error,
                               &count) < 3)
        return;
    cut.fail_count = count;
    cut.fail_error = strcmp(error, "ENOSPC") == 0 ? ENOSPC : strcmp(error, "EIO") == 0 ? EIO : -1;
}

static void cut_prepare(void)
{
    const char *dir = getenv("POWERCUT_DIR"), *log = getenv("POWERCUT_LOG"),
               *ack = getenv("POWERCUT_ACK_FD");

    cut.ready = true;
    if (dir == NULL || log == NULL || realpath(dir, cut.dir) == NULL)
        return;
    cut.log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                              0600);
    cut.ack_fd = ack != NULL ? (int)strtol(ack, NULL, 10) : -1;
    cut_read_failure(getenv("POWERCUT_FAIL"));
}

/* One operation at a time over all processes, so that the log's order is the true one. */
static void cut_enter(void)
{
    (void)pthread_mutex_lock(&cut.lock);
    if (!cut.ready)
        cut_prepare();
    if (cut.log_fd >= 0)
        (void)flock(cut.log_fd, LOCK_EX);
}

static void cut_leave(void)
{
    int kept = errno;

    if (cut.log_fd >= 0)
        (void)flock(cut.log_fd, LOCK_UN);
    (void)pthread_mutex_unlock(&cut.lock);
    errno = kept;
}

static void cut_record(enum op op, uint64_t inode, uint64_t number, const void *payload, size_t len)
{
    struct record record = {op, (uint32_t)len, inode, number};
    struct iovec parts[2] = {{&record, sizeof record}, {(void *)(uintptr_t)payload, len}};
    int kept = errno;

    if (syscall(SYS_writev, cut.log_fd, parts, 2) != (long)(sizeof record + len))
        abort(); /* a log with a hole would prove nothing */
    errno = kept;
}

static bool cut_is_watched(int fd)
{
    return cut.log_fd >= 0 && fd >= 0 && fd < FDS && cut.inodes[fd] != 0;
}

/* 0: go on. Otherwise the error to fail with, or -1 for a short write. */
static int cut_failure(const char *kind)
{
    if (cut.fail_at == 0 || (strcmp(cut.fail_kind, "any") != 0 && strcmp(cut.fail_kind, kind) != 0))
        return 0;
    cut.seen++;
    if (cut.seen < cut.fail_at ||
        (cut.fail_count != 0 && cut.seen >= cut.fail_at + cut.fail_count))
        return 0;
    cut_record(OP_INJECTED, 0, (uint64_t)cut.seen, kind, strlen(kind));
    return cut.fail_error;
}

/* ---- paths ---- */

/* The canonical path if it lies below the directory; the last part need not exist. */
static bool cut_resolve(const char *path, char ret_path[PATH_MAX])
{
    char parent[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/'), *last = slash != NULL ? slash + 1 : path;
    size_t dir_len = strlen(cut.dir);

    if (cut.log_fd < 0 || strlen(path) >= sizeof parent)
        return false;
    (void)snprintf(parent, sizeof parent, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
                   slash != NULL ? path : ".");
    if (realpath(parent, real) == NULL ||
        snprintf(ret_path, PATH_MAX, "%s/%s", real, last) >= PATH_MAX)
        return false;
    return strncmp(ret_path, cut.dir, dir_len) == 0 &&
           (ret_path[dir_len] == '/' || ret_path[dir_len] == '\0');
}

/* ---- opening and closing ---- */

static void cut_watch(int fd, const char *path, bool created)
{
    struct stat info;

    if (fd < 0 || fd >= FDS || fstat(fd, &info) != 0)
        return;
    cut.inodes[fd] = info.st_ino;
    cut_record(OP_OPEN, info.st_ino, created, path, strlen(path));
    if (S_ISREG(info.st_mode) && info.st_size == 0)
        cut_record(OP_TRUNCATE, info.st_ino, 0, "", 0);
}

static int cut_open(int at, const char *path, int flags, mode_t mode)
{
    char real[PATH_MAX];
    int fd, failure = 0;

    cut_enter();
    bool watched = cut_resolve(path, real);
    bool creates = watched && (flags & O_CREAT) != 0 &&
                   syscall(SYS_faccessat, at, path, F_OK) != 0;
    if (creates)
        failure = cut_failure("create");
    if (failure > 0) {
        errno = failure;
        fd = -1;
    } else {
        fd = (int)syscall(SYS_openat, at, path, flags, mode);
        if (watched && fd >= 0)
            cut_watch(fd, real, creates);
    }
    cut_leave();
    return fd;
}

static mode_t cut_mode(int flags, va_list arguments)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, int) : 0;
}

#define OPENER(name)                                                                               \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = cut_mode(flags, arguments);                                                  \
        va_end(arguments);                                                                         \
        return cut_open(AT_FDCWD, path, flags, mode);                                              \
    }
#define OPENER_AT(name)                                                                            \
    int name(int at, const char *path, int flags, ...)                                             \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = cut_mode(flags, arguments);                                                  \
        va_end(arguments);                                                                         \
        return cut_open(at, path, flags, mode);                                                    \
    }
int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
int openat(int at, const char *path, int flags, ...);
int openat64(int at, const char *path, int flags, ...);
OPENER(open)
OPENER(open64)
OPENER_AT(openat)
OPENER_AT(openat64)

int close(int fd)
{
    cut_enter();
    if (fd >= 0 && fd < FDS)
        cut.inodes[fd] = 0;
    int result = (int)syscall(SYS_close, fd);
    cut_leave();
    return result;
}

/* ---- writing ---- */

static ssize_t cut_write(int fd, const void *data, size_t len, int64_t offset)
{
    cut_enter();
    bool watched = cut_is_watched(fd);
    int failure = watched ? cut_failure("write") : 0;
    size_t part = failure < 0 && len > 1 ? len / 2 : len;
    ssize_t done = -1;

    if (failure > 0)
        errno = failure;
    else if (offset >= 0)
        done = syscall(SYS_pwrite64, fd, data, part, offset);
    else
        done = syscall(SYS_write, fd, data, part);
    if (watched && done > 0) {
        int64_t at = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR) - done;
        cut_record(OP_WRITE, cut.inodes[fd], (uint64_t)at, data, (size_t)done);
    }
    if (cut.log_fd >= 0 && fd == cut.ack_fd && done > 0)
        cut_record(OP_ACK, 0, 0, data, (size_t)done);
    cut_leave();
    return done;
}

ssize_t write(int fd, const void *data, size_t len)
{
    return cut_write(fd, data, len, -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return cut_write(fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset);
ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    return cut_write(fd, data, len, offset);
}

static int cut_truncate(int fd, off_t size)
{
    cut_enter();
    int failure = cut_is_watched(fd) ? cut_failure("write") : 0;
    int result = -1;

    if (failure > 0)
        errno = failure;
    else
        result = (int)syscall(SYS_ftruncate, fd, size);
    if (result == 0 && cut_is_watched(fd))
        cut_record(OP_TRUNCATE, cut.inodes[fd], (uint64_t)size, "", 0);
    cut_leave();
    return result;
}

int ftruncate(int fd, off_t size)
{
    return cut_truncate(fd, size);
}

int ftruncate64(int fd, off_t size);
int ftruncate64(int fd, off_t size)
{
    return cut_truncate(fd, size);
}

static int cut_sync(int fd, long call)
{
    cut_enter();
    int failure = cut_is_watched(fd) ? cut_failure("sync") : 0;
    int result = -1;

    if (failure > 0)
        errno = failure;
    else
        result = (int)syscall(call, fd);
    if (cut_is_watched(fd))
        cut_record(result == 0 ? OP_SYNC : OP_SYNC_FAILED, cut.inodes[fd], 0, "", 0);
    cut_leave();
    return result;
}

int fsync(int fd)
{
    return cut_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return cut_sync(fd, SYS_fdatasync);
}

/* ---- names ---- */

/* Record the names of an operation that worked: one path, or two with a NUL between. */
static void cut_record_names(enum op op, const char *from, const char *to)
{
    char both[2 * PATH_MAX];
    int len = snprintf(both, sizeof both, "%s%c%s", from, 0, to != NULL ? to : "");

    cut_record(op, 0, 0, both, to != NULL ? (size_t)len : strlen(from));
}

static int cut_names(enum op op, int at, const char *from, int flags, const char *to, mode_t mode)
{
    char real_from[PATH_MAX], real_to[PATH_MAX];
    int result = -1;

    cut_enter();
    bool watched = cut_resolve(from, real_from) && (to == NULL || cut_resolve(to, real_to));
    int failure = watched ? cut_failure("name") : 0;
    if (failure > 0)
        errno = failure;
    else if (op == OP_RENAME)
        result = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    else if (op == OP_UNLINK)
        result = (int)syscall(SYS_unlinkat, at, from, flags);
    else
        result = (int)syscall(SYS_mkdirat, AT_FDCWD, from, mode);
    if (result == 0 && watched)
        cut_record_names(op, real_from, to != NULL ? real_to : NULL);
    cut_leave();
    return result;
}

int rename(const char *from, const char *to)
{
    return cut_names(OP_RENAME, AT_FDCWD, from, 0, to, 0);
}

int unlink(const char *path)
{
    return cut_names(OP_UNLINK, AT_FDCWD, path, 0, NULL, 0);
}

int rmdir(const char *path)
{
    return cut_names(OP_UNLINK, AT_FDCWD, path, AT_REMOVEDIR, NULL, 0);
}

int mkdir(const char *path, mode_t mode)
{
    return cut_names(OP_MKDIR, AT_FDCWD, path, 0, NULL, mode);
}

/* Relative to a descriptor: its directory's name is asked of the system. */
int unlinkat(int at, const char *path, int flags)
{
    char link[64], base[PATH_MAX], whole[PATH_MAX];

    if (at == AT_FDCWD || path[0] == '/')
        return cut_names(OP_UNLINK, at, path, flags, NULL, 0);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t len = readlink(link, base, sizeof base - 1);
    if (len < 0)
        return -1;
    base[len] = '\0';
    if (snprintf(whole, sizeof whole, "%s/%s", base, path) >= (int)sizeof whole) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return cut_names(OP_UNLINK, AT_FDCWD, whole, flags, NULL, 0);
}
