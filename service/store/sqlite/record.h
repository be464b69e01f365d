/* Purpose: records as SQLite's file format has them (https://www.sqlite.org/fileformat2.html, 1.6 and
 * 2.1), for b-trees that are written without SQLite. Private to the store.
 *
 * A record is built in two parts that grow at the same time, types and values; record_end joins them.
 */
#ifndef STORE_SQLITE_RECORD_H
#define STORE_SQLITE_RECORD_H

#include <wire/bytes.h>

#define VARINT_CAP 9
/* Big-endian, seven bits a byte. Returns how many bytes, at most VARINT_CAP. */
size_t varint_write(uint64_t value, uint8_t *ret_bytes);

#define RECORD_COLUMNS_MAX 16
struct record {
    uint8_t types[RECORD_COLUMNS_MAX * VARINT_CAP];
    size_t types_len;
    struct buf values; /* the caller's memory */
};
/* In `at` the values grow; RECORD_HEAD bytes are kept free before them. */
#define RECORD_HEAD (VARINT_CAP + RECORD_COLUMNS_MAX * VARINT_CAP)
struct record record_over(uint8_t *at, size_t cap);
void record_put_null(struct record *r);
void record_put_integer(struct record *r, int64_t value);
void record_put_text(struct record *r, struct span text);
void record_put_blob(struct record *r, struct span bytes);
/* The whole record, in the caller's memory. Asserts that it fitted. */
struct span record_end(struct record *r);

#endif
