#include <string.h>
#include <wire/bytes.h>

/* ---- span ---- */
struct span span_text(const char *text)
{
    return span_of(text, text ? strlen(text) : 0);
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool span_equal_constant_time(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.len; i++)
        difference = (uint8_t)(difference | (a.at[i] ^ b.at[i]));
    return difference == 0;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool span_equal_ignoring_case(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal(span_slice(s, 0, prefix.len), prefix);
}

struct span span_slice(struct span s, size_t from, size_t len)
{
    if (from >= s.len)
        return (struct span){0};
    size_t left = s.len - from;
    return span_of(s.at + from, len < left ? len : left);
}

struct span span_cut(struct span *s, uint8_t mark)
{
    struct span all = *s;
    const uint8_t *found = all.len ? memchr(all.at, mark, all.len) : NULL;
    if (!found) {
        *s = (struct span){0};
        return all;
    }
    size_t before = (size_t)(found - all.at);
    *s = span_of(found + 1, all.len - before - 1);
    return span_of(all.at, before);
}

enum err span_to_text(struct span s, char *ret_text, size_t cap)
{
    if (s.len >= cap)
        return ERR_FULL;
    if (s.len && memchr(s.at, 0, s.len))
        return ERR_ENCODING;
    if (s.len)
        memcpy(ret_text, s.at, s.len);
    ret_text[s.len] = 0;
    return ERR_OK;
}

/* ---- buf ---- */
struct buf buf_over(void *at, size_t cap)
{
    return (struct buf){.at = at, .cap = cap};
}

uint8_t *buf_reserve(struct buf *b, size_t len)
{
    if (b->full || len > b->cap - b->len) {
        b->full = true;
        return NULL;
    }
    uint8_t *at = b->at + b->len;
    b->len += len;
    return at;
}

void buf_put(struct buf *b, struct span s)
{
    uint8_t *at = s.len ? buf_reserve(b, s.len) : NULL;
    if (at)
        memcpy(at, s.at, s.len);
}

void buf_put_text(struct buf *b, const char *text) { buf_put(b, span_text(text)); }

static void put_big_endian(struct buf *b, uint64_t v, size_t len)
{
    uint8_t *at = buf_reserve(b, len);
    for (size_t i = len; at && i > 0; v >>= 8)
        at[--i] = (uint8_t)v;
}

void buf_put_u8(struct buf *b, uint8_t v) { put_big_endian(b, v, 1); }

void buf_put_u16(struct buf *b, uint16_t v) { put_big_endian(b, v, 2); }

void buf_put_u32(struct buf *b, uint32_t v) { put_big_endian(b, v, 4); }

void buf_put_u64(struct buf *b, uint64_t v) { put_big_endian(b, v, 8); }

void buf_put_decimal(struct buf *b, int64_t v)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (uint8_t)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (v < 0)
        digits[--at] = '-';
    buf_put(b, span_of(digits + at, sizeof digits - at));
}

size_t buf_open_u16(struct buf *b)
{
    size_t mark = b->len;
    buf_put_u16(b, 0);
    return mark;
}

void buf_close_u16(struct buf *b, size_t mark)
{
    if (b->full)
        return;
    ERR_ASSERT(mark <= b->len && b->len - mark >= 2);
    size_t len = b->len - mark - 2;
    if (len > UINT16_MAX) {
        b->full = true;
        return;
    }
    b->at[mark] = (uint8_t)(len >> 8);
    b->at[mark + 1] = (uint8_t)len;
}

struct span buf_span(const struct buf *b) { return span_of(b->at, b->len); }

enum err buf_end(const struct buf *b) { return b->full ? ERR_FULL : ERR_OK; }

enum err buf_end_text(struct buf *b)
{
    uint8_t *at = buf_reserve(b, 1);
    if (!at)
        return ERR_FULL;
    *at = 0;
    b->len--;
    return ERR_OK;
}

void buf_wipe(struct buf *b)
{
    bytes_wipe(b->at, b->cap);
    b->len = 0;
}

/* ---- rd ---- */
struct rd rd_over(struct span s)
{
    return (struct rd){.rest = s};
}

struct span rd_take(struct rd *r, size_t len)
{
    if (r->bad || len > r->rest.len) {
        r->bad = true;
        return (struct span){0};
    }
    struct span taken = span_of(r->rest.at, len);
    if (len)
        r->rest = span_of(r->rest.at + len, r->rest.len - len);
    return taken;
}

static uint64_t take_big_endian(struct rd *r, size_t len)
{
    struct span s = rd_take(r, len);
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++)
        v = v << 8 | s.at[i];
    return v;
}

uint8_t rd_u8(struct rd *r) { return (uint8_t)take_big_endian(r, 1); }

uint16_t rd_u16(struct rd *r) { return (uint16_t)take_big_endian(r, 2); }

uint32_t rd_u32(struct rd *r) { return (uint32_t)take_big_endian(r, 4); }

uint64_t rd_u64(struct rd *r) { return take_big_endian(r, 8); }

struct span rd_sized_u16(struct rd *r)
{
    uint16_t len = rd_u16(r);
    return rd_take(r, len);
}

enum err rd_end(const struct rd *r)
{
    if (r->bad)
        return ERR_TRUNCATED;
    return r->rest.len ? ERR_TRAILING : ERR_OK;
}

/* ---- secret ---- */
void bytes_wipe(void *at, size_t len)
{
    if (!len)
        return;
    memset(at, 0, len);
    /* The compiler must believe that somebody still reads the zeroes. */
    __asm__ __volatile__("" : : "r"(at) : "memory");
}

void secret_wipe(struct secret *s) { bytes_wipe(s, sizeof *s); }

struct span secret_span(const struct secret *s) { return span_of(s->at, s->len); }

enum err secret_set(struct secret *s, struct span bytes)
{
    if (bytes.len > SECRET_CAP)
        return ERR_FULL;
    if (bytes.len)
        memmove(s->at, bytes.at, bytes.len);
    bytes_wipe(s->at + bytes.len, SECRET_CAP - bytes.len);
    s->len = bytes.len;
    return ERR_OK;
}
