#include <unit.h>
#include <wire/text.h>

/* ---- base64 ---- */
static const struct {
    const char *bytes, *text;
} base64_pairs[] = {
    {"", ""},          {"f", "Zg=="},         {"fo", "Zm8="},         {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "+/+/"},
};

static void base64_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof base64_pairs / sizeof *base64_pairs; i++) {
        struct span bytes = span_text(base64_pairs[i].bytes), text = span_text(base64_pairs[i].text);
        uint8_t space[16];
        struct buf written = buf_over(space, text.len);
        base64_write(&written, bytes);
        assert_ok(buf_end(&written));
        assert_span_equal(text, buf_span(&written));
        assert_int_equal(text.len, BASE64_LEN(bytes.len));

        struct buf read = buf_over(space, bytes.len); /* exactly enough */
        assert_ok(base64_read(text, &read));
        assert_span_equal(bytes, buf_span(&read));
    }
}

static void base64_every_length_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[100], text[BASE64_LEN(sizeof bytes)], back[sizeof bytes];
    for (size_t len = 0; len <= sizeof bytes; len++) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(i * 151 + len * 37);
        struct buf out = BUF_OVER(text), in = BUF_OVER(back);
        base64_write(&out, span_of(bytes, len));
        assert_ok(base64_read(buf_span(&out), &in));
        assert_span_equal(span_of(bytes, len), buf_span(&in));
    }
}

/* Attack case T11: a second spelling would let one key look like two. */
static void base64_refuses_every_other_spelling(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",        "Zg",       "Zg=",     "Zm8",      "Zm9vY",               /* missing padding */
        "Zg===",    "Zm8==",    "Zm9v=",   "Zm9v====", "====", "=", "==", "A===", /* surplus */
        "Zm=v",     "Z=9v",     "=m9v",    "Zg==Zm9v", "Zm8=Zm9v",            /* in the middle */
        "Zm9v\n",   " Zm9v",    "Zm9v ",   "Zm 9v",    "Zm9v\r\nYmFy", "Zg=\n", "\tZm9",  "Zm\n=",
        "-_-_",     "Zm9_",     "-m9v",                                       /* URL alphabet */
        "Zh==",     "Zv==",     "Zn==",    "Zm9=",     "Zm+=",  "Zm9vYh==",   /* trailing bits */
        "Zm9\x80",  "\xff\xff\xff\xff", "Zm9.", "Zm*v", "@AAA", "[AAA", "`AAA", "{AAA", ",AAA",
        "ZmA,",     "Zm9v%3D",  "Zg%3D%3D",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t space[16];
        struct buf out = BUF_OVER(space);
        buf_put_u8(&out, 0x42);
        assert_err_of(bad[i], ERR_ENCODING, base64_read(span_text(bad[i]), &out));
        assert_int_equal(1, out.len); /* as it was */
        assert_ok(buf_end(&out));
    }
    uint8_t space[16];
    struct buf out = BUF_OVER(space);
    assert_err(ERR_ENCODING, base64_read(SPAN_LITERAL("Zm9\0"), &out));
    assert_err(ERR_ENCODING, base64_read(SPAN_LITERAL("\0\0\0\0"), &out));
}

