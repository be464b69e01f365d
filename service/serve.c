#include <attest.h>
#include <http.h>
#include <manager.h>
#include <registrar.h>
#include <store.h>

#include "cradled.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/text.h>

#define LOOPS_MAX 256
#define DRAIN_MS 3000 /* of the five seconds that SIGTERM leaves */

struct service {
    struct config config;
    struct store *store;
    struct registrar *registrar;
    struct registrar_worker *workers[LOOPS_MAX];
    struct manager *manager;
    struct manager_worker *managers[LOOPS_MAX];
    int loops;
    struct http *http;
};

/* ---- the log: one JSON object a line on standard error ---- */
static struct {
    pthread_mutex_t lock;
    uint64_t lost; /* lines, since the last one that was written */
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A reader of the log that does not keep up loses lines; it must not stop the service. What poll finds
 * writable takes PIPE_BUF bytes without waiting, as long as nobody else writes: hence the lock. */
static bool log_writable(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT);
}

static bool log_write(const char *line)
{
    char text[PIPE_BUF];
    struct buf b = BUF_OVER(text);
    buf_put_text(&b, line);
    buf_put_u8(&b, '\n');
    return !b.full && log_writable() && write(STDERR_FILENO, b.at, b.len) > 0;
}

static void log_tell_lost(void)
{
    char text[96];
    struct buf b = BUF_OVER(text);
    buf_put_text(&b, "{\"level\":\"warning\",\"event\":\"log lines lost\",\"lines\":");
    buf_put_decimal(&b, (int64_t)log_state.lost);
    buf_put_u8(&b, '}');
    if (buf_end_text(&b) == ERR_OK && log_write(text))
        log_state.lost = 0;
}

static void log_line(void *unused, const char *line)
{
    (void)unused;
    pthread_mutex_lock(&log_state.lock);
    if (log_state.lost > 0)
        log_tell_lost();
    if (log_state.lost > 0 || !log_write(line))
        log_state.lost++;
    pthread_mutex_unlock(&log_state.lock);
}

/* Of what is logged here nothing needs escaping: names of ours, and addresses as the system writes
 * them. */
struct line {
    char text[1024];
    struct buf b;
};

static void line_text(struct line *l, const char *name, const char *value)
{
    buf_put_text(&l->b, l->b.len == 0 ? "{\"" : ",\"");
    buf_put_text(&l->b, name);
    buf_put_text(&l->b, "\":\"");
    buf_put_text(&l->b, value);
    buf_put_u8(&l->b, '"');
}

static void line_number(struct line *l, const char *name, int64_t value)
{
    buf_put_text(&l->b, ",\"");
    buf_put_text(&l->b, name);
    buf_put_text(&l->b, "\":");
    buf_put_decimal(&l->b, value);
}

static void line_begin(struct line *l, const char *level, const char *event)
{
    char time[40];
    struct buf t = BUF_OVER(time);
    l->b = BUF_OVER(l->text);
    time_iso_write(&t, wall_now_s(NULL));
    line_text(l, "time", buf_end_text(&t) == ERR_OK ? time : "");
    line_text(l, "level", level);
    line_text(l, "event", event);
}

static void line_end(struct line *l)
{
    buf_put_u8(&l->b, '}');
    if (buf_end_text(&l->b) == ERR_OK)
        log_line(NULL, l->text);
}

static void log_event(const char *level, const char *event, const char *name, const char *value)
{
    struct line l;
    line_begin(&l, level, event);
    line_text(&l, name, value);
    line_end(&l);
}

static void log_connection(void *arg, const char *peer, const char *event, enum err why)
{
    struct line l;
    (void)arg;
    if (strcmp(event, "request refused") == 0)
        return; /* the registrar tells of it, with the answer */
    line_begin(&l, "info", event);
    line_text(&l, "peer", peer);
    line_text(&l, "error", err_name(why));
    line_end(&l);
}

static void log_listening(const char *address, uint16_t port)
{
    struct line l;
    line_begin(&l, "info", "listening");
    line_text(&l, "address", address);
    line_number(&l, "port", port);
    line_end(&l);
}

