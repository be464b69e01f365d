/* Purpose: HTTPS/1.1 with one request in, one reply out. Owns sockets, TLS, event loops, strict
 * parsing, limits and deadlines; knows nothing of the API behind it.
 *
 * One event loop a thread, each with its own listening socket (SO_REUSEPORT). A connection serves
 * one request at a time and stays open between them. RFC 9110, 9112; stricter where they allow it.
 *
 * A handler runs on the loop's thread and must not block. It answers at once, or returns HTTP_WAIT
 * and calls http_wake() later from any thread; then `resume` runs on the loop's thread and answers.
 */
#ifndef HTTP_H
#define HTTP_H

#include <wire/bytes.h>

#define HTTP_TARGET_CAP 2048        /* request target, bytes */
#define HTTP_HEADERS_CAP 16384      /* request line and headers together */
#define HTTP_BODY_CAP 98304         /* 96 KiB */
#define HTTP_REPLY_BODY_CAP 131072
#define HTTP_CONTEXT_SIZE 8192      /* the handler's own state for one request */

/* All spans live until the reply is given, also across HTTP_WAIT. */
struct http_request {
    struct span method;             /* "GET" */
    struct span target;             /* as sent, "/scope/…?api-version=…"; begins with '/' */
    struct span path;               /* target up to '?', still escaped */
    struct span query;              /* after '?', still escaped; empty if none */
    struct span host;               /* header values; empty if absent */
    struct span authorization;
    struct span content_type;
    struct span user_agent;
    struct span if_match;
    struct span continuation;       /* x-ms-continuation */
    struct span max_item_count;     /* x-ms-max-item-count */
    struct span body;
    char peer[46];                  /* the client's address as text */
    uint64_t request_number;        /* unique in this process */
};

struct http_reply {
    int status;                     /* 200 … 599 */
    struct buf body;                /* over HTTP_REPLY_BODY_CAP bytes; JSON; empty for 204 */
    uint32_t retry_after_s;         /* 0: no header */
    char location[512];             /* "": no header */
    int32_t error_code;             /* x-ms-error-code; 0: no header */
    char request_id[40];            /* x-ms-request-id; "": no header */
    char item_type[24];             /* x-ms-item-type; "": no header */
    char continuation[64];          /* x-ms-continuation; "": no header */
    uint32_t max_item_count;        /* x-ms-max-item-count; 0: no header */
    bool expects_answer;            /* a challenge was given: the connection may idle for
                                       challenge_idle_ms until the next request */
    bool close;
};

enum http_step { HTTP_DONE, HTTP_WAIT };

struct http_exchange {
    struct http_request request;
    struct http_reply reply;
    int loop;                       /* which loop serves this: 0 … loops-1 */
    void *arg;                      /* http_config.arg */
    max_align_t context[HTTP_CONTEXT_SIZE / sizeof(max_align_t)]; /* zeroed before each request */
};

/* Ends an HTTP_WAIT. From any thread, exactly once per HTTP_WAIT. The exchange lives at least until
 * resume has run, even if the client went away: resume always runs. */
void http_wake(struct http_exchange *x);

struct http_config {
    const char *address;            /* "0.0.0.0", "::", "127.0.0.1" */
    uint16_t port;                  /* 0: any; http_port() tells */
    const char *certificate_file;   /* PEM chain */
    const char *key_file;           /* PEM, P-256 */
    int loops;                      /* 0: one a core */
    /* 0: 5 s, 10 s, 15 s, 60 s, 10 s. Absolute: bytes that trickle in do not prolong them. The first
     * request's headers share their deadline with the handshake. */
    uint32_t header_ms, body_ms, idle_ms, challenge_idle_ms, write_ms;
    int connections_max;            /* over all loops; 0: 20,000 or what the fd limit allows */
    int connections_per_address_max; /* 0: 4,096; of IPv6 a /64 counts as one address */
    enum http_step (*handle)(struct http_exchange *x);
    void (*resume)(struct http_exchange *x);
    /* A request that did not parse, or a deadline that passed in one: writes the error body for
     * `why` into x->reply; the connection closes after it. Status is set already. */
    void (*refuse)(struct http_exchange *x, enum err why);
    /* From any loop's thread; at most 21 lines a second and loop. Never any of a request's bytes. */
    void (*log)(void *arg, const char *peer, const char *event, enum err why);
    void *arg;
};

struct http;
struct http_reason { char text[256]; };
MUST_USE enum err http_open(const struct http_config *config, struct http **ret_http,
                            struct http_reason *ret_reason);
uint16_t http_port(const struct http *h);
MUST_USE enum err http_run(struct http *h);       /* starts the loops; returns at once */
/* Stops accepting, ends idle connections, lets running requests end for at most grace_ms. Returns at
 * the latest 200 ms after that, also where exchanges still wait for http_wake. */
void http_drain(struct http *h, uint32_t grace_ms);
/* After drain; NULL is fine. Waits for every http_wake that is still to come. */
void http_close(struct http *h);

#endif
