#include "row.h"

#include <string.h>
#include <wire/sas.h>

/* All that tells one standard endorsement key from another is its key: what comes before it in its
 * public area need not be kept ten million times. */
static const uint8_t ek_head[] = {
    0x01, 0x3a, 0x00, 0x01, 0x00, 0x0b, 0x00, 0x03, 0x00, 0xb2, 0x00, 0x20, 0x83, 0x71, 0x97,
    0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52,
    0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa, 0x00,
    0x06, 0x00, 0x80, 0x00, 0x43, 0x00, 0x10, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
};
#define EK_RSA_HEAD sizeof ek_head

static struct span ek_shorten(struct span ek)
{
    if (ek.len == EK_RSA_HEAD + TPM_RSA_LEN && span_starts_with(ek, SPAN_ARRAY(ek_head)))
        return span_slice(ek, EK_RSA_HEAD, ek.len);
    return ek;
}

static void ek_restore(struct store_enrollment *row)
{
    if (row->ek_len != TPM_RSA_LEN)
        return;
    memmove(row->ek + EK_RSA_HEAD, row->ek, TPM_RSA_LEN);
    memcpy(row->ek, ek_head, EK_RSA_HEAD);
    row->ek_len = EK_RSA_HEAD + TPM_RSA_LEN;
}

/* The device id goes in only where it is not the id. */
void row_put_enrollment(struct query *q, const struct store_enrollment *row)
{
    struct span ek = ek_shorten(span_of(row->ek, row->ek_len));

    query_put_text(q, row->id.text);
    if (strcmp(row->device_id.text, row->id.text) == 0)
        query_put_null(q);
    else
        query_put_text(q, row->device_id.text);
    if (row->attestation == STORE_TPM)
        query_put_blob(q, row->ek_hash, sizeof row->ek_hash);
    else
        query_put_null(q);
    query_put_integer(q, row->pin_srk);
    query_put_integer(q, row->enabled);
    query_put_integer(q, row->ek_grade);
    query_put_integer(q, row->profile);
    query_put_integer(q, row->created_s);
    query_put_integer(q, row->updated_s);
    query_put_blob(q, ek.at, ek.len);
    query_put_blob(q, row->srk, row->srk_len);
    query_put_integer(q, row->attestation);
}

/* In the order of the table's columns. */
void row_write_enrollment(struct record *r, const struct store_enrollment *row)
{
    struct span ek = ek_shorten(span_of(row->ek, row->ek_len));

    record_put_null(r); /* the number is the row's own */
    record_put_text(r, regid_span(&row->id));
    if (strcmp(row->device_id.text, row->id.text) == 0)
        record_put_null(r);
    else
        record_put_text(r, regid_span(&row->device_id));
    record_put_blob(r, SPAN_ARRAY(row->ek_hash));
    record_put_integer(r, row->pin_srk);
    record_put_integer(r, row->enabled);
    record_put_integer(r, row->ek_grade);
    record_put_integer(r, STORE_TPM);
    record_put_integer(r, 1); /* revision */
    record_put_integer(r, row->profile);
    record_put_integer(r, row->created_s);
    record_put_integer(r, row->updated_s);
    record_put_blob(r, ek);
    record_put_blob(r, span_of(row->srk, row->srk_len));
}

enum err row_take_enrollment(struct query *q, struct store_enrollment *ret_row)
{
    struct store_enrollment row = {0};

    TRY(query_row(q));
    query_take_regid(q, &row.id);
    if (query_skip_null(q))
        row.device_id = row.id;
    else
        query_take_regid(q, &row.device_id);
    bool has_key = !query_skip_null(q);
    if (has_key)
        (void)query_take_blob(q, sizeof row.ek_hash, row.ek_hash, sizeof row.ek_hash);
    row.pin_srk = query_take_integer(q, 0, 1) == 1;
    row.enabled = query_take_integer(q, 0, 1) == 1;
    row.ek_grade = (enum store_ek_grade)query_take_integer(q, 0, STORE_EK_CERTIFICATE_TRUSTED);
    row.profile = query_take_integer(q, 0, INT64_MAX);
    row.created_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    row.updated_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    row.ek_len = query_take_blob(q, has_key, row.ek, sizeof row.ek);
    row.srk_len = query_take_blob(q, 0, row.srk, sizeof row.srk);
    row.attestation = (enum store_attestation)query_take_integer(q, STORE_TPM, STORE_X509);
    row.number = (uint64_t)query_take_integer(q, 1, INT64_MAX);
    row.revision = (uint64_t)query_take_integer(q, 1, INT64_MAX);
    q->bad = q->bad || has_key != (row.attestation == STORE_TPM);
    TRY(query_row_end(q));
    ek_restore(&row);
    *ret_row = row;
    return ERR_OK;
}

