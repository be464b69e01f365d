/* Purpose: the service API, by which operators and their programs manage enrollments, enrollment
 * groups and registrations: Azure's Device Provisioning Service, api-versions 2018-04-01 to
 * 2021-10-01, as its unmodified clients speak it. Sockets, SQL and cryptography are elsewhere.
 *
 *   GET PUT DELETE  /enrollments/{id}      /enrollmentGroups/{id}
 *   POST            /enrollments           /enrollmentGroups            at most ten at once
 *   POST            /enrollments/query     /enrollmentGroups/query      a page; WHERE filters
 *   POST            …/{id}/attestationmechanism                         with the secrets
 *   GET DELETE      /registrations/{id}
 *   POST            /registrations/{groupId}/query
 *
 * Paths are compared without regard to case; a slash at the end is ignored. Every call carries a
 * shared access signature of a policy that has the right it needs.
 *
 * One struct manager per process, one struct manager_worker per thread. An exchange is begun; it is
 * answered at once, or waits for a durable commit and is finished after `wake` was called.
 */
#ifndef MANAGER_H
#define MANAGER_H

#include <store.h>
#include <wire/bytes.h>
#include <wire/regid.h>

struct manager_config {
    struct secret policy_root;     /* of which the policies' keys are made */
    struct secret seal_key;        /* 32 bytes: wraps the secrets the database has to hold */
    int64_t (*now_s)(void *arg);   /* wall clock */
    void (*log)(void *arg, const char *line); /* one line of JSON, no newline; from any worker's thread */
    void *arg;
};

/* Copies config. ERR_MEMORY. From then on all that jansson frees is wiped first. */
struct manager;
MUST_USE enum err manager_open(const struct manager_config *config, struct store *store,
                               struct manager **ret_manager);
void manager_close(struct manager *m); /* after all workers; NULL is fine */

struct manager_worker;
MUST_USE enum err manager_worker_open(struct manager *m, struct manager_worker **ret_worker);
void manager_worker_close(struct manager_worker *w); /* NULL is fine */

/* Whether a path is one of the above, rather than the device API's: by its first segment alone. */
bool manager_has_path(struct span path);

/* Header values as they came; empty if absent. */
struct manager_request {
    struct span method, path, query, host, authorization, content_type, body;
    struct span if_match, continuation, max_item_count;
    const char *peer;
};

#define MANAGER_BODY_CAP 131072
#define MANAGER_PAGE_MAX 100 /* rows a page, fewer where they are long */
struct manager_answer {
    int status;                    /* 204: the body is empty */
    struct buf *body;              /* the caller's, empty, MANAGER_BODY_CAP; JSON goes in */
    int32_t error_code;            /* 0 on success */
    uint32_t retry_after_s;        /* 0: none */
    char request_id[40];
    char item_type[24];            /* x-ms-item-type; "": none */
    char continuation[64];         /* x-ms-continuation; "": none, this was the last page */
    uint32_t max_item_count;       /* x-ms-max-item-count; 0: none */
};

/* A policy's keys: both are valid, for rolling. They are derived from the policy root, so that nothing of
 * them is stored. ERR_ABSENT: no such policy. ERR_CRYPTO. */
enum manager_key { MANAGER_PRIMARY, MANAGER_SECONDARY };
MUST_USE enum err manager_policy_key(const struct secret *policy_root, struct span name,
                                     enum manager_key which, struct secret *ret_key);

#define MANAGER_MESSAGE_CAP 256
/* One request and its answer, in the caller's memory and alive until the answer is complete. The
 * caller sets the first three members and zeroes the rest. */
struct manager_exchange {
    struct manager_request request; /* its spans live as long as the exchange */
    struct manager_answer answer;
    void (*wake)(struct manager_exchange *x); /* from another thread, once, and only if begun with
                                                 false; may come before manager_begin returns */
    /* the manager's own */
    struct store_waiter waiter;
    enum err outcome;              /* of the commit */
    struct manager_work *work;     /* what is to be written */
    char policy[64];               /* who asks; "" until that is proven */
    struct regid id;               /* what about; "" if not about one */
    const char *operation;         /* for the log */
    int32_t code;                  /* instead of the error's own; 0: that */
    char message[MANAGER_MESSAGE_CAP]; /* instead of the error's own text; "": that */
};

/* True: answer is complete. False: wake will be called, then manager_finish completes it. */
MUST_USE bool manager_begin(struct manager_worker *w, struct manager_exchange *x);
void manager_finish(struct manager_worker *w, struct manager_exchange *x);

#endif
