/* The importer's readers: what is a row and what is not, and that nothing after a broken row is
 * lost. */
#include <csv.h>
#include <jsonl.h>
#include <reader.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

/* ---- one record ---- */

static void records(void **state)
{
    static const struct {
        const char *text;
        bool whole;
        enum csv_find find;
        size_t len;
        size_t count;
        const char *fields[4];
    } table[] = {
        {"a,b\n", false, CSV_RECORD, 4, 2, {"a", "b"}},
        {"a,b\r\nc", false, CSV_RECORD, 5, 2, {"a", "b"}},
        {"a,b", true, CSV_RECORD, 3, 2, {"a", "b"}},
        {"a,b\r", true, CSV_RECORD, 4, 2, {"a", "b"}},
        {"a,b", false, CSV_TOO_LONG, 3, 2, {"a", "b"}},
        {",,\n", false, CSV_RECORD, 3, 3, {"", "", ""}},
        {"\"a,b\",c\n", false, CSV_RECORD, 8, 2, {"a,b", "c"}},
        {"\"a\nb\r\nc\",d\n", false, CSV_RECORD, 11, 2, {"a\nb\r\nc", "d"}},
        {"\"a\"\"b\"\n", false, CSV_RECORD, 7, 1, {"a\"b"}},
        {"\"\",x\n", false, CSV_RECORD, 5, 2, {"", "x"}},
        {"\"\"\"\"\n", false, CSV_RECORD, 5, 1, {"\""}},
        {"\"a\"", true, CSV_RECORD, 3, 1, {"a"}},
        {" a , b \n", false, CSV_RECORD, 8, 2, {" a ", " b "}},
        {"a\"b\n", false, CSV_BROKEN, 1, 1, {NULL}},
        {"\"a\"b\n", false, CSV_BROKEN, 4, 1, {NULL}},
        {"\"a\" ,b\n", false, CSV_BROKEN, 4, 1, {NULL}},
        {"\"a\n", true, CSV_BROKEN, 3, 1, {NULL}},
        {"\"a\n", false, CSV_TOO_LONG, 3, 1, {NULL}},
        {"a\rb\n", false, CSV_BROKEN, 2, 1, {NULL}},
        {"a,\"b\rc\"\n", false, CSV_RECORD, 8, 2, {"a", "b\rc"}},
    };
    (void)state;
    static uint8_t scratch[IMPORT_ROW_CAP];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct csv_record r;
        enum csv_find find = csv_record_find(span_text(table[i].text), table[i].whole, scratch, &r);
        if (find != table[i].find || r.len != table[i].len || r.count != table[i].count)
            fail_msg("%s: found %d, %zu bytes, %zu fields", table[i].text, find, r.len, r.count);
        for (size_t f = 0; f < r.count && table[i].fields[f] != NULL; f++)
            assert_text(table[i].fields[f], r.fields[f]);
    }
}

static void a_nul_byte_breaks_a_record(void **state)
{
    (void)state;
    static uint8_t scratch[IMPORT_ROW_CAP];
    struct csv_record r;
    assert_int_equal(CSV_BROKEN, csv_record_find(SPAN_LITERAL("a\0b\n"), true, scratch, &r));
    assert_int_equal(CSV_BROKEN, csv_record_find(SPAN_LITERAL("\"a\0\"\n"), true, scratch, &r));
}

static void a_record_ends_at_its_cap(void **state)
{
    (void)state;
    static uint8_t scratch[IMPORT_ROW_CAP], text[IMPORT_ROW_CAP + 1];
    struct csv_record r;
    memset(text, 'a', sizeof text);
    text[IMPORT_ROW_CAP] = '\n';
    assert_int_equal(CSV_TOO_LONG, csv_record_find(SPAN_ARRAY(text), true, scratch, &r));
    text[IMPORT_ROW_CAP - 1] = '\n';
    assert_int_equal(CSV_RECORD, csv_record_find(SPAN_ARRAY(text), true, scratch, &r));
    assert_int_equal(IMPORT_ROW_CAP - 1, r.fields[0].len);
}

