#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPORT_BEGINS "{\"file\":"

struct report {
    FILE *out;
};

static void fd_release(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void json_release(json_t **value)
{
    json_decref(*value);
}

/* A mistyped name must not cost a list or a database: only what is empty, a device or pipe, or a
 * report already, is written over. */
static enum err check_target(int fd, const struct inputs *inputs, struct import_reason *ret_reason)
{
    struct stat st;
    char head[sizeof REPORT_BEGINS - 1];
    if (fstat(fd, &st) != 0) {
        import_reason_set(ret_reason, "%s", strerror(errno));
        return ERR_IO;
    }
    if (inputs_hold(inputs, &st)) {
        import_reason_set(ret_reason, "is one of the inputs");
        return ERR_DUPLICATE;
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return ERR_OK;
    if (pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
        span_equal(SPAN_ARRAY(head), SPAN_LITERAL(REPORT_BEGINS)))
        return ERR_OK;
    import_reason_set(ret_reason, "exists and is not a report");
    return ERR_DUPLICATE;
}

enum err report_open(const char *path, const struct inputs *inputs, uint64_t keep,
                     struct report **ret_report, struct import_reason *ret_reason)
{
    __attribute__((cleanup(fd_release))) int fd =
        open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd < 0) /* a pipe or a terminal that cannot be read back */
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        import_reason_set(ret_reason, "%s", strerror(errno));
        return ERR_IO;
    }
    TRY(check_target(fd, inputs, ret_reason));
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (ftruncate(fd, (off_t)keep) != 0 || lseek(fd, 0, SEEK_END) < 0)) {
        import_reason_set(ret_reason, "%s", strerror(errno));
        return ERR_IO;
    }
    struct report *r = calloc(1, sizeof *r);
    FILE *out = r == NULL ? NULL : fdopen(fd, "w");
    if (out == NULL) {
        import_reason_set(ret_reason, "%s", err_text(ERR_MEMORY));
        free(r);
        return ERR_MEMORY;
    }
    fd = -1;
    r->out = out;
    *ret_report = r;
    return ERR_OK;
}

static enum err report_item(FILE *out, const char *file, const struct import_item *item)
{
    __attribute__((cleanup(json_release))) json_t *line =
        json_pack("{s:s, s:I, s:s, s:s, s:s}", "file", file, "line", (json_int_t)item->row.line,
                  "registrationId", item->id, "outcome", import_outcome_name(item->outcome),
                  "reason", item->reason.text);
    if (line == NULL)
        return ERR_MEMORY;
    if (json_dumpf(line, out, JSON_COMPACT) != 0 || fputc('\n', out) == EOF)
        return ERR_IO;
    return ERR_OK;
}

enum err report_block(struct report *r, const struct import_block *b)
{
    char file[512];
    if (r == NULL)
        return ERR_OK;
    import_text_safe(span_text(b->file), file, sizeof file);
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].outcome != IMPORT_UNTRIED)
            TRY(report_item(r->out, file, &b->items[i]));
    return fflush(r->out) == 0 ? ERR_OK : ERR_IO;
}

enum err report_sync(struct report *r, uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    if (r == NULL)
        return ERR_OK;
    if (fflush(r->out) != 0 || (fsync(fileno(r->out)) != 0 && errno != EINVAL && errno != EROFS))
        return ERR_IO;
    off_t at = ftello(r->out);
    *ret_bytes = at > 0 ? (uint64_t)at : 0;
    return ERR_OK;
}

void report_forget(struct report *r)
{
    if (r == NULL || fflush(r->out) != 0)
        return;
    (void)!ftruncate(fileno(r->out), 0);
    rewind(r->out);
}

enum err report_close(struct report *r)
{
    if (r == NULL)
        return ERR_OK;
    bool ok = fclose(r->out) == 0;
    free(r);
    return ok ? ERR_OK : ERR_IO;
}
