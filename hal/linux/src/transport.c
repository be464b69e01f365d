#include "parts.h"
#include "tls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <resolv.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct linux_transport *mine(struct hal_transport *table)
{
    return (struct linux_transport *)table;
}

/* ---- TCP ---- */
static bool wait_connected(int fd, uint64_t deadline_ms)
{
    uint64_t now_ms = linux_now_ms();
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (now_ms >= deadline_ms || poll(&p, 1, (int)(deadline_ms - now_ms)) <= 0)
        return false;
    int failure = 0;
    socklen_t len = sizeof failure;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
        return false;
    errno = failure;
    return failure == 0;
}

static int connect_one(const struct addrinfo *at, uint64_t deadline_ms)
{
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0)
        return -1;
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0 ||
        (errno == EINPROGRESS && wait_connected(fd, deadline_ms)))
        return fd;
    (void)close(fd);
    return -1;
}

/* Each address gets an equal share of what time is left, so that a dead first one leaves some. */
static enum err connect_any(const struct addrinfo *list, uint64_t deadline_ms, int *ret_fd)
{
    unsigned left = 0;
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        left++;
    for (const struct addrinfo *a = list; a; a = a->ai_next, left--) {
        uint64_t now_ms = linux_now_ms();
        if (now_ms >= deadline_ms)
            return ERR_TIMEOUT;
        int fd = connect_one(a, now_ms + (deadline_ms - now_ms) / left);
        if (fd >= 0) {
            *ret_fd = fd;
            return ERR_OK;
        }
    }
    return linux_now_ms() >= deadline_ms ? ERR_TIMEOUT : ERR_NETWORK;
}

/* The resolver's own patience knows no deadline: seconds for each server, each attempt, and again with
 * each search domain. One attempt, whose waits (they double from server to server) fit in; whoever
 * opens tries again by himself. Reading resolv.conf each time finds the servers that came later. */
static void resolver_hurry(uint64_t deadline_ms)
{
    uint64_t now_ms = linux_now_ms();
    if (now_ms >= deadline_ms || res_init() != 0)
        return;
    int servers = _res.nscount > 0 ? _res.nscount : 1;
    int share_s = (int)((deadline_ms - now_ms) / 1000) / (2 * servers);
    _res.options |= RES_NORELOAD; /* else every other look-up takes back what is set here */
    _res.retry = 1;
    _res.retrans = share_s > 1 ? share_s : 1;
}

static enum err tcp_open(const char *host, uint16_t port, uint64_t deadline_ms, int *ret_fd)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    struct addrinfo want = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    resolver_hurry(deadline_ms);
    if (getaddrinfo(host, service, &want, &list) != 0)
        return ERR_HOST;
    enum err e = connect_any(list, deadline_ms, ret_fd);
    freeaddrinfo(list);
    return e;
}

/* ---- the table ---- */
static void transport_close(struct hal_transport *table)
{
    struct linux_transport *t = mine(table);
    if (t->ssl)
        (void)wolfSSL_shutdown(t->ssl);
    wolfSSL_free(t->ssl);
    wolfSSL_CTX_free(t->ctx);
    if (t->fd >= 0)
        (void)close(t->fd);
    t->ssl = NULL;
    t->ctx = NULL;
    t->fd = -1;
}

/* The context is made anew for each connection: wolfSSL keeps a chain's intermediate certificates
 * in it as trusted, and what one peer showed is no reason to trust another. */
static enum err transport_open(struct hal_transport *table, const char *host, uint16_t port,
                               int64_t now_s, uint32_t timeout_ms, struct hal_peer *ret_peer)
{
    struct linux_transport *t = mine(table);
    ERR_ASSERT(!t->ssl && t->fd < 0);
    uint64_t deadline_ms = linux_now_ms() + timeout_ms;
    enum err e = tls_context_open(t->ca_file, &t->ctx);
    if (e == ERR_OK)
        e = tcp_open(host, port, deadline_ms, &t->fd);
    if (e == ERR_OK)
        e = tls_handshake(t->ctx, t->fd, host, now_s, deadline_ms, &t->ssl, ret_peer);
    if (e != ERR_OK)
        transport_close(table);
    return e;
}

static bool would_block(struct linux_transport *t, int got)
{
    int code = wolfSSL_get_error(t->ssl, got);
    return code == WOLFSSL_ERROR_WANT_READ || code == WOLFSSL_ERROR_WANT_WRITE;
}

static int transport_send(struct hal_transport *table, struct span bytes, uint32_t timeout_ms)
{
    struct linux_transport *t = mine(table);
    if (!t->ssl || bytes.len > INT32_MAX)
        return -1;
    uint64_t deadline_ms = linux_now_ms() + timeout_ms;
    for (;;) {
        int put = wolfSSL_write(t->ssl, bytes.at, (int)bytes.len);
        if (put > 0)
            return put;
        if (!would_block(t, put))
            return -1;
        if (!tls_wait(t->ssl, t->fd, deadline_ms))
            return 0;
    }
}

static int transport_receive(struct hal_transport *table, uint8_t *at, size_t cap,
                             uint32_t timeout_ms)
{
    struct linux_transport *t = mine(table);
    if (!t->ssl || cap > INT32_MAX)
        return -1;
    uint64_t deadline_ms = linux_now_ms() + timeout_ms;
    for (;;) {
        int got = wolfSSL_read(t->ssl, at, (int)cap);
        if (got > 0)
            return got;
        if (!would_block(t, got))
            return -1;
        if (!tls_wait(t->ssl, t->fd, deadline_ms))
            return 0;
    }
}

enum err linux_transport_init(struct linux_transport *t, const char *ca_file)
{
    *t = (struct linux_transport){
        .table = {.open = transport_open, .send = transport_send, .receive = transport_receive,
                  .close = transport_close},
        .ca_file = ca_file,
        .fd = -1,
    };
    WOLFSSL_CTX *ctx = NULL;
    TRY(tls_context_open(ca_file, &ctx));
    wolfSSL_CTX_free(ctx);
    return ERR_OK;
}
