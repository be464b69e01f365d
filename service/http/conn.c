#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char continue_text[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* ---- life ---- */

static void interest_set(struct http_conn *c, uint32_t events)
{
    if (c->interest == events)
        return;
    struct epoll_event e = {.events = events, .data.ptr = c};
    ERR_ASSERT(epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_MOD, c->session.fd, &e) == 0);
    c->interest = events;
}

static void deadline_set(struct http_conn *c, enum http_deadline_kind kind)
{
    http_deadline_set(&c->loop->deadlines, &c->deadline, kind, c->loop->now_ms);
}

static void deadline_clear(struct http_conn *c)
{
    http_deadline_clear(&c->loop->deadlines, &c->deadline);
}

static void work_give(struct http_conn *c)
{
    if (c->large_body)
        c->loop->large_bodies--;
    c->large_body = false;
    if (c->work != NULL)
        http_loop_work_give(c->work);
    c->work = NULL;
}

/* Everything but the exchange that a wake is still to come for. */
static void connection_end(struct http_conn *c)
{
    deadline_clear(c);
    http_deadline_clear(&c->loop->deadlines, &c->settle);
    http_session_close(&c->session);
    (void)close(c->session.fd); /* leaves epoll too */
    http_peers_remove(c->loop->peers, &c->peer);
    if (c->before != NULL)
        c->before->after = c->after;
    else
        c->loop->conns = c->after;
    if (c->after != NULL)
        c->after->before = c->before;
}

static void conn_free(struct http_conn *c)
{
    work_give(c);
    free(c);
}

static void conn_close(struct http_conn *c)
{
    connection_end(c);
    if (c->state == CONN_WAITING)
        c->state = CONN_LOST;
    else if (c->ready)
        c->state = CONN_CLOSED;
    else
        conn_free(c);
}

static void conn_log(struct http_conn *c, const char *event, enum err why)
{
    http_loop_log(c->loop, c->peer.text, event, why);
}

/* ---- replies ---- */

static struct http_exchange *exchange_begin(struct http_conn *c)
{
    struct http_work *w = c->work;
    struct http_exchange *x = &w->exchange;
    memset(x, 0, sizeof *x);
    x->loop = c->loop->number;
    x->arg = c->loop->config->arg;
    x->request.request_number =
        c->loop->requests++ * (uint64_t)c->loop->config->loops + (uint64_t)c->loop->number;
    memcpy(x->request.peer, c->peer.text, sizeof x->request.peer);
    x->reply.body = buf_over(w->reply + HTTP_REPLY_HEAD_CAP, HTTP_REPLY_BODY_CAP);
    return x;
}

static void reply_error(struct http_conn *c, enum err why)
{
    struct http_exchange *x = &c->work->exchange;
    x->reply = (struct http_reply){
        .status = err_http_status(why),
        .body = buf_over(c->work->reply + HTTP_REPLY_HEAD_CAP, HTTP_REPLY_BODY_CAP),
    };
    c->loop->config->refuse(x, why);
    ERR_ASSERT(!x->reply.body.full);
}

static void reply_begin(struct http_conn *c)
{
    struct http_exchange *x = &c->work->exchange;
    struct http_reply *r = &x->reply;
    ERR_ASSERT(r->status >= 200 && r->status <= 599);
    if (r->body.full) {
        conn_log(c, "reply too large", ERR_FULL);
        reply_error(c, ERR_INTERNAL);
    }
    c->expects_answer = r->expects_answer;
    c->close_after_reply = c->close_after_reply || r->close || c->loop->draining;
    bool is_head = span_equal(x->request.method, SPAN_LITERAL("HEAD"));
    c->out = http_reply_write(r, is_head, c->close_after_reply, c->loop->now_s);
    c->state = CONN_WRITING;
    deadline_set(c, DEADLINE_WRITE);
}

/* The request will not be handled: says why and hangs up. */
static void refuse(struct http_conn *c, enum err why)
{
    (void)exchange_begin(c);
    conn_log(c, "request refused", why);
    reply_error(c, why);
    c->close_after_reply = true;
    c->linger_after_reply = true;
    reply_begin(c);
}

static void dispatch(struct http_conn *c)
{
    struct http_exchange *x = exchange_begin(c);
    const struct http_head *h = &c->parser.head;
    x->request.method = h->method;
    x->request.target = h->target;
    x->request.path = h->path;
    x->request.query = h->query;
    x->request.host = h->host;
    x->request.authorization = h->authorization;
    x->request.content_type = h->content_type;
    x->request.user_agent = h->user_agent;
    x->request.if_match = h->if_match;
    x->request.continuation = h->continuation;
    x->request.max_item_count = h->max_item_count;
    x->request.body = span_of(c->work->input + h->size, h->content_length);
    c->close_after_reply = h->close;
    deadline_clear(c);
    if (c->loop->config->handle(x) == HTTP_DONE) {
        reply_begin(c);
        return;
    }
    c->state = CONN_WAITING;
    c->loop->waiting++;
}