static void many_fields_are_counted_not_kept(void **state)
{
    (void)state;
    static uint8_t scratch[IMPORT_ROW_CAP];
    char text[3 * CSV_FIELDS_MAX + 2] = "";
    memset(text, ',', sizeof text - 2);
    text[sizeof text - 2] = '\n';
    struct csv_record r;
    assert_int_equal(CSV_RECORD, csv_record_find(span_text(text), true, scratch, &r));
    assert_int_equal(3 * CSV_FIELDS_MAX + 1, r.count);
}

/* ---- whole files ---- */

struct file {
    char path[40];
    struct reader *reader;
    struct import_reason reason;
};

static enum err file_open(struct file *f, struct span text, enum import_format format)
{
    (void)snprintf(f->path, sizeof f->path, "/tmp/test_import.XXXXXX");
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(text.len, write(fd, text.at, text.len));
    assert_int_equal(0, close(fd));
    static struct reader_options options; /* outlives the reader */
    options.format = format;
    f->reader = NULL;
    enum err e = reader_open(f->path, &options, &f->reader, &f->reason);
    assert_int_equal(0, unlink(f->path));
    return e;
}

static void headers(void **state)
{
    static const struct {
        const char *text;
        const char *why; /* NULL: good */
    } table[] = {
        {"endorsementKey\n", NULL},
        {"endorsementKey", NULL},
        {"\xef\xbb\xbf"
         "endorsementKey\n",
         NULL},
        {"\r\n\r\nendorsementKey\r\n", NULL},
        {"pinSrk,deviceId,storageRootKey,endorsementKey,registrationId\n", NULL},
        {"\"endorsementKey\"\n", NULL},
        {"registrationId\n", "the header lacks the column endorsementKey"},
        {"endorsementKey,serial\n", "the header has an unknown column \"serial\""},
        {"endorsementKey,\n", "the header has an unknown column \"\""},
        {"EndorsementKey\n", "the header has an unknown column \"EndorsementKey\""},
        {"endorsementKey,\x1b[31m\n", "the header has an unknown column \"\\x1b[31m\""},
        {"endorsementKey,endorsementKey\n", "the header has twice the column \"endorsementKey\""},
        {"", "there is no header row"},
        {"\n\n", "there is no header row"},
        {"\"endorsementKey\n", "the header row is not CSV: a quote is not closed"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct file f;
        enum err e = file_open(&f, span_text(table[i].text), FORMAT_AUTO);
        assert_err_of(table[i].text, table[i].why == NULL ? ERR_OK : ERR_CONFIG, e);
        if (table[i].why != NULL)
            assert_string_equal(table[i].why, f.reason.text);
        reader_close(f.reader);
    }
}

static void expect_row(struct file *f, uint64_t line, const char *id, const char *key,
                       const char *broken)
{
    struct import_row row;
    POISON(row);
    assert_ok(reader_next(f->reader, &row));
    assert_int_equal(line, row.line);
    assert_string_equal(broken, row.broken.text);
    if (broken[0] == 0) {
        assert_text(id, row.fields[COLUMN_REGISTRATION_ID]);
        assert_text(key, row.fields[COLUMN_ENDORSEMENT_KEY]);
    }
}

static void expect_end(struct file *f)
{
    struct import_row row;
    POISON(row);
    assert_err(ERR_ABSENT, reader_next(f->reader, &row));
    assert_poisoned(row);
    reader_close(f->reader);
}

static void lines_are_counted(void **state)
{
    (void)state;
    struct file f;
    assert_ok(file_open(&f,
                        SPAN_LITERAL("endorsementKey,registrationId\r\n"
                                     "k1,one\r\n"
                                     "\r\n"
                                     "\"k\n2\",two\n"
                                     "k3,three"),
                        FORMAT_CSV));
    expect_row(&f, 2, "one", "k1", "");
    expect_row(&f, 4, "two", "k\n2", "");
    expect_row(&f, 6, "three", "k3", "");
    expect_end(&f);
}

static void a_broken_row_costs_only_itself(void **state)
{
    (void)state;
    struct file f;
    assert_ok(file_open(&f,
                        SPAN_LITERAL("endorsementKey,registrationId\n"
                                     "k1,one,extra\n"
                                     "k2\n"
                                     "\"k3\"x,three\n"
                                     "k4,\"four\n"
                                     "k5,five\n"),
                        FORMAT_CSV));
    expect_row(&f, 2, "", "", "the row has 3 fields, the header has 2");
    expect_row(&f, 3, "", "", "the row has 1 field, the header has 2");
    expect_row(&f, 4, "", "", "the row is not CSV: text follows a closing quote");
    expect_row(&f, 5, "", "", "the row is not CSV: a quote is not closed");
    expect_row(&f, 6, "five", "k5", "");
    expect_end(&f);
}

/* A line much longer than the window, with and without an open quote. */
static void an_endless_row_is_passed_over(void **state)
{
    (void)state;
    static uint8_t text[4 * SOURCE_CAP];
    struct buf b = BUF_OVER(text);
    buf_put_text(&b, "endorsementKey,registrationId\n\"");
    for (int i = 0; i < 3 * SOURCE_CAP; i++)
        buf_put_u8(&b, 'x');
    buf_put_text(&b, "\nk2,two\n");
    struct file f;
    assert_ok(file_open(&f, buf_span(&b), FORMAT_AUTO));
    expect_row(&f, 2, "", "", "the row is longer than 16384 bytes (a quote not closed?)");
    expect_row(&f, 3, "two", "k2", "");
    expect_end(&f);
}

/* Rows that straddle the window's edges come out whole. */
static void many_rows(void **state)
{
    enum { ROWS = 5000 };
    (void)state;
    static char text[ROWS * 60];
    size_t len = (size_t)snprintf(text, sizeof text, "registrationId,endorsementKey\n");
    for (int i = 0; i < ROWS; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "id-%d,\"key\n\"\"%d\"\"\"\n", i, i);
    struct file f;
    assert_ok(file_open(&f, span_of(text, len), FORMAT_AUTO));
    for (int i = 0; i < ROWS; i++) {
        char id[20], key[20];
        (void)snprintf(id, sizeof id, "id-%d", i);
        (void)snprintf(key, sizeof key, "key\n\"%d\"", i);
        expect_row(&f, 2 + 2 * (uint64_t)i, id, key, "");
    }
    expect_end(&f);
}

/* ---- JSON Lines ---- */

static void json_lines(void **state)
{
    (void)state;
    struct file f;
    assert_ok(file_open(&f,
                        SPAN_LITERAL("\xef\xbb\xbf\n"
                                     "{\"registrationId\":\"one\",\"endorsementKey\":\"k\\n1\"}\r\n"
                                     " \t\r\n"
                                     "not json\n"
                                     "{\"endorsementKey\":\"k2\"}"),
                        FORMAT_AUTO));
    expect_row(&f, 2, "one", "k\n1", "");
    expect_row(&f, 4, "", "", "not a JSON object: '[' or '{' expected near 'not'");
    expect_row(&f, 5, "", "k2", "");
    expect_end(&f);
}

static void json_members(void **state)
{
    static const struct {
        const char *line;
        const char *why; /* NULL: good */
        const char *pin;
    } table[] = {
        {"{\"endorsementKey\":\"k\",\"pinSrk\":true}", NULL, "true"},
        {"{\"endorsementKey\":\"k\",\"pinSrk\":false}", NULL, "false"},
        {"{}", NULL, ""},
        {"{\"endorsementKey\":\"k\",\"serial\":\"1\"}", "unknown member \"serial\"", ""},
        {"{\"endorsementKey\":1}", "endorsementKey is not a string", ""},
        {"{\"endorsementKey\":null}", "endorsementKey is not a string", ""},
        {"{\"pinSrk\":\"true\"}", "pinSrk is not a boolean", ""},
        {"{\"endorsementKey\":\"a\",\"endorsementKey\":\"b\"}", "duplicate object key", ""},
        {"[]", "not a JSON object: no object", ""},
        {"{\"endorsementKey\":\"\\u0000\"}", "\\x5cu0000 is not allowed", ""},
        {"{\"endorsementKey\":1e309}", "real number overflow", ""},
        {"{\"endorsementKey\":\"\xff\"}", "unable to decode byte 0xff", ""},
        {"{\"endorsementKey\":\"a\"} {}", "end of file expected", ""},
    };
    (void)state;
    static struct jsonl j;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct import_row row = {0};
        jsonl_row_read(&j, span_text(table[i].line), &row);
        if (table[i].why == NULL ? row.broken.text[0] != 0
                                 : strstr(row.broken.text, table[i].why) == NULL)
            fail_msg("%s: \"%s\"", table[i].line, row.broken.text);
        if (table[i].why == NULL)
            assert_text(table[i].pin, row.fields[COLUMN_PIN_SRK]);
    }
}

