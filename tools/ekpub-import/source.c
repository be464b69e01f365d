#include "source.h"

#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKED_CAP 65536

struct packed {
    struct unpack *unpack;
    bool end;
    size_t from, to;
    uint8_t bytes[PACKED_CAP];
};

static enum err refuse(struct source *s, const char *what, struct import_reason *ret_reason)
{
    import_reason_set(ret_reason, "%s", what);
    source_close(s);
    return ERR_IO;
}

static enum err read_file(struct source *s, uint8_t *at, size_t cap, size_t *ret_got)
{
    ssize_t got;
    do
        got = read(s->fd, at, cap);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        import_reason_set(&s->why, "%s", strerror(errno));
        return ERR_IO;
    }
    s->read += (uint64_t)got;
    *ret_got = (size_t)got;
    return ERR_OK;
}

/* ---- what is packed ---- */

static enum err read_packed(struct source *s)
{
    struct packed *p = s->packed;
    memmove(p->bytes, p->bytes + p->from, p->to - p->from);
    p->to -= p->from;
    p->from = 0;
    size_t got = 0;
    TRY(read_file(s, p->bytes + p->to, sizeof p->bytes - p->to, &got));
    p->end = got == 0;
    p->to += got;
    return ERR_OK;
}

static enum err unpack_more(struct source *s, uint8_t *at, size_t cap, size_t *ret_got)
{
    struct packed *p = s->packed;
    for (;;) {
        struct span in = span_of(p->bytes + p->from, p->to - p->from);
        size_t before = in.len;
        TRY(unpack_run(p->unpack, &in, p->end, at, cap, ret_got, &s->why));
        p->from = p->to - in.len;
        if (*ret_got > 0 || (p->end && in.len == 0))
            return ERR_OK;
        if (in.len == before || in.len == 0)
            TRY(read_packed(s));
    }
}

/* Takes the bytes that were read to see what the file is for the packed ones they turned out to be.
 */
static enum err begin_packed(struct source *s, enum unpack_kind kind)
{
    struct packed *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_MEMORY;
    s->packed = p;
    p->to = s->to;
    memcpy(p->bytes, s->bytes, s->to);
    s->to = 0;
    s->end = false;
    return unpack_open(kind, &p->unpack);
}

static enum err begin(struct source *s, struct import_reason *ret_reason)
{
    struct span head;
    enum err e = source_window(s, UNPACK_HEAD, &head);
    enum unpack_kind kind = e == ERR_OK ? unpack_guess(head) : UNPACK_NONE;
    if (e == ERR_OK && kind != UNPACK_NONE) {
        import_reason_set(&s->why, "%s", err_text(ERR_MEMORY));
        e = begin_packed(s, kind);
    }
    if (e != ERR_OK) {
        *ret_reason = s->why;
        source_close(s);
    }
    return e;
}

/* ---- the window ---- */

enum err source_open(struct source *s, const char *path, struct import_reason *ret_reason)
{
    bool standard_input = strcmp(path, "-") == 0;
    *s = (struct source){.line = 1};
    s->fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (s->fd < 0)
        return refuse(s, strerror(errno), ret_reason);
    struct stat st;
    if (fstat(s->fd, &st) != 0)
        return refuse(s, strerror(errno), ret_reason);
    if (S_ISDIR(st.st_mode))
        return refuse(s, "is a directory", ret_reason);
    return begin(s, ret_reason);
}

void source_close(struct source *s)
{
    if (s->packed != NULL)
        unpack_close(s->packed->unpack);
    free(s->packed);
    s->packed = NULL;
    if (s->fd > STDIN_FILENO)
        (void)close(s->fd);
    s->fd = -1;
}

static enum err read_more(struct source *s)
{
    memmove(s->bytes, s->bytes + s->from, s->to - s->from);
    s->to -= s->from;
    s->from = 0;
    uint8_t *at = s->bytes + s->to;
    size_t cap = sizeof s->bytes - s->to, got = 0;
    TRY(s->packed == NULL ? read_file(s, at, cap, &got) : unpack_more(s, at, cap, &got));
    s->end = got == 0;
    s->to += got;
    return ERR_OK;
}

enum err source_window(struct source *s, size_t want, struct span *ret_window)
{
    ERR_ASSERT(want <= SOURCE_CAP / 2);
    while (!s->end && s->to - s->from < want)
        TRY(read_more(s));
    *ret_window = span_of(s->bytes + s->from, s->to - s->from);
    return ERR_OK;
}

void source_take(struct source *s, size_t len)
{
    ERR_ASSERT(len <= s->to - s->from);
    const uint8_t *at = s->bytes + s->from, *end = at + len;
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        s->line++;
        at++;
    }
    s->from += len;
    s->taken += len;
}

struct span source_line(const struct source *s, size_t cap)
{
    struct span window = span_of(s->bytes + s->from, s->to - s->from);
    const uint8_t *mark = window.len == 0 ? NULL : memchr(window.at, '\n', window.len);
    size_t len = mark != NULL ? (size_t)(mark - window.at) + 1 : s->end ? window.len : cap + 1;
    return span_of(window.at, len <= cap ? len : 0);
}

enum err source_skip_line(struct source *s)
{
    for (;;) {
        struct span window;
        TRY(source_window(s, 1, &window));
        if (window.len == 0)
            return ERR_OK;
        const uint8_t *mark = memchr(window.at, '\n', window.len);
        source_take(s, mark != NULL ? (size_t)(mark - window.at) + 1 : window.len);
        if (mark != NULL)
            return ERR_OK;
    }
}

enum err source_skip(struct source *s, uint64_t len)
{
    while (len > 0) {
        struct span window;
        TRY(source_window(s, 1, &window));
        if (window.len == 0)
            return ERR_OK;
        size_t part = window.len < len ? window.len : (size_t)len;
        source_take(s, part);
        len -= part;
    }
    return ERR_OK;
}

uint64_t source_progress(const struct source *s)
{
    return s->packed == NULL ? s->taken : s->read - (s->packed->to - s->packed->from);
}
