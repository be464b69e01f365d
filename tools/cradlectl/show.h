/* Purpose: JSON as people read it: a table, or members one below the other. Texts that came from
 * elsewhere reach a terminal as printable characters only.
 */
#ifndef SHOW_H
#define SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct show_column {
    const char *title;
    const char *path; /* "attestation.type" */
};
#define SHOW_COLUMNS_MAX 12
/* A table that comes page by page. Columns are as wide as the longest value of the first page. */
struct show_table {
    const struct show_column *columns;
    size_t count;
    size_t widths[SHOW_COLUMNS_MAX]; /* its own; zero to begin, likewise titled */
    bool titled;
};
void show_page(FILE *out, struct show_table *t, const json_t *rows); /* rows: an array */
/* Every member, nested ones with dots between, empty ones left out. */
void show_members(FILE *out, const json_t *object);
/* One line of JSON. */
void show_json(FILE *out, const json_t *json);

#endif
