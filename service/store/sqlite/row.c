#include "row.h"

void row_put_enrollment(struct query *q, const struct store_enrollment *row)
{
    query_put_text(q, row->id.text);
    query_put_text(q, row->device_id.text);
    query_put_blob(q, row->ek_hash, sizeof row->ek_hash);
    query_put_integer(q, row->pin_srk);
    query_put_integer(q, row->enabled);
    query_put_integer(q, row->created_s);
    query_put_integer(q, row->updated_s);
    query_put_blob(q, row->ek, row->ek_len);
    query_put_blob(q, row->srk, row->srk_len);
}

enum err row_take_enrollment(struct query *q, struct store_enrollment *ret_row)
{
    struct store_enrollment row = {0};

    TRY(query_row(q));
    query_take_regid(q, &row.id);
    query_take_regid(q, &row.device_id);
    (void)query_take_blob(q, sizeof row.ek_hash, row.ek_hash, sizeof row.ek_hash);
    row.pin_srk = query_take_integer(q, 0, 1) == 1;
    row.enabled = query_take_integer(q, 0, 1) == 1;
    row.created_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    row.updated_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    row.ek_len = query_take_blob(q, 1, row.ek, sizeof row.ek);
    row.srk_len = query_take_blob(q, 0, row.srk, sizeof row.srk);
    TRY(query_row_end(q));
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

enum err row_find_number(struct db *db, enum statement which, uint64_t *ret_number)
{
    QUERY q = query_on(db, which);

    TRY(query_row(&q));
    int64_t number = query_take_integer(&q, 0, INT64_MAX);
    TRY(query_row_end(&q));
    *ret_number = (uint64_t)number;
    return ERR_OK;
}
