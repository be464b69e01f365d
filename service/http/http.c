#include "http.h"

#include "loop.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOOPS_MAX 256
#define BACKLOG 4096

struct http {
    struct http_config config; /* without zeros */
    struct http_peers *peers;
    uint16_t port;
    int loop_count; /* that are open */
    struct http_loop *loops;
    pthread_t *threads;
    int thread_count; /* that run and are not joined, from the first on */
};

static enum err say(struct http_reason *reason, enum err e, const char *what)
{
    (void)snprintf(reason->text, sizeof reason->text, "%s: %s", what,
                   errno != 0 ? strerror(errno) : err_text(e));
    return e;
}

/* ---- what the configuration leaves open ---- */

static int cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static uint32_t or_else(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int descriptors_in_use(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 64;
    int count = 0;
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

/* As many as the limit on descriptors allows, beside those that others hold and the loops need. */
static enum err connections_limit(struct http_config *c, struct http_reason *reason)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return say(reason, ERR_IO, "cannot read the limit on file descriptors");
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    int wanted = c->connections_max != 0 ? c->connections_max : 20000;
    rlim_t others = (rlim_t)(descriptors_in_use() + 4 * c->loops + 16);
    if (limit.rlim_cur < others + 8) {
        errno = 0;
        return say(reason, ERR_CONFIG, "the limit on file descriptors is too low");
    }
    rlim_t possible = limit.rlim_cur - others;
    c->connections_max = possible < (rlim_t)wanted ? (int)possible : wanted;
    return ERR_OK;
}

static enum err config_complete(struct http_config *c, struct http_reason *reason)
{
    c->loops = c->loops != 0 ? c->loops : cores();
    c->loops = c->loops < LOOPS_MAX ? c->loops : LOOPS_MAX;
    c->header_ms = or_else(c->header_ms, 5000);
    c->body_ms = or_else(c->body_ms, 10000);
    c->idle_ms = or_else(c->idle_ms, 15000);
    c->challenge_idle_ms = or_else(c->challenge_idle_ms, 60000);
    c->write_ms = or_else(c->write_ms, 10000);
    if (c->connections_per_address_max == 0)
        c->connections_per_address_max = 4096;
    return connections_limit(c, reason);
}

/* ---- listening ---- */

static enum err address_read(const struct http_config *c, struct sockaddr_storage *ret_address,
                             socklen_t *ret_len, struct http_reason *reason)
{
    struct sockaddr_storage a = {.ss_family = AF_INET};
    struct sockaddr_in *four = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a;
    if (inet_pton(AF_INET, c->address, &four->sin_addr) == 1) {
        four->sin_port = htons(c->port);
        *ret_len = sizeof *four;
    } else if (inet_pton(AF_INET6, c->address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(c->port);
        *ret_len = sizeof *six;
    } else {
        (void)snprintf(reason->text, sizeof reason->text, "not an address: %.64s", c->address);
        return ERR_CONFIG;
    }
    *ret_address = a;
    return ERR_OK;
}

/* A listening socket, or -1 with errno. `shared` lets other sockets listen there as well. */
static int listener_open(const struct sockaddr_storage *address, socklen_t len, bool shared)
{
    int one = 1, zero = 0;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* connections inherit it */
    if (address->ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if ((!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
        bind(fd, (const struct sockaddr *)address, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    (void)close(fd);
    errno = why;
    return -1;
}

static uint16_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? &((struct sockaddr_in *)address)->sin_port
                                         : &((struct sockaddr_in6 *)address)->sin6_port;
}

/* Sockets that share a port share its callers too, also with a second service started by mistake:
 * so it is first tried without sharing. */
static enum err port_probe(const struct sockaddr_storage *address, socklen_t len,
                           struct http_reason *reason)
{
    int fd = listener_open(address, len, false);
    if (fd < 0)
        return say(reason, ERR_IO, "cannot listen");
    (void)close(fd);
    return ERR_OK;
}

/* ---- open, run, drain, close ---- */

static enum err loops_open(struct http *h, struct http_reason *reason)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    TRY(address_read(&h->config, &address, &len, reason));
    TRY(port_probe(&address, len, reason));
    for (int i = 0; i < h->config.loops; i++) {
        int fd = listener_open(&address, len, true);
        if (fd < 0)
            return say(reason, ERR_IO, "cannot listen");
        struct http_loop *l = &h->loops[i];
        *l = (struct http_loop){
            .config = &h->config, .number = i, .peers = h->peers, .listen_fd = fd};
        h->loop_count = i + 1;
        TRY(http_loop_open(l, reason));
        if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
            return say(reason, ERR_IO, "cannot tell the port");
        h->port = ntohs(*port_of(&address)); /* where it was 0, the other loops take this one */
    }
    return ERR_OK;
}

static void http_closep(struct http **h)
{
    http_close(*h);
}

enum err http_open(const struct http_config *config, struct http **ret_http,
                   struct http_reason *ret_reason)
{
    __attribute__((cleanup(http_closep))) struct http *h = calloc(1, sizeof *h);
    errno = 0;
    if (h == NULL)
        return say(ret_reason, ERR_MEMORY, "cannot begin");
    h->config = *config;
    TRY(config_complete(&h->config, ret_reason));
    /* Blocks for requests go back to the system when they are freed, however many there were. */
    (void)mallopt(M_MMAP_THRESHOLD, 131072);
    errno = 0;
    enum err e = http_peers_open(h->config.connections_max, h->config.connections_per_address_max,
                                 &h->peers);
    if (e != ERR_OK)
        return say(ret_reason, e, "cannot count connections");
    h->loops = calloc((size_t)h->config.loops, sizeof *h->loops);
    h->threads = calloc((size_t)h->config.loops, sizeof *h->threads);
    if (h->loops == NULL || h->threads == NULL)
        return say(ret_reason, ERR_MEMORY, "cannot begin");
    TRY(loops_open(h, ret_reason));
    *ret_http = h;
    h = NULL;
    return ERR_OK;
}

uint16_t http_port(const struct http *h)
{
    return h->port;
}

static void *thread_main(void *arg)
{
    http_loop_run(arg);
    return NULL;
}

enum err http_run(struct http *h)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    enum err e = ERR_OK;
    for (int i = 0; i < h->loop_count && e == ERR_OK; i++) {
        if (pthread_create(&h->threads[i], NULL, thread_main, &h->loops[i]) == 0)
            h->thread_count = i + 1;
        else
            e = ERR_MEMORY;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e;
}

void http_wake(struct http_exchange *x)
{
    http_loop_wake((struct http_work *)x);
}

void http_drain(struct http *h, uint32_t grace_ms)
{
    for (int i = 0; i < h->thread_count; i++)
        http_loop_drain(&h->loops[i], grace_ms);
    struct timespec until;
    ERR_ASSERT(clock_gettime(CLOCK_REALTIME, &until) == 0);
    int64_t at_ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000 + grace_ms + 200;
    until = (struct timespec){.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};
    while (h->thread_count > 0 &&
           pthread_timedjoin_np(h->threads[h->thread_count - 1], NULL, &until) == 0)
        h->thread_count--;
}

void http_close(struct http *h)
{
    if (h == NULL)
        return;
    for (int i = 0; i < h->thread_count; i++)
        http_loop_drain(&h->loops[i], 0);
    for (int i = 0; i < h->thread_count; i++)
        (void)pthread_join(h->threads[i], NULL);
    for (int i = 0; i < h->loop_count; i++)
        http_loop_close(&h->loops[i]);
    http_peers_close(h->peers);
    free(h->loops);
    free(h->threads);
    free(h);
}