static void base64_has_one_spelling_for_each_value(void **state)
{
    (void)state;
    /* All bytes in each of the four places: 64 digits pass where any may stand, and behind the last
     * byte only those whose surplus bits are zero. */
    static const struct {
        const char *text;
        size_t place, accepted;
    } rows[] = {
        {"AAAA", 0, 64}, {"AAAA", 1, 64}, {"AAAA", 2, 64}, {"AAAA", 3, 65}, /* '=': it is A, A, pad */
        {"AA==", 0, 64}, {"AA==", 1, 4},  {"AAA=", 2, 16 + 1},              /* '=': it is "AA==" */
        {"AA==", 2, 16 + 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t accepted = 0;
        for (int c = 0; c < 256; c++) {
            uint8_t text[4], space[3];
            memcpy(text, rows[i].text, 4);
            text[rows[i].place] = (uint8_t)c;
            struct buf out = BUF_OVER(space);
            if (base64_read(SPAN_ARRAY(text), &out) == ERR_OK)
                accepted++;
        }
        assert_int_equal(rows[i].accepted, accepted);
    }
}

static void base64_does_not_fit(void **state)
{
    (void)state;
    uint8_t space[4];
    POISON(space);
    struct buf out = buf_over(space, 2);
    assert_err(ERR_FULL, base64_read(SPAN_LITERAL("Zm9v"), &out));
    assert_err(ERR_FULL, buf_end(&out));
    struct buf text = buf_over(space, 3);
    base64_write(&text, SPAN_LITERAL("f"));
    assert_err(ERR_FULL, buf_end(&text));
    assert_int_equal(0, text.len);
    assert_poisoned(space);
}

/* ---- base32, hex ---- */
static void base32_and_hex(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *base32, *hex;
    } rows[] = {
        {"", "", ""},
        {"f", "my", "66"},
        {"fo", "mzxq", "666f"},
        {"foo", "mzxw6", "666f6f"},
        {"foob", "mzxw6yq", "666f6f62"},
        {"fooba", "mzxw6ytb", "666f6f6261"},
        {"foobar", "mzxw6ytboi", "666f6f626172"},
        {"\xff\x01\xa9", "74a2s", "ff01a9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span bytes = span_text(rows[i].bytes);
        uint8_t space[16];
        struct buf base32 = BUF_OVER(space);
        base32_write(&base32, bytes);
        assert_text(rows[i].base32, buf_span(&base32));
        assert_int_equal(base32.len, BASE32_LEN(bytes.len));
        struct buf hex = BUF_OVER(space);
        hex_write(&hex, bytes);
        assert_text(rows[i].hex, buf_span(&hex));
    }
}

/* ---- percent ---- */
static void percent_escapes_all_but_unreserved(void **state)
{
    (void)state;
    uint8_t space[64];
    struct buf out = BUF_OVER(space);
    percent_write(&out, SPAN_LITERAL("azAZ09-._~ /+=&%:\x01\xff"));
    assert_text("azAZ09-._~%20%2F%2B%3D%26%25%3A%01%FF", buf_span(&out));
    struct buf small = buf_over(space, 2);
    percent_write(&small, SPAN_LITERAL("/"));
    assert_err(ERR_FULL, buf_end(&small));
    assert_int_equal(0, small.len); /* not half an escape */
}

static void percent_reading(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } rows[] = {
        {"", ""},           {"abc", "abc"},      {"a%2Fb%2fc", "a/b/c"}, {"a+b", "a+b"},
        {"%25", "%"},       {"%2525", "%25"},    {"%7E~", "~~"},         {"%FF%fF", "\xff\xff"},
        {"%", NULL},        {"%2", NULL},        {"abc%2", NULL},        {"%%32", NULL},
        {"%2G", NULL},      {"%G2", NULL},       {"% 2", NULL},          {"%-1", NULL},
        {"%0x", NULL},      {"%00", NULL},       {"a%00b", NULL},        {"%u002f", NULL},
        {"%:0", NULL},      {"%@0", NULL},       {"%`0", NULL},          {"%/0", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t space[16];
        struct buf out = BUF_OVER(space);
        buf_put_u8(&out, 0x42);
        enum err e = percent_read(span_text(rows[i].text), &out);
        assert_err_of(rows[i].text, rows[i].bytes ? ERR_OK : ERR_ENCODING, e);
        assert_span_equal(span_text(rows[i].bytes), span_slice(buf_span(&out), 1, out.len));
    }
    uint8_t space[2];
    struct buf out = BUF_OVER(space);
    assert_err(ERR_ENCODING, percent_read(SPAN_LITERAL("\0"), &out));
    assert_err(ERR_FULL, percent_read(SPAN_LITERAL("%61%62%63"), &out));
    assert_int_equal(0, out.len);
}

/* ---- numbers ---- */
static void decimal_has_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err expected;
        int64_t value;
    } rows[] = {
        {"0", ERR_OK, 0},
        {"1700000000", ERR_OK, 1700000000},
        {"9223372036854775807", ERR_OK, INT64_MAX},
        {"9223372036854775808", ERR_ENCODING, 0},
        {"9223372036854775810", ERR_ENCODING, 0},
        {"10000000000000000000", ERR_ENCODING, 0},
        {"18446744073709551616", ERR_ENCODING, 0},
        {"99999999999999999999999", ERR_ENCODING, 0},
        {"", ERR_ENCODING, 0},
        {"00", ERR_ENCODING, 0},
        {"01", ERR_ENCODING, 0},
        {"+1", ERR_ENCODING, 0},
        {"-1", ERR_ENCODING, 0},
        {"-0", ERR_ENCODING, 0},
        {" 1", ERR_ENCODING, 0},
        {"1 ", ERR_ENCODING, 0},
        {"1.0", ERR_ENCODING, 0},
        {"1e3", ERR_ENCODING, 0},
        {"0x10", ERR_ENCODING, 0},
        {"1/", ERR_ENCODING, 0},
        {"1:", ERR_ENCODING, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value;
        POISON(value);
        assert_err_of(rows[i].text, rows[i].expected, decimal_read(span_text(rows[i].text), &value));
        if (rows[i].expected == ERR_OK)
            assert_true(value == rows[i].value);
        else
            assert_poisoned(value);
    }
}

