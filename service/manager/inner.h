/* Purpose: what the files of this room share. Not for others. */
#ifndef MANAGER_INNER_H
#define MANAGER_INNER_H

#include <attest.h>
#include <jansson.h>
#include <manager.h>

struct manager {
    struct manager_config config;
    struct store *store;
};

struct manager_worker {
    struct manager *manager;
    struct attest *attest;
    struct store_reader *reader;
    int64_t stranger_second; /* when a call without a good token was last put on record */
};

int64_t manager_now(const struct manager_worker *w);

static inline void json_drop(json_t **j) { json_decref(*j); }
#define JSON __attribute__((cleanup(json_drop))) json_t

/* Refuses with a text that names what is wrong, instead of the error's own. Returns why. What comes
 * from outside is put in only after it was validated or with SHOW. */
MUST_USE enum err refuse(struct manager_exchange *x, enum err why, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Foreign text for a message: printable ASCII without quotes and backslashes, cut. */
struct shown { char text[80]; };
struct shown show(struct span foreign);
#define SHOW(foreign) (show(foreign).text)

/* ---- target.c: what is asked for ---- */
enum kind { KIND_ENROLLMENT, KIND_GROUP, KIND_REGISTRATION };
enum operation { OP_GET, OP_PUT, OP_DELETE, OP_BULK, OP_QUERY, OP_MECHANISM };
struct target {
    enum kind kind;
    enum operation operation;
    struct regid id; /* not for OP_BULK, and OP_QUERY only of registrations */
};
/* ERR_NOT_FOUND, ERR_METHOD, ERR_REG_ID, ERR_BAD_REQUEST (api-version), ERR_MEDIA_TYPE. */
MUST_USE enum err target_read(struct manager_exchange *x, struct target *ret_target);

/* ---- access.c: who may ---- */
enum right {
    RIGHT_SERVICE_CONFIG = 1,
    RIGHT_ENROLLMENT_READ = 2,
    RIGHT_ENROLLMENT_WRITE = 4,
    RIGHT_DEVICE_CONNECT = 8,
    RIGHT_REGISTRATION_READ = 16,
    RIGHT_REGISTRATION_WRITE = 32,
    RIGHTS_ALL = 63,
};
/* ERR_UNAUTHORIZED. Sets x->policy. */
MUST_USE enum err access_check(struct manager_worker *w, struct manager_exchange *x,
                               const struct target *t);

/* ---- etag.c: entity tags ----
 * Base64 of a quoted text that names the row and its revision, as opaque as Azure's. */
#define ETAG_CAP 64
void etag_write(uint64_t number, uint64_t revision, char ret_etag[ETAG_CAP]);
/* If-Match: absent, "*", or a tag, with or without quotes around. ERR_ETAG for what never was one. */
struct condition {
    enum store_match match;
    uint64_t number, revision; /* STORE_MATCH_REVISION */
};
MUST_USE enum err etag_read(struct span tag, struct condition *ret_condition);

/* ---- one enrollment or group on its way to the store ---- */
struct draft {
    struct store_change *change; /* in the work's list */
    struct store_profile profile;
    uint8_t credential[STORE_CREDENTIAL_CAP];
    size_t credential_len;
    bool has_profile;
    json_t *attestation;         /* as the answer to PUT shows it; owned */
    char name[REGID_MAX + 1];    /* for bulk errors: the id as far as it was read */
    enum err refused;            /* bulk: not tried */
    int32_t code;
    char message[MANAGER_MESSAGE_CAP];
};

/* Of a PUT, a DELETE or a bulk operation: what is written, and what the answer needs. */
#define BULK_MAX 10
struct manager_work {
    struct target target;
    size_t count;                  /* of drafts */
    size_t change_count;           /* of changes: without the refused */
    struct store_change changes[BULK_MAX];
    struct draft drafts[];
};
struct manager_work *work_open(const struct target *t, size_t count); /* NULL: no memory */
void work_close(struct manager_work *work);                           /* wipes; NULL is fine */

/* ---- model.c: JSON and rows ---- */
/* Fills draft and its change's row from an IndividualEnrollment or EnrollmentGroup. `present`: the row
 * that is there now, or NULL: certificates and keys the body does not repeat are kept. */
struct row {
    enum kind kind; /* enrollment or group */
    union {
        struct store_enrollment enrollment;
        struct store_group group;
    };
};
MUST_USE enum err model_read(struct manager_worker *w, struct manager_exchange *x,
                             const json_t *body, enum kind kind, const struct row *present,
                             struct draft *draft);
/* The JSON of a stored row. attestation: shown instead of what is read from the store; may be NULL.
 * NULL into ret_json on an error. */
MUST_USE enum err model_write(struct manager_worker *w, const struct row *row,
                              const struct store_profile *profile, const json_t *attestation,
                              json_t **ret_json);
MUST_USE enum err model_profile(struct manager_worker *w, const struct row *row,
                                struct store_profile *ret_profile);
/* Reads the row of an id. ERR_ABSENT. */
MUST_USE enum err model_find(struct manager_worker *w, enum kind kind, const struct regid *id,
                             struct row *ret_row);
uint64_t row_number(const struct row *row);
const struct regid *row_id(const struct row *row);

/* ---- mechanism.c: AttestationMechanism ---- */
/* Into the draft: key, credential, and what the answer shows. */
MUST_USE enum err mechanism_read(struct manager_worker *w, struct manager_exchange *x,
                                 const json_t *body, enum kind kind, const struct row *present,
                                 struct draft *draft);
/* As GET shows it, or with its secrets. */
MUST_USE enum err mechanism_write(struct manager_worker *w, const struct row *row, bool secrets,
                                  json_t **ret_json);

/* ---- registration.c ---- */
MUST_USE enum err registration_write(const struct store_registration *row, json_t **ret_json);
/* Adds registrationState to an enrollment: of its registration, or "unassigned". */
MUST_USE enum err registration_attach(struct manager_worker *w, const struct regid *id,
                                      json_t *enrollment);

/* ---- query.c: the query language ----
 *   SELECT * [, registrationState] [FROM name] [WHERE condition]      or "*", or nothing: everything
 *   condition: comparisons with = != <> < <= > >= and LIKE 'prefix%', joined by AND, OR, NOT and ( )
 * Fields: registrationId or enrollmentGroupId, deviceId, provisioningStatus, attestation.type,
 * createdDateTimeUtc, lastUpdatedDateTimeUtc, and ekHash: tpm_public_key_hash as lower-case hex. */
enum field {
    FIELD_ID,
    FIELD_DEVICE_ID,
    FIELD_STATUS,
    FIELD_TYPE,
    FIELD_CREATED,
    FIELD_UPDATED,
    FIELD_EK_HASH,
};
enum comparison { IS_EQUAL, IS_UNEQUAL, IS_LESS, IS_AT_MOST, IS_MORE, IS_AT_LEAST, IS_LIKE };
enum node_kind { NODE_COMPARE, NODE_AND, NODE_OR, NODE_NOT };
#define QUERY_NODES_MAX 64
#define QUERY_VALUE_CAP 160
struct query_node {
    enum node_kind kind;
    int left, right; /* of AND, OR; NOT has left only */
    enum field field;
    enum comparison comparison;
    char value[QUERY_VALUE_CAP];
};
struct query {
    bool with_state;   /* registrationState asked for */
    int root;          /* -1: everything */
    int count;
    struct query_node nodes[QUERY_NODES_MAX];
};
/* ERR_INVALID_ARGUMENT with a message that says where and what. */
MUST_USE enum err query_read(struct manager_exchange *x, struct span text, struct query *ret_query);
bool query_matches(const struct query *q, const struct row *row);
/* The one id or EK hash every match must have; false: there is none. Spares the scan. */
bool query_pins(const struct query *q, enum field field, struct span *ret_value);

/* ---- page.c ---- */
MUST_USE enum err page_answer(struct manager_worker *w, struct manager_exchange *x,
                              const struct target *t);

/* ---- write.c: PUT, DELETE, bulk ---- */
/* On ERR_OK with *ret_waits the commit is queued and x->wake will be called. */
MUST_USE enum err write_begin(struct manager_worker *w, struct manager_exchange *x,
                              const struct target *t, bool *ret_waits);
MUST_USE enum err write_finish(struct manager_worker *w, struct manager_exchange *x);

/* ---- respond.c ---- */
MUST_USE enum err respond_json(struct manager_exchange *x, const json_t *json);
void respond_empty(struct manager_exchange *x); /* 204 */
void respond_error(struct manager_worker *w, struct manager_exchange *x, enum err why);
MUST_USE enum err respond_guid(struct manager_worker *w, char ret_guid[37]);
void respond_log(struct manager_worker *w, const struct manager_exchange *x, enum err why);
/* Puts a refusal on record that no change of the store's has told of. */
void respond_audit(struct manager_worker *w, const struct manager_exchange *x, enum err why);
/* Adds a time as ISO text. False: no memory. */
bool json_set_time(json_t *object, const char *name, int64_t wall_s);

/* The parsed body: a JSON value. An empty one is an empty object if it may be. */
MUST_USE enum err body_read(struct manager_exchange *x, bool may_be_empty, json_t **ret_json);

#endif