/* ---- http on one side, registrar or manager on the other ---- */
struct context {
    union {
        struct registrar_exchange exchange; /* first: its owner hands it back */
        struct manager_exchange management;
    };
    struct http_exchange *http;
};
_Static_assert(sizeof(struct context) <= HTTP_CONTEXT_SIZE, "the context fits");

static struct context *context_of(struct http_exchange *x) { return (struct context *)x->context; }

static struct registrar_worker *worker_of(struct http_exchange *x)
{
    struct service *s = x->arg;
    ERR_ASSERT(x->loop >= 0 && x->loop < s->loops);
    return s->workers[x->loop];
}

static void wake(struct registrar_exchange *exchange)
{
    http_wake(((struct context *)exchange)->http);
}

static void wake_management(struct manager_exchange *exchange)
{
    http_wake(((struct context *)(void *)exchange)->http);
}

static struct registrar_exchange *enter(struct http_exchange *x)
{
    struct context *c = context_of(x);
    const struct http_request *q = &x->request;
    *c = (struct context){.http = x, .exchange = {.wake = wake}};
    c->exchange.answer.body = &x->reply.body;
    c->exchange.request = (struct registrar_request){
        .method = q->method,
        .path = q->path,
        .query = q->query,
        .authorization = q->authorization,
        .content_type = q->content_type,
        .user_agent = q->user_agent,
        .body = q->body,
        .peer = q->peer,
    };
    return &c->exchange;
}

static void leave(struct http_exchange *x)
{
    const struct registrar_answer *a = &context_of(x)->exchange.answer;
    struct buf location = BUF_OVER(x->reply.location), id = BUF_OVER(x->reply.request_id);
    x->reply.status = a->status;
    x->reply.retry_after_s = a->retry_after_s;
    x->reply.error_code = a->error_code;
    x->reply.expects_answer = a->expects_answer;
    buf_put_text(&location, a->location);
    buf_put_text(&id, a->request_id);
    ERR_ASSERT(buf_end_text(&location) == ERR_OK && buf_end_text(&id) == ERR_OK);
}

/* ---- the service API ---- */
static struct manager_worker *manager_of(struct http_exchange *x)
{
    struct service *s = x->arg;
    ERR_ASSERT(x->loop >= 0 && x->loop < s->loops);
    return s->managers[x->loop];
}

static struct manager_exchange *enter_management(struct http_exchange *x)
{
    struct context *c = context_of(x);
    const struct http_request *q = &x->request;
    *c = (struct context){.http = x, .management = {.wake = wake_management}};
    c->management.answer.body = &x->reply.body;
    c->management.request = (struct manager_request){
        .method = q->method,
        .path = q->path,
        .query = q->query,
        .host = q->host,
        .authorization = q->authorization,
        .content_type = q->content_type,
        .body = q->body,
        .if_match = q->if_match,
        .continuation = q->continuation,
        .max_item_count = q->max_item_count,
        .peer = q->peer,
    };
    return &c->management;
}

static void leave_management(struct http_exchange *x)
{
    const struct manager_answer *a = &context_of(x)->management.answer;
    _Static_assert(sizeof a->request_id <= sizeof x->reply.request_id, "the request id fits");
    _Static_assert(sizeof a->item_type <= sizeof x->reply.item_type, "the item type fits");
    _Static_assert(sizeof a->continuation <= sizeof x->reply.continuation, "the token fits");
    x->reply.status = a->status;
    x->reply.error_code = a->error_code;
    x->reply.retry_after_s = a->retry_after_s;
    x->reply.max_item_count = a->max_item_count;
    memcpy(x->reply.request_id, a->request_id, sizeof a->request_id);
    memcpy(x->reply.item_type, a->item_type, sizeof a->item_type);
    memcpy(x->reply.continuation, a->continuation, sizeof a->continuation);
}

