/* Purpose: a registrar over a real store in a directory of its own, with a clock that tests set, and
 * devices without TPMs that speak to it directly, without HTTP.
 *
 * A failure of the scaffolding aborts the test program; what the registrar answers is for the test to
 * judge.
 */
#ifndef SUPPORT_REGISTRAR_WORLD_H
#define SUPPORT_REGISTRAR_WORLD_H

#include "softdevice.h"

#include <jansson.h>
#include <registrar.h>

#define WORLD_SCOPE "0neTEST0001"
#define WORLD_LOG_MAX 65536

struct world {
    char dir[256];
    int64_t now_s;
    struct registrar_config config;
    struct store *store;
    struct registrar *registrar;
    struct registrar_worker *worker;
    char log[WORLD_LOG_MAX]; /* all lines since world_log_clear, each ended by a newline */
    size_t log_len;
    char last_line[4096];
};

void world_open(struct world *w);    /* two hubs: one.hub.test and two.hub.test */
void world_close(struct world *w);
void world_stop(struct world *w);    /* closes registrar and store, keeps the directory */
void world_start(struct world *w);
void world_restart(struct world *w);
void world_log_clear(struct world *w);

/* ---- enrollments ---- */
enum { WORLD_PIN = 1, WORLD_SRK = 2, WORLD_DISABLED = 4 };
void world_enroll(struct world *w, const char *id, const struct softdevice *d, unsigned flags);
/* Enrolls with a profile, in the place of what there is of this id. */
void world_enroll_profile(struct world *w, const char *id, const struct softdevice *d,
                          const struct store_profile *profile);
void world_set_enabled(struct world *w, const char *id, bool enabled);

/* ---- requests ---- */
struct call {
    const char *method, *path, *token, *content_type, *agent, *peer;
    struct span body;
};
struct answer {
    int status;
    int32_t code;             /* errorCode of the body, 0 if none */
    json_t *json;
    char body[8192];
    size_t body_len;
    uint32_t retry_after_s;
    char location[512], request_id[40];
    bool expects_answer;
};
#define ANSWER __attribute__((cleanup(answer_free))) struct answer
void answer_free(struct answer *a);
const char *answer_text(const struct answer *a, const char *name);        /* "" if absent */
const char *answer_state(const struct answer *a, const char *name);       /* in registrationState */
const char *answer_key(const struct answer *a);                           /* of either place */

/* What is left NULL in the call is absent; peer is then 192.0.2.1. Waits for the commit. */
void world_call(struct world *w, const struct call *c, struct answer *ret_answer);
/* The same in two halves, to have several under way. */
struct flight;
struct flight *world_begin(struct world *w, const struct call *c);
void world_finish(struct world *w, struct flight *f, struct answer *ret_answer);

/* ---- a device's steps ---- */
void world_path(char ret_path[512], const char *id, const char *tail); /* tail: "/register" or "" */
void world_token(const struct world *w, const struct secret *key, const char *id, int64_t expires_in,
                 char ret_token[1024]);
/* The first request; d's keys. */
void world_challenge(struct world *w, const char *id, struct softdevice *d, const char *peer,
                     struct answer *ret_answer);
/* First request and activation. */
void world_challenge_key(struct world *w, const char *id, struct softdevice *d, const char *peer,
                         struct secret *ret_key);
/* The second request with a token of one hour. */
void world_answer(struct world *w, const char *id, struct softdevice *d, bool with_keys,
                  const struct secret *key, struct answer *ret_answer);
/* Both; ret_key is the hub key. */
void world_provision(struct world *w, const char *id, struct softdevice *d,
                     struct answer *ret_answer, struct secret *ret_key);

#endif
