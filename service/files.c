#include "files.h"
#include "cradled.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGE_PREFIX ".init-"

static enum err fail(const char *path)
{
    complain("%s: %s", path, strerror(errno));
    return errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_IO;
}

static enum err join(const char *dir, const char *name, char ret_path[PATH_MAX])
{
    if (snprintf(ret_path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return fail(name);
    }
    return ERR_OK;
}

static enum err sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(path);
    int rc = fsync(fd);
    close(fd);
    return rc == 0 ? ERR_OK : fail(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void directory_close(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* Stages of killed runs do not count, and go. A lost+found is where a file system begins. */
static enum err check_empty(const char *path)
{
    __attribute__((cleanup(directory_close))) DIR *dir = opendir(path);
    char left[PATH_MAX];
    if (dir == NULL)
        return fail(path);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, "lost+found") == 0)
            continue;
        if (strncmp(e->d_name, STAGE_PREFIX, sizeof STAGE_PREFIX - 1) != 0) {
            complain("%s is not empty: nothing was done", path);
            return ERR_DUPLICATE;
        }
        TRY(join(path, e->d_name, left));
        remove_tree(left);
    }
    return ERR_OK;
}

enum err stage_open(const char *target, struct stage *ret_stage)
{
    struct stage s = {.made_target = false};
    for (const char *c = target; *c != '\0'; c++)
        if ((unsigned char)*c < ' ') {
            complain("the path holds a control character");
            return ERR_IO;
        }
    s.made_target = mkdir(target, 0700) == 0;
    if (!s.made_target && errno != EEXIST)
        return fail(target);
    if (realpath(target, s.target) == NULL)
        return fail(target);
    if (!s.made_target) {
        TRY(check_empty(s.target));
        if (chmod(s.target, 0700) != 0)
            return fail(s.target);
    }
    TRY(join(s.target, STAGE_PREFIX "XXXXXX", s.path));
    if (mkdtemp(s.path) == NULL)
        return fail(s.target);
    *ret_stage = s;
    return ERR_OK;
}

enum err stage_directory(const struct stage *s, const char *name)
{
    char path[PATH_MAX];
    TRY(join(s->path, name, path));
    return mkdir(path, 0700) == 0 ? ERR_OK : fail(path);
}

enum err stage_file(const struct stage *s, const char *name, struct span content, unsigned mode)
{
    char path[PATH_MAX];
    TRY(join(s->path, name, path));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return fail(path);
    bool done = write(fd, content.at, content.len) == (ssize_t)content.len &&
                fchmod(fd, mode) == 0 && fsync(fd) == 0;
    enum err e = done ? ERR_OK : fail(path);
    close(fd);
    return e;
}

enum err stage_publish(const struct stage *s, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX];
    TRY(join(s->path, name, from));
    TRY(join(s->target, name, to));
    TRY(sync_path(from));
    if (rename(from, to) != 0)
        return fail(to);
    return sync_path(s->target);
}

void stage_close(struct stage *s)
{
    if (s->path[0] == '\0')
        return;
    remove_tree(s->path);
    if (s->made_target)
        (void)rmdir(s->target); /* stays if anything was published */
    s->path[0] = '\0';
}
