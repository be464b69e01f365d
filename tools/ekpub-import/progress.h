/* Purpose: how far the import is, on standard error: a bar on a terminal, else one line a minute.
 */
#ifndef IMPORT_PROGRESS_H
#define IMPORT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal;
    bool drawn;           /* a bar stands on the line */
    uint64_t total_bytes; /* 0: not known */
    int64_t begun_ms, last_ms;
};
void progress_begin(struct progress *p, uint64_t total_bytes);
void progress_show(struct progress *p, uint64_t bytes, uint64_t rows, uint64_t refused);
void progress_clear(struct progress *p); /* before anything else is printed */

#endif
