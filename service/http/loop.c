#include "loop.h"

#include "conn.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64
#define ACCEPTS_PER_TURN 32
#define ACCEPT_PAUSE_MS 50
#define POOL_MAX 16
#define LOG_LINES_PER_SECOND 20

/* ---- open and close ---- */

static enum err watch(struct http_loop *l, int fd, void *what)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0 ? ERR_OK : ERR_IO;
}

static enum err descriptors_open(struct http_loop *l)
{
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (l->epoll_fd < 0 || l->wake_fd < 0 || l->reserve_fd < 0)
        return ERR_IO;
    TRY(watch(l, l->wake_fd, &l->wake_fd));
    TRY(watch(l, l->listen_fd, &l->listen_fd));
    l->accepting = true;
    return ERR_OK;
}

enum err http_loop_open(struct http_loop *l, struct http_reason *reason)
{
    const struct http_config *c = l->config;
    (void)pthread_mutex_init(&l->lock, NULL);
    l->epoll_fd = l->wake_fd = l->reserve_fd = -1;
    l->ready_end = &l->ready;
    l->deadlines.lasts_ms[DEADLINE_HEADER] = c->header_ms;
    l->deadlines.lasts_ms[DEADLINE_BODY] = c->body_ms;
    l->deadlines.lasts_ms[DEADLINE_IDLE] = c->idle_ms;
    l->deadlines.lasts_ms[DEADLINE_CHALLENGE] = c->challenge_idle_ms;
    l->deadlines.lasts_ms[DEADLINE_WRITE] = c->write_ms;
    l->deadlines.lasts_ms[DEADLINE_LINGER] = 2000;
    l->deadlines.lasts_ms[DEADLINE_SETTLE] = 200;
    TRY(http_tls_open(c->certificate_file, c->key_file, &l->tls, reason));
    enum err e = descriptors_open(l);
    if (e != ERR_OK)
        (void)snprintf(reason->text, sizeof reason->text, "cannot watch the socket: %s",
                       strerror(errno));
    return e;
}

static void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void http_loop_close(struct http_loop *l)
{
    while (l->pool != NULL) {
        struct http_work *w = l->pool;
        l->pool = w->next;
        free(w);
    }
    fd_close(&l->listen_fd);
    fd_close(&l->epoll_fd);
    fd_close(&l->wake_fd);
    fd_close(&l->reserve_fd);
    http_tls_close(l->tls);
    (void)pthread_mutex_destroy(&l->lock);
}

/* ---- for connections ---- */

struct http_work *http_loop_work_take(struct http_loop *l, struct http_conn *c)
{
    struct http_work *w = l->pool;
    if (w != NULL) {
        l->pool = w->next;
        l->pool_count--;
    } else {
        w = malloc(sizeof *w); /* not cleared: most of its pages are never touched */
    }
    if (w == NULL)
        return NULL;
    w->loop = l;
    w->conn = c;
    w->next = NULL;
    w->input_len = 0;
    return w;
}

void http_loop_work_give(struct http_work *w)
{
    struct http_loop *l = w->loop;
    if (l->pool_count >= POOL_MAX) {
        free(w);
        return;
    }
    w->next = l->pool;
    l->pool = w;
    l->pool_count++;
}

void http_loop_ready(struct http_loop *l, struct http_conn *c)
{
    if (c->ready)
        return;
    c->ready = true;
    c->ready_next = NULL;
    *l->ready_end = c;
    l->ready_end = &c->ready_next;
}

/* Anybody can cause these lines; nobody may fill the disk with them. */
void http_loop_log(struct http_loop *l, const char *peer, const char *event, enum err why)
{
    if (l->log_s != l->now_s) {
        l->log_s = l->now_s;
        l->log_lines = 0;
    }
    if (l->config->log == NULL || l->log_lines > LOG_LINES_PER_SECOND)
        return;
    if (l->log_lines++ == LOG_LINES_PER_SECOND)
        l->config->log(l->config->arg, "", "more events in this second", ERR_THROTTLED);
    else
        l->config->log(l->config->arg, peer, event, why);
}

/* ---- accepting ---- */

static void accept_set(struct http_loop *l, bool on)
{
    struct epoll_event e = {.events = on ? EPOLLIN : 0, .data.ptr = &l->listen_fd};
    ERR_ASSERT(epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, l->listen_fd, &e) == 0);
    l->accepting = on;
    l->accept_again_ms = on ? 0 : l->now_ms + ACCEPT_PAUSE_MS;
}

/* No descriptor is left for a caller, who would wait for ever: the reserve lets us hang up. */
static void turn_away(struct http_loop *l)
{
    fd_close(&l->reserve_fd);
    int fd = accept4(l->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    http_loop_log(l, "", "out of file descriptors", ERR_UNAVAILABLE);
}

static void welcome(struct http_loop *l, int fd, const struct sockaddr_storage *address)
{
    struct http_peer peer;
    http_peer_read(address, &peer);
    enum err e = http_peers_add(l->peers, &peer);
    if (e != ERR_OK) {
        http_loop_log(l, peer.text, "too many connections", e);
        (void)close(fd);
        return;
    }
    http_conn_open(l, fd, &peer);
}

/* False when there is nobody left to accept, or nobody can be. */
static bool accept_one(struct http_loop *l)
{
    if (http_peers_full(l->peers)) {
        http_loop_log(l, "", "all connections taken", ERR_UNAVAILABLE);
        accept_set(l, false); /* they wait in the kernel's queue */
        return false;
    }
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int fd = accept4(l->listen_fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        welcome(l, fd, &address);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    if (errno == EMFILE || errno == ENFILE)
        turn_away(l);
    if (errno != EINTR && errno != ECONNABORTED)
        accept_set(l, false);
    return l->accepting;
}

static void accept_some(struct http_loop *l)
{
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(l); i++) {
    }
}

/* ---- from other threads ---- */

static void notify(struct http_loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake_fd, &one, sizeof one);
    (void)n; /* it fails only where the counter is at its end, and then the loop is awake */
}

