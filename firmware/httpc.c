#include "httpc.h"

#include <string.h>
#include <wire/text.h>

#define HTTPS_PORT 443
#define STATUS_LEN 3
#define CHUNK_DIGITS_MAX 4

/* ---- reading an answer ---- */
struct head {
    struct httpc_reply reply;
    bool has_length;
    bool is_chunked;
    int64_t length;
    int64_t retry_at_s; /* Retry-After as a date; 0: none */
};

/* Cuts a line that ends in CR LF. ERR_TRUNCATED: there is no end yet. */
static enum err line_cut(struct span *rest, struct span *ret_line)
{
    for (size_t i = 0; i < rest->len; i++) {
        uint8_t c = rest->at[i];
        if (c == '\r' && i + 1 == rest->len)
            break;
        if (c == '\r' && rest->at[i + 1] == '\n') {
            *ret_line = span_slice(*rest, 0, i);
            *rest = span_slice(*rest, i + 2, rest->len);
            return ERR_OK;
        }
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return ERR_PROTOCOL;
    }
    return ERR_TRUNCATED;
}

static enum err status_read(struct span line, struct head *head)
{
    bool is_1_0 = span_starts_with(line, SPAN_LITERAL("HTTP/1.0 "));
    if (!is_1_0 && !span_starts_with(line, SPAN_LITERAL("HTTP/1.1 ")))
        return ERR_PROTOCOL;
    struct span rest = span_slice(line, sizeof "HTTP/1.1 " - 1, line.len);
    int64_t status;
    if (rest.len < STATUS_LEN || (rest.len > STATUS_LEN && rest.at[STATUS_LEN] != ' ') ||
        decimal_read(span_slice(rest, 0, STATUS_LEN), &status) != ERR_OK)
        return ERR_PROTOCOL;
    if (status < 200 || status > 599)
        return ERR_PROTOCOL;
    head->reply.status = (int)status;
    head->reply.closes = is_1_0;
    return ERR_OK;
}

static struct span trimmed(struct span s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = span_slice(s, 1, s.len);
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", s.at[i]))
            return false;
    return s.len > 0;
}

static enum err content_length_read(struct span value, struct head *head)
{
    if (head->has_length || decimal_read(value, &head->length) != ERR_OK)
        return ERR_PROTOCOL;
    head->has_length = true;
    return ERR_OK;
}

static enum err transfer_encoding_read(struct span value, struct head *head)
{
    if (head->is_chunked || !span_equal_ignoring_case(value, SPAN_LITERAL("chunked")))
        return ERR_PROTOCOL;
    head->is_chunked = true;
    return ERR_OK;
}

static enum err content_type_read(struct span value, struct head *head)
{
    struct span type = trimmed(span_cut(&value, ';'));
    head->reply.is_json = span_equal_ignoring_case(type, SPAN_LITERAL("application/json"));
    return ERR_OK;
}

static enum err connection_read(struct span value, struct head *head)
{
    while (value.len > 0) {
        struct span option = trimmed(span_cut(&value, ','));
        if (span_equal_ignoring_case(option, SPAN_LITERAL("close")))
            head->reply.closes = true;
        if (span_equal_ignoring_case(option, SPAN_LITERAL("keep-alive")))
            head->reply.closes = false;
    }
    return ERR_OK;
}

/* A date that cannot be read is no date: only a device that needs it will miss it. */
static enum err date_read(struct span value, struct head *head)
{
    int64_t date_s;
    head->reply.date_s = time_http_read(value, &date_s) == ERR_OK ? date_s : 0;
    return ERR_OK;
}

static void retry_after_take(int64_t s, struct head *head)
{
    if (s < 1)
        s = 1;
    head->reply.retry_after_s =
        s > HTTPC_RETRY_AFTER_MAX_S ? HTTPC_RETRY_AFTER_MAX_S : (uint32_t)s;
}

static bool is_number(struct span value)
{
    size_t digits = 0;
    while (digits < value.len && value.at[digits] >= '0' && value.at[digits] <= '9')
        digits++;
    return digits > 0 && digits == value.len;
}

/* Seconds, in any number, or a date. What is neither counts as none. */
static enum err retry_after_read(struct span value, struct head *head)
{
    int64_t s;
    if (decimal_read(value, &s) == ERR_OK)
        retry_after_take(s, head);
    else if (is_number(value))
        retry_after_take(INT64_MAX, head);
    else if (time_http_read(value, &s) == ERR_OK)
        head->retry_at_s = s;
    return ERR_OK;
}

