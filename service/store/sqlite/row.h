/* Purpose: rows to and from statements. A row that comes from a file is foreign data: every length,
 * type and range is checked (ERR_STORE). Private to the store.
 */
#ifndef STORE_SQLITE_ROW_H
#define STORE_SQLITE_ROW_H

#include "db.h"
#include "record.h"

/* The parameters of ENROLLMENT_INSERT; those of REGISTRATION_INSERT and _UPDATE. */
void row_put_enrollment(struct query *q, const struct store_enrollment *row);
void row_put_registration(struct query *q, const struct store_registration *row);

/* The same as a record of the table, of at most so many bytes. */
#define ROW_ENROLLMENT_CAP (2 * REGID_MAX + TPM_KEY_HASH_LEN + 6 * 8 + 2 * TPM_PUBLIC_CAP)
void row_write_enrollment(struct record *r, const struct store_enrollment *row);

/* The next row. ERR_ABSENT, ERR_STORE. */
MUST_USE enum err row_take_enrollment(struct query *q, struct store_enrollment *ret_row);
MUST_USE enum err row_take_registration(struct query *q, struct store_registration *ret_row);

/* One row by one key. */
MUST_USE enum err row_find_enrollment(struct db *db, enum statement by_id_or_device,
                                      const struct regid *id, struct store_enrollment *ret_row);
MUST_USE enum err row_find_enrollment_by_key(struct db *db,
                                             const uint8_t ek_hash[TPM_KEY_HASH_LEN],
                                             struct store_enrollment *ret_row);
MUST_USE enum err row_find_registration(struct db *db, const struct regid *id,
                                        struct store_registration *ret_row);
void row_put_profile(struct query *q, const struct store_profile *profile);
MUST_USE enum err row_find_profile_number(struct db *db, const struct store_profile *profile,
                                          int64_t *ret_number);
MUST_USE enum err row_find_profile(struct db *db, int64_t number,
                                   struct store_profile *ret_profile);
MUST_USE enum err row_find_certificate(struct db *db, const struct regid *id, struct buf *out);
MUST_USE enum err row_find_number(struct db *db, enum statement which, uint64_t *ret_number);

#endif
