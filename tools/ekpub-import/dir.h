/* Purpose: a directory of files with one key each, in the order of their names. Goes into no other
 * directory and follows no link out of it.
 */
#ifndef IMPORT_DIR_H
#define IMPORT_DIR_H

#include "filerow.h"

struct dir;
/* ERR_ABSENT: the path is no directory. ERR_IO, ERR_MEMORY; with a reason. */
MUST_USE enum err dir_open(const char *path, struct dir **ret_dir,
                           struct import_reason *ret_reason);
void dir_close(struct dir *d); /* NULL is fine */
/* A row's line is the file's number, from 1, of those that are not hidden. ERR_ABSENT at the end. A
 * file that cannot be read is a broken row. */
MUST_USE enum err dir_next(struct dir *d, struct import_row *ret_row);

#endif
