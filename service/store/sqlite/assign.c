/* An assignment: compare and set. */
#include "internal.h"
#include "row.h"
#include <string.h>

static enum err assign_check_enrollment(struct db *enrollments,
                                        const struct store_registration *row)
{
    static const uint8_t no_key[TPM_KEY_HASH_LEN];
    QUERY q = query_on(enrollments, ENROLLMENT_ADMITS);

    query_put_text(&q, row->id.text);
    if (memcmp(row->ek_hash, no_key, sizeof no_key) == 0)
        query_put_null(&q);
    else
        query_put_blob(&q, row->ek_hash, sizeof row->ek_hash);
    enum err e = query_row(&q);
    return e == ERR_ABSENT ? ERR_CONFLICT : e;
}

static enum err assign_check_group(struct db *enrollments, const struct store_registration *row)
{
    QUERY q = query_on(enrollments, GROUP_ADMITS);

    query_put_text(&q, row->group.text);
    query_put_text(&q, row->id.text);
    enum err e = query_row(&q);
    return e == ERR_ABSENT ? ERR_CONFLICT : e;
}

/* The insert does nothing if there is a row, the update does nothing unless the row has the generation
 * before. */
static enum err assign_put(struct db *db, const struct store_registration *row)
{
    bool first = row->generation == 1;
    QUERY q = query_on(db, first ? REGISTRATION_INSERT : REGISTRATION_UPDATE);

    row_put_registration(&q, row);
    TRY(query_done(&q));
    return db_changes(db) == 1 ? ERR_OK : ERR_CONFLICT;
}

/* An enrollment that is disabled between this look and the commit counts as disabled after it. */
static enum err assign_try(struct writer_desk *d, const struct store_registration *row)
{
    if (row->generation == 0 || row->generation > INT64_MAX)
        return ERR_CONFLICT;
    TRY(row->group.text[0] == '\0' ? assign_check_enrollment(&d->enrollments, row)
                                   : assign_check_group(&d->enrollments, row));
    return assign_put(&d->db, row);
}

enum err assign_apply(struct writer_desk *d, const struct store_registration *row,
                      enum err *ret_outcome)
{
    enum err e = assign_try(d, row);

    if (e != ERR_OK && desk_is_lost(d, e))
        return e;
    *ret_outcome = e;
    return ERR_OK;
}