static enum err header_read(struct span line, struct head *head)
{
    static const struct {
        const char *name;
        enum err (*read)(struct span value, struct head *head);
    } known[] = {
        {"content-length", content_length_read}, {"transfer-encoding", transfer_encoding_read},
        {"content-type", content_type_read},     {"connection", connection_read},
        {"date", date_read},                     {"retry-after", retry_after_read},
    };
    struct span value = line;
    struct span name = span_cut(&value, ':');
    if (!value.at || !is_token(name)) /* no colon, a folded line, a space before the colon */
        return ERR_PROTOCOL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_equal_ignoring_case(name, span_text(known[i].name)))
            return known[i].read(trimmed(value), head);
    return ERR_OK;
}

static enum err head_read(struct span *rest, struct head *ret_head)
{
    struct head head = {0};
    struct span line;
    TRY(line_cut(rest, &line));
    TRY(status_read(line, &head));
    for (;;) {
        TRY(line_cut(rest, &line));
        if (line.len == 0)
            break;
        TRY(header_read(line, &head));
    }
    if (head.has_length && head.is_chunked)
        return ERR_PROTOCOL;
    if (head.retry_at_s != 0 && head.reply.date_s != 0) /* both by the peer's clock, whatever ours says */
        retry_after_take(head.retry_at_s - head.reply.date_s, &head);
    *ret_head = head;
    return ERR_OK;
}

static enum err chunk_size_read(struct span line, size_t *ret_size)
{
    size_t size = 0;
    if (line.len == 0 || line.len > CHUNK_DIGITS_MAX)
        return ERR_PROTOCOL;
    for (size_t i = 0; i < line.len; i++) {
        static const char digits[] = "0123456789abcdef";
        uint8_t c = line.at[i] >= 'A' && line.at[i] <= 'F' ? line.at[i] | 0x20 : line.at[i];
        const char *digit = c ? strchr(digits, c) : NULL;
        if (!digit)
            return ERR_PROTOCOL;
        size = size * 16 + (size_t)(digit - digits);
    }
    *ret_size = size;
    return ERR_OK;
}

/* Cuts one chunk; an empty one is the last. Neither extensions nor trailers are taken. */
static enum err chunk_cut(struct span *rest, struct span *ret_chunk)
{
    struct span line;
    size_t size;
    TRY(line_cut(rest, &line));
    TRY(chunk_size_read(line, &size));
    if (rest->len < size)
        return ERR_TRUNCATED;
    *ret_chunk = span_slice(*rest, 0, size);
    *rest = span_slice(*rest, size, rest->len);
    TRY(line_cut(rest, &line));
    return line.len == 0 ? ERR_OK : ERR_PROTOCOL;
}

static enum err chunks_join(uint8_t *at, struct span *rest, struct span *ret_body)
{
    struct span check = *rest, chunk;
    do
        TRY(chunk_cut(&check, &chunk));
    while (chunk.len > 0);

    size_t len = 0;
    for (;;) {
        TRY(chunk_cut(rest, &chunk));
        if (chunk.len == 0)
            break;
        memmove(at + len, chunk.at, chunk.len);
        len += chunk.len;
    }
    *ret_body = span_of(at, len);
    return ERR_OK;
}

static enum err body_read(uint8_t *at, struct head *head, struct span *rest)
{
    if (head->is_chunked)
        return chunks_join(at, rest, &head->reply.body);
    /* An answer that ends with its connection cannot be told from one cut short. */
    if (!head->has_length)
        return head->reply.status == 204 ? ERR_OK : ERR_PROTOCOL;
    if (head->length > HTTPC_BYTES_CAP)
        return ERR_PROTOCOL;
    if (rest->len < (size_t)head->length)
        return ERR_TRUNCATED;
    head->reply.body = span_slice(*rest, 0, (size_t)head->length);
    *rest = span_slice(*rest, (size_t)head->length, rest->len);
    return ERR_OK;
}

enum err httpc_reply_read(uint8_t *bytes, size_t len, struct httpc_reply *ret_reply)
{
    struct span rest = span_of(bytes, len);
    struct head head;
    TRY(head_read(&rest, &head));
    TRY(body_read(bytes + (len - rest.len), &head, &rest));
    head.reply.consumed = len - rest.len;
    *ret_reply = head.reply;
    return ERR_OK;
}

/* ---- one exchange ---- */
void httpc_init(struct httpc *c, struct hal_transport *transport, struct hal_clock *clock,
                const char *host, uint16_t port)
{
    memset(c, 0, sizeof *c);
    c->transport = transport;
    c->clock = clock;
    c->host = host;
    c->port = port;
}

void httpc_close(struct httpc *c)
{
    if (c->is_open)
        c->transport->close(c->transport);
    c->is_open = false;
    c->filled = 0;
    bytes_wipe(c->bytes, sizeof c->bytes);
}

static void header_write(struct buf *out, const char *name, struct span value)
{
    buf_put_text(out, name);
    buf_put_text(out, ": ");
    buf_put(out, value);
    buf_put_text(out, "\r\n");
}

