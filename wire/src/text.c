#include <string.h>
#include <wire/text.h>

/* ---- base64 ---- */
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* One more than the value of each digit; zero marks what is no digit. */
static const uint8_t base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

void base64_write(struct buf *out, struct span bytes)
{
    if (bytes.len > SIZE_MAX / 2) {
        out->full = true;
        return;
    }
    uint8_t *at = buf_reserve(out, BASE64_LEN(bytes.len));
    if (!at)
        return;
    const uint8_t *from = bytes.at;
    size_t left = bytes.len;
    for (; left >= 3; left -= 3, from += 3, at += 4) {
        at[0] = (uint8_t)base64_digits[from[0] >> 2];
        at[1] = (uint8_t)base64_digits[(from[0] & 3) << 4 | from[1] >> 4];
        at[2] = (uint8_t)base64_digits[(from[1] & 15) << 2 | from[2] >> 6];
        at[3] = (uint8_t)base64_digits[from[2] & 63];
    }
    if (left) {
        uint8_t second = left == 2 ? from[1] : 0;
        at[0] = (uint8_t)base64_digits[from[0] >> 2];
        at[1] = (uint8_t)base64_digits[(from[0] & 3) << 4 | second >> 4];
        at[2] = left == 2 ? (uint8_t)base64_digits[(second & 15) << 2] : '=';
        at[3] = '=';
    }
}

/* The 24 bits of four digits, of which the last `pad` are '='; a value past 24 bits where one of
 * them is no digit. */
#define NOT_BASE64 0x80000000u
static uint32_t base64_quad(const uint8_t *at, size_t pad)
{
    uint32_t bits = 0, bad = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = i + pad < 4 ? base64_values[at[i]] : 1;
        bad |= value - 1; /* all ones for what is no digit */
        bits = bits << 6 | ((value - 1) & 63);
    }
    return bits | (bad & NOT_BASE64);
}

/* The same for nearly all of a text. */
static inline uint32_t base64_whole_quad(const uint8_t *at)
{
    uint32_t a = base64_values[at[0]] - 1u, b = base64_values[at[1]] - 1u,
             c = base64_values[at[2]] - 1u, d = base64_values[at[3]] - 1u;
    return a << 18 | b << 12 | c << 6 | d | ((a | b | c | d) & NOT_BASE64);
}

enum err base64_read(struct span text, struct buf *out)
{
    if (text.len % 4 != 0)
        return ERR_ENCODING;
    if (text.len == 0)
        return ERR_OK;
    size_t pad = text.at[text.len - 1] != '=' ? 0 : text.at[text.len - 2] != '=' ? 1 : 2;
    size_t len = text.len / 4 * 3 - pad;
    if (out->full || len > out->cap - out->len) {
        out->full = true;
        return ERR_FULL;
    }
    uint8_t *at = out->at + out->len;
    const uint8_t *from = text.at, *last = text.at + text.len - 4;
    uint32_t seen = 0;
    for (; from < last; from += 4, at += 3) {
        uint32_t bits = base64_whole_quad(from);
        seen |= bits;
        at[0] = (uint8_t)(bits >> 16);
        at[1] = (uint8_t)(bits >> 8);
        at[2] = (uint8_t)bits;
    }
    uint32_t bits = base64_quad(last, pad);
    uint32_t surplus = pad == 2 ? 0xffff : pad == 1 ? 0xff : 0;
    if ((seen | bits) & NOT_BASE64 || bits & surplus)
        return ERR_ENCODING;
    for (size_t i = 0; i < 3 - pad; i++)
        at[i] = (uint8_t)(bits >> (16 - 8 * i));
    out->len += len;
    return ERR_OK;
}

/* ---- base32 and hex ---- */
void base32_write(struct buf *out, struct span bytes)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | bytes.at[i];
        for (count += 8; count >= 5; count -= 5)
            buf_put_u8(out, (uint8_t)digits[bits >> (count - 5) & 31]);
    }
    if (count)
        buf_put_u8(out, (uint8_t)digits[bits << (5 - count) & 31]);
}

void hex_write(struct buf *out, struct span bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        buf_put_u8(out, (uint8_t)digits[bytes.at[i] >> 4]);
        buf_put_u8(out, (uint8_t)digits[bytes.at[i] & 15]);
    }
}