static void deep_json_is_refused(void **state)
{
    (void)state;
    static struct jsonl j;
    static char text[IMPORT_ROW_CAP];
    memset(text, '[', sizeof text);
    struct import_row row = {0};
    jsonl_row_read(&j, SPAN_ARRAY(text), &row);
    assert_non_null(strstr(row.broken.text, "depth"));
}

static void an_endless_line_is_passed_over(void **state)
{
    (void)state;
    static uint8_t text[4 * SOURCE_CAP];
    struct buf b = BUF_OVER(text);
    buf_put_text(&b, "{\"endorsementKey\":\"");
    for (int i = 0; i < 3 * SOURCE_CAP; i++)
        buf_put_u8(&b, 'x');
    buf_put_text(&b, "\"}\n{\"endorsementKey\":\"k2\"}");
    struct file f;
    assert_ok(file_open(&f, buf_span(&b), FORMAT_AUTO));
    expect_row(&f, 1, "", "", "the line is longer than 16384 bytes");
    expect_row(&f, 2, "", "k2", "");
    expect_end(&f);
}

static void what_cannot_be_opened(void **state)
{
    (void)state;
    struct import_reason why;
    struct reader *reader = NULL;
    struct reader_options options = {.format = FORMAT_DIR};
    assert_err(ERR_IO, reader_open("/nonexistent/list.csv", &options, &reader, &why));
    assert_string_equal("No such file or directory", why.text);
    assert_err(ERR_CONFIG, reader_open("/dev/null", &options, &reader, &why));
    assert_string_equal("is not a directory", why.text);
    assert_null(reader);
}

