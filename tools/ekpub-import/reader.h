/* Purpose: rows out of one input, whatever its format. A new format is a new file beside csv.c and
 * jsonl.c, and one line in each of reader.c's switches.
 */
#ifndef IMPORT_READER_H
#define IMPORT_READER_H

#include "row.h"

enum import_format { FORMAT_AUTO, FORMAT_CSV, FORMAT_JSONL };

struct reader;
/* Opens the input and reads what stands before its first row. FORMAT_AUTO: JSON Lines if the first
 * character is an opening brace, else CSV. ERR_IO, ERR_CONFIG (the header), ERR_MEMORY; always with
 * a reason. */
MUST_USE enum err reader_open(const char *path, enum import_format format,
                              struct reader **ret_reader, struct import_reason *ret_reason);
void reader_close(struct reader *r); /* NULL is fine */
/* ERR_ABSENT at the end, ERR_IO. The row's fields are good until the next call. */
MUST_USE enum err reader_next(struct reader *r, struct import_row *ret_row);
uint64_t reader_bytes(const struct reader *r); /* consumed so far */

#endif
