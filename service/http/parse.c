#include "parse.h"

#include <string.h>
#include <wire/text.h>

/* A request line longer than this cannot hold an acceptable target. */
#define REQUEST_LINE_CAP (HTTP_METHOD_CAP + HTTP_TARGET_CAP + sizeof("  HTTP/1.1") - 1)

enum seen {
    SEEN_HOST = 1,
    SEEN_LENGTH = 2,
    SEEN_AUTHORIZATION = 4,
    SEEN_CONTENT_TYPE = 8,
    SEEN_EXPECT = 16,
    SEEN_TRANSFER_ENCODING = 32,
    SEEN_IF_MATCH = 64,
    SEEN_CONTINUATION = 128,
    SEEN_MAX_ITEM_COUNT = 256,
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alphanumeric(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(uint8_t c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_token_byte(uint8_t c)
{
    return is_alphanumeric(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_byte(s.at[i]))
            return false;
    return s.len > 0;
}

/* RFC 3986: what a path or a query may hold, an escape's percent sign apart. */
static bool is_target_byte(uint8_t c)
{
    return is_alphanumeric(c) || is_one_of(c, "-._~!$&'()*+,;=:@/?");
}

static bool is_target(struct span s)
{
    if (s.len == 0 || s.at[0] != '/')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (is_target_byte(s.at[i]))
            continue;
        if (s.at[i] != '%' || s.len - i < 3 || !is_hex(s.at[i + 1]) || !is_hex(s.at[i + 2]))
            return false;
        if (s.at[i + 1] == '0' && s.at[i + 2] == '0')
            return false;
        i += 2;
    }
    return true;
}

static bool is_value(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.at[i] < 0x20 && s.at[i] != '\t') || s.at[i] == 0x7f)
            return false;
    return true;
}

static bool is_port(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.at[i]))
            return false;
    return s.len >= 1 && s.len <= 5;
}

/* name, name:port, [address], [address]:port */
static bool is_host(struct span s)
{
    bool literal = s.len > 0 && s.at[0] == '[';
    size_t i = literal ? 1 : 0;
    size_t start = i;
    while (i < s.len && (literal ? is_hex(s.at[i]) || is_one_of(s.at[i], ":.")
                                 : is_alphanumeric(s.at[i]) || is_one_of(s.at[i], "-._~")))
        i++;
    if (i == start)
        return false;
    if (literal && (i == s.len || s.at[i++] != ']'))
        return false;
    return i == s.len || (s.at[i] == ':' && is_port(span_slice(s, i + 1, s.len)));
}

