#include "reply.h"

#include <string.h>
#include <wire/text.h>

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

static const char *reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Other";
}

static void header_text(struct buf *b, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    buf_put_text(b, name);
    buf_put_text(b, value);
    buf_put_text(b, "\r\n");
}

static void header_number(struct buf *b, const char *name, int64_t value)
{
    buf_put_text(b, name);
    buf_put_decimal(b, value);
    buf_put_text(b, "\r\n");
}

static void head_write(struct buf *b, const struct http_reply *r, bool close, int64_t now_s)
{
    buf_put_text(b, "HTTP/1.1 ");
    buf_put_decimal(b, r->status);
    buf_put_text(b, " ");
    buf_put_text(b, reason(r->status));
    buf_put_text(b, "\r\nDate: ");
    time_http_write(b, now_s);
    buf_put_text(b, "\r\n");
    if (r->status != 204) { /* RFC 9110, 8.6: 204 has no length */
        buf_put_text(b, "Content-Type: application/json; charset=utf-8\r\n");
        header_number(b, "Content-Length: ", (int64_t)r->body.len);
    }
    header_text(b, "x-ms-request-id: ", r->request_id);
    if (r->error_code != 0)
        header_number(b, "x-ms-error-code: ", r->error_code);
    if (r->retry_after_s != 0)
        header_number(b, "Retry-After: ", r->retry_after_s);
    header_text(b, "Location: ", r->location);
    header_text(b, "x-ms-item-type: ", r->item_type);
    header_text(b, "x-ms-continuation: ", r->continuation);
    if (r->max_item_count != 0)
        header_number(b, "x-ms-max-item-count: ", r->max_item_count);
    buf_put_text(b, "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n");
    buf_put_text(b, close ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
}

struct span http_reply_write(const struct http_reply *reply, bool is_head, bool close,
                             int64_t now_s)
{
    uint8_t head[HTTP_REPLY_HEAD_CAP];
    struct buf b = BUF_OVER(head);
    head_write(&b, reply, close, now_s);
    ERR_ASSERT(buf_end(&b) == ERR_OK);
    uint8_t *at = reply->body.at - b.len;
    memcpy(at, head, b.len);
    return span_of(at, b.len + (is_head ? 0 : reply->body.len));
}