static enum err row_device_taken(struct db *db, const struct store_enrollment *row,
                                 bool *ret_taken)
{
    QUERY q = query_on(db, ENROLLMENT_DEVICE_TAKEN);

    query_put_text(&q, row->device_id.text);
    query_put_text(&q, row->id.text);
    TRY(query_row(&q));
    *ret_taken = query_take_integer(&q, 0, 1) == 1;
    return query_row_end(&q);
}

enum err row_insert_enrollment(struct db *db, const struct store_enrollment *row, uint64_t fresh,
                               bool *ret_written)
{
    bool taken = false;

    TRY(row_device_taken(db, row, &taken));
    if (taken) {
        *ret_written = false;
        return ERR_OK;
    }
    QUERY q = query_on(db, ENROLLMENT_INSERT);
    row_put_enrollment(&q, row);
    if (fresh != 0)
        query_put_integer(&q, (int64_t)fresh);
    TRY(query_done(&q));
    *ret_written = db_changes(db) == 1;
    return ERR_OK;
}

void row_put_registration(struct query *q, const struct store_registration *row)
{
    query_put_text(q, row->id.text);
    query_put_text(q, row->device_id.text);
    query_put_integer(q, (int64_t)row->generation);
    query_put_blob(q, row->ek_hash, sizeof row->ek_hash);
    query_put_text(q, row->hub);
    query_put_text(q, row->operation_id);
    query_put_integer(q, row->challenge_window);
    query_put_text(q, row->etag);
    query_put_integer(q, row->created_s);
    query_put_integer(q, row->updated_s);
    query_put_blob(q, row->srk, row->srk_len);
    query_put_text(q, row->group.text);
    query_put_blob(q, row->device_keys, row->device_keys_len);
    query_put_text_span(q, row->payload);
}

enum err row_take_registration(struct query *q, struct store_registration *ret_row)
{
    struct store_registration row = {0};

    TRY(query_row(q));
    query_take_regid(q, &row.id);
    query_take_regid(q, &row.device_id);
    row.generation = (uint64_t)query_take_integer(q, 1, INT64_MAX);
    (void)query_take_blob(q, sizeof row.ek_hash, row.ek_hash, sizeof row.ek_hash);
    query_take_text(q, 0, row.hub, sizeof row.hub);
    query_take_text(q, 0, row.operation_id, sizeof row.operation_id);
    row.challenge_window = query_take_integer(q, INT64_MIN, INT64_MAX);
    query_take_text(q, 0, row.etag, sizeof row.etag);
    row.created_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    row.updated_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    row.srk_len = query_take_blob(q, 0, row.srk, sizeof row.srk);
    query_take_regid_or_none(q, &row.group);
    row.device_keys_len = query_take_blob(q, 0, row.device_keys, sizeof row.device_keys);
    row.deleted = query_take_integer(q, 0, 1) == 1;
    row.number = (uint64_t)query_take_integer(q, 1, INT64_MAX);
    TRY(query_row_end(q));
    *ret_row = row;
    return ERR_OK;
}

enum err row_find_enrollment(struct db *db, enum statement by_id_or_device, const struct regid *id,
                             struct store_enrollment *ret_row)
{
    QUERY q = query_on(db, by_id_or_device);

    query_put_text(&q, id->text);
    return row_take_enrollment(&q, ret_row);
}

enum err row_find_enrollment_by_key(struct db *db, const uint8_t ek_hash[TPM_KEY_HASH_LEN],
                                    struct store_enrollment *ret_row)
{
    QUERY q = query_on(db, ENROLLMENT_FIND_BY_KEY);

    query_put_blob(&q, ek_hash, TPM_KEY_HASH_LEN);
    return row_take_enrollment(&q, ret_row);
}

enum err row_find_registration(struct db *db, const struct regid *id,
                               struct store_registration *ret_row)
{
    QUERY q = query_on(db, REGISTRATION_FIND);

    query_put_text(&q, id->text);
    return row_take_registration(&q, ret_row);
}