static enum err request_write(struct httpc *c, const struct httpc_request *q, struct span *ret_text)
{
    struct buf out = BUF_OVER(c->bytes);
    buf_put_text(&out, q->method);
    buf_put_text(&out, " ");
    buf_put(&out, q->path);
    buf_put_text(&out, " HTTP/1.1\r\nHost: ");
    buf_put_text(&out, c->host);
    if (c->port != HTTPS_PORT) {
        buf_put_text(&out, ":");
        buf_put_decimal(&out, c->port);
    }
    buf_put_text(&out, "\r\n");
    header_write(&out, "User-Agent", SPAN_LITERAL("cradle-device/0.1"));
    header_write(&out, "Accept", SPAN_LITERAL("application/json"));
    if (q->authorization.len > 0)
        header_write(&out, "Authorization", q->authorization);
    if (q->body.len > 0) {
        header_write(&out, "Content-Type", SPAN_LITERAL("application/json; charset=utf-8"));
        buf_put_text(&out, "Content-Length: ");
        buf_put_decimal(&out, (int64_t)q->body.len);
        buf_put_text(&out, "\r\n");
    }
    buf_put_text(&out, "\r\n");
    buf_put(&out, q->body);
    TRY(buf_end(&out));
    *ret_text = buf_span(&out);
    return ERR_OK;
}

static enum err time_left(struct httpc *c, uint64_t deadline_ms, uint32_t *ret_ms)
{
    uint64_t now_ms = c->clock->monotonic_ms(c->clock);
    if (now_ms >= deadline_ms)
        return ERR_TIMEOUT;
    *ret_ms = (uint32_t)(deadline_ms - now_ms);
    return ERR_OK;
}

static enum err connect_if_closed(struct httpc *c, int64_t now_s, uint64_t deadline_ms)
{
    if (c->is_open)
        return ERR_OK;
    uint32_t left_ms;
    TRY(time_left(c, deadline_ms, &left_ms));
    TRY(c->transport->open(c->transport, c->host, c->port, now_s, left_ms, &c->peer));
    c->is_open = true;
    c->dates_unchecked = now_s == 0;
    return ERR_OK;
}

static enum err send_all(struct httpc *c, struct span text, uint64_t deadline_ms)
{
    while (text.len > 0) {
        uint32_t left_ms;
        TRY(time_left(c, deadline_ms, &left_ms));
        int sent = c->transport->send(c->transport, text, left_ms);
        if (sent < 0)
            return ERR_NETWORK;
        text = span_slice(text, (size_t)sent, text.len);
    }
    return ERR_OK;
}

static enum err receive_reply(struct httpc *c, uint64_t deadline_ms, struct httpc_reply *ret_reply)
{
    c->filled = 0;
    for (;;) {
        enum err e = httpc_reply_read(c->bytes, c->filled, ret_reply);
        if (e != ERR_TRUNCATED)
            return e;
        if (c->filled == sizeof c->bytes)
            return ERR_PROTOCOL;
        uint32_t left_ms;
        TRY(time_left(c, deadline_ms, &left_ms));
        int got = c->transport->receive(c->transport, c->bytes + c->filled,
                                        sizeof c->bytes - c->filled, left_ms);
        if (got < 0)
            return ERR_NETWORK;
        c->filled += (size_t)got;
    }
}

static enum err exchange_once(struct httpc *c, const struct httpc_request *request, int64_t now_s,
                              uint64_t deadline_ms, struct httpc_reply *ret_reply)
{
    c->filled = 0;
    struct span text;
    struct httpc_reply reply;
    TRY(connect_if_closed(c, now_s, deadline_ms));
    TRY(request_write(c, request, &text));
    TRY(send_all(c, text, deadline_ms));
    TRY(receive_reply(c, deadline_ms, &reply));
    if (reply.consumed != c->filled)
        return ERR_PROTOCOL; /* nobody asked for more */
    *ret_reply = reply;
    return ERR_OK;
}

/* A connection that was kept may have been closed by the peer meanwhile. Then nothing of an answer
 * has come, and the request is made once more, on a new one. */
enum err httpc_exchange(struct httpc *c, const struct httpc_request *request, int64_t now_s,
                        uint32_t timeout_ms, struct httpc_reply *ret_reply)
{
    uint64_t deadline_ms = c->clock->monotonic_ms(c->clock) + timeout_ms;
    bool was_open = c->is_open;
    struct httpc_reply reply;
    enum err e = exchange_once(c, request, now_s, deadline_ms, &reply);
    if (e == ERR_NETWORK && was_open && c->filled == 0) {
        httpc_close(c);
        e = exchange_once(c, request, now_s, deadline_ms, &reply);
    }
    if (e != ERR_OK) {
        httpc_close(c);
        return e;
    }
    if (reply.closes) {
        c->transport->close(c->transport);
        c->is_open = false;
    }
    *ret_reply = reply;
    return ERR_OK;
}
