/* Purpose: the device API: who is challenged, who is assigned, who gets nothing. Enrollment rules and
 * states live here; sockets, SQL and cryptography do not.
 *
 * One struct registrar per process, one struct registrar_worker per thread. An exchange is begun; it
 * is answered at once, or waits for a durable commit and is finished after `wake` was called.
 */
#ifndef REGISTRAR_H
#define REGISTRAR_H

#include <store/store.h>
#include <wire/bytes.h>

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
    const char *pending_file;      /* the bounded table of pending challenges; survives a restart */
    int64_t (*now_s)(void *arg);   /* wall clock */
    void (*log)(void *arg, const char *line); /* one line of JSON, no newline */
    void *arg;
};

struct registrar;
MUST_USE enum err registrar_open(const struct registrar_config *config, struct store *store,
                                 struct registrar **ret_registrar, struct store_reason *ret_reason);
void registrar_close(struct registrar *r);

struct registrar_worker;
MUST_USE enum err registrar_worker_open(struct registrar *r, struct registrar_worker **ret_worker);
void registrar_worker_close(struct registrar_worker *w);

struct registrar_request {
    struct span method, path, query, authorization, content_type, user_agent, body;
    const char *peer;
};

struct registrar_answer {
    int status;
    struct buf *body;              /* the caller's; JSON is written into it */
    uint32_t retry_after_s;
    char location[512];
    int32_t error_code;            /* 0 on success */
    char request_id[40];
    bool expects_answer;           /* this is a challenge */
};

/* The caller's memory; alive until the answer is complete. Fields are the registrar's but the first
 * three. */
struct registrar_exchange {
    struct registrar_request request;
    struct registrar_answer answer;
    void (*wake)(struct registrar_exchange *x); /* may be called from another thread, once */
    struct registrar_worker *worker;
    struct store_waiter waiter;
    enum err outcome;
};

/* True: answer is complete. False: wake will be called, then registrar_finish completes it. */
MUST_USE bool registrar_begin(struct registrar_worker *w, struct registrar_exchange *x);
void registrar_finish(struct registrar_worker *w, struct registrar_exchange *x);

/* The error answer for a request that never got here. */
void registrar_refuse(struct registrar_worker *w, struct registrar_exchange *x, enum err why);

#endif
