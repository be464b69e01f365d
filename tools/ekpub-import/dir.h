/* Purpose: a directory of files with one key each, and the directories in it, in the order of the ids
 * that the files' names stand for. Follows no link.
 */
#ifndef IMPORT_DIR_H
#define IMPORT_DIR_H

#include "filerow.h"

#define DIR_DEPTH_MAX 8 /* the first one counts */

struct dir;
/* ERR_ABSENT: the path is no directory. ERR_IO, ERR_MEMORY; with a reason. */
MUST_USE enum err dir_open(const char *path, struct dir **ret_dir,
                           struct import_reason *ret_reason);
void dir_close(struct dir *d); /* NULL is fine */
/* A row's line is the file's number, from 1, of those that are not hidden. ERR_ABSENT at the end. A
 * file that cannot be read is a broken row. */
MUST_USE enum err dir_next(struct dir *d, struct import_row *ret_row);
/* Names, sizes and times of all files, in one number: whether the directory is still the same. */
uint64_t dir_print(const char *path);

#endif