/* ---- dates ---- */
static const struct {
    int64_t wall_s;
    const char *iso, *http;
} date_pairs[] = {
    {0, "1970-01-01T00:00:00.0000000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
    {784111777, "1994-11-06T08:49:37.0000000Z", "Sun, 06 Nov 1994 08:49:37 GMT"},
    {951782399, "2000-02-28T23:59:59.0000000Z", "Mon, 28 Feb 2000 23:59:59 GMT"},
    {951782400, "2000-02-29T00:00:00.0000000Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
    {951868800, "2000-03-01T00:00:00.0000000Z", "Wed, 01 Mar 2000 00:00:00 GMT"},
    {1661983370, "2022-08-31T22:02:50.0000000Z", "Wed, 31 Aug 2022 22:02:50 GMT"},
    {1735689599, "2024-12-31T23:59:59.0000000Z", "Tue, 31 Dec 2024 23:59:59 GMT"},
    {2147483648, "2038-01-19T03:14:08.0000000Z", "Tue, 19 Jan 2038 03:14:08 GMT"},
    {4107542399, "2100-02-28T23:59:59.0000000Z", "Sun, 28 Feb 2100 23:59:59 GMT"},
    {4107542400, "2100-03-01T00:00:00.0000000Z", "Mon, 01 Mar 2100 00:00:00 GMT"},
    {253402300799, "9999-12-31T23:59:59.0000000Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
};

static void dates_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof date_pairs / sizeof *date_pairs; i++) {
        uint8_t space[28 + 29];
        struct buf out = BUF_OVER(space);
        time_iso_write(&out, date_pairs[i].wall_s);
        assert_text(date_pairs[i].iso, buf_span(&out));
        time_http_write(&out, date_pairs[i].wall_s);
        assert_text(date_pairs[i].http, span_slice(buf_span(&out), 28, 29));
        assert_ok(buf_end(&out));
        int64_t back = -1;
        assert_ok(time_http_read(span_text(date_pairs[i].http), &back));
        assert_true(back == date_pairs[i].wall_s);
    }
}

static void every_day_of_three_centuries_comes_back(void **state)
{
    (void)state;
    for (int64_t wall_s = 43200; wall_s < 10000000000; wall_s += 86400) {
        uint8_t space[29];
        struct buf out = BUF_OVER(space);
        time_http_write(&out, wall_s);
        int64_t back = -1;
        assert_ok(time_http_read(buf_span(&out), &back));
        assert_true(back == wall_s);
    }
}

static void times_out_of_range_are_clipped(void **state)
{
    (void)state;
    static const int64_t wild[] = {-1, INT64_MIN, 253402300800, INT64_MAX};
    static const char *const years[] = {"1970", "1970", "9999", "9999"};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        uint8_t space[28];
        struct buf out = BUF_OVER(space);
        time_iso_write(&out, wild[i]);
        assert_ok(buf_end(&out));
        assert_text(years[i], span_slice(buf_span(&out), 0, 4));
    }
}

static void http_date_refuses_every_other_spelling(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Wed, 31 Aug 2022 22:02:50",
        "Wed, 31 Aug 2022 22:02:50 GMT ",
        "Wed, 31 Aug 2022 22:02:50 UTC",
        "Wed, 31 aug 2022 22:02:50 GMT",
        "wed, 31 Aug 2022 22:02:50 GMT",
        "Thu, 31 Aug 2022 22:02:50 GMT",  /* it was a Wednesday */
        "Wed  31 Aug 2022 22:02:50 GMT",
        "Thu, 32 Aug 2022 22:02:50 GMT",
        "Thu, 00 Sep 2022 22:02:50 GMT",
        "Tue, 29 Feb 2022 22:02:50 GMT",
        "Wed, 31 Aug 2022 24:02:50 GMT",
        "Wed, 31 Aug 2022 22:60:50 GMT",
        "Wed, 31 Aug 2022 22:02:60 GMT",
        "Wed, 31 Agu 2022 22:02:50 GMT",
        "Wed, 31-Aug-2022 22:02:50 GMT",
        "Wednesday, 31-Aug-22 22:02:50 GMT",
        "Wed Aug 31 22:02:50 2022 GMT+",
        "Wed Aug 31 22:02:50 2022",
        "Wed, 3x Aug 2022 22:02:50 GMT",
        "Wed, 31 Aug 2022 22-02-50 GMT",
        "Wed, 31 Aug 1969 22:02:50 GMT",
        "Sun, 31 Aug 0000 22:02:50 GMT",
        "2022-08-31T22:02:50.0000000Z+",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t wall_s;
        POISON(wall_s);
        assert_err_of(bad[i], ERR_ENCODING, time_http_read(span_text(bad[i]), &wall_s));
        assert_poisoned(wall_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_both_ways),
        cmocka_unit_test(base64_every_length_comes_back),
        cmocka_unit_test(base64_refuses_every_other_spelling),
        cmocka_unit_test(base64_has_one_spelling_for_each_value),
        cmocka_unit_test(base64_does_not_fit),
        cmocka_unit_test(base32_and_hex),
        cmocka_unit_test(percent_escapes_all_but_unreserved),
        cmocka_unit_test(percent_reading),
        cmocka_unit_test(decimal_has_one_spelling),
        cmocka_unit_test(dates_both_ways),
        cmocka_unit_test(every_day_of_three_centuries_comes_back),
        cmocka_unit_test(times_out_of_range_are_clipped),
        cmocka_unit_test(http_date_refuses_every_other_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
