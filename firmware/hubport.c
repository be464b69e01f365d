#include "hubport.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* A descriptor that no kernel hands out: what slips past this file fails with EBADF. */
#define STREAM_FD 0x40000000
#define RECORD_CAP 4096

static struct {
    struct hal_transport *stream;
    uint32_t send_timeout_ms;
    bool gone;
    size_t from, len;
    uint8_t ahead[512]; /* read, and not yet taken by Paho */
} port;

void hubport_attach(struct hal_transport *stream, uint32_t send_timeout_ms)
{
    memset(&port, 0, sizeof port);
    port.stream = stream;
    port.send_timeout_ms = send_timeout_ms;
}

void hubport_detach(void)
{
    memset(&port, 0, sizeof port);
    port.gone = true;
}

void hubport_wait(uint32_t timeout_ms)
{
    if (port.from < port.len || port.gone || !port.stream)
        return;
    int got = port.stream->receive(port.stream, port.ahead, sizeof port.ahead, timeout_ms);
    port.gone = got < 0;
    port.from = 0;
    port.len = got > 0 ? (size_t)got : 0;
}

bool hubport_is_gone(void)
{
    return port.gone && port.from == port.len;
}

/* ---- what Paho calls; their prototypes are libc's ---- */
int hubport_getaddrinfo(const char *, const char *, const struct addrinfo *, struct addrinfo **);
void hubport_freeaddrinfo(struct addrinfo *);
int hubport_socket(int, int, int);
int hubport_connect(int, const struct sockaddr *, socklen_t);
int hubport_getpeername(int, struct sockaddr *, socklen_t *);
int hubport_fcntl(int, int, ...);
void (*hubport_signal(int, void (*)(int)))(int);
int hubport_poll(struct pollfd *, nfds_t, int);
ssize_t hubport_recv(int, void *, size_t, int);
ssize_t hubport_writev(int, const struct iovec *, int);
int hubport_shutdown(int, int);
int hubport_close(int);

/* The stream is connected before Paho is asked to: its look-up finds an address that means that. */
int hubport_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                        struct addrinfo **ret_list)
{
    (void)host, (void)service, (void)hints;
    static struct sockaddr_in address;
    static struct addrinfo only;
    address = (struct sockaddr_in){.sin_family = AF_INET};
    only = (struct addrinfo){.ai_family = AF_INET,
                             .ai_socktype = SOCK_STREAM,
                             .ai_addrlen = sizeof address,
                             .ai_addr = (struct sockaddr *)&address};
    *ret_list = &only;
    return 0;
}

void hubport_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

int hubport_socket(int family, int type, int protocol)
{
    (void)family, (void)type, (void)protocol;
    return STREAM_FD;
}

int hubport_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)address, (void)len;
    if (fd == STREAM_FD && port.stream && !port.gone)
        return 0;
    errno = ECONNREFUSED;
    return -1;
}

int hubport_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    (void)fd, (void)address, (void)len;
    errno = ENOTCONN;
    return -1;
}

int hubport_fcntl(int fd, int command, ...)
{
    (void)fd, (void)command;
    return 0;
}

/* Paho would have SIGPIPE ignored in the whole process; the hal's writes do not raise it. */
void (*hubport_signal(int number, void (*handler)(int)))(int)
{
    (void)number, (void)handler;
    return NULL;
}

int hubport_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    int ready = 0;
    for (nfds_t i = 0; i < n; i++) {
        fds[i].revents = 0;
        if (fds[i].fd != STREAM_FD)
            continue;
        if (fds[i].events & POLLIN) {
            hubport_wait(timeout_ms > 0 ? (uint32_t)timeout_ms : 0);
            if (port.from < port.len || port.gone)
                fds[i].revents |= POLLIN;
        }
        if (fds[i].events & POLLOUT)
            fds[i].revents |= POLLOUT;
        if (port.gone) /* Paho looks at a stream only if it is writable, or has hung up */
            fds[i].revents |= POLLHUP;
        ready += fds[i].revents != 0;
    }
    return ready;
}

ssize_t hubport_recv(int fd, void *at, size_t cap, int flags)
{
    (void)fd, (void)flags;
    if (cap == 0)
        return 0;
    hubport_wait(0);
    size_t n = port.len - port.from < cap ? port.len - port.from : cap;
    if (n == 0 && !port.gone) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(at, port.ahead + port.from, n);
    port.from += n;
    return (ssize_t)n; /* 0: closed */
}

static bool send_all(struct span bytes)
{
    while (bytes.len > 0) {
        int sent = port.stream->send(port.stream, bytes, port.send_timeout_ms);
        if (sent <= 0)
            return false;
        bytes = span_slice(bytes, (size_t)sent, bytes.len);
    }
    return true;
}

/* All or nothing, so that Paho never has to finish a packet later; gathered, so that a packet is
 * one TLS record and not one for each of its fields. */
ssize_t hubport_writev(int fd, const struct iovec *parts, int count)
{
    uint8_t record[RECORD_CAP];
    size_t sent = 0, filled = 0;
    bool good = fd == STREAM_FD && port.stream && !port.gone;
    for (int i = 0; good && i < count; i++) {
        struct span rest = span_of(parts[i].iov_base, parts[i].iov_len);
        sent += rest.len;
        while (good && rest.len > 0) {
            struct span part = span_slice(rest, 0, sizeof record - filled);
            memcpy(record + filled, part.at, part.len);
            filled += part.len;
            rest = span_slice(rest, part.len, rest.len);
            if (filled == sizeof record) {
                good = send_all(SPAN_ARRAY(record));
                filled = 0;
            }
        }
    }
    good = good && send_all(span_of(record, filled));
    bytes_wipe(record, sizeof record); /* the first packet carries the token */
    if (good)
        return (ssize_t)sent;
    port.gone = true;
    errno = EPIPE;
    return -1;
}

int hubport_shutdown(int fd, int how)
{
    (void)fd, (void)how;
    return 0;
}

int hubport_close(int fd)
{
    (void)fd;
    return 0;
}

/* ---- Paho's tracing, left out ----
 * It traces every packet, the token's too, on a word in the environment, and takes 130 KB of heap
 * and 600 KB of tables for that, asked or not. (Its enums are ints here, its structures anything.) */
int Log_initialize(void *info);
void Log_terminate(void);
void Log_setTraceCallback(void *callback);
void Log_setTraceLevel(int level);
void Log(int level, int number, const char *format, ...);
void StackTrace_entry(const char *name, int line, int level);
void StackTrace_exit(const char *name, int line, void *value, int level);

int Log_initialize(void *info)
{
    (void)info;
    return 0;
}

void Log_terminate(void)
{
}

void Log_setTraceCallback(void *callback)
{
    (void)callback;
}

void Log_setTraceLevel(int level)
{
    (void)level;
}

void Log(int level, int number, const char *format, ...)
{
    (void)level, (void)number, (void)format;
}

void StackTrace_entry(const char *name, int line, int level)
{
    (void)name, (void)line, (void)level;
}

void StackTrace_exit(const char *name, int line, void *value, int level)
{
    (void)name, (void)line, (void)value, (void)level;
}
