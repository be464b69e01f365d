/* Purpose: undoes what a file was packed in, as it streams past: gzip, zstd, and UTF-16, which
 * Windows writes into files. What it reads and writes is bounded; so is its memory, whatever the
 * file says (zstd windows above 128 MiB are refused). Checksums are verified.
 */
#ifndef IMPORT_UNPACK_H
#define IMPORT_UNPACK_H

#include "row.h"

enum unpack_kind { UNPACK_NONE, UNPACK_GZIP, UNPACK_ZSTD, UNPACK_UTF16_LE, UNPACK_UTF16_BE };
#define UNPACK_HEAD 4 /* bytes of a file that tell */
enum unpack_kind unpack_guess(struct span head);

struct unpack;
MUST_USE enum err unpack_open(enum unpack_kind kind, struct unpack **ret_unpack); /* ERR_MEMORY */
void unpack_close(struct unpack *u); /* NULL is fine */
/* Takes from the front of *in and writes at most cap bytes (at least 8) to `at`. Nothing written: it
 * wants more input, of which `last` says that there is none. ERR_IO with a reason: damaged, or ends
 * too early. */
MUST_USE enum err unpack_run(struct unpack *u, struct span *in, bool last, uint8_t *at, size_t cap,
                             size_t *ret_got, struct import_reason *ret_reason);

#endif
