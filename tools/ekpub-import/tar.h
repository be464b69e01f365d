/* Purpose: a tar archive (POSIX ustar and pax, GNU) of files with one key each, as it streams past.
 * Nothing of it is ever written anywhere; names serve as ids alone. An archive without its end mark
 * is taken for cut off.
 */
#ifndef IMPORT_TAR_H
#define IMPORT_TAR_H

#include "filerow.h"
#include "source.h"

#define TAR_BLOCK 512
#define TAR_NAME_CAP 1024

struct tar {
    uint64_t entries; /* so far, hidden ones and directories included */
    size_t name_len;
    char name[TAR_NAME_CAP];
};
bool tar_is_header(struct span block);
/* A row's line is the entry's number, from 1. ERR_ABSENT at the end. ERR_IO: damaged or cut off. */
MUST_USE enum err tar_next(struct tar *t, struct source *s, struct import_row *ret_row);

#endif