/* What makes two profiles with documents the same: all that is in them. */
static enum err profile_hash(const struct store_profile *profile,
                             uint8_t ret_hash[SAS_SIGNATURE_LEN])
{
    static const char purpose[] = "profile";
    const char *const texts[] = {profile->tags, profile->hubs, profile->allocation, profile->twin,
                                 profile->document};
    uint8_t bytes[sizeof *profile + sizeof texts];
    struct buf b = BUF_OVER(bytes);

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t mark = buf_open_u16(&b);
        buf_put_text(&b, texts[i]);
        buf_close_u16(&b, mark);
    }
    TRY(buf_end(&b));
    return sas_sign(SPAN_ARRAY(purpose), buf_span(&b), ret_hash);
}

static enum err profile_number(struct query *q, int64_t *ret_number)
{
    TRY(query_row(q));
    int64_t number = query_take_integer(q, 1, INT64_MAX);
    TRY(query_row_end(q));
    *ret_number = number;
    return ERR_OK;
}

static enum err profile_number_by_hash(struct db *db, const uint8_t hash[SAS_SIGNATURE_LEN],
                                       int64_t *ret_number)
{
    QUERY q = query_on(db, PROFILE_NUMBER_BY_HASH);

    query_put_blob(&q, hash, SAS_SIGNATURE_LEN);
    return profile_number(&q, ret_number);
}

static enum err profile_number_by_texts(struct db *db, const struct store_profile *profile,
                                        int64_t *ret_number)
{
    QUERY q = query_on(db, PROFILE_NUMBER);

    query_put_text(&q, profile->tags);
    query_put_text(&q, profile->hubs);
    query_put_text(&q, profile->allocation);
    query_put_text(&q, profile->twin);
    return profile_number(&q, ret_number);
}

static enum err profile_insert(struct db *db, const struct store_profile *profile,
                               const uint8_t *hash)
{
    QUERY q = query_on(db, PROFILE_PUT);

    query_put_text(&q, profile->tags);
    query_put_text(&q, profile->hubs);
    query_put_text(&q, profile->allocation);
    query_put_text(&q, profile->twin);
    query_put_text(&q, profile->document);
    if (hash != NULL)
        query_put_blob(&q, hash, SAS_SIGNATURE_LEN);
    else
        query_put_null(&q);
    return query_done(&q);
}

static enum err profile_settle_document(struct db *db, const struct store_profile *profile,
                                        int64_t *ret_number)
{
    uint8_t hash[SAS_SIGNATURE_LEN];

    TRY(profile_hash(profile, hash));
    enum err e = profile_number_by_hash(db, hash, ret_number);
    if (e != ERR_ABSENT)
        return e;
    TRY(profile_insert(db, profile, hash));
    return profile_number_by_hash(db, hash, ret_number);
}

enum err row_settle_profile(struct db *db, const struct store_profile *profile,
                            int64_t *ret_number)
{
    if (row_profile_is_empty(profile)) {
        *ret_number = 0;
        return ERR_OK;
    }
    if (profile->document[0] != '\0')
        return profile_settle_document(db, profile, ret_number);
    TRY(profile_insert(db, profile, NULL));
    return profile_number_by_texts(db, profile, ret_number);
}

bool row_profile_is_empty(const struct store_profile *p)
{
    return p->tags[0] == '\0' && p->hubs[0] == '\0' && p->allocation[0] == '\0' &&
           p->twin[0] == '\0' && p->document[0] == '\0';
}

enum err row_find_profile(struct db *db, int64_t number, struct store_profile *ret_profile)
{
    QUERY q = query_on(db, PROFILE_FIND);

    query_put_integer(&q, number);
    TRY(query_row(&q));
    query_take_text(&q, 0, ret_profile->tags, sizeof ret_profile->tags);
    query_take_text(&q, 0, ret_profile->hubs, sizeof ret_profile->hubs);
    query_take_text(&q, 0, ret_profile->allocation, sizeof ret_profile->allocation);
    query_take_text(&q, 0, ret_profile->twin, sizeof ret_profile->twin);
    query_take_text(&q, 0, ret_profile->document, sizeof ret_profile->document);
    return query_row_end(&q);
}

enum err row_find_certificate(struct db *db, const struct regid *id, struct buf *out)
{
    QUERY q = query_on(db, CERTIFICATE_FIND);
    uint8_t der[STORE_CERTIFICATE_CAP];

