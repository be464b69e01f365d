/* Purpose: rows out of one input, whatever its format. A new format is a new file beside csv.c and
 * jsonl.c, and one line in each of reader.c's tables.
 */
#ifndef IMPORT_READER_H
#define IMPORT_READER_H

#include "map.h"

enum import_format {
    FORMAT_AUTO,
    FORMAT_CSV,
    FORMAT_JSONL,
    FORMAT_JSON,    /* one array of the objects that JSON Lines has */
    FORMAT_PEM,
    FORMAT_KEY,     /* one key or certificate: DER, TPM2B_PUBLIC, TPMT_PUBLIC or base64 */
    FORMAT_TAR,
    FORMAT_DIR,
    FORMAT_WINDOWS,
    FORMAT_JWS,
    FORMAT_COUNT
};
/* FORMAT_COUNT: no such name. der, tpm2b and tpmt are other names of key. */
enum import_format import_format_find(const char *name);
const char *import_format_name(enum import_format f);

struct reader_options {
    enum import_format format;
    struct import_map map;
    const char *const *signers; /* files; for FORMAT_JWS */
    size_t signer_count;
};

struct reader;
/* Opens the input and reads what stands before its first row. FORMAT_AUTO goes by the content. The
 * options stay the caller's and must outlive the reader. ERR_IO, ERR_CONFIG (the header, an unknown
 * format, no signer), ERR_MEMORY; always with a reason. */
MUST_USE enum err reader_open(const char *path, const struct reader_options *options,
                              struct reader **ret_reader, struct import_reason *ret_reason);
void reader_close(struct reader *r); /* NULL is fine */
/* ERR_ABSENT at the end, ERR_IO: see reader_why. The row's fields are good until the next call. */
MUST_USE enum err reader_next(struct reader *r, struct import_row *ret_row);
/* What stands before the rows and belongs to them, as the file has it: the header of a CSV. */
struct span reader_header(const struct reader *r);
const char *reader_why(const struct reader *r); /* after ERR_IO, for people */
uint64_t reader_bytes(const struct reader *r);  /* of the file, consumed so far, about */
enum import_format reader_format(const struct reader *r);

#endif
