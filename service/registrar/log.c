#include "inner.h"

#include <wire/text.h>

/* One line of JSON an exchange. Whatever came from outside is escaped and cut; no key, token or blob
 * is ever given to this file. */
#define FOREIGN_MAX 160

static void put_foreign(struct buf *b, const char *name, struct span value)
{
    static const char digits[] = "0123456789abcdef";
    buf_put_text(b, ",\"");
    buf_put_text(b, name);
    buf_put_text(b, "\":\"");
    for (size_t i = 0; i < value.len && i < FOREIGN_MAX; i++) {
        uint8_t c = value.at[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            buf_put_u8(b, c);
            continue;
        }
        buf_put_text(b, "\\u00");
        buf_put_u8(b, (uint8_t)digits[c >> 4]);
        buf_put_u8(b, (uint8_t)digits[c & 15]);
    }
    buf_put_u8(b, '"');
}

static void put_number(struct buf *b, const char *name, int64_t value)
{
    buf_put_text(b, ",\"");
    buf_put_text(b, name);
    buf_put_text(b, "\":");
    buf_put_decimal(b, value);
}

static const char *level_of(enum err why)
{
    if (why == ERR_OK)
        return "info";
    return err_http_status(why) >= 500 ? "error" : "warning";
}

static void put_outcome(struct buf *b, const struct registrar_exchange *x, enum err why)
{
    put_number(b, "status", x->answer.status);
    put_foreign(b, "tracking", span_text(x->answer.request_id));
    if (why != ERR_OK) {
        put_number(b, "code", x->answer.error_code);
        put_foreign(b, "error", span_text(err_name(why)));
    }
    if (x->reason != NULL)
        put_foreign(b, "reason", span_text(x->reason));
    if (why == ERR_OK && x->generation > 0)
        put_number(b, "generation", (int64_t)x->generation);
    if (why == ERR_OK && x->srk_changed)
        buf_put_text(b, ",\"srkChanged\":true");
}

static void put_head(struct buf *b, struct registrar_worker *w, const char *level,
                     const char *event)
{
    buf_put_text(b, "{\"time\":\"");
    time_iso_write(b, registrar_now(w));
    buf_put_u8(b, '"');
    put_foreign(b, "level", span_text(level));
    put_foreign(b, "event", span_text(event));
}

static void send_line(struct registrar_worker *w, struct buf *b)
{
    const struct registrar_config *c = &w->registrar->config;
    buf_put_u8(b, '}');
    if (buf_end_text(b) == ERR_OK)
        c->log(c->arg, (const char *)b->at);
}

/* A flood of requests must not become a flood of the disk: of what is not an assignment, so many lines
 * a second, and then how many more there were. */
#define LINES_MAX 1000
static bool too_many(struct registrar_worker *w)
{
    int64_t now = registrar_now(w);
    if (w->log_second == now)
        return ++w->log_lines > LINES_MAX;
    if (w->log_lines > LINES_MAX) {
        char line[512];
        struct buf b = BUF_OVER(line);
        put_head(&b, w, "warning", "log lines left out");
        put_number(&b, "count", w->log_lines - LINES_MAX);
        send_line(w, &b);
    }
    w->log_second = now;
    w->log_lines = 1;
    return false;
}

void log_exchange(struct registrar_worker *w, struct registrar_exchange *x, enum err why)
{
    char line[4096];
    struct buf b = BUF_OVER(line);
    if (w->registrar->config.log == NULL)
        return;
    bool assigned = why == ERR_OK && x->generation > 0;
    if (!assigned && too_many(w))
        return;
    put_head(&b, w, level_of(why), x->event == NULL ? "request" : x->event);
    put_foreign(&b, "peer", span_text(x->request.peer));
    if (x->id.text[0] != '\0')
        put_foreign(&b, "registrationId", regid_span(&x->id));
    else
        put_foreign(&b, "path", x->request.path);
    put_outcome(&b, x, why);
    put_foreign(&b, "agent", x->request.user_agent);
    send_line(w, &b);
}
