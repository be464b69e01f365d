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
    uint8_t entry[IMPORT_ROW_CAP]; /* the row, as it would be written out again */
};
bool tar_is_header(struct span block);
/* One file as an archive holds it, behind which others or the end mark may follow: whole blocks. A
 * name that would lead out of where the archive is unpacked loses its directories. */
void tar_entry_write(struct buf *out, struct span name, struct span content);
/* filerow_read, and the row's origin: the file as an entry, if that is not longer than a row may be. */
void tar_row_read(struct span name, struct span content, uint8_t entry[IMPORT_ROW_CAP],
                  struct import_row *row);
#define TAR_END_LEN (2 * TAR_BLOCK) /* zeros, behind the last one */
/* A row's line is the entry's number, from 1. ERR_ABSENT at the end. ERR_IO: damaged or cut off. */
MUST_USE enum err tar_next(struct tar *t, struct source *s, struct import_row *ret_row);

#endif
