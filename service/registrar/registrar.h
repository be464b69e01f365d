/* Purpose: the device API: who is challenged, who is assigned, who gets nothing. Enrollment rules and
 * states live here; sockets, SQL and cryptography do not.
 *
 *   PUT  /{idScope}/registrations/{id}/register         no token: a challenge; token: an assignment
 *   GET  /{idScope}/registrations/{id}/operations/{op}  the assignment again, freshly wrapped
 *   POST /{idScope}/registrations/{id}                  the registration, without key material
 *
 * One struct registrar per process, one struct registrar_worker per thread. An exchange is begun; it
 * is answered at once, or waits for a durable commit and is finished after `wake` was called.
 */
#ifndef REGISTRAR_H
#define REGISTRAR_H

#include <store.h>
#include <wire/bytes.h>
#include <wire/regid.h>

#define REGISTRAR_HUBS_MAX 50
struct registrar_hub {
    char name[64];
    char host[STORE_HOST_CAP];
};

struct registrar_config {
    char id_scope[64];
    struct registrar_hub hubs[REGISTRAR_HUBS_MAX];
    int hub_count;
    struct secret nonce_root;
    struct secret hub_root;
    struct secret seal_key;        /* wraps the symmetric keys of enrollments and groups */
    const char *pending_file;      /* the bounded table of pending challenges; survives a restart.
                                      Used while opening only */
    int64_t (*now_s)(void *arg);   /* wall clock */
    void (*log)(void *arg, const char *line); /* one line of JSON, no newline; from any worker's thread */
    void *arg;
};

/* Copies what it needs of config. ERR_ENTROPY, ERR_MEMORY, ERR_IO, ERR_STORE_FULL. */
struct registrar;
MUST_USE enum err registrar_open(const struct registrar_config *config, struct store *store,
                                 struct registrar **ret_registrar, struct store_reason *ret_reason);
void registrar_close(struct registrar *r); /* after all workers; NULL is fine */

struct registrar_worker;
MUST_USE enum err registrar_worker_open(struct registrar *r, struct registrar_worker **ret_worker);
void registrar_worker_close(struct registrar_worker *w); /* NULL is fine */

struct registrar_request {
    struct span method, path, query, authorization, content_type, user_agent, body;
    const char *peer;              /* the client's address as text */
};

struct registrar_answer {
    int status;
    struct buf *body;              /* the caller's, empty, REGISTRAR_BODY_CAP or more; JSON goes in */
    uint32_t retry_after_s;        /* 0: none */
    char location[512];            /* "": none */
    int32_t error_code;            /* 0 on success */
    char request_id[40];
    bool expects_answer;           /* this is a challenge */
};
#define REGISTRAR_BODY_CAP 4096

/* One request and its answer, in the caller's memory and alive until the answer is complete. The
 * caller sets the first three members and zeroes the rest. */
struct registrar_exchange {
    struct registrar_request request; /* its spans live as long as the exchange */
    struct registrar_answer answer;
    void (*wake)(struct registrar_exchange *x); /* from another thread, once, and only if begun with
                                                   false; may come before registrar_begin returns */
    /* the registrar's own */
    struct store_waiter waiter;
    enum err outcome;              /* of the commit */
    struct regid id;               /* for the log, once the path was read; else "" */
    const char *event;             /* for the log: what was asked for */
    const char *reason;            /* for the log: the true reason of a refusal */
    bool srk_changed;              /* for the log */
    uint64_t generation;           /* for the log */
};

/* True: answer is complete. False: wake will be called, then registrar_finish completes it. */
MUST_USE bool registrar_begin(struct registrar_worker *w, struct registrar_exchange *x);
void registrar_finish(struct registrar_worker *w, struct registrar_exchange *x);

/* The error answer for a request that never got here. */
void registrar_refuse(struct registrar_worker *w, struct registrar_exchange *x, enum err why);

#endif
