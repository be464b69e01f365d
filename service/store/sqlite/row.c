#include "row.h"

#include <string.h>

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
    query_put_blob(q, row->ek_hash, sizeof row->ek_hash);
    query_put_integer(q, row->pin_srk);
    query_put_integer(q, row->enabled);
    query_put_integer(q, row->ek_grade);
    query_put_integer(q, row->profile);
    query_put_integer(q, row->created_s);
    query_put_integer(q, row->updated_s);
    query_put_blob(q, ek.at, ek.len);
    query_put_blob(q, row->srk, row->srk_len);
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
    (void)query_take_blob(q, sizeof row.ek_hash, row.ek_hash, sizeof row.ek_hash);
    row.pin_srk = query_take_integer(q, 0, 1) == 1;
    row.enabled = query_take_integer(q, 0, 1) == 1;
    row.ek_grade = (enum store_ek_grade)query_take_integer(q, 0, STORE_EK_CERTIFICATE_TRUSTED);
    row.profile = query_take_integer(q, 0, INT64_MAX);
    row.created_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    row.updated_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    row.ek_len = query_take_blob(q, 1, row.ek, sizeof row.ek);
    row.srk_len = query_take_blob(q, 0, row.srk, sizeof row.srk);
    TRY(query_row_end(q));
    ek_restore(&row);
    *ret_row = row;
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

enum err row_find_profile_number(struct db *db, const struct store_profile *profile,
                                 int64_t *ret_number)
{
    QUERY q = query_on(db, PROFILE_NUMBER);

    row_put_profile(&q, profile);
    TRY(query_row(&q));
    int64_t number = query_take_integer(&q, 1, INT64_MAX);
    TRY(query_row_end(&q));
    *ret_number = number;
    return ERR_OK;
}

void row_put_profile(struct query *q, const struct store_profile *profile)
{
    query_put_text(q, profile->tags);
    query_put_text(q, profile->hubs);
    query_put_text(q, profile->allocation);
    query_put_text(q, profile->twin);
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

enum err row_find_number(struct db *db, enum statement which, uint64_t *ret_number)
{
    QUERY q = query_on(db, which);

    TRY(query_row(&q));
    int64_t number = query_take_integer(&q, 0, INT64_MAX);
    TRY(query_row_end(&q));
    *ret_number = (uint64_t)number;
    return ERR_OK;
}
