#include "inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <wire/text.h>

#define TEXT_LEN 35 /* "0123456789abcdef-0123456789abcdef", quotes included */

void etag_write(uint64_t number, uint64_t revision, char ret_etag[ETAG_CAP])
{
    char text[TEXT_LEN + 1];
    struct buf out = buf_over(ret_etag, ETAG_CAP);
    (void)snprintf(text, sizeof text, "\"%016" PRIx64 "-%016" PRIx64 "\"", number, revision);
    base64_write(&out, span_of(text, TEXT_LEN));
    ERR_ASSERT(buf_end_text(&out) == ERR_OK);
}

static enum err hex_read(struct span digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint8_t c = digits.at[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return ERR_ETAG;
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret_value = value;
    return digits.len == 16 ? ERR_OK : ERR_ETAG;
}

static enum err tag_read(struct span base64, struct condition *ret_condition)
{
    uint8_t text[ETAG_CAP];
    struct buf b = BUF_OVER(text);
    if (base64_read(base64, &b) != ERR_OK || b.len != TEXT_LEN || text[0] != '"' ||
        text[17] != '-' || text[TEXT_LEN - 1] != '"')
        return ERR_ETAG;
    TRY(hex_read(span_of(text + 1, 16), &ret_condition->number));
    TRY(hex_read(span_of(text + 18, 16), &ret_condition->revision));
    ret_condition->match = STORE_MATCH_REVISION;
    return ERR_OK;
}

enum err etag_read(struct span tag, struct condition *ret_condition)
{
    struct condition c = {.match = STORE_MATCH_ABSENT};
    if (tag.len >= 2 && tag.at[0] == '"' && tag.at[tag.len - 1] == '"')
        tag = span_slice(tag, 1, tag.len - 2);
    if (span_equal(tag, SPAN_LITERAL("*")))
        c.match = STORE_MATCH_ANY;
    else if (tag.len > 0)
        TRY(tag_read(tag, &c));
    *ret_condition = c;
    return ERR_OK;
}