static enum http_step handle_management(struct http_exchange *x)
{
    if (!manager_begin(manager_of(x), enter_management(x)))
        return HTTP_WAIT;
    leave_management(x);
    return HTTP_DONE;
}

static enum http_step handle(struct http_exchange *x)
{
    if (manager_has_path(x->request.path))
        return handle_management(x);
    if (!registrar_begin(worker_of(x), enter(x)))
        return HTTP_WAIT;
    leave(x);
    return HTTP_DONE;
}

static void resume(struct http_exchange *x)
{
    if (manager_has_path(x->request.path)) {
        manager_finish(manager_of(x), &context_of(x)->management);
        leave_management(x);
        return;
    }
    registrar_finish(worker_of(x), &context_of(x)->exchange);
    leave(x);
}

static void refuse(struct http_exchange *x, enum err why)
{
    registrar_refuse(worker_of(x), enter(x), why);
    leave(x);
}

/* ---- before anything is read ---- */
static void harden(void)
{
    struct rlimit files;
    const struct rlimit no_core = {0, 0};
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    /* Keys are in memory: no core dump, no debugger. */
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Blocked before there are threads, so that only wait_for_end takes them. */
static sigset_t block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return set;
}

/* ---- opening and closing ---- */
static enum err read_secrets(const struct config *c, struct registrar_config *ret_config,
                             struct manager_config *ret_management)
{
    struct config_reason reason = {.text = ""};
    SECRET master = {.len = 0};
    enum err e = config_secret_read(c, "master", &master, &reason);
    if (e == ERR_OK)
        e = config_secret_read(c, "hub", &ret_config->hub_root, &reason);
    if (e == ERR_OK)
        e = config_private_check(c->server_key, &reason);
    if (e != ERR_OK) {
        complain("%s", reason.text);
        return e;
    }
    TRY(attest_root(&master, ATTEST_ROOT_POLICY, &ret_management->policy_root));
    TRY(attest_root(&master, ATTEST_ROOT_SEAL, &ret_management->seal_key));
    ret_config->seal_key = ret_management->seal_key;
    return attest_root(&master, ATTEST_ROOT_NONCE, &ret_config->nonce_root);
}

static enum err copy_hubs(const struct config *c, struct registrar_config *ret_config)
{
    _Static_assert(CONFIG_HUBS_MAX <= REGISTRAR_HUBS_MAX, "all hubs fit");
    for (int i = 0; i < c->hub_count; i++) {
        struct registrar_hub *hub = &ret_config->hubs[i];
        TRY(span_to_text(span_text(c->hubs[i].name), hub->name, sizeof hub->name));
        TRY(span_to_text(span_text(c->hubs[i].host), hub->host, sizeof hub->host));
    }
    ret_config->hub_count = c->hub_count;
    return span_to_text(span_text(c->id_scope), ret_config->id_scope, sizeof ret_config->id_scope);
}

static enum err say_store(enum err e, const char *what, const struct store_reason *reason)
{
    if (e != ERR_OK)
        complain("%s: %s", what, reason->text[0] != '\0' ? reason->text : err_text(e));
    return e;
}

static enum err use_audit_key(struct service *s)
{
    struct config_reason unused;
    SECRET key = {.len = 0};
    TRY(audit_key_read(&s->config, &key, &unused));
    return store_audit_key(s->store, &key);
}

static enum err open_workers(struct service *s)
{
    struct store_reason reason = {.text = ""};
    for (int i = 0; i < s->loops; i++) {
        TRY(say_store(registrar_worker_open(s->registrar, &s->workers[i]), "databases", &reason));
        TRY(say_store(manager_worker_open(s->manager, &s->managers[i]), "databases", &reason));
    }
    return ERR_OK;
}

