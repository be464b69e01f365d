#include "der_read.h"

static void spoil(struct rd *r)
{
    r->bad = true;
    r->rest = (struct span){0};
}

int der_peek(const struct rd *r)
{
    return r->rest.len > 0 ? r->rest.at[0] : -1;
}

/* The bytes of a length that takes more than one; 0 if there is another, shorter way to write it. */
static size_t long_length(struct rd *r, uint8_t first)
{
    size_t bytes = first & 0x7f;
    if (bytes < 1 || bytes > 3)
        return 0;
    size_t len = 0;
    for (size_t i = 0; i < bytes; i++)
        len = len << 8 | rd_u8(r);
    return len >= (bytes == 1 ? 0x80u : 1u << (bytes - 1) * 8) ? len : 0;
}

struct der_element der_next(struct rd *r)
{
    struct span from = r->rest;
    struct der_element e = {.tag = rd_u8(r)};
    uint8_t first = rd_u8(r);
    size_t len = first;
    if (first >= 0x80) {
        len = long_length(r, first);
        if (len == 0)
            spoil(r);
    }
    if ((e.tag & 0x1f) == 0x1f)
        spoil(r);
    e.content = rd_take(r, len);
    if (r->bad) {
        spoil(r); /* nothing is left, so that a loop over elements ends */
        return (struct der_element){0};
    }
    e.whole = span_of(from.at, from.len - r->rest.len);
    return e;
}

static struct der_element expect(struct rd *r, uint8_t tag)
{
    if (der_peek(r) != tag)
        spoil(r);
    if (r->bad)
        return (struct der_element){0};
    return der_next(r);
}

struct span der_take(struct rd *r, uint8_t tag)
{
    return expect(r, tag).content;
}

struct span der_take_whole(struct rd *r, uint8_t tag)
{
    return expect(r, tag).whole;
}

bool der_take_if(struct rd *r, uint8_t tag, struct span *ret_content)
{
    if (der_peek(r) != tag)
        return false;
    struct der_element e = der_next(r);
    if (r->bad)
        return false;
    *ret_content = e.content;
    return true;
}

struct rd der_open(struct rd *r, uint8_t tag)
{
    struct rd inner = rd_over(der_take(r, tag));
    inner.bad = r->bad;
    return inner;
}

void der_close(struct rd *r, const struct rd *inner)
{
    if (inner->bad || inner->rest.len > 0)
        spoil(r);
}

bool der_bool(struct rd *r)
{
    struct span v = der_take(r, DER_TAG_BOOLEAN);
    if (v.len != 1 || (v.at[0] != 0 && v.at[0] != 0xff)) {
        spoil(r);
        return false;
    }
    return v.at[0] != 0;
}

struct span der_bits(struct rd *r)
{
    struct span v = der_take(r, DER_TAG_BITS);
    if (v.len < 1 || v.at[0] != 0)
        spoil(r);
    return r->bad ? (struct span){0} : span_slice(v, 1, v.len);
}

struct span der_unsigned(struct rd *r)
{
    struct span v = der_take(r, DER_TAG_INTEGER);
    bool sign_byte = v.len > 1 && v.at[0] == 0;
    if (v.len == 0 || v.at[0] >= 0x80 || (sign_byte && v.at[1] < 0x80))
        spoil(r);
    if (r->bad)
        return (struct span){0};
    return sign_byte ? span_slice(v, 1, v.len) : v;
}

uint32_t der_small(struct rd *r)
{
    struct span v = der_unsigned(r);
    uint32_t value = 0;
    for (size_t i = 0; i < v.len && i < 4; i++)
        value = value << 8 | v.at[i];
    if (v.len > 4 || value > INT32_MAX) {
        spoil(r);
        return 0;
    }
    return value;
}

/* ---- times ---- */

static int two_digits(struct rd *r)
{
    uint8_t tens = rd_u8(r);
    uint8_t ones = rd_u8(r);
    if (tens < '0' || tens > '9' || ones < '0' || ones > '9') {
        spoil(r);
        return 0;
    }
    return (tens - '0') * 10 + ones - '0';
}

static bool leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970-01-01 to the first of the month. */
static int64_t days_before(int year, int month)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t last = year - 1;
    int64_t days = 365 * last + last / 4 - last / 100 + last / 400 - 719162;
    return days + before[month - 1] + (month > 2 && leap(year) ? 1 : 0);
}

static bool in_month(int year, int month, int day)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month >= 1 && month <= 12 && day >= 1 &&
           day <= lengths[month - 1] + (month == 2 && leap(year) ? 1 : 0);
}

int64_t der_time(struct rd *r)
{
    bool general = der_peek(r) == DER_TAG_GENERAL_TIME;
    struct rd t = der_open(r, general ? DER_TAG_GENERAL_TIME : DER_TAG_UTC_TIME);
    int century = general ? two_digits(&t) : -1;
    int year = two_digits(&t);
    year += century >= 0 ? century * 100 : year < 50 ? 2000 : 1900;
    int month = two_digits(&t);
    int day = two_digits(&t);
    int hour = two_digits(&t);
    int minute = two_digits(&t);
    int second = two_digits(&t);
    bool ends = rd_u8(&t) == 'Z';
    der_close(r, &t);
    if (r->bad || !ends || year < 1 || !in_month(year, month, day) || hour > 23 || minute > 59 ||
        second > 59) {
        spoil(r);
        return 0;
    }
    return ((days_before(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
}
