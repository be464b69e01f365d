/* The request parser. Whole, byte by byte, and cut in two at a point that the input's last byte
 * chooses, it must come to the same result; and what it takes must hold together. */
#include <parse.h>
#include <sanitizer/asan_interface.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum err e;
    bool done;
    struct http_head head;
};

static struct outcome feed(struct span input, size_t first, size_t step)
{
    struct http_parser p = {.at = 0};
    struct outcome o = {.e = ERR_OK};
    for (size_t len = first; !o.done && o.e == ERR_OK; len += step) {
        len = len < input.len ? len : input.len;
        ASAN_POISON_MEMORY_REGION(input.at + len, input.len - len);
        o.e = http_parse(&p, span_of(input.at, len), &o.done);
        ASAN_UNPOISON_MEMORY_REGION(input.at, input.len);
        if (len == input.len)
            break;
    }
    if (o.done)
        o.head = p.head;
    return o;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->e == b->e && a->done == b->done && memcmp(&a->head, &b->head, sizeof a->head) == 0;
}

static bool within(struct span input, struct span s)
{
    return s.len == 0 || (s.at >= input.at && s.at + s.len <= input.at + input.len);
}

static void check_head(struct span input, const struct http_head *h)
{
    struct span head = span_slice(input, 0, h->size);
    ERR_ASSERT(h->size <= HTTP_HEADERS_CAP && h->size <= input.len);
    ERR_ASSERT(h->method.len > 0 && h->path.len > 0 && h->path.at[0] == '/');
    ERR_ASSERT(h->target.len <= HTTP_TARGET_CAP && h->content_length <= HTTP_BODY_CAP);
    ERR_ASSERT(within(head, h->method) && within(head, h->target) && within(head, h->path) &&
               within(head, h->query) && within(head, h->authorization) &&
               within(head, h->content_type) && within(head, h->user_agent));
    ERR_ASSERT(head.len >= 4 && memcmp(head.at + head.len - 4, "\r\n\r\n", 4) == 0);
    ERR_ASSERT(memchr(head.at, '\0', head.len) == NULL);
    for (size_t i = 0; i < head.len; i++)
        ERR_ASSERT((head.at[i] == '\n') == (i > 0 && head.at[i - 1] == '\r'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    struct outcome whole = feed(input, size, 1);
    struct outcome bytes = feed(input, 0, 1);
    ERR_ASSERT(same(&whole, &bytes));
    if (size > 0) {
        struct outcome two = feed(input, size * data[size - 1] / 256, size);
        ERR_ASSERT(same(&whole, &two));
    }
    if (whole.done)
        check_head(input, &whole.head);
    return 0;
}
