#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum err complain(struct config_reason *reason, const char *path, const char *what)
{
    if (reason != NULL)
        snprintf(reason->text, sizeof reason->text, "%.400s: %s", path, what);
    return ERR_CONFIG;
}

static enum err open_private(const char *path, int *ret_fd, struct stat *ret_st,
                             struct config_reason *reason)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const char *wrong = NULL;
    if (fd < 0)
        return complain(reason, path, strerror(errno));
    if (fstat(fd, ret_st) != 0 || !S_ISREG(ret_st->st_mode))
        wrong = "not a regular file";
    else if (ret_st->st_mode & 077)
        wrong = "others than its owner may use it: its mode must be 0600";
    if (wrong != NULL) {
        close(fd);
        return complain(reason, path, wrong);
    }
    *ret_fd = fd;
    return ERR_OK;
}

enum err config_private_check(const char *path, struct config_reason *ret_reason)
{
    __attribute__((cleanup(fd_close))) int fd = -1;
    struct stat st;
    return open_private(path, &fd, &st, ret_reason);
}

enum err config_secret_read(const struct config *c, const char *name, struct secret *ret_secret,
                            struct config_reason *ret_reason)
{
    __attribute__((cleanup(fd_close))) int fd = -1;
    struct stat st;
    char path[CONFIG_PATH_CAP + 64];
    uint8_t bytes[CONFIG_SECRET_LEN];
    snprintf(path, sizeof path, "%s/secrets/%s", c->data_dir, name);
    TRY(open_private(path, &fd, &st, ret_reason));
    if (st.st_size != CONFIG_SECRET_LEN || read(fd, bytes, sizeof bytes) != CONFIG_SECRET_LEN)
        return complain(ret_reason, path, "must hold exactly 32 bytes");
    enum err e = secret_set(ret_secret, SPAN_ARRAY(bytes));
    bytes_wipe(bytes, sizeof bytes);
    return e;
}
