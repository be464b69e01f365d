#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err refuse(struct source *s, const char *what, struct import_reason *ret_reason)
{
    import_reason_set(ret_reason, "%s", what);
    source_close(s);
    return ERR_IO;
}

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
    return ERR_OK;
}

void source_close(struct source *s)
{
    if (s->fd > STDIN_FILENO)
        (void)close(s->fd);
    s->fd = -1;
}

static enum err read_more(struct source *s)
{
    memmove(s->bytes, s->bytes + s->from, s->to - s->from);
    s->to -= s->from;
    s->from = 0;
    ssize_t got;
    do
        got = read(s->fd, s->bytes + s->to, sizeof s->bytes - s->to);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return ERR_IO;
    s->end = got == 0;
    s->to += (size_t)got;
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
    for (size_t i = 0; i < len; i++)
        s->line += s->bytes[s->from + i] == '\n';
    s->from += len;
    s->taken += len;
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