static enum err open_rooms(struct service *s, struct registrar_config *rc,
                           struct manager_config *mc)
{
    struct store_reason reason = {.text = ""};
    char pending[CONFIG_PATH_CAP + 16];
    snprintf(pending, sizeof pending, "%s/pending", s->config.data_dir);
    rc->pending_file = pending;
    rc->now_s = wall_now_s;
    rc->log = log_line;
    mc->now_s = wall_now_s;
    mc->log = log_line;
    TRY(read_secrets(&s->config, rc, mc));
    TRY(copy_hubs(&s->config, rc));
    TRY(say_store(store_open(s->config.data_dir, STORE_SERVE, &s->store, &reason), "databases",
                  &reason));
    TRY(say_store(use_audit_key(s), "audit log", &reason));
    TRY(say_store(registrar_open(rc, s->store, &s->registrar, &reason), "pending challenges",
                  &reason));
    TRY(say_store(manager_open(mc, s->store, &s->manager), "service API", &reason));
    return open_workers(s);
}

static enum err open_http(struct service *s)
{
    struct http_reason reason = {.text = ""};
    const struct http_config hc = {
        .address = s->config.listen_address,
        .port = s->config.listen_port,
        .certificate_file = s->config.server_certificate,
        .key_file = s->config.server_key,
        .loops = s->loops,
        .handle = handle,
        .resume = resume,
        .refuse = refuse,
        .log = log_connection,
        .arg = s,
    };
    enum err e = http_open(&hc, &s->http, &reason);
    if (e == ERR_OK)
        e = http_run(s->http);
    if (e != ERR_OK)
        complain("%s, port %u: %s", s->config.listen_address, s->config.listen_port,
                 reason.text[0] != '\0' ? reason.text : err_text(e));
    return e;
}

static enum err open_service(struct service *s, const struct options *o)
{
    struct config_reason reason = {.text = ""};
    struct registrar_config rc = {.hub_count = 0};
    struct manager_config mc = {.log = NULL};
    if (config_read(o->data, &s->config, &reason) != ERR_OK) {
        complain("%s", reason.text);
        return ERR_CONFIG;
    }
    if (o->listen_given) {
        s->config.listen_port = o->listen_port;
        TRY(span_to_text(span_text(o->listen_address), s->config.listen_address,
                         sizeof s->config.listen_address));
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    s->loops = s->config.threads > 0 ? s->config.threads : cores > 0 ? (int)cores : 1;
    if (s->loops > LOOPS_MAX)
        s->loops = LOOPS_MAX;
    enum err e = open_rooms(s, &rc, &mc);
    secret_wipe(&mc.policy_root);
    secret_wipe(&mc.seal_key);
    secret_wipe(&rc.nonce_root);
    secret_wipe(&rc.hub_root);
    secret_wipe(&rc.seal_key);
    TRY(e);
    return open_http(s);
}

static void close_service(struct service *s)
{
    if (s->http != NULL)
        http_drain(s->http, DRAIN_MS);
    http_close(s->http);
    for (int i = 0; i < s->loops; i++) {
        registrar_worker_close(s->workers[i]);
        manager_worker_close(s->managers[i]);
    }
    manager_close(s->manager);
    registrar_close(s->registrar);
    store_close(s->store);
}

/* 0 when asked to end; 1 when the store cannot say any more what is on the disk: then a supervisor has
 * to start the service again, which reads back what is there. */
static int wait_for_end(const struct service *s, const sigset_t *set)
{
    const struct timespec second = {.tv_sec = 1};
    for (;;) {
        int got = sigtimedwait(set, NULL, &second);
        if (got > 0) {
            log_event("info", "ending", "signal", strsignal(got));
            return 0;
        }
        if (store_is_broken(s->store)) {
            log_event("error", "store broken", "action", "ending, to be started again");
            return 1;
        }
    }
}

int command_serve(const struct options *o)
{
    static struct service s;
    int status = 1;
    harden();
    sigset_t set = block_signals();
    bool open = open_service(&s, o) == ERR_OK;
    if (open) {
        log_listening(s.config.listen_address, http_port(s.http));
        status = wait_for_end(&s, &set);
    }
    close_service(&s);
    if (open)
        log_event("info", "ended", "status", status == 0 ? "clean" : "failed");
    /* No secret is left, and leak checkers need to look. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return status;
}
