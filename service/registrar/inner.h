/* Purpose: what the files of this room share. Not for others. */
#ifndef REGISTRAR_INNER_H
#define REGISTRAR_INNER_H

#include "pending.h"

#include <attest.h>
#include <credential.h>
#include <registrar.h>
#include <wire/sas.h>
#include <wire/text.h>

struct registrar {
    struct registrar_config config;
    struct store *store;
    struct pending *pending;
};

struct registrar_worker {
    struct registrar *registrar;
    struct attest *attest;
    struct store_reader *reader;
    int64_t log_second; /* how many lines went to the log in it */
    int64_t log_lines;
};

int64_t registrar_now(const struct registrar_worker *w);

/* ---- request.c: reading ---- */
enum resource { RESOURCE_REGISTER, RESOURCE_REGISTRATION, RESOURCE_OPERATION };
struct target {
    enum resource resource;
    struct regid id;
    char operation_id[STORE_OPERATION_CAP];
};
/* ERR_NOT_FOUND: no such path. ERR_NOT_ENROLLED: another scope. ERR_METHOD, ERR_REG_ID,
 * ERR_BAD_REQUEST, ERR_MEDIA_TYPE. */
MUST_USE enum err request_read_target(const struct registrar_request *q, struct span id_scope,
                                      struct target *ret_target);

struct device_keys {
    bool given; /* else the rest is not set */
    struct tpm_public ek, srk;
};
/* The body of a register or look-up request: valid JSON, naming no other id than `id`; keys of the
 * right shape and role. An empty body is an empty object. */
MUST_USE enum err request_read_body(struct span body, const struct regid *id,
                                    struct device_keys *ret_keys);

/* ---- proof.c: which key signed a token ---- */
#define SUBJECT_SRKS_MAX (PENDING_WAYS + 3)
/* Everything known about the device an authenticated request speaks for. */
struct subject {
    bool enrolled, registered;
    struct store_enrollment enrollment;
    struct store_registration registration; /* generation 0 if not registered */
    uint8_t ek_name[TPM_NAME_LEN];          /* of the enrolled EK */
};
MUST_USE enum err subject_find(struct registrar_worker *w, const struct regid *id,
                               struct subject *ret_subject);
/* Structure, resource and expiry of the request's token; not yet its signature. */
MUST_USE enum err proof_read_token(struct registrar_worker *w, struct registrar_exchange *x,
                                   const struct regid *id, struct sas_token *ret_token);

struct proof {
    uint8_t srk[TPM_PUBLIC_CAP]; /* the SRK whose challenge was opened */
    size_t srk_len;
    int64_t window;              /* and when it was given */
};
/* Whether the token was signed with a nonce key that is still alive: that of `keys`' SRK if given,
 * else of any SRK that comes into question. ERR_UNAUTHORIZED. */
MUST_USE enum err proof_of_challenge(struct registrar_worker *w, const struct subject *s,
                                     const struct regid *id, const struct device_keys *keys,
                                     const struct sas_token *token, struct proof *ret_proof);
/* Whether it was signed with the nonce key of the last assignment, not longer than POLL_S ago. */
#define POLL_S 600
MUST_USE enum err proof_of_operation(struct registrar_worker *w, const struct subject *s,
                                     const struct sas_token *token);
/* Whether it was signed with the current hub key. */
MUST_USE enum err proof_of_hub_key(struct registrar_worker *w, const struct subject *s,
                                   const struct sas_token *token);

struct attest_binding registrar_binding(const struct registrar_worker *w, const struct regid *id,
                                        const uint8_t ek_name[TPM_NAME_LEN], uint64_t generation);
/* The Name of a TPM2B_PUBLIC that need not be parsed. */
MUST_USE enum err registrar_public_name(const uint8_t *tpm2b, size_t len,
                                        uint8_t ret_name[TPM_NAME_LEN]);

