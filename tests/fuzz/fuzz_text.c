/* Every text reader on the same input. What is read is written again and must be the input: each
 * value has one spelling. And what is written from any bytes must be read back. */
#include "fuzz.h"

#include <wire/text.h>

#define SIZE_MAX_HERE 4096
static uint8_t one[4 * SIZE_MAX_HERE], two[4 * SIZE_MAX_HERE];

static void base64(struct span data)
{
    struct buf read = BUF_OVER(one), written = BUF_OVER(two);
    enum err e = base64_read(data, &read);
    MUST_HOLD(e == ERR_OK || (e == ERR_ENCODING && read.len == 0));
    if (e == ERR_OK) {
        base64_write(&written, buf_span(&read));
        MUST_HOLD(span_equal(data, buf_span(&written)));
    }
    read = BUF_OVER(one), written = BUF_OVER(two);
    base64_write(&written, data);
    MUST_HOLD(base64_read(buf_span(&written), &read) == ERR_OK);
    MUST_HOLD(span_equal(data, buf_span(&read)));
}

/* A buffer too small by any amount: nothing is kept of what did not fit. */
static void too_small(struct span data)
{
    size_t cap = data.len ? data.at[0] : 0;
    struct buf small = buf_over(one, cap);
    if (base64_read(data, &small) != ERR_OK)
        MUST_HOLD(small.len == 0);
    MUST_HOLD(small.len <= cap);
    small = buf_over(one, cap);
    if (percent_read(data, &small) != ERR_OK)
        MUST_HOLD(small.len == 0);
    MUST_HOLD(small.len <= cap);
}

static void percent(struct span data)
{
    struct buf read = BUF_OVER(one), written = BUF_OVER(two);
    bool has_nul = data.len && memchr(data.at, 0, data.len);
    percent_write(&written, data);
    enum err e = percent_read(buf_span(&written), &read);
    MUST_HOLD(e == (has_nul ? ERR_ENCODING : ERR_OK));
    MUST_HOLD(has_nul || span_equal(data, buf_span(&read)));

    read = BUF_OVER(one);
    if (percent_read(data, &read) != ERR_OK)
        return;
    MUST_HOLD(read.len <= data.len && (read.len == 0 || !memchr(one, 0, read.len)));
    written = BUF_OVER(two);
    percent_write(&written, buf_span(&read));
    uint8_t again_bytes[SIZE_MAX_HERE];
    struct buf again = BUF_OVER(again_bytes);
    MUST_HOLD(percent_read(buf_span(&written), &again) == ERR_OK);
    MUST_HOLD(span_equal(buf_span(&read), buf_span(&again)));
}

static void numbers_and_dates(struct span data)
{
    int64_t value = -1;
    struct buf written = BUF_OVER(two);
    if (decimal_read(data, &value) == ERR_OK) {
        MUST_HOLD(value >= 0);
        buf_put_decimal(&written, value);
        MUST_HOLD(span_equal(data, buf_span(&written)));
    }
    written = BUF_OVER(two);
    if (time_http_read(data, &value) == ERR_OK) {
        MUST_HOLD(value >= 0);
        time_http_write(&written, value);
        MUST_HOLD(span_equal(data, buf_span(&written)));
    }
    struct rd r = rd_over(data);
    int64_t any = (int64_t)rd_u64(&r);
    written = BUF_OVER(two);
    time_iso_write(&written, any);
    MUST_HOLD(written.len == 28);
    written = BUF_OVER(two);
    time_http_write(&written, any);
    MUST_HOLD(written.len == 29 && time_http_read(buf_span(&written), &value) == ERR_OK);
    MUST_HOLD(any < 0 || any > 253402300799 || value == any);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span s = span_of(data, size < SIZE_MAX_HERE ? size : SIZE_MAX_HERE);
    base64(s);
    too_small(s);
    percent(s);
    numbers_and_dates(s);
    return 0;
}
