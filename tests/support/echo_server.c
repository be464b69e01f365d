/* The HTTP room alone, for the hostile-input tests and measurements: answers with what it
 * understood.
 *
 *   /echo            what was parsed, as JSON
 *   /count           how many requests reached the handler before this one
 *   /wait/MS         answers after so many milliseconds, woken from another thread
 *   /challenge       as /echo; the connection may then idle for the challenge's time
 *   /close           as /echo; the connection ends
 *   /accepted        202 with every header a reply can have
 *   /large           the largest reply
 *   /overflow        a reply too large to be one
 *
 * Prints "port=N" when it listens. SIGTERM drains it; it then prints how long that took.
 */
#include "http.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static atomic_ulong handled;

/* ---- JSON, as little as is needed ---- */

static void put_escaped(struct buf *b, struct span s)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] >= 0x20 && s.at[i] < 0x7f && s.at[i] != '"' && s.at[i] != '\\') {
            buf_put_u8(b, s.at[i]);
            continue;
        }
        buf_put_text(b, "\\u00");
        buf_put_u8(b, (uint8_t)digits[s.at[i] >> 4]);
        buf_put_u8(b, (uint8_t)digits[s.at[i] & 15]);
    }
}

static void put_member(struct buf *b, const char *name, struct span value)
{
    buf_put_text(b, b->len == 0 ? "{\"" : ",\"");
    buf_put_text(b, name);
    buf_put_text(b, "\":\"");
    put_escaped(b, value);
    buf_put_text(b, "\"");
}

static void echo(struct http_exchange *x)
{
    const struct http_request *r = &x->request;
    struct buf *b = &x->reply.body;
    put_member(b, "method", r->method);
    put_member(b, "target", r->target);
    put_member(b, "path", r->path);
    put_member(b, "query", r->query);
    put_member(b, "authorization", r->authorization);
    put_member(b, "contentType", r->content_type);
    put_member(b, "userAgent", r->user_agent);
    put_member(b, "peer", span_text(r->peer));
    if (r->body.len <= 4096)
        put_member(b, "body", r->body);
    buf_put_text(b, ",\"bodyLength\":");
    buf_put_decimal(b, (int64_t)r->body.len);
    buf_put_text(b, ",\"loop\":");
    buf_put_decimal(b, x->loop);
    buf_put_text(b, "}");
    x->reply.status = 200;
}

/* ---- handlers ---- */

static void *wake_later(void *arg)
{
    struct http_exchange *x = arg;
    long ms = strtol((const char *)x->request.path.at + 6, NULL, 10);
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
    http_wake(x);
    return NULL;
}

static enum http_step wait_begin(struct http_exchange *x)
{
    pthread_t thread;
    ERR_ASSERT(pthread_create(&thread, NULL, wake_later, x) == 0);
    ERR_ASSERT(pthread_detach(thread) == 0);
    return HTTP_WAIT;
}

static void accepted(struct http_exchange *x)
{
    echo(x);
    x->reply.status = 202;
    x->reply.retry_after_s = 3;
    x->reply.error_code = 409203;
    memcpy(x->reply.location, "/scope/registrations/a/register", 32);
    memcpy(x->reply.request_id, "6a0f4c2e-0000-4000-8000-000000000000", 37);
}

static void fill(struct http_exchange *x, size_t len)
{
    x->reply.status = 200;
    for (size_t i = 0; i < len; i++)
        buf_put_u8(&x->reply.body, 'x');
}

static enum http_step handle(struct http_exchange *x)
{
    unsigned long before = atomic_fetch_add(&handled, 1);
    struct span path = x->request.path;
    if (span_starts_with(path, SPAN_LITERAL("/wait/")))
        return wait_begin(x);
    if (span_equal(path, SPAN_LITERAL("/accepted"))) {
        accepted(x);
    } else if (span_equal(path, SPAN_LITERAL("/large"))) {
        fill(x, HTTP_REPLY_BODY_CAP);
    } else if (span_equal(path, SPAN_LITERAL("/overflow"))) {
        fill(x, HTTP_REPLY_BODY_CAP + 1);
    } else if (span_equal(path, SPAN_LITERAL("/count"))) {
        buf_put_decimal(&x->reply.body, (int64_t)before);
        x->reply.status = 200;
    } else {
        echo(x);
    }
    x->reply.expects_answer = span_equal(path, SPAN_LITERAL("/challenge"));
    x->reply.close = span_equal(path, SPAN_LITERAL("/close"));
    return HTTP_DONE;
}

static void refuse(struct http_exchange *x, enum err why)
{
    buf_put_text(&x->reply.body, "{\"errorCode\":");
    buf_put_decimal(&x->reply.body, err_code(why));
    buf_put_text(&x->reply.body, "}");
    x->reply.error_code = err_code(why);
}

static void log_line(void *arg, const char *peer, const char *event, enum err why)
{
    (void)arg;
    (void)fprintf(stderr, "%s %s %s\n", peer, event, err_name(why));
}

/* ---- command line ---- */

static uint32_t number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

static bool option_number(struct http_config *c, const char *name, uint32_t n)
{
    const struct {
        const char *name;
        uint32_t *to;
    } ms[] = {
        {"--header-ms", &c->header_ms}, {"--body-ms", &c->body_ms},
        {"--idle-ms", &c->idle_ms},     {"--challenge-ms", &c->challenge_idle_ms},
        {"--write-ms", &c->write_ms},
    };
    const struct {
        const char *name;
        int *to;
    } counts[] = {
        {"--loops", &c->loops},
        {"--connections", &c->connections_max},
        {"--per-address", &c->connections_per_address_max},
    };
    for (size_t i = 0; i < sizeof ms / sizeof ms[0]; i++)
        if (strcmp(name, ms[i].name) == 0) {
            *ms[i].to = n;
            return true;
        }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (strcmp(name, counts[i].name) == 0) {
            *counts[i].to = (int)n;
            return true;
        }
    return false;
}

static bool options_read(int argc, char **argv, struct http_config *c)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--certificate") == 0)
            c->certificate_file = argv[i + 1];
        else if (strcmp(argv[i], "--key") == 0)
            c->key_file = argv[i + 1];
        else if (strcmp(argv[i], "--address") == 0)
            c->address = argv[i + 1];
        else if (strcmp(argv[i], "--port") == 0)
            c->port = (uint16_t)number(argv[i + 1]);
        else if (!option_number(c, argv[i], number(argv[i + 1])))
            return false;
    }
    return argc % 2 == 1 && c->certificate_file != NULL && c->key_file != NULL;
}

static long now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    struct http_config config = {.address = "127.0.0.1",
                                 .handle = handle,
                                 .resume = echo,
                                 .refuse = refuse,
                                 .log = log_line};
    if (!options_read(argc, argv, &config)) {
        (void)fprintf(stderr, "echo_server: --certificate FILE --key FILE [--port N] …\n");
        return 2;
    }
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL);
    struct http *h = NULL;
    struct http_reason reason = {""};
    if (http_open(&config, &h, &reason) != ERR_OK || http_run(h) != ERR_OK) {
        (void)fprintf(stderr, "echo_server: %s\n", reason.text);
        return 1;
    }
    (void)printf("port=%d\n", http_port(h));
    (void)fflush(stdout);
    int got = 0;
    (void)sigwait(&ends, &got);
    long began = now_ms();
    http_drain(h, 3000);
    (void)printf("drained_ms=%ld\n", now_ms() - began);
    http_close(h);
    return 0;
}
