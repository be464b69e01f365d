/* The minimal build's way to the TPM, without the TSS's TCTIs: they are loaded at run time, and
 * what they do on these two ways is to carry bytes. As tpm2-tools spell them:
 *   device[:PATH]      the kernel's; without a path the resource manager's, else the TPM itself
 *   swtpm:path=PATH    a software TPM's socket */
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_TIMEOUT_MS 120000 /* longer than any command takes: see tpm.c */
#define HEADER_LEN 10

static int open_device(const char *path)
{
    if (path)
        return open(path, O_RDWR | O_CLOEXEC);
    int fd = open("/dev/tpmrm0", O_RDWR | O_CLOEXEC);
    return fd >= 0 ? fd : open("/dev/tpm0", O_RDWR | O_CLOEXEC);
}

static int open_socket(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (span_to_text(span_text(path), to.sun_path, sizeof to.sun_path) != ERR_OK)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static enum err open_way(struct linux_tpm *t)
{
    const char *device = after(t->tcti, "device:"), *socket_path = after(t->tcti, "swtpm:path=");
    if (t->fd >= 0)
        return ERR_OK;
    if (device || strcmp(t->tcti, "device") == 0)
        t->fd = open_device(device);
    else if (socket_path)
        t->fd = open_socket(socket_path);
    return t->fd >= 0 ? ERR_OK : ERR_TPM_TRANSPORT;
}

void linux_tpm_close(struct linux_tpm *t)
{
    if (t->fd >= 0)
        (void)close(t->fd);
    t->fd = -1;
}

/* In one piece, which is how the kernel takes a command; on a socket without SIGPIPE. */
static enum err transmit(int fd, struct span command)
{
    ssize_t put;
    do {
        put = send(fd, command.at, command.len, MSG_NOSIGNAL);
        if (put < 0 && errno == ENOTSOCK)
            put = write(fd, command.at, command.len);
    } while (put < 0 && errno == EINTR);
    return put == (ssize_t)command.len ? ERR_OK : ERR_TPM_TRANSPORT;
}

static enum err read_some(int fd, uint8_t *at, size_t cap, uint64_t deadline_ms, size_t *ret_got)
{
    for (;;) {
        uint64_t now_ms = linux_now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now_ms >= deadline_ms)
            return ERR_TPM_TRANSPORT;
        ssize_t got = poll(&p, 1, (int)(deadline_ms - now_ms));
        if (got > 0)
            got = read(fd, at, cap);
        if (got > 0) {
            *ret_got = (size_t)got;
            return ERR_OK;
        }
        if (got == 0 || errno != EINTR)
            return ERR_TPM_TRANSPORT;
    }
}

static uint32_t size_said(const uint8_t *reply)
{
    struct rd header = rd_over(span_of(reply + 2, 4));
    return rd_u32(&header);
}

/* Until there is as much as the reply's own header says, and not a byte more. */
static enum err receive(int fd, uint8_t *reply, size_t cap, size_t *ret_len)
{
    uint64_t deadline_ms = linux_now_ms() + REPLY_TIMEOUT_MS;
    size_t len = 0;
    do {
        size_t got;
        if (len == cap)
            return ERR_FULL;
        TRY(read_some(fd, reply + len, cap - len, deadline_ms, &got));
        len += got;
    } while (len < HEADER_LEN || len < size_said(reply));
    if (len != size_said(reply))
        return ERR_TPM_TRANSPORT;
    *ret_len = len;
    return ERR_OK;
}

static enum err transact(struct hal_tpm *table, struct span command, uint8_t *ret_reply, size_t cap,
                         size_t *ret_len)
{
    struct linux_tpm *t = (struct linux_tpm *)table;
    TRY(open_way(t));
    enum err e = transmit(t->fd, command);
    if (e == ERR_OK)
        e = receive(t->fd, ret_reply, cap, ret_len);
    if (e != ERR_OK)
        linux_tpm_close(t); /* what state it is in nobody knows: the next command begins afresh */
    return e;
}

void linux_tpm_init(struct linux_tpm *t, const char *tcti)
{
    t->table.transact = transact;
    t->tcti = tcti;
    t->fd = -1;
}
