/* The operator's changes: each is looked at, then done inside a savepoint, so that one which fails half
 * way leaves nothing behind and the others alone. Its audit entry follows, whatever became of it. */
#include "internal.h"
#include "row.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

_Static_assert(offsetof(struct store_enrollment, id) == 0 && offsetof(struct store_group, id) == 0,
               "the union's id is the id of each");

/* What is there now, of an enrollment or a group. */
struct present {
    bool is_there;
    uint64_t number, revision;
    int64_t profile, created_s;
    uint8_t ek_hash[TPM_KEY_HASH_LEN];
};

static const struct {
    enum statement credential_put, credential_remove, remove;
} change_statements[] = {
    [STORE_ENROLLMENT] = {CREDENTIAL_PUT, CREDENTIAL_REMOVE, ENROLLMENT_REMOVE},
    [STORE_GROUP] = {GROUP_CREDENTIAL_PUT, GROUP_CREDENTIAL_REMOVE, GROUP_REMOVE},
};

/* ---- looking ---- */

static enum err present_enrollment(struct db *db, const struct regid *id, struct present *ret_present)
{
    struct store_enrollment row;

    TRY(row_find_enrollment(db, ENROLLMENT_FIND, id, &row));
    *ret_present = (struct present){true, row.number, row.revision, row.profile, row.created_s, {0}};
    memcpy(ret_present->ek_hash, row.ek_hash, sizeof row.ek_hash);
    return ERR_OK;
}

static enum err present_group(struct db *db, const struct regid *id, struct present *ret_present)
{
    struct store_group row;

    TRY(row_find_group(db, id, &row));
    *ret_present = (struct present){true, row.number, row.revision, row.profile, row.created_s, {0}};
    return ERR_OK;
}

static enum err present_registration(struct db *db, const struct regid *id,
                                     struct present *ret_present)
{
    struct store_registration row;

    TRY(row_find_registration(db, id, &row));
    if (!row.deleted)
        *ret_present = (struct present){true, row.number, row.generation, 0, row.created_s, {0}};
    return ERR_OK;
}

static enum err change_look(struct db *db, const struct store_change *c,
                            struct present *ret_present)
{
    enum err e = ERR_INTERNAL;

    *ret_present = (struct present){.is_there = false};
    if (c->object == STORE_ENROLLMENT)
        e = present_enrollment(db, &c->id, ret_present);
    else if (c->object == STORE_GROUP)
        e = present_group(db, &c->id, ret_present);
    else
        e = present_registration(db, &c->id, ret_present);
    return e == ERR_ABSENT ? ERR_OK : e;
}

static enum err change_taken(struct store_change *c, enum store_taken what,
                             const struct regid *other)
{
    c->taken = what;
    c->other = *other;
    return ERR_DUPLICATE;
}

static enum err change_match(struct store_change *c, const struct present *now)
{
    bool must_be_there = c->remove || c->match == STORE_MATCH_PRESENT ||
                         c->match == STORE_MATCH_REVISION;

    if (must_be_there && !now->is_there)
        return ERR_ABSENT;
    if (c->match == STORE_MATCH_ABSENT && now->is_there)
        return change_taken(c, STORE_TAKEN_ID, &c->id);
    if (c->match == STORE_MATCH_REVISION &&
        (c->number != now->number || c->revision != now->revision))
        return ERR_ETAG;
    return ERR_OK;
}

/* ---- rows ---- */

/* What stood in the way of an enrollment whose id did not. */
static enum err change_explain(struct db *db, struct store_change *c)
{
    struct store_enrollment other;
    enum err e = ERR_ABSENT;

    if (c->enrollment.attestation == STORE_TPM)
        e = row_find_enrollment_by_key(db, c->enrollment.ek_hash, &other);
    if (e == ERR_OK && strcmp(other.id.text, c->id.text) != 0)
        return change_taken(c, STORE_TAKEN_KEY, &other.id);
    if (e == ERR_OK || e == ERR_ABSENT)
        e = row_find_enrollment(db, ENROLLMENT_FIND_BY_DEVICE, &c->enrollment.device_id, &other);
    if (e == ERR_OK)
        return change_taken(c, STORE_TAKEN_DEVICE, &other.id);
    return e == ERR_ABSENT ? ERR_STORE : e; /* it did a moment ago, under our lock */
}

