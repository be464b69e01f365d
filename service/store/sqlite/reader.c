#include "internal.h"
#include "row.h"
#include <stdlib.h>

#define READER_BUSY_WAIT_MS 250 /* readers wait only while a log is being recovered */

/* Enrollments seldom change, so their pages are worth keeping. Every commit of a registration empties
 * a reader's cache of that database: a large one would hold nothing. */
static enum err store_reader_open_parts(const struct store *s, struct store_reader *r)
{
    TRY(store_place_open(&s->place, ENROLLMENTS, DB_READ, READER_BUSY_WAIT_MS, &r->db[ENROLLMENTS],
                         NULL));
    TRY(db_script(&r->db[ENROLLMENTS], DB_CACHE_MIDDLE, NULL));
    TRY(store_place_open(&s->place, REGISTRATIONS, DB_READ, READER_BUSY_WAIT_MS,
                         &r->db[REGISTRATIONS], NULL));
    return db_script(&r->db[REGISTRATIONS], DB_CACHE_SMALL, NULL);
}

enum err store_reader_open(struct store *s, struct store_reader **ret_reader)
{
    struct store_reader *r = calloc(1, sizeof *r);

    if (r == NULL)
        return ERR_MEMORY;
    enum err e = store_reader_open_parts(s, r);
    if (e != ERR_OK) {
        store_reader_close(r);
        return e;
    }
    *ret_reader = r;
    return ERR_OK;
}

void store_reader_close(struct store_reader *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < DATABASE_COUNT; i++)
        db_close(&r->db[i]);
    free(r);
}

enum err store_enrollment_find(struct store_reader *r, const struct regid *id,
                               struct store_enrollment *ret_row)
{
    return row_find_enrollment(&r->db[ENROLLMENTS], ENROLLMENT_FIND, id, ret_row);
}

enum err store_enrollment_find_by_key(struct store_reader *r,
                                      const uint8_t ek_hash[TPM_KEY_HASH_LEN],
                                      struct store_enrollment *ret_row)
{
    return row_find_enrollment_by_key(&r->db[ENROLLMENTS], ek_hash, ret_row);
}

enum err store_profile_find(struct store_reader *r, int64_t number,
                            struct store_profile *ret_profile)
{
    return row_find_profile(&r->db[ENROLLMENTS], number, ret_profile);
}

enum err store_certificate_find(struct store_reader *r, const struct regid *id, struct buf *out)
{
    return row_find_certificate(&r->db[ENROLLMENTS], id, out);
}

enum err store_group_find(struct store_reader *r, const struct regid *id,
                          struct store_group *ret_group)
{
    return row_find_group(&r->db[ENROLLMENTS], id, ret_group);
}

enum err store_credential_find(struct store_reader *r, uint64_t enrollment, struct buf *out)
{
    return row_find_credential(&r->db[ENROLLMENTS], CREDENTIAL_FIND, enrollment, out);
}

enum err store_group_credential_find(struct store_reader *r, uint64_t group, struct buf *out)
{
    return row_find_credential(&r->db[ENROLLMENTS], GROUP_CREDENTIAL_FIND, group, out);
}

enum err store_payload_find(struct store_reader *r, uint64_t registration, struct buf *out)
{
    return row_find_payload(&r->db[REGISTRATIONS], registration, out);
}

enum err store_enrollment_next(struct store_reader *r, uint64_t after,
                               struct store_enrollment *ret_row)
{
    return row_find_enrollment_next(&r->db[ENROLLMENTS], after, ret_row);
}

enum err store_group_next(struct store_reader *r, uint64_t after, struct store_group *ret_group)
{
    return row_find_group_next(&r->db[ENROLLMENTS], after, ret_group);
}

enum err store_registration_next(struct store_reader *r, const struct regid *group, uint64_t after,
                                 struct store_registration *ret_row)
{
    return row_find_registration_next(&r->db[REGISTRATIONS], group, after, ret_row);
}

enum err store_enrollment_scan(struct store_reader *r, uint64_t after,
                               bool (*visit)(void *arg, const struct store_enrollment *row),
                               void *arg)
{
    struct store_enrollment row;
    QUERY q = query_on(&r->db[ENROLLMENTS], ENROLLMENT_NEXT);

    query_put_integer(&q, after <= INT64_MAX ? (int64_t)after : INT64_MAX);
    for (;;) {
        enum err e = row_take_enrollment(&q, &row);
        if (e == ERR_ABSENT)
            return ERR_OK;
        TRY(e);
        if (!visit(arg, &row))
            return ERR_OK;
    }
}

enum err store_reader_hold(struct store_reader *r)
{
    return db_run(&r->db[ENROLLMENTS], HOLD);
}

void store_reader_release(struct store_reader *r)
{
    db_abandon(&r->db[ENROLLMENTS]);
}

/* ---- the audit log ---- */

_Static_assert((int)STORE_LOG_ENROLLMENTS == ENROLLMENTS &&
               (int)STORE_LOG_REGISTRATIONS == REGISTRATIONS, "a log is in its database");

enum err store_audit_next(struct store_reader *r, enum store_log log, uint64_t after,
                          uint64_t *ret_number, struct store_audit *ret_entry,
                          uint8_t ret_hash[STORE_AUDIT_HASH_LEN])
{
    return audit_find_next(&r->db[log], after, ret_number, ret_entry, ret_hash);
}

enum err store_audit_verify(struct store_reader *r, enum store_log log, const struct secret *key,
                            struct store_audit_verdict *ret_verdict)
{
    return audit_verify(&r->db[log], key, ret_verdict);
}

/* ---- registrations ---- */

enum err store_registration_find(struct store_reader *r, const struct regid *id,
                                 struct store_registration *ret_row)
{
    return row_find_registration(&r->db[REGISTRATIONS], id, ret_row);
}

/* The enrollment knows the device id: a registration made when it had another is not this device's. */
enum err store_device_find(struct store_reader *r, const struct regid *device_id,
                           struct store_registration *ret_registration,
                           struct store_enrollment *ret_enrollment)
{
    struct store_registration registration;
    struct store_enrollment enrollment;

    TRY(row_find_enrollment(&r->db[ENROLLMENTS], ENROLLMENT_FIND_BY_DEVICE, device_id,
                            &enrollment));
    TRY(row_find_registration(&r->db[REGISTRATIONS], &enrollment.id, &registration));
    if (registration.deleted ||
        !span_equal(regid_span(&registration.device_id), regid_span(device_id)))
        return ERR_ABSENT;
    *ret_registration = registration;
    *ret_enrollment = enrollment;
    return ERR_OK;
}

/* SQLite's data_version is 32 bits, and changes when another connection has committed. */
enum err store_reader_version(struct store_reader *r, uint64_t *ret_version)
{
    uint64_t enrollments = 0, registrations = 0;

    TRY(row_find_number(&r->db[ENROLLMENTS], ENROLLMENT_DATA_VERSION, &enrollments));
    TRY(row_find_number(&r->db[REGISTRATIONS], REGISTRATION_DATA_VERSION, &registrations));
    *ret_version = enrollments << 32 | (registrations & UINT32_MAX);
    return ERR_OK;
}

enum err store_enrollment_count(struct store_reader *r, uint64_t *ret_count)
{
    return row_find_number(&r->db[ENROLLMENTS], ENROLLMENT_COUNT, ret_count);
}

enum err store_registration_count(struct store_reader *r, uint64_t *ret_count)
{
    return row_find_number(&r->db[REGISTRATIONS], REGISTRATION_COUNT, ret_count);
}