    query_put_text(&q, id->text);
    TRY(query_row(&q));
    size_t len = query_take_blob(&q, 1, der, sizeof der);
    TRY(query_row_end(&q));
    buf_put(out, span_of(der, len));
    return out->full ? ERR_FULL : ERR_OK;
}

enum err row_find_credential(struct db *db, enum statement which, uint64_t owner, struct buf *out)
{
    QUERY q = query_on(db, which);
    struct span value = span_of(NULL, 0);

    query_put_integer(&q, (int64_t)owner);
    TRY(query_row(&q));
    query_see_blob(&q, 1, STORE_CREDENTIAL_CAP, &value);
    TRY(query_row_end(&q));
    buf_put(out, value);
    return buf_end(out);
}

enum err row_find_payload(struct db *db, uint64_t registration, struct buf *out)
{
    QUERY q = query_on(db, PAYLOAD_FIND);
    struct span value = span_of(NULL, 0);

    query_put_integer(&q, (int64_t)registration);
    TRY(query_row(&q));
    query_see_text(&q, STORE_PAYLOAD_CAP, &value);
    TRY(query_row_end(&q));
    buf_put(out, value);
    return buf_end(out);
}

/* ---- groups ---- */

void row_put_group(struct query *q, const struct store_group *group)
{
    query_put_text(q, group->id.text);
    query_put_integer(q, group->attestation);
    query_put_integer(q, group->enabled);
    query_put_integer(q, group->profile);
    query_put_integer(q, group->created_s);
    query_put_integer(q, group->updated_s);
}

enum err row_take_group(struct query *q, struct store_group *ret_group)
{
    struct store_group group = {0};

    TRY(query_row(q));
    query_take_regid(q, &group.id);
    group.attestation = (enum store_attestation)query_take_integer(q, STORE_TPM, STORE_X509);
    group.enabled = query_take_integer(q, 0, 1) == 1;
    group.profile = query_take_integer(q, 0, INT64_MAX);
    group.created_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    group.updated_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    group.number = (uint64_t)query_take_integer(q, 1, INT64_MAX);
    group.revision = (uint64_t)query_take_integer(q, 1, INT64_MAX);
    TRY(query_row_end(q));
    *ret_group = group;
    return ERR_OK;
}

enum err row_find_group(struct db *db, const struct regid *id, struct store_group *ret_group)
{
    QUERY q = query_on(db, GROUP_FIND);

    query_put_text(&q, id->text);
    return row_take_group(&q, ret_group);
}

/* ---- pages ---- */

enum err row_find_enrollment_next(struct db *db, uint64_t after, struct store_enrollment *ret_row)
{
    QUERY q = query_on(db, ENROLLMENT_NEXT);

    query_put_integer(&q, after <= INT64_MAX ? (int64_t)after : INT64_MAX);
    return row_take_enrollment(&q, ret_row);
}

enum err row_find_group_next(struct db *db, uint64_t after, struct store_group *ret_group)
{
    QUERY q = query_on(db, GROUP_NEXT);

    query_put_integer(&q, after <= INT64_MAX ? (int64_t)after : INT64_MAX);
    return row_take_group(&q, ret_group);
}

enum err row_find_registration_next(struct db *db, const struct regid *group, uint64_t after,
                                    struct store_registration *ret_row)
{
    QUERY q = query_on(db, REGISTRATION_NEXT);

    query_put_text(&q, group->text);
    query_put_integer(&q, after <= INT64_MAX ? (int64_t)after : INT64_MAX);
    return row_take_registration(&q, ret_row);
}

/* ---- numbers ---- */

enum err row_run(struct db *db, enum statement which, uint64_t number)
{
    QUERY q = query_on(db, which);

    query_put_integer(&q, (int64_t)number);
    return query_done(&q);
}

enum err row_find_number_or_none(struct db *db, enum statement which, uint64_t *ret_number)
{
    uint64_t none = 0;
    enum err e = row_find_number(db, which, &none);

    if (e != ERR_OK && e != ERR_ABSENT)
        return e;
    *ret_number = none;
    return ERR_OK;
}

enum err row_find_number(struct db *db, enum statement which, uint64_t *ret_number)
{
    QUERY q = query_on(db, which);

    TRY(query_row(&q));
    int64_t number = query_take_integer(&q, 0, INT64_MAX);
    TRY(query_row_end(&q));
    *ret_number = (uint64_t)number;
    return ERR_OK;
}