static enum err enrollment_insert(struct db *db, struct store_change *c)
{
    uint64_t fresh = 0;
    bool written = false;

    TRY(row_find_number_or_none(db, ENROLLMENT_FRESH_NUMBER, &fresh));
    TRY(row_insert_enrollment(db, &c->enrollment, fresh, &written));
    if (!written)
        return change_explain(db, c);
    c->enrollment.number = (uint64_t)db_inserted(db);
    c->enrollment.revision = 1;
    return ERR_OK;
}

static enum err enrollment_update(struct db *db, struct store_change *c, const struct present *now)
{
    {
        QUERY q = query_on(db, ENROLLMENT_UPDATE);
        row_put_enrollment(&q, &c->enrollment);
        query_put_integer(&q, (int64_t)now->number);
        TRY(query_done(&q));
    }
    if (db_changes(db) == 0)
        return change_explain(db, c);
    c->enrollment.number = now->number;
    c->enrollment.revision = now->revision + 1;
    if (memcmp(now->ek_hash, c->enrollment.ek_hash, sizeof now->ek_hash) != 0)
        return row_run(db, CERTIFICATE_REMOVE, now->number);
    return ERR_OK;
}

static enum err enrollment_put(struct db *db, struct store_change *c, const struct present *now,
                               int64_t profile)
{
    c->enrollment.profile = profile;
    if (now->is_there)
        c->enrollment.created_s = now->created_s;
    TRY(now->is_there ? enrollment_update(db, c, now) : enrollment_insert(db, c));
    c->number = c->enrollment.number;
    c->revision = c->enrollment.revision;
    return ERR_OK;
}

static enum err group_put(struct db *db, struct store_change *c, const struct present *now,
                          int64_t profile)
{
    QUERY q = query_on(db, now->is_there ? GROUP_UPDATE : GROUP_INSERT);

    c->group.profile = profile;
    if (now->is_there)
        c->group.created_s = now->created_s;
    row_put_group(&q, &c->group);
    TRY(query_done(&q));
    c->number = c->group.number = now->is_there ? now->number : (uint64_t)db_inserted(db);
    c->revision = c->group.revision = now->is_there ? now->revision + 1 : 1;
    return ERR_OK;
}

/* ---- what belongs to them ---- */

static enum err credential_put(struct db *db, const struct store_change *c, bool may_have_one)
{
    if (c->credential.len == 0)
        return may_have_one
                   ? row_run(db, change_statements[c->object].credential_remove, c->number)
                   : ERR_OK;
    QUERY q = query_on(db, change_statements[c->object].credential_put);
    query_put_integer(&q, (int64_t)c->number);
    query_put_blob(&q, c->credential.at, c->credential.len);
    return query_done(&q);
}

/* A removal's profile is left by the row's trigger. */
static enum err profile_change(struct db *db, int64_t before, int64_t now)
{
    if (before == now)
        return ERR_OK;
    TRY(row_run(db, PROFILE_USE, (uint64_t)now));
    TRY(row_run(db, PROFILE_LEAVE, (uint64_t)before));
    return row_run(db, PROFILE_DROP, (uint64_t)before);
}

static enum err change_put(struct db *db, struct store_change *c, const struct present *now)
{
    int64_t profile = 0;

    if (c->profile != NULL)
        TRY(row_settle_profile(db, c->profile, &profile));
    TRY(c->object == STORE_ENROLLMENT ? enrollment_put(db, c, now, profile)
                                      : group_put(db, c, now, profile));
    TRY(profile_change(db, now->profile, profile));
    return credential_put(db, c, now->is_there);
}

static enum err registration_remove(struct db *db, struct store_change *c,
                                    const struct present *now)
{
    QUERY q = query_on(db, REGISTRATION_REMOVE);

    query_put_integer(&q, (int64_t)now->number);
    query_put_integer(&q, c->audit.at_s);
    TRY(query_done(&q));
    c->number = now->number;
    c->revision = now->revision + 1;
    return ERR_OK;
}