static struct span trim(struct span s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = span_slice(s, 1, s.len);
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* ---- the request line ---- */

static enum err version_check(struct span version)
{
    if (span_equal(version, SPAN_LITERAL("HTTP/1.1")))
        return ERR_OK;
    if (version.len == 8 && span_starts_with(version, SPAN_LITERAL("HTTP/")) &&
        is_digit(version.at[5]) && version.at[6] == '.' && is_digit(version.at[7]))
        return ERR_HTTP_VERSION;
    return ERR_BAD_REQUEST;
}

static enum err request_line(struct http_parser *p, struct span line)
{
    struct http_head *h = &p->head;
    struct span rest = line;
    h->method = span_cut(&rest, ' ');
    h->target = span_cut(&rest, ' ');
    if (!is_token(h->method) || h->method.len > HTTP_METHOD_CAP)
        return ERR_BAD_REQUEST;
    TRY(version_check(rest));
    if (h->target.len > HTTP_TARGET_CAP)
        return ERR_URI_TOO_LONG;
    if (!is_target(h->target))
        return ERR_BAD_REQUEST;
    h->query = h->target;
    h->path = span_cut(&h->query, '?');
    return ERR_OK;
}

/* ---- headers ---- */

static enum err header_host(struct http_head *h, struct span value)
{
    h->host = value;
    return is_host(value) ? ERR_OK : ERR_BAD_REQUEST;
}

static enum err header_content_length(struct http_head *h, struct span value)
{
    int64_t length = 0;
    if (decimal_read(value, &length) != ERR_OK)
        return ERR_BAD_REQUEST;
    h->content_length = (size_t)length;
    return ERR_OK;
}

static enum err header_transfer_encoding(struct http_head *h, struct span value)
{
    (void)h;
    (void)value;
    return ERR_OK; /* refused at the end of the head, when it is known what else was claimed */
}

static enum err header_authorization(struct http_head *h, struct span value)
{
    h->authorization = value;
    return ERR_OK;
}

static enum err header_content_type(struct http_head *h, struct span value)
{
    h->content_type = value;
    return ERR_OK;
}

static enum err header_user_agent(struct http_head *h, struct span value)
{
    if (h->user_agent.len == 0)
        h->user_agent = value;
    return ERR_OK;
}

static enum err header_if_match(struct http_head *h, struct span value)
{
    h->if_match = value;
    return ERR_OK;
}

static enum err header_continuation(struct http_head *h, struct span value)
{
    h->continuation = value;
    return ERR_OK;
}

static enum err header_max_item_count(struct http_head *h, struct span value)
{
    h->max_item_count = value;
    return ERR_OK;
}

static enum err header_expect(struct http_head *h, struct span value)
{
    h->expects_continue = span_equal_ignoring_case(value, SPAN_LITERAL("100-continue"));
    return h->expects_continue ? ERR_OK : ERR_BAD_REQUEST;
}

static enum err header_connection(struct http_head *h, struct span value)
{
    while (value.at != NULL) {
        struct span option = trim(span_cut(&value, ','));
        if (span_equal_ignoring_case(option, SPAN_LITERAL("close")))
            h->close = true;
    }
    return ERR_OK;
}

static const struct header {
    const char *name;
    unsigned once; /* its bit where it must not come twice */
    enum err (*read)(struct http_head *h, struct span value);
} headers[] = {
    {"Host", SEEN_HOST, header_host},
    {"Content-Length", SEEN_LENGTH, header_content_length},
    {"Transfer-Encoding", SEEN_TRANSFER_ENCODING, header_transfer_encoding},
    {"Authorization", SEEN_AUTHORIZATION, header_authorization},
    {"Content-Type", SEEN_CONTENT_TYPE, header_content_type},
    {"Expect", SEEN_EXPECT, header_expect},
    {"If-Match", SEEN_IF_MATCH, header_if_match},
    {"x-ms-continuation", SEEN_CONTINUATION, header_continuation},
    {"x-ms-max-item-count", SEEN_MAX_ITEM_COUNT, header_max_item_count},
    {"Connection", 0, header_connection},
    {"User-Agent", 0, header_user_agent},
    {"UserAgent", 0, header_user_agent}, /* the C SDK's spelling */
};

static enum err header_line(struct http_parser *p, struct span line)
{
    struct span value = line;
    struct span name = span_cut(&value, ':');
    if (value.at == NULL || !is_token(name) || !is_value(value))
        return ERR_BAD_REQUEST;
    if (p->lines > HTTP_HEADER_LINES_MAX)
        return ERR_HEADERS_TOO_LARGE;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (!span_equal_ignoring_case(name, span_text(headers[i].name)))
            continue;
        if ((p->seen & headers[i].once) != 0)
            return ERR_BAD_REQUEST;
        p->seen |= headers[i].once;
        return headers[i].read(&p->head, trim(value));
    }
    return ERR_OK;
}

static enum err end_of_head(const struct http_parser *p)
{
    if ((p->seen & SEEN_HOST) == 0)
        return ERR_BAD_REQUEST;
    if ((p->seen & SEEN_TRANSFER_ENCODING) != 0)
        return (p->seen & SEEN_LENGTH) != 0 ? ERR_BAD_REQUEST : ERR_LENGTH_REQUIRED;
    if (p->head.content_length > HTTP_BODY_CAP)
        return ERR_TOO_LARGE;
    return ERR_OK;
}

/* ---- lines ---- */

/* What ended at p->at, without its CRLF. */
static enum err line_take(struct http_parser *p, struct span input, struct span *ret_line)
{
    size_t end = p->at - 1;
    if (p->lines == 0 && end - p->line > REQUEST_LINE_CAP + 1)
        return ERR_URI_TOO_LONG;
    if (end == p->line || input.at[end - 1] != '\r')
        return ERR_BAD_REQUEST;
    *ret_line = span_slice(input, p->line, end - 1 - p->line);
    return ERR_OK;
}

static enum err line_read(struct http_parser *p, struct span line)
{
    enum err e = p->lines == 0 ? request_line(p, line) : header_line(p, line);
    p->lines++;
    p->line = p->at;
    return e;
}

/* The line that has not ended yet: whether it may still become one. */
static enum err line_pending(const struct http_parser *p)
{
    if (p->lines == 0 && p->at - p->line > REQUEST_LINE_CAP + 1)
        return ERR_URI_TOO_LONG;
    return p->at == HTTP_HEADERS_CAP ? ERR_HEADERS_TOO_LARGE : ERR_OK;
}

enum err http_parse(struct http_parser *p, struct span input, bool *ret_done)
{
    size_t limit = input.len < HTTP_HEADERS_CAP ? input.len : HTTP_HEADERS_CAP;
    while (p->at < limit) {
        const uint8_t *lf = memchr(input.at + p->at, '\n', limit - p->at);
        if (lf == NULL) {
            p->at = limit;
            break;
        }
        p->at = (size_t)(lf - input.at) + 1;
        struct span line;
        TRY(line_take(p, input, &line));
        if (line.len == 0 && p->lines > 0) {
            TRY(end_of_head(p));
            p->head.size = p->at;
            *ret_done = true;
            return ERR_OK;
        }
        TRY(line_read(p, line));
    }
    TRY(line_pending(p));
    *ret_done = false;
    return ERR_OK;
}
