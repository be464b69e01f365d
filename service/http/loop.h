/* Purpose: one event loop: its epoll, its listening socket, its connections and their deadlines,
 * the memory for requests in progress. All on one thread but http_loop_wake
 * and http_loop_drain.
 */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H

#include "deadline.h"
#include "peers.h"
#include "reply.h"
#include "tls.h"
#include <pthread.h>
#include <stdatomic.h>

#define HTTP_INPUT_CAP (HTTP_HEADERS_CAP + HTTP_BODY_CAP)

struct http_conn;
struct http_loop;

/* What a request in progress needs; a connection that is idle has none. */
struct http_work {
    struct http_exchange exchange; /* first: a pointer to it is one to the work */
    struct http_loop *loop;
    struct http_conn *conn;
    struct http_work *next; /* in the pool, or among the woken */
    size_t input_len;
    uint8_t input[HTTP_INPUT_CAP];
    uint8_t reply[HTTP_REPLY_HEAD_CAP + HTTP_REPLY_BODY_CAP];
};

/* Bodies larger than this are read for so many requests of a loop at a time; others are told to
 * come back, so that nobody can make the service hold gigabytes. */
#define HTTP_LARGE_BODY 16384
#define HTTP_LARGE_BODIES_MAX 256

struct http_loop {
    const struct http_config *config; /* its zeros replaced */
    int number;
    struct http_peers *peers; /* all loops' */
    struct http_tls *tls;
    int epoll_fd, listen_fd, wake_fd;
    int reserve_fd; /* given up to turn a caller away when there are no more */
    bool accepting;
    int64_t accept_again_ms; /* when not accepting: when to try again; 0: not at all */

    int64_t now_ms, now_s; /* monotonic and wall clock, of this turn */
    struct http_deadlines deadlines;
    struct http_conn *conns; /* all of this loop's */
    struct http_conn *ready; /* those to be stepped without waiting for the socket */
    struct http_conn **ready_end;
    struct http_work *pool;
    int pool_count;
    int large_bodies;
    int waiting; /* exchanges that http_wake will end */
    uint64_t requests;
    bool draining;
    int64_t drain_end_ms;
    int64_t log_s; /* the second for which log_lines counts */
    int log_lines;

    pthread_mutex_t lock; /* guards what other threads touch: */
    struct http_work *woken;
    bool drain_asked;
    uint32_t drain_grace_ms;
};

MUST_USE enum err http_loop_open(struct http_loop *l, struct http_reason *reason);
void http_loop_close(struct http_loop *l);
void http_loop_run(struct http_loop *l); /* until drained */

/* From any thread. */
void http_loop_wake(struct http_work *w);
void http_loop_drain(struct http_loop *l, uint32_t grace_ms);

/* For the loop's connections. */
/* NULL: no memory. */
struct http_work *http_loop_work_take(struct http_loop *l, struct http_conn *c);
void http_loop_work_give(struct http_work *w);
void http_loop_ready(struct http_loop *l, struct http_conn *c);
void http_loop_log(struct http_loop *l, const char *peer, const char *event, enum err why);

#endif
