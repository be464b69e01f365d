#include "linefile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/text.h>

#include "keytext.h"

#define HEADER "registrationId,endorsementKey,storageRootKey,ekCertificate\n"

static void fd_release(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void reader_release(struct reader **r)
{
    reader_close(*r);
}

static enum err refuse(enum err e, struct import_reason *ret_reason, const char *why)
{
    import_reason_set(ret_reason, "%s", why);
    return e;
}

/* ---- what is there ---- */

static enum err compare(const struct import_row *there, const struct linefile_row *row,
                        struct import_reason *ret_reason)
{
    struct tpm_public ek;
    struct regid id;
    struct import_reason why = there->broken;
    unsigned long long line = there->line;
    if (why.text[0] == 0 &&
        (keytext_column_read(there, COLUMN_ENDORSEMENT_KEY, TPM_ROLE_EK, &ek, &why) != ERR_OK ||
         regid_read(there->fields[COLUMN_REGISTRATION_ID], &id) != ERR_OK))
        import_reason_set(&why, "the row cannot be read");
    if (why.text[0] != 0) {
        import_reason_set(ret_reason, "line %llu: %.200s", line, why.text);
        return ERR_CONFIG;
    }
    bool same_key = tpm_public_same_key(&ek, row->ek);
    if (!same_key && !span_equal(regid_span(&id), regid_span(&row->id)))
        return ERR_OK;
    import_reason_set(ret_reason, "line %llu has this %s already, as %s", line,
                      same_key ? "endorsement key" : "id", id.text);
    return ERR_DUPLICATE;
}

static enum err look_through(int fd, enum import_format *format, const struct linefile_row *row,
                             struct import_reason *ret_reason)
{
    struct reader_options options = {.format = *format};
    __attribute__((cleanup(reader_release))) struct reader *reader = NULL;
    char path[64], last = 0, head[sizeof HEADER - 1] = "";
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (pread(fd, &last, 1, lseek(fd, 0, SEEK_END) - 1) != 1 || last != '\n')
        return refuse(ERR_CONFIG, ret_reason, "the last row is cut off: end or remove it first");
    TRY(reader_open(path, &options, &reader, ret_reason));
    *format = reader_format(reader);
    if (*format != FORMAT_CSV && *format != FORMAT_JSONL)
        return refuse(ERR_CONFIG, ret_reason, "neither CSV nor JSON Lines");
    if (*format == FORMAT_CSV && (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head ||
                                  memcmp(head, HEADER, sizeof head) != 0))
        return refuse(ERR_CONFIG, ret_reason, "has other columns than those written here");
    for (;;) {
        struct import_row there;
        enum err e = reader_next(reader, &there);
        if (e == ERR_ABSENT)
            return ERR_OK;
        if (e != ERR_OK)
            return refuse(e, ret_reason, reader_why(reader));
        TRY(compare(&there, row, ret_reason));
    }
}

/* ---- what is added ---- */

static void put_key(struct buf *out, const char *name, struct span bytes, bool json)
{
    if (json && bytes.len == 0)
        return;
    if (json) {
        buf_put_text(out, ",\"");
        buf_put_text(out, name);
        buf_put_text(out, "\":\"");
    } else {
        buf_put_text(out, ",");
    }
    base64_write(out, bytes);
    if (json)
        buf_put_text(out, "\"");
}

/* Ids and base64 need no quoting in either. */
static void write_row(struct buf *out, const struct linefile_row *row, bool json)
{
    if (json)
        buf_put_text(out, "{\"registrationId\":\"");
    buf_put(out, regid_span(&row->id));
    if (json)
        buf_put_text(out, "\"");
    put_key(out, "endorsementKey", span_of(row->ek->raw, row->ek->raw_len), json);
    put_key(out, "storageRootKey", span_of(row->srk->raw, row->srk->raw_len), json);
    put_key(out, "ekCertificate", row->certificate, json);
    buf_put_text(out, json ? "}\n" : "\n");
}

/* All of it and to the disk, or none. */
static enum err append(int fd, off_t size, struct span text, struct import_reason *ret_reason)
{
    size_t done = 0;
    while (done < text.len) {
        ssize_t put = pwrite(fd, text.at + done, text.len - done, size + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    if (done == text.len && fsync(fd) == 0)
        return ERR_OK;
    import_reason_set(ret_reason, "%s", strerror(errno));
    if (ftruncate(fd, size) != 0)
        import_reason_set(ret_reason, "the row could not be written, nor taken back");
    return ERR_IO;
}

/* A new file's name is durable once its directory is. */
static enum err keep_name(const char *path, struct import_reason *ret_reason)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return refuse(ERR_IO, ret_reason, strerror(ENAMETOOLONG));
    __attribute__((cleanup(fd_release))) int fd =
        open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return refuse(ERR_IO, ret_reason, strerror(errno));
    return ERR_OK;
}

enum err linefile_append(const char *path, enum import_format format,
                         const struct linefile_row *row, struct import_reason *ret_reason)
{
    uint8_t bytes[IMPORT_ROW_CAP];
    struct buf out = BUF_OVER(bytes);
    struct stat st;
    __attribute__((cleanup(fd_release))) int fd =
        open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd < 0 || flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0)
        return refuse(ERR_IO, ret_reason, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return refuse(ERR_CONFIG, ret_reason, "is not a file");
    if (st.st_size > 0)
        TRY(look_through(fd, &format, row, ret_reason));
    bool json = format == FORMAT_JSONL;
    if (st.st_size == 0 && !json)
        buf_put_text(&out, HEADER);
    write_row(&out, row, json);
    if (out.full)
        return refuse(ERR_FULL, ret_reason, "the row is too long");
    TRY(append(fd, st.st_size, buf_span(&out), ret_reason));
    return st.st_size == 0 ? keep_name(path, ret_reason) : ERR_OK;
}