/* ---- text that is shown ---- */

static void text_is_made_safe(void **state)
{
    (void)state;
    char safe[24];
    import_text_safe(SPAN_LITERAL("a\r\n\x1b[0m\\\xff"), safe, sizeof safe);
    assert_string_equal("a\\x0d\\x0a\\x1b[0m\\x5c...", safe);
    import_text_safe(SPAN_LITERAL("0123456789012345678"), safe, sizeof safe);
    assert_string_equal("0123456789012345678", safe);
    import_text_safe(SPAN_LITERAL("01234567890123456789x"), safe, sizeof safe);
    assert_string_equal("01234567890123456789...", safe);
    import_text_safe(SPAN_LITERAL(""), safe, sizeof safe);
    assert_string_equal("", safe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(a_nul_byte_breaks_a_record),
        cmocka_unit_test(a_record_ends_at_its_cap),
        cmocka_unit_test(many_fields_are_counted_not_kept),
        cmocka_unit_test(headers),
        cmocka_unit_test(lines_are_counted),
        cmocka_unit_test(a_broken_row_costs_only_itself),
        cmocka_unit_test(an_endless_row_is_passed_over),
        cmocka_unit_test(many_rows),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(json_members),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(an_endless_line_is_passed_over),
        cmocka_unit_test(what_cannot_be_opened),
        cmocka_unit_test(text_is_made_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
