/* Purpose: CSV as RFC 4180 has it: comma, double quotes, line breaks inside quotes, CRLF or LF.
 * Stricter than most: a quote inside an unquoted field, text after a closing quote, a lone CR and
 * NUL bytes are refused, since they mean that something else went wrong before.
 */
#ifndef IMPORT_CSV_H
#define IMPORT_CSV_H

#include "map.h"
#include "source.h"

#define CSV_FIELDS_MAX 64

/* One record out of a window. Pure: no input, no state. */
enum csv_find { CSV_RECORD, CSV_BROKEN, CSV_TOO_LONG };
struct csv_record {
    size_t len;   /* bytes of the window it takes, its line break included */
    size_t count; /* fields; those past CSV_FIELDS_MAX are counted, not kept */
    struct span fields[CSV_FIELDS_MAX]; /* into scratch or the window */
    const char *why;                    /* CSV_BROKEN: static text */
};
/* window: not empty. whole: nothing follows it, so that its end ends the record. scratch: at least
 * IMPORT_ROW_CAP bytes. A record that is not complete after IMPORT_ROW_CAP bytes is CSV_TOO_LONG.
 */
enum csv_find csv_record_find(struct span window, bool whole, uint8_t *scratch,
                              struct csv_record *ret_record);

#define CSV_HEADER_CAP 4096
struct csv {
    size_t column_count;
    enum import_column columns[CSV_FIELDS_MAX]; /* which field is which; COLUMN_COUNT: none */
    size_t header_len;
    uint8_t header[CSV_HEADER_CAP]; /* as the file has it; empty if it is longer */
    uint8_t scratch[IMPORT_ROW_CAP];
};
/* Reads the header row. ERR_CONFIG with a reason: an unknown, repeated or missing column. ERR_IO.
 */
MUST_USE enum err csv_begin(struct csv *c, struct source *s, const struct import_map *map,
                            struct import_reason *ret_reason);
/* ERR_ABSENT at the end. After a broken row, goes on with the line after the one it began on. */
MUST_USE enum err csv_next(struct csv *c, struct source *s, struct import_row *ret_row);

#endif
