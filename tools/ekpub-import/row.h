/* Purpose: one row of a manufacturing list on its way from a reader to a sink, and the block of
 * rows that travels together. Readers know text, the check knows keys, the sink knows the store;
 * this is all they share.
 */
#ifndef IMPORT_ROW_H
#define IMPORT_ROW_H

#include <store.h>
#include <wire/bytes.h>

/* The longest row, line breaks in quotes included. Two PEM keys and two ids take under 2 KiB. */
#define IMPORT_ROW_CAP 16384

enum import_column {
    COLUMN_REGISTRATION_ID,
    COLUMN_ENDORSEMENT_KEY,
    COLUMN_STORAGE_ROOT_KEY,
    COLUMN_DEVICE_ID,
    COLUMN_PIN_SRK,
    COLUMN_EK_CERTIFICATE,
    COLUMN_TAGS,
    COLUMN_HUBS,
    COLUMN_ALLOCATION,
    COLUMN_TWIN,
    COLUMN_STATUS,
    COLUMN_COUNT
};
const char *import_column_name(enum import_column c);
/* COLUMN_COUNT when there is no such column. */
enum import_column import_column_find(struct span name);

/* Why something was refused, for people. Printable ASCII only. */
struct import_reason {
    char text[256];
};
__attribute__((format(printf, 2, 3))) void import_reason_set(struct import_reason *r,
                                                             const char *format, ...);
/* Bytes of a file as text that can do a terminal or a log no harm: escapes all but printable ASCII,
 * cuts what does not fit. cap at least 8. */
void import_text_safe(struct span s, char *ret_text, size_t cap);

/* An absent field is an empty span. Fields point into the reader's memory, until its next row. */
struct import_row {
    uint64_t line; /* where the row begins, from 1 */
    struct span fields[COLUMN_COUNT];
    uint32_t raw;       /* one bit a column: the field is bytes of a key or certificate as a file held
                           them (DER, TPM2B_PUBLIC, …), not text */
    struct span origin; /* the row as the input has it, to be written out again; empty: cannot be */
    struct import_reason broken; /* not empty: the fields could not be told apart */
};

enum import_outcome {
    IMPORT_NEW,
    IMPORT_SAME,
    IMPORT_REPLACED, /* another enrollment went */
    IMPORT_SKIPPED,  /* another enrollment stays */
    IMPORT_REFUSED,
    IMPORT_UNTRIED, /* the run ended early */
    IMPORT_OUTCOMES
};
const char *import_outcome_name(enum import_outcome o);

#define IMPORT_ID_CAP 160
#define IMPORT_VENDOR_CAP 24
struct import_item {
    struct import_row row;  /* its fields point into the block */
    char id[IMPORT_ID_CAP]; /* registration id for reports: as read, or what the row has for one */
    enum import_outcome outcome;
    struct import_reason reason;
    struct store_enrollment enrollment; /* unless refused */
    struct span ek_certificate;         /* DER to be kept, into the block; empty: none */
    char vendor[IMPORT_VENDOR_CAP];     /* from the EK certificate; empty: not known */
    bool has_profile; /* its options are not those of the whole run: options_read */
};

/* Rows are sorted, checked and reported by so many. */
#define IMPORT_BLOCK_ROWS 2048
#define IMPORT_BLOCK_BYTES (2 * 1024 * 1024)
struct import_block {
    const char *file; /* where the rows are from, for reports */
    size_t file_index;
    uint64_t rows_before; /* of this run */
    size_t count;
    size_t text_len;
    struct import_item items[IMPORT_BLOCK_ROWS];
    uint8_t text[IMPORT_BLOCK_BYTES];
};
void import_block_clear(struct import_block *b, const char *file, size_t file_index,
                        uint64_t rows_before);
/* Whether one more row of any length fits. */
bool import_block_has_room(const struct import_block *b);
void import_block_add(struct import_block *b, const struct import_row *row);

#endif