/* ---- keyed.c: devices with a symmetric key ---- */
struct keyed {
    struct subject subject; /* a member of a group has an enrollment made up for it */
    struct regid group;     /* "": an enrollment of its own */
    struct credential_keys keys;
};
void keyed_wipe(struct keyed *k);
#define KEYED __attribute__((cleanup(keyed_wipe))) struct keyed
/* Whom the token's key belongs to. ERR_ABSENT: to nobody with a symmetric key, as far as is known.
 * ERR_UNAUTHORIZED: the id has one, another. */
MUST_USE enum err keyed_find(struct registrar_worker *w, struct registrar_exchange *x,
                             const struct regid *id, const struct sas_token *token,
                             struct keyed *ret_keyed);
/* As assign_begin; ERR_ABSENT likewise. */
MUST_USE enum err keyed_begin(struct registrar_worker *w, struct registrar_exchange *x,
                              const struct sas_token *token, const struct regid *id);

/* ---- challenge.c, assign.c, operation.c: what is asked for ---- */
MUST_USE enum err challenge_give(struct registrar_worker *w, struct registrar_exchange *x,
                                 const struct regid *id, const struct device_keys *keys);
/* On ERR_OK the commit is queued: x->wake will be called. */
MUST_USE enum err assign_begin(struct registrar_worker *w, struct registrar_exchange *x,
                               const struct regid *id, const struct device_keys *keys,
                               const struct sas_token *token);
void assign_finish(struct registrar_worker *w, struct registrar_exchange *x);
/* The parts of it: the row of the next generation, and its way to the store with an answer that is
 * complete but for what every 202 has. */
MUST_USE enum err assign_row(struct registrar_worker *w, struct registrar_exchange *x,
                             const struct subject *s, const struct proof *proof,
                             struct store_registration *ret_row);
MUST_USE enum err assign_queue(struct registrar_worker *w, struct registrar_exchange *x,
                               const struct store_registration *row);
MUST_USE enum err operation_poll(struct registrar_worker *w, struct registrar_exchange *x,
                                 const struct target *target);
MUST_USE enum err registration_look_up(struct registrar_worker *w, struct registrar_exchange *x,
                                       const struct regid *id);
/* Wraps the hub key of the row's generation for its SRK and writes it as base64. */
MUST_USE enum err assign_wrap(struct registrar_worker *w, const struct subject *s,
                              const struct store_registration *row, struct buf *ret_base64);

/* ---- answer.c: writing ---- */
#define GUID_LEN 36
#define BLOB_BASE64_CAP BASE64_LEN(TPMBLOB_CAP)
MUST_USE enum err answer_guid(struct registrar_worker *w, char ret_guid[GUID_LEN + 1]);
void answer_challenge(struct registrar_exchange *x, struct span blob_base64);
void answer_assigned(struct registrar_exchange *x, const struct store_registration *row,
                     struct span blob_base64);
void answer_assigned_keyed(struct registrar_exchange *x, const struct store_registration *row);
void answer_disabled(struct registrar_exchange *x, const struct store_registration *row);
void answer_registration(struct registrar_exchange *x, const struct store_registration *row);
void answer_error(struct registrar_worker *w, struct registrar_exchange *x, enum err why);

/* How an assignment came about; the first digit of its operation id, since a poll has to say it too. */
enum substatus {
    SUBSTATUS_INITIAL = 4,
    SUBSTATUS_MIGRATED = 5,
    SUBSTATUS_REPROVISIONED = 6,
    SUBSTATUS_RESET = 7,
};

/* ---- allocate.c: which hub ---- */
/* As the enrollment's profile has it. ERR_NO_HUB, with a reason for the log. */
MUST_USE enum err allocate(struct registrar_worker *w, struct registrar_exchange *x,
                           const struct subject *s, const struct registrar_hub **ret_hub,
                           enum substatus *ret_substatus);

/* ---- log.c ---- */
void log_exchange(struct registrar_worker *w, struct registrar_exchange *x, enum err why);

#endif
