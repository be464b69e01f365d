/* Purpose: making a directory of files so that it is there entirely or not at all. Everything is made
 * in a stage below the target and moved into place at the end; what a killed run left behind is swept
 * away by the next.
 *
 * Paths are relative to the stage. All functions say on standard error what failed.
 */
#ifndef FILES_H
#define FILES_H

#include <limits.h>
#include <wire/bytes.h>

struct stage {
    char target[PATH_MAX]; /* absolute */
    char path[PATH_MAX];   /* of the stage, below target */
    bool made_target;
};

/* ERR_DUPLICATE: the target holds something. ERR_IO. */
MUST_USE enum err stage_open(const char *target, struct stage *ret_stage);
MUST_USE enum err stage_directory(const struct stage *s, const char *name);
/* mode 0600 or 0644; durable. */
MUST_USE enum err stage_file(const struct stage *s, const char *name, struct span content,
                             unsigned mode);
/* Moves the entry to the target. */
MUST_USE enum err stage_publish(const struct stage *s, const char *name);
/* Removes the stage, and the target too if it was made and nothing was published. */
void stage_close(struct stage *s);

#endif