/* All under the lock: once the loop has seen w, it may end and be freed. */
void http_loop_wake(struct http_work *w)
{
    struct http_loop *l = w->loop;
    pthread_mutex_lock(&l->lock);
    bool first = l->woken == NULL;
    w->next = l->woken;
    l->woken = w;
    if (first)
        notify(l);
    pthread_mutex_unlock(&l->lock);
}

void http_loop_drain(struct http_loop *l, uint32_t grace_ms)
{
    pthread_mutex_lock(&l->lock);
    l->drain_asked = true;
    l->drain_grace_ms = grace_ms;
    notify(l);
    pthread_mutex_unlock(&l->lock);
}

/* ---- turns ---- */

static int64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    ERR_ASSERT(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void clock_read(struct http_loop *l)
{
    l->now_ms = clock_ms(CLOCK_MONOTONIC);
    l->now_s = clock_ms(CLOCK_REALTIME) / 1000;
}

static int sooner(int wait_ms, int64_t at_ms, int64_t now_ms)
{
    int64_t left = at_ms > now_ms ? at_ms - now_ms : 0;
    return wait_ms < 0 || left < wait_ms ? (int)left : wait_ms;
}

static int turn_wait_ms(const struct http_loop *l)
{
    if (l->ready != NULL)
        return 0;
    int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
    int wait_ms = http_deadline_wait_ms(&l->deadlines, now_ms);
    if (l->accept_again_ms != 0)
        wait_ms = sooner(wait_ms, l->accept_again_ms, now_ms);
    if (l->draining && l->conns != NULL)
        wait_ms = sooner(wait_ms, l->drain_end_ms, now_ms);
    return wait_ms;
}

/* Takes what other threads left. Oldest first: they were pushed on a stack. */
static struct http_work *woken_take(struct http_loop *l, bool *ret_drain)
{
    pthread_mutex_lock(&l->lock);
    struct http_work *stack = l->woken;
    l->woken = NULL;
    *ret_drain = l->drain_asked && !l->draining;
    if (*ret_drain)
        l->drain_end_ms = l->now_ms + l->drain_grace_ms;
    pthread_mutex_unlock(&l->lock);
    struct http_work *queue = NULL;
    while (stack != NULL) {
        struct http_work *next = stack->next;
        stack->next = queue;
        queue = stack;
        stack = next;
    }
    return queue;
}

static void drain_begin(struct http_loop *l)
{
    l->draining = true;
    l->accept_again_ms = 0;
    fd_close(&l->listen_fd);
    for (struct http_conn *c = l->conns, *next; c != NULL; c = next) {
        next = c->after;
        http_conn_drain(c);
    }
}

static void turn_messages(struct http_loop *l)
{
    uint64_t count;
    ssize_t n = read(l->wake_fd, &count, sizeof count);
    (void)n;
    bool drain = false;
    struct http_work *w = woken_take(l, &drain);
    while (w != NULL) {
        struct http_work *next = w->next;
        w->next = NULL;
        http_conn_resume(w);
        w = next;
    }
    if (drain)
        drain_begin(l);
}

/* Those that are ready now; who becomes ready meanwhile waits for the next turn. */
static void turn_ready(struct http_loop *l)
{
    struct http_conn *c = l->ready;
    l->ready = NULL;
    l->ready_end = &l->ready;
    while (c != NULL) {
        struct http_conn *next = c->ready_next;
        http_conn_ready(c);
        c = next;
    }
}

static void turn_deadlines(struct http_loop *l)
{
    struct http_deadline *d;
    while ((d = http_deadline_passed(&l->deadlines, l->now_ms)) != NULL)
        http_conn_deadline(d);
    if (l->accept_again_ms != 0 && l->accept_again_ms <= l->now_ms)
        accept_set(l, true);
    if (l->draining && l->drain_end_ms <= l->now_ms)
        while (l->conns != NULL)
            http_conn_abort(l->conns);
}

/* Connections end in their own event or after all of them, so that none in `events` is stale. */
static void turn(struct http_loop *l)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(l->epoll_fd, events, EVENTS_PER_TURN, turn_wait_ms(l));
    ERR_ASSERT(n >= 0 || errno == EINTR);
    clock_read(l);
    bool messages = false, callers = false;
    for (int i = 0; i < n; i++) {
        void *what = events[i].data.ptr;
        messages |= what == &l->wake_fd;
        callers |= what == &l->listen_fd;
        if (what != &l->wake_fd && what != &l->listen_fd)
            http_conn_event(what, events[i].events);
    }
    if (messages)
        turn_messages(l);
    turn_ready(l);
    turn_deadlines(l);
    if (callers && l->accepting && !l->draining)
        accept_some(l);
}

void http_loop_run(struct http_loop *l)
{
    clock_read(l);
    while (!l->draining || l->conns != NULL || l->ready != NULL || l->waiting > 0)
        turn(l);
}
