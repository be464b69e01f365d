/* Purpose: how far a run has come, in a small file beside the databases, so that --resume goes on
 * after a crash. It is written after the rows it counts are durable, and replaced as a whole: rows
 * after the last checkpoint are simply met once more, and are the same.
 */
#ifndef IMPORT_CHECKPOINT_H
#define IMPORT_CHECKPOINT_H

#include "inputs.h"

struct checkpoint {
    size_t file_index;
    uint64_t file_rows; /* of that file, done */
    uint64_t outcomes[IMPORT_OUTCOMES];
    uint64_t report_bytes, rejects_bytes;
};

#define CHECKPOINT_PATH_CAP 600
/* The name goes by the names of the inputs, so that two lines do not share one. */
void checkpoint_path(const char *data_dir, const char *const *files, size_t count,
                     char ret_path[CHECKPOINT_PATH_CAP]);
/* ERR_IO. */
MUST_USE enum err checkpoint_write(const char *path, const char *const *files, size_t count,
                                   const struct checkpoint *c);
/* ERR_ABSENT: there is none. ERR_CONFIG with a reason: damaged, or an input is another file now. */
MUST_USE enum err checkpoint_read(const char *path, const char *const *files, size_t count,
                                  struct checkpoint *ret_checkpoint,
                                  struct import_reason *ret_reason);
void checkpoint_remove(const char *path);

#endif