static enum err change_do(struct db *db, struct store_change *c, const struct present *now)
{
    if (c->object == STORE_REGISTRATION)
        return registration_remove(db, c, now);
    if (!c->remove)
        return change_put(db, c, now);
    c->number = now->number;
    c->revision = now->revision;
    return row_run(db, change_statements[c->object].remove, now->number);
}

/* ---- one change ---- */

static enum err change_do_or_undo(struct writer_desk *d, struct store_change *c,
                                  const struct present *now, enum err *ret_outcome)
{
    bool saved = d->which == ENROLLMENTS; /* elsewhere it is one statement */

    if (saved)
        TRY(db_run(&d->db, CHANGE_BEGIN));
    enum err e = change_do(&d->db, c, now);
    if (e != ERR_OK && desk_is_lost(d, e))
        return e;
    if (saved && e != ERR_OK)
        TRY(db_run(&d->db, CHANGE_UNDO));
    if (saved)
        TRY(db_run(&d->db, CHANGE_KEEP));
    *ret_outcome = e;
    return ERR_OK;
}

static void change_reason(struct store_change *c)
{
    static const char *const taken[] = {
        [STORE_TAKEN_NOTHING] = "", [STORE_TAKEN_ID] = "id taken by",
        [STORE_TAKEN_KEY] = "endorsement key taken by", [STORE_TAKEN_DEVICE] = "device id taken by"};

    if (c->outcome == ERR_OK || c->audit.reason[0] != '\0')
        return;
    if (c->taken != STORE_TAKEN_NOTHING)
        (void)snprintf(c->audit.reason, sizeof c->audit.reason, "%s %s", taken[c->taken],
                       c->other.text);
    else
        (void)snprintf(c->audit.reason, sizeof c->audit.reason, "%s", err_text(c->outcome));
}

static enum err change_one(struct writer_desk *d, struct store_change *c)
{
    struct present now;
    uint64_t number = c->number, revision = c->revision;
    enum err e = change_look(&d->db, c, &now);

    c->taken = STORE_TAKEN_NOTHING;
    if (e == ERR_OK)
        e = change_match(c, &now);
    if (e == ERR_OK)
        TRY(change_do_or_undo(d, c, &now, &e));
    else if (desk_is_lost(d, e))
        return e;
    if (e != ERR_OK) {
        c->number = number;
        c->revision = revision;
    }
    c->outcome = c->audit.outcome = e;
    change_reason(c);
    return audit_add(&d->db, &d->chain, &c->audit);
}

enum err change_apply(struct writer_desk *d, struct store_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(change_one(d, &changes[i]));
    return ERR_OK;
}

/* ---- from outside ---- */

static void change_expect(const struct store_change *c, bool of_registrations)
{
    ERR_ASSERT((c->object == STORE_REGISTRATION) == of_registrations);
    ERR_ASSERT(c->object != STORE_REGISTRATION || c->remove);
    ERR_ASSERT(c->match != STORE_MATCH_ABSENT || !c->remove);
    ERR_ASSERT(c->credential.len <= STORE_CREDENTIAL_CAP);
    if (c->object != STORE_ENROLLMENT || c->remove)
        return;
    ERR_ASSERT((c->enrollment.ek_len != 0) == (c->enrollment.attestation == STORE_TPM));
    ERR_ASSERT(c->enrollment.ek_len <= TPM_PUBLIC_CAP && c->enrollment.srk_len <= TPM_PUBLIC_CAP);
}

enum err store_change_apply(struct store *s, struct store_change *changes, size_t count,
                            struct store_waiter *w)
{
    ERR_ASSERT(count >= 1 && count <= STORE_CHANGES_MAX);
    bool of_registrations = changes[0].object == STORE_REGISTRATION;
    const struct writer_entry entry = {
        .what = WRITER_CHANGES, .waiter = w, .changes = {changes, count}};
    for (size_t i = 0; i < count; i++)
        change_expect(&changes[i], of_registrations);
    struct writer *writer = s->writers[of_registrations ? REGISTRATIONS : ENROLLMENTS];
    ERR_ASSERT(writer != NULL);
    return writer_put(writer, &entry);
}
