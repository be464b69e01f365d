#include "checkpoint.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "cradle-import-1"
#define TEXT_CAP 16384

void checkpoint_path(const char *data_dir, const char *const *files, size_t count,
                     char ret_path[CHECKPOINT_PATH_CAP])
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: a name, not a proof */
    for (size_t i = 0; i < count; i++) {
        char real[4096];
        const char *name = realpath(files[i], real) != NULL ? real : files[i];
        for (size_t k = 0; k <= strlen(name); k++)
            hash = (hash ^ (uint8_t)name[k]) * 1099511628211u;
    }
    (void)snprintf(ret_path, CHECKPOINT_PATH_CAP, "%.500s/import-%016" PRIx64 ".checkpoint",
                   data_dir, hash);
}

/* What tells one file from another by the same name: only its size and when it was written. */
static void describe(const char *const *files, size_t count, char *ret_text, size_t cap)
{
    size_t len = 0;
    ret_text[0] = 0;
    for (size_t i = 0; i < count && len < cap; i++) {
        struct stat st = {0};
        (void)stat(files[i], &st);
        int n = snprintf(ret_text + len, cap - len, " %lld:%lld.%09ld", (long long)st.st_size,
                         (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        len += n > 0 ? (size_t)n : 0;
    }
}

static enum err write_whole(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_IO;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fsync(fd) == 0;
    return close(fd) == 0 && ok ? ERR_OK : ERR_IO;
}

enum err checkpoint_write(const char *path, const char *const *files, size_t count,
                          const struct checkpoint *c)
{
    char next[CHECKPOINT_PATH_CAP + 8], inputs[TEXT_CAP], text[TEXT_CAP + 400];
    describe(files, count, inputs, sizeof inputs);
    (void)snprintf(text, sizeof text,
                   MAGIC "\n%zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                         " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n%s\n",
                   c->file_index, c->file_rows, c->outcomes[IMPORT_NEW], c->outcomes[IMPORT_SAME],
                   c->outcomes[IMPORT_REPLACED], c->outcomes[IMPORT_SKIPPED],
                   c->outcomes[IMPORT_REFUSED], c->report_bytes, c->rejects_bytes, inputs);
    (void)snprintf(next, sizeof next, "%s.new", path);
    TRY(write_whole(next, text));
    return rename(next, path) == 0 ? ERR_OK : ERR_IO;
}

static bool parse(char *text, struct checkpoint *ret_checkpoint, const char **ret_inputs)
{
    struct checkpoint c = {0};
    int at = 0;
    if (sscanf(text,
               MAGIC "\n%zu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                     " %" SCNu64 " %" SCNu64 "\n%n",
               &c.file_index, &c.file_rows, &c.outcomes[IMPORT_NEW], &c.outcomes[IMPORT_SAME],
               &c.outcomes[IMPORT_REPLACED], &c.outcomes[IMPORT_SKIPPED],
               &c.outcomes[IMPORT_REFUSED], &c.report_bytes, &c.rejects_bytes, &at) != 9 ||
        at == 0)
        return false;
    *ret_checkpoint = c;
    *ret_inputs = text + at - 1; /* the white space that the scan ate with the line's end */
    return true;
}

enum err checkpoint_read(const char *path, const char *const *files, size_t count,
                         struct checkpoint *ret_checkpoint, struct import_reason *ret_reason)
{
    char text[TEXT_CAP + 400] = "", inputs[TEXT_CAP];
    const char *then = NULL;
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return ERR_ABSENT;
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    (void)fclose(in);
    struct checkpoint c;
    describe(files, count, inputs, sizeof inputs);
    if (!parse(text, &c, &then) || c.file_index > count) {
        import_reason_set(ret_reason, "the checkpoint is damaged; import without --resume");
        return ERR_CONFIG;
    }
    size_t len = strcspn(then, "\n");
    if (!span_equal(span_of(then, len), span_text(inputs))) {
        import_reason_set(ret_reason,
                          "an input has changed since the checkpoint; import without --resume");
        return ERR_CONFIG;
    }
    *ret_checkpoint = c;
    return ERR_OK;
}

void checkpoint_remove(const char *path)
{
    (void)unlink(path);
}
