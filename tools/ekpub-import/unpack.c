#include "unpack.h"

#define ZLIB_CONST
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

struct unpack {
    enum unpack_kind kind;
    bool inside; /* of a gzip member or a zstd frame */
    bool marked; /* UTF-16: the byte order mark is gone */
    z_stream gzip;
    ZSTD_DCtx *zstd;
};

enum unpack_kind unpack_guess(struct span head)
{
    static const struct {
        struct span begins;
        enum unpack_kind kind;
    } known[] = {
        {{(const uint8_t *)"\x1f\x8b\x08", 3}, UNPACK_GZIP},
        {{(const uint8_t *)"\x28\xb5\x2f\xfd", 4}, UNPACK_ZSTD},
        {{(const uint8_t *)"\xff\xfe", 2}, UNPACK_UTF16_LE},
        {{(const uint8_t *)"\xfe\xff", 2}, UNPACK_UTF16_BE},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (span_starts_with(head, known[i].begins))
            return known[i].kind;
    return UNPACK_NONE;
}

enum err unpack_open(enum unpack_kind kind, struct unpack **ret_unpack)
{
    struct unpack *u = calloc(1, sizeof *u);
    if (u == NULL)
        return ERR_MEMORY;
    u->kind = kind;
    bool good = true;
    if (kind == UNPACK_GZIP)
        good = inflateInit2(&u->gzip, 15 + 16) == Z_OK; /* gzip alone, the largest window */
    else if (kind == UNPACK_ZSTD)
        good = (u->zstd = ZSTD_createDCtx()) != NULL;
    if (!good) {
        free(u);
        return ERR_MEMORY;
    }
    *ret_unpack = u;
    return ERR_OK;
}

void unpack_close(struct unpack *u)
{
    if (u == NULL)
        return;
    if (u->kind == UNPACK_GZIP)
        (void)inflateEnd(&u->gzip);
    (void)ZSTD_freeDCtx(u->zstd);
    free(u);
}

static enum err refuse(struct import_reason *ret_reason, const char *why)
{
    import_reason_set(ret_reason, "%s", why);
    return ERR_IO;
}

/* Several members one after the other are one file (RFC 1952 2.2). */
static enum err run_gzip(struct unpack *u, struct span *in, struct buf *out,
                         struct import_reason *ret_reason)
{
    z_stream *z = &u->gzip;
    if (!u->inside && in->len > 0) {
        (void)inflateReset(z);
        u->inside = true;
    }
    z->next_in = in->at;
    z->avail_in = (uInt)in->len;
    z->next_out = out->at;
    z->avail_out = (uInt)out->cap;
    int result = u->inside ? inflate(z, Z_NO_FLUSH) : Z_OK;
    *in = span_slice(*in, in->len - z->avail_in, in->len);
    out->len = out->cap - z->avail_out;
    if (result == Z_STREAM_END)
        u->inside = false;
    else if (result != Z_OK && result != Z_BUF_ERROR)
        return refuse(ret_reason,
                      result == Z_MEM_ERROR ? err_text(ERR_MEMORY) : "the gzip data is damaged");
    return ERR_OK;
}

static enum err run_zstd(struct unpack *u, struct span *in, struct buf *out,
                         struct import_reason *ret_reason)
{
    ZSTD_inBuffer from = {in->at, in->len, 0};
    ZSTD_outBuffer to = {out->at, out->cap, 0};
    size_t result = ZSTD_decompressStream(u->zstd, &to, &from);
    if (ZSTD_isError(result))
        return refuse(ret_reason, "the zstd data is damaged, or needs more than 128 MiB");
    if (from.pos > 0 || to.pos > 0)
        u->inside = result != 0;
    *in = span_slice(*in, from.pos, in->len);
    out->len = to.pos;
    return ERR_OK;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_put_u8(out, (uint8_t)c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
    buf_put_u8(out, (uint8_t)(first[more] | c >> (6 * more)));
    while (more-- > 0)
        buf_put_u8(out, (uint8_t)(0x80 | ((c >> (6 * more)) & 0x3f)));
}

static uint32_t unit_at(const struct unpack *u, struct span in, size_t at)
{
    uint8_t a = in.at[at], b = in.at[at + 1];
    return u->kind == UNPACK_UTF16_LE ? (uint32_t)b << 8 | a : (uint32_t)a << 8 | b;
}

/* The next character; its length is 0 when it is not all there. */
static enum err utf16_take(const struct unpack *u, struct span in, uint32_t *ret_c, size_t *ret_len)
{
    *ret_len = 0;
    if (in.len < 2)
        return ERR_OK;
    uint32_t c = unit_at(u, in, 0);
    if (c < 0xd800 || c > 0xdfff) {
        *ret_c = c;
        *ret_len = 2;
        return ERR_OK;
    }
    if (c >= 0xdc00)
        return ERR_ENCODING;
    if (in.len < 4)
        return ERR_OK;
    uint32_t low = unit_at(u, in, 2);
    if (low < 0xdc00 || low > 0xdfff)
        return ERR_ENCODING;
    *ret_c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
    *ret_len = 4;
    return ERR_OK;
}

/* Leaves an incomplete character where it is: the caller adds to it. */
static enum err run_utf16(struct unpack *u, struct span *in, bool last, struct buf *out,
                          struct import_reason *ret_reason)
{
    while (out->cap - out->len >= 4) {
        uint32_t c = 0;
        size_t len;
        if (utf16_take(u, *in, &c, &len) != ERR_OK || (len == 0 && last && in->len > 0))
            return refuse(ret_reason, "the UTF-16 is damaged");
        if (len == 0)
            return ERR_OK;
        if (u->marked || c != 0xfeff)
            put_utf8(out, c);
        u->marked = true;
        *in = span_slice(*in, len, in->len);
    }
    return ERR_OK;
}

enum err unpack_run(struct unpack *u, struct span *in, bool last, uint8_t *at, size_t cap,
                    size_t *ret_got, struct import_reason *ret_reason)
{
    struct buf out = buf_over(at, cap);
    switch (u->kind) {
    case UNPACK_GZIP:
        TRY(run_gzip(u, in, &out, ret_reason));
        break;
    case UNPACK_ZSTD:
        TRY(run_zstd(u, in, &out, ret_reason));
        break;
    default:
        TRY(run_utf16(u, in, last, &out, ret_reason));
    }
    if (last && in->len == 0 && out.len == 0 && u->inside)
        return refuse(ret_reason, "the compressed data ends too early");
    *ret_got = out.len;
    return ERR_OK;
}
