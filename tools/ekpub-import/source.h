/* Purpose: the bytes of one input, seen through a window that moves over them. A file, a pipe or
 * standard input ("-"), unpacked on the way where it is gzip, zstd or UTF-16; never more than
 * SOURCE_CAP bytes of it are in memory, packed or not.
 */
#ifndef IMPORT_SOURCE_H
#define IMPORT_SOURCE_H

#include "row.h"

#define SOURCE_CAP 65536

struct unpack;
struct packed;

struct source {
    int fd;
    bool end;        /* nothing follows the window */
    uint64_t taken;  /* bytes consumed so far, as unpacked */
    uint64_t read;   /* bytes read from the file so far */
    uint64_t line;   /* of the first byte of the window, from 1 */
    struct import_reason why; /* after ERR_IO */
    struct packed *packed;    /* NULL: the window shows the file as it is */
    size_t from, to; /* the window, in bytes */
    uint8_t bytes[SOURCE_CAP];
};

/* ERR_IO, ERR_MEMORY; with a reason. */
MUST_USE enum err source_open(struct source *s, const char *path, struct import_reason *ret_reason);
void source_close(struct source *s);
/* What is there: at least `want` bytes (at most half of SOURCE_CAP) unless the input ends before.
 * Valid until the next call. ERR_IO. */
MUST_USE enum err source_window(struct source *s, size_t want, struct span *ret_window);
/* Consumes from the front of the window, counting lines. */
void source_take(struct source *s, size_t len);
/* The line that the window begins with, its break included; empty if it is longer than cap, or not all
 * in the window. Consumes nothing. */
struct span source_line(const struct source *s, size_t cap);
/* Consumes to the end of the line, however long. ERR_IO. */
MUST_USE enum err source_skip_line(struct source *s);
/* Consumes that many bytes, or what there is. ERR_IO. */
MUST_USE enum err source_skip(struct source *s, uint64_t len);
/* Consumed so far of the file as it lies on the disk, about. */
uint64_t source_progress(const struct source *s);

#endif
