/* Purpose: one connection, from its handshake through any number of requests to its end.
 *
 *   state       waits for                    deadline
 *   HANDSHAKE   the client's TLS messages    header, from accept
 *   IDLE        a request's first byte       idle, or challenge after one; header before the first
 *   HEAD        the rest of the headers      header, from the first byte (or from accept)
 *   CONTINUE    room to say "100 Continue"   body
 *   BODY        the rest of the body         body, from the end of the headers
 *   WAITING     http_wake                    none: the handler answers for that
 *   WRITING     room for the reply           write, from its beginning
 *   LINGER      the client to hang up        linger
 *   LOST        http_wake; the client has gone
 *   CLOSED      its turn among the ready ones, to be freed
 *
 * Deadlines are absolute: bytes that trickle in do not move them.
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "loop.h"
#include "parse.h"

enum http_conn_state {
    CONN_HANDSHAKE,
    CONN_IDLE,
    CONN_HEAD,
    CONN_CONTINUE,
    CONN_BODY,
    CONN_WAITING,
    CONN_WRITING,
    CONN_LINGER,
    CONN_LOST,
    CONN_CLOSED,
};

struct http_conn {
    struct http_deadline deadline; /* first: a pointer to it is one to the connection */
    struct http_deadline settle;
    struct http_loop *loop;
    struct http_conn *before, *after; /* in loop->conns */
    struct http_conn *ready_next;
    bool ready;
    enum http_conn_state state;
    uint32_t interest; /* what epoll was told */
    bool settled;
    bool large_body;
    bool expects_answer;
    bool close_after_reply;
    bool linger_after_reply;
    struct http_work *work;
    struct http_parser parser;
    struct span out; /* being written */
    struct http_peer peer;
    struct http_session session;
};

/* Takes fd over and serves it; counted among the peers already. */
void http_conn_open(struct http_loop *l, int fd, const struct http_peer *peer);
/* Each of these may end and free the connection. */
void http_conn_event(struct http_conn *c, uint32_t events);
void http_conn_ready(struct http_conn *c);
void http_conn_deadline(struct http_deadline *d);
void http_conn_resume(struct http_work *w);
void http_conn_drain(struct http_conn *c); /* ends it now if no request has begun */
void http_conn_abort(struct http_conn *c); /* ends it now, save for a wake that it waits for */

#endif