/* ---- steps: each returns whether another can follow at once; on false c may be gone ---- */

static bool blocked(struct http_conn *c, enum http_io io)
{
    interest_set(c, io == HTTP_IO_WRITE ? EPOLLOUT : EPOLLIN);
    return false;
}

/* The client has gone, or broke TLS. */
static bool ended(struct http_conn *c, enum http_io io)
{
    if (io == HTTP_IO_FAILED)
        conn_log(c, c->state == CONN_HANDSHAKE ? "TLS handshake failed" : "TLS failed", ERR_TLS);
    conn_close(c);
    return false;
}

static bool step_handshake(struct http_conn *c)
{
    enum http_io io = http_session_handshake(&c->session);
    if (io == HTTP_IO_READ || io == HTTP_IO_WRITE)
        return blocked(c, io);
    if (io != HTTP_IO_DONE)
        return ended(c, io);
    c->state = CONN_IDLE; /* the deadline goes on: it covers the first request's headers too */
    return true;
}

/* More is to come, and the client may be holding it back until what it sent is acknowledged, while
 * the kernel waits for a reply to put the acknowledgement on: that would take 40 ms. */
static void acknowledge(const struct http_conn *c)
{
    if (c->state != CONN_IDLE || c->deadline.kind == DEADLINE_HEADER)
        (void)setsockopt(c->session.fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
}

/* Reads once. False where nothing came: the connection waits, or has ended. */
static bool read_some(struct http_conn *c)
{
    struct http_work *w = c->work;
    size_t len = 0;
    enum http_io io = http_session_read(&c->session, w->input + w->input_len,
                                        sizeof w->input - w->input_len, &len);
    if (io == HTTP_IO_DONE) {
        w->input_len += len;
        return true;
    }
    if (io != HTTP_IO_READ && io != HTTP_IO_WRITE)
        return ended(c, io);
    if (c->state == CONN_IDLE)
        work_give(c); /* what came was no request: part of a record, or TLS's own business */
    acknowledge(c);
    return blocked(c, io);
}

static void head_begin(struct http_conn *c)
{
    c->state = CONN_HEAD;
    c->parser = (struct http_parser){.at = 0};
    if (!c->deadline.set || c->deadline.kind != DEADLINE_HEADER)
        deadline_set(c, DEADLINE_HEADER);
}

static bool step_idle(struct http_conn *c)
{
    if (c->work == NULL)
        c->work = http_loop_work_take(c->loop, c);
    if (c->work == NULL) {
        conn_log(c, "no memory for a request", ERR_MEMORY);
        conn_close(c);
        return false;
    }
    if (!read_some(c))
        return false;
    head_begin(c);
    return true;
}

static bool body_is_complete(const struct http_conn *c)
{
    return c->work->input_len - c->parser.head.size >= c->parser.head.content_length;
}

static enum err body_begin(struct http_conn *c)
{
    const struct http_head *h = &c->parser.head;
    if (h->content_length > HTTP_LARGE_BODY) {
        if (c->loop->large_bodies >= HTTP_LARGE_BODIES_MAX)
            return ERR_UNAVAILABLE;
        c->loop->large_bodies++;
        c->large_body = true;
    }
    c->state = CONN_BODY;
    deadline_set(c, DEADLINE_BODY);
    if (h->expects_continue && c->work->input_len == h->size && h->content_length > 0) {
        c->out = span_of(continue_text, sizeof continue_text - 1);
        c->state = CONN_CONTINUE;
    }
    return ERR_OK;
}

static bool step_head(struct http_conn *c)
{
    bool done = false;
    enum err e = http_parse(&c->parser, span_of(c->work->input, c->work->input_len), &done);
    if (e == ERR_OK && !done)
        return read_some(c);
    if (e == ERR_OK)
        e = body_begin(c);
    if (e != ERR_OK)
        refuse(c, e);
    return true;
}

static bool step_body(struct http_conn *c)
{
    if (!body_is_complete(c))
        return read_some(c);
    dispatch(c);
    return c->state != CONN_WAITING;
}

static bool step_continue(struct http_conn *c)
{
    enum http_io io = http_session_write(&c->session, c->out);
    if (io == HTTP_IO_READ || io == HTTP_IO_WRITE)
        return blocked(c, io);
    if (io != HTTP_IO_DONE)
        return ended(c, io);
    c->state = CONN_BODY;
    return true;
}

/* Hangs up. A socket closed with bytes unread resets the connection, which may take the reply away
 * from the client before it is read: then it is drained for a while first. */
static bool hang_up(struct http_conn *c)
{
    http_session_end(&c->session);
    if (!c->linger_after_reply) {
        conn_close(c);
        return false;
    }
    work_give(c);
    (void)shutdown(c->session.fd, SHUT_WR);
    c->state = CONN_LINGER;
    deadline_set(c, DEADLINE_LINGER);
    return true;
}

/* Makes room for the next request. Some of it may be here already: it waits its turn, after the
 * other connections. */
static bool next_request(struct http_conn *c)
{
    struct http_work *w = c->work;
    size_t used = c->parser.head.size + c->parser.head.content_length;
    memmove(w->input, w->input + used, w->input_len - used);
    w->input_len -= used;
    if (w->input_len > 0) {
        deadline_clear(c);
        head_begin(c);
        http_loop_ready(c->loop, c);
        return false;
    }
    work_give(c);
    c->state = CONN_IDLE;
    deadline_set(c, c->expects_answer ? DEADLINE_CHALLENGE : DEADLINE_IDLE);
    if (!c->settled)
        http_deadline_set(&c->loop->deadlines, &c->settle, DEADLINE_SETTLE, c->loop->now_ms);
    c->settled = true;
    if (http_session_pending(&c->session))
        http_loop_ready(c->loop, c);
    else
        interest_set(c, EPOLLIN);
    return false;
}

static bool step_writing(struct http_conn *c)
{
    enum http_io io = http_session_write(&c->session, c->out);
    if (io == HTTP_IO_READ || io == HTTP_IO_WRITE)
        return blocked(c, io);
    if (io != HTTP_IO_DONE)
        return ended(c, io);
    return c->close_after_reply ? hang_up(c) : next_request(c);
}

static bool step_linger(struct http_conn *c)
{
    uint8_t scrap[4096];
    for (int i = 0; i < 16; i++) {
        ssize_t n = recv(c->session.fd, scrap, sizeof scrap, MSG_DONTWAIT);
        if (n > 0)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return blocked(c, HTTP_IO_READ);
        conn_close(c);
        return false;
    }
    return blocked(c, HTTP_IO_READ);
}

static void run(struct http_conn *c)
{
    static bool (*const steps[])(struct http_conn * c) = {
        [CONN_HANDSHAKE] = step_handshake, [CONN_IDLE] = step_idle, [CONN_HEAD] = step_head,
        [CONN_CONTINUE] = step_continue,   [CONN_BODY] = step_body, [CONN_WRITING] = step_writing,
        [CONN_LINGER] = step_linger,
    };
    while (steps[c->state](c)) {
    }
}

/* ---- what happens to a connection ---- */

void http_conn_open(struct http_loop *l, int fd, const struct http_peer *peer)
{
    struct http_conn *c = calloc(1, sizeof *c);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (c == NULL || http_session_open(l->tls, fd, &c->session) != ERR_OK ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
        http_loop_log(l, peer->text, "no memory for a connection", ERR_MEMORY);
        if (c != NULL)
            http_session_close(&c->session);
        free(c);
        (void)close(fd);
        http_peers_remove(l->peers, peer);
        return;
    }
    c->loop = l;
    c->peer = *peer;
    c->interest = EPOLLIN;
    c->state = CONN_HANDSHAKE;
    c->after = l->conns;
    if (c->after != NULL)
        c->after->before = c;
    l->conns = c;
    deadline_set(c, DEADLINE_HEADER);
}

void http_conn_event(struct http_conn *c, uint32_t events)
{
    http_session_turn(&c->session);
    if (c->state == CONN_WAITING) {
        if ((events & (EPOLLHUP | EPOLLERR)) != 0)
            conn_close(c);
        else
            interest_set(c, 0); /* more requests are in the pipe: later */
        return;
    }
    if (!c->ready)
        run(c);
}

void http_conn_ready(struct http_conn *c)
{
    c->ready = false;
    if (c->state == CONN_CLOSED) {
        conn_free(c);
        return;
    }
    http_session_turn(&c->session);
    run(c);
}

static void expire(struct http_conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
    case CONN_BODY:
        refuse(c, ERR_TIMEOUT);
        run(c);
        return;
    case CONN_HANDSHAKE:
        conn_log(c, "TLS handshake not complete in time", ERR_TIMEOUT);
        break;
    case CONN_WRITING:
    case CONN_CONTINUE:
        conn_log(c, "reply not taken in time", ERR_TIMEOUT);
        break;
    default:
        http_session_end(&c->session);
        break;
    }
    conn_close(c);
}

void http_conn_deadline(struct http_deadline *d)
{
    if (d->kind != DEADLINE_SETTLE) {
        expire((struct http_conn *)d);
        return;
    }
    struct http_conn *c = (struct http_conn *)((char *)d - offsetof(struct http_conn, settle));
    http_session_settle(&c->session);
}

void http_conn_resume(struct http_work *w)
{
    struct http_conn *c = w->conn;
    c->loop->waiting--;
    c->loop->config->resume(&w->exchange);
    if (c->state == CONN_LOST) {
        conn_free(c);
        return;
    }
    http_session_turn(&c->session);
    reply_begin(c);
    run(c);
}

void http_conn_drain(struct http_conn *c)
{
    if (c->state == CONN_IDLE)
        http_session_end(&c->session);
    if (c->state == CONN_IDLE || c->state == CONN_HANDSHAKE)
        conn_close(c);
}

void http_conn_abort(struct http_conn *c)
{
    conn_close(c);
}