/* ---- percent escapes ---- */
static bool is_unreserved(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

void percent_write(struct buf *out, struct span bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.at[i];
        if (is_unreserved(c)) {
            buf_put_u8(out, c);
        } else {
            const uint8_t escape[] = {'%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
            buf_put(out, SPAN_ARRAY(escape));
        }
    }
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that *text begins with, escaped or not, taken off it; negative where there is none. */
static int percent_take(struct span *text)
{
    int c = text->at[0];
    size_t taken = 1;
    if (c == '%') {
        int high = text->len >= 3 ? hex_value(text->at[1]) : -1;
        int low = text->len >= 3 ? hex_value(text->at[2]) : -1;
        if (high < 0 || low < 0)
            return -1;
        c = high * 16 + low;
        taken = 3;
    }
    *text = span_of(text->at + taken, text->len - taken);
    return c;
}

enum err percent_read(struct span text, struct buf *out)
{
    size_t before = out->len;
    while (text.len && !out->full) {
        int c = percent_take(&text);
        if (c <= 0) {
            out->len = before;
            return ERR_ENCODING;
        }
        buf_put_u8(out, (uint8_t)c);
    }
    if (out->full)
        out->len = before;
    return buf_end(out);
}

/* ---- numbers ---- */
enum err decimal_read(struct span text, int64_t *ret_value)
{
    if (text.len == 0 || (text.len > 1 && text.at[0] == '0'))
        return ERR_ENCODING;
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = text.at[i] - '0';
        if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10)
            return ERR_ENCODING;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return ERR_OK;
}

/* ---- dates: proleptic Gregorian, from 1970 to 9999 ---- */
#define DAY_S 86400
#define LAST_S 253402300799 /* 9999-12-31T23:59:59Z */

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekday_names[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */

struct date {
    unsigned year, month, day, hour, minute, second, weekday; /* month from 1; weekday above */
};

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_before_year(unsigned year)
{
    unsigned past = year - 1;
    return year * 365 + past / 4 - past / 100 + past / 400;
}

static unsigned days_before_month(unsigned year, unsigned month)
{
    static const uint16_t days[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    return days[month - 1] + (month > 2 && is_leap(year) ? 1u : 0u);
}

static struct date date_of(int64_t wall_s)
{
    uint64_t s = wall_s < 0 ? 0 : wall_s > LAST_S ? LAST_S : (uint64_t)wall_s;
    unsigned days = (unsigned)(s / DAY_S), of_day = (unsigned)(s % DAY_S);
    struct date d = {.hour = of_day / 3600, .minute = of_day / 60 % 60, .second = of_day % 60};
    d.weekday = days % 7;
    days += days_before_year(1970);
    d.year = (unsigned)((uint64_t)days * 400 / 146097) + 1; /* right, or too many */
    while (days < days_before_year(d.year))
        d.year--;
    days -= days_before_year(d.year);
    d.month = 12;
    while (days < days_before_month(d.year, d.month))
        d.month--;
    d.day = days - days_before_month(d.year, d.month) + 1;
    return d;
}

static void put_padded(struct buf *out, unsigned v, size_t width)
{
    uint8_t *at = buf_reserve(out, width);
    for (size_t i = width; at && i > 0; v /= 10)
        at[--i] = (uint8_t)('0' + v % 10);
}

static void put_time(struct buf *out, const struct date *d)
{
    put_padded(out, d->hour, 2);
    buf_put_u8(out, ':');
    put_padded(out, d->minute, 2);
    buf_put_u8(out, ':');
    put_padded(out, d->second, 2);
}

void time_iso_write(struct buf *out, int64_t wall_s)
{
    struct date d = date_of(wall_s);
    put_padded(out, d.year, 4);
    buf_put_u8(out, '-');
    put_padded(out, d.month, 2);
    buf_put_u8(out, '-');
    put_padded(out, d.day, 2);
    buf_put_u8(out, 'T');
    put_time(out, &d);
    buf_put(out, SPAN_LITERAL(".0000000Z"));
}

void time_http_write(struct buf *out, int64_t wall_s)
{
    struct date d = date_of(wall_s);
    buf_put(out, span_of(weekday_names + 3 * d.weekday, 3));
    buf_put(out, SPAN_LITERAL(", "));
    put_padded(out, d.day, 2);
    buf_put_u8(out, ' ');
    buf_put(out, span_of(month_names + 3 * (d.month - 1), 3));
    buf_put_u8(out, ' ');
    put_padded(out, d.year, 4);
    buf_put_u8(out, ' ');
    put_time(out, &d);
    buf_put(out, SPAN_LITERAL(" GMT"));
}

static unsigned take_digits(struct rd *r, size_t len)
{
    struct span s = rd_take(r, len);
    unsigned value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            r->bad = true;
        value = value * 10 + (unsigned)(s.at[i] - '0');
    }
    return value;
}

static unsigned take_month(struct rd *r)
{
    struct span name = rd_take(r, 3);
    for (unsigned month = 1; month <= 12; month++)
        if (span_equal(name, span_of(month_names + 3 * (month - 1), 3)))
            return month;
    r->bad = true;
    return 1;
}

/* Reads the numbers only, then writes the date again: equal text means that the weekday, every
 * separator and every range was right. */
#define HTTP_DATE_LEN 29
enum err time_http_read(struct span text, int64_t *ret_wall_s)
{
    struct rd r = rd_over(text);
    rd_take(&r, 5);
    unsigned day = take_digits(&r, 2);
    rd_take(&r, 1);
    unsigned month = take_month(&r);
    rd_take(&r, 1);
    unsigned year = take_digits(&r, 4);
    rd_take(&r, 1);
    unsigned hour = take_digits(&r, 2);
    rd_take(&r, 1);
    unsigned minute = take_digits(&r, 2);
    rd_take(&r, 1);
    unsigned second = take_digits(&r, 2);
    rd_take(&r, 4);
    if (rd_end(&r) != ERR_OK || year < 1970)
        return ERR_ENCODING;
    int64_t days = (int64_t)days_before_year(year) - days_before_year(1970) +
                   days_before_month(year, month) + day - 1;
    int64_t wall_s = days * DAY_S + hour * 3600 + minute * 60 + second;

    uint8_t bytes[HTTP_DATE_LEN];
    struct buf again = BUF_OVER(bytes);
    time_http_write(&again, wall_s);
    if (!span_equal(buf_span(&again), text))
        return ERR_ENCODING;
    *ret_wall_s = wall_s;
    return ERR_OK;
}
