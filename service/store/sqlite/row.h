/* Purpose: rows to and from statements. A row that comes from a file is foreign data: every length,
 * type and range is checked (ERR_STORE). Private to the store.
 */
#ifndef STORE_SQLITE_ROW_H
#define STORE_SQLITE_ROW_H

#include "db.h"
#include "record.h"

/* The parameters of ENROLLMENT_INSERT up to the number; those of REGISTRATION_INSERT and _UPDATE. */
void row_put_enrollment(struct query *q, const struct store_enrollment *row);
void row_put_registration(struct query *q, const struct store_registration *row);

/* Nothing is written if any of the unique values is there already. fresh: ENROLLMENT_FRESH_NUMBER, 0 for
 * the number above the highest. */
MUST_USE enum err row_insert_enrollment(struct db *db, const struct store_enrollment *row,
                                        uint64_t fresh, bool *ret_written);

/* The same as a record of the table, of at most so many bytes. */
#define ROW_ENROLLMENT_CAP (2 * REGID_MAX + TPM_KEY_HASH_LEN + 8 * 8 + 2 * TPM_PUBLIC_CAP)
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
/* The number of a profile, new or known; of an empty one 0. */
MUST_USE enum err row_settle_profile(struct db *db, const struct store_profile *profile,
                                     int64_t *ret_number);
bool row_profile_is_empty(const struct store_profile *p);
MUST_USE enum err row_find_profile(struct db *db, int64_t number,
                                   struct store_profile *ret_profile);
MUST_USE enum err row_find_certificate(struct db *db, const struct regid *id, struct buf *out);
/* CREDENTIAL_FIND or GROUP_CREDENTIAL_FIND. */
MUST_USE enum err row_find_credential(struct db *db, enum statement which, uint64_t owner,
                                      struct buf *out);
MUST_USE enum err row_find_payload(struct db *db, uint64_t registration, struct buf *out);
MUST_USE enum err row_find_number(struct db *db, enum statement which, uint64_t *ret_number);
/* The same of statements that may have no row: 0 then. */
MUST_USE enum err row_find_number_or_none(struct db *db, enum statement which,
                                          uint64_t *ret_number);

void row_put_group(struct query *q, const struct store_group *group);
MUST_USE enum err row_take_group(struct query *q, struct store_group *ret_group);
MUST_USE enum err row_find_group(struct db *db, const struct regid *id,
                                 struct store_group *ret_group);
/* The first with a higher number. */
MUST_USE enum err row_find_enrollment_next(struct db *db, uint64_t after,
                                           struct store_enrollment *ret_row);
MUST_USE enum err row_find_group_next(struct db *db, uint64_t after,
                                      struct store_group *ret_group);
MUST_USE enum err row_find_registration_next(struct db *db, const struct regid *group,
                                             uint64_t after, struct store_registration *ret_row);
/* A statement that takes a number and gives nothing. */
MUST_USE enum err row_run(struct db *db, enum statement which, uint64_t number);

#endif
