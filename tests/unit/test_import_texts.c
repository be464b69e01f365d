/* Lists that are text: what is a row of JSON, of PEM, of what Windows prints; good, damaged, mixed. */
#include <guess.h>
#include <importrows.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void expect_all(const struct importrows_case *table, size_t count,
                       const struct reader_options *options)
{
    for (size_t i = 0; i < count; i++)
        importrows_expect(&table[i], options);
}

static void json_lines(void **state)
{
    static const struct importrows_case table[] = {
        {"two", "{\"registrationId\":\"a\",\"endorsementKey\":\"$e\"}\n{\"endorsementKey\":\"$f\"}",
         .format = FORMAT_JSONL, .rows = {{1, "a", 'e', .origin = "{\"registrationId\":\"a\",\"endorsementKey\":\"$e\"}"}, {2, NULL, 'f'}}},
        {"a certificate", "{\"endorsementKey\":\"$e\",\"ekCertificate\":\"$c\"}", .format = FORMAT_JSONL,
         .rows = {{1, NULL, 'e', 'c'}}},
        {"mixed", "\n \t\n{\"registrationId\":\"a\"}\n{\n\"x\"\n{\"endorsementKey\":\"$e\",\"colour\":1}\n{\"endorsementKey\":\"$f\"}\r\n",
         .format = FORMAT_JSONL,
         .rows = {{3, "a", 0}, {4, .broken = "not a JSON object", .origin = "{"}, {5, .broken = "not a JSON object"},
                  {6, .broken = "unknown member \"colour\""}, {7, NULL, 'f'}}},
        {"nothing", "\n\n", .format = FORMAT_JSONL, .rows = {{0}}},
    };
    (void)state;
    expect_all(table, COUNT(table), NULL);
}

static void json_options(void **state)
{
    static const struct {
        const char *text;
        enum import_column column;
        const char *value, *broken;
    } table[] = {
        {"{\"tags\":[\"a\",\"b\"]}", COLUMN_TAGS, "[\"a\",\"b\"]", NULL},
        {"{\"tags\":\"a b\"}", COLUMN_TAGS, "a b", NULL},
        {"{\"initialTwin\":{\"x\" : 1}}", COLUMN_TWIN, "{\"x\":1}", NULL},
        {"{\"provisioningStatus\":\"disabled\"}", COLUMN_STATUS, "disabled", NULL},
        {"{\"tags\":7}", COLUMN_TAGS, NULL, "tags is not a string"},
        {"{\"deviceId\":[\"a\"]}", COLUMN_DEVICE_ID, NULL, "deviceId is not a string"},
        {"{\"storageRootKey\":\"k\"}", COLUMN_STORAGE_ROOT_KEY, "k", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct reader_options options = {.format = FORMAT_JSONL};
        struct reader *reader;
        struct import_reason why;
        struct import_row row;
        char path[] = "/tmp/import_texts.XXXXXX";
        FILE *f = fdopen(mkstemp(path), "w");
        (void)fputs(table[i].text, f);
        (void)fclose(f);
        assert_ok(reader_open(path, &options, &reader, &why));
        assert_int_equal(0, remove(path));
        assert_ok(reader_next(reader, &row));
        if (table[i].broken != NULL)
            assert_non_null(strstr(row.broken.text, table[i].broken));
        else
            assert_text(table[i].value, row.fields[table[i].column]);
        reader_close(reader);
    }
}

static void json_arrays(void **state)
{
    static const struct importrows_case table[] = {
        {"empty", " [ ] \n", .format = FORMAT_JSON, .rows = {{0}}},
        {"two", "[{\"registrationId\":\"a\",\"endorsementKey\":\"$e\"},\n{\"endorsementKey\":\"$f\"}]\n", .format = FORMAT_JSON,
         .rows = {{1, "a", 'e'}, {2, NULL, 'f', .origin = "{\"endorsementKey\":\"$f\"}"}}},
        {"brackets in text", "[{\"registrationId\":\"]}\\\"[{\",\"endorsementKey\":\"$e\"}]", .format = FORMAT_JSON,
         .rows = {{1, "]}\"[{", 'e'}}},
        {"mixed", "[1, \"a\",null,{\"endorsementKey\":[}]},\n\n{\"endorsementKey\":\"$f\"} ]", .format = FORMAT_JSON,
         .rows = {{1, .broken = "not a JSON object", .origin = "1"}, {1, .broken = "not a JSON object", .origin = "\"a\""},
                  {1, .broken = "not a JSON object"}, {1, .broken = "not a JSON object"}},
         .end = "line 1: neither comma nor bracket"},
        {"no array", "{}", .format = FORMAT_JSON, .end = "not a JSON array"},
        {"nothing", "", .format = FORMAT_JSON, .end = "not a JSON array"},
        {"cut at once", "[", .format = FORMAT_JSON, .end = "does not end"},
        {"cut behind a comma", "[7,", .format = FORMAT_JSON, .rows = {{1, .broken = "not a JSON object"}}, .end = "does not end"},
        {"cut in an element", "[\n\n{\"a\":\"", .format = FORMAT_JSON, .end = "line 3: the JSON array does not end"},
        {"cut behind an element", "[7 ", .format = FORMAT_JSON, .rows = {{1, .broken = "not a JSON object"}}, .end = "does not end"},
        {"no comma", "[{} {}]", .format = FORMAT_JSON, .rows = {{1, NULL, 0}}, .end = "neither comma nor bracket"},
        {"two commas", "[{},,{}]", .format = FORMAT_JSON, .rows = {{1, NULL, 0}}, .end = "is missing"},
        {"a comma too many", "[{},]", .format = FORMAT_JSON, .rows = {{1, NULL, 0}}, .end = "is missing"},
        {"a comma first", "[,{}]", .format = FORMAT_JSON, .end = "is missing"},
        {"something behind", "[{}]\n]", .format = FORMAT_JSON, .rows = {{1, NULL, 0}}, .end = "line 2: something follows"},
    };
    (void)state;
    expect_all(table, COUNT(table), NULL);
}

/* An element as long as a row may be, and one byte longer. */
static void long_elements(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        static char text[IMPORT_ROW_CAP + 100];
        size_t len = IMPORT_ROW_CAP + over;
        text[0] = '[';
        memset(text + 1, ' ', len);
        text[1] = '{';
        text[len] = '}';
        memcpy(text + 1 + len, ",{}]", 5);
        struct importrows_case c = {"long", .bytes = span_text(text), .format = FORMAT_JSON,
                                    .rows = {{1, NULL, 0, .broken = over ? "longer than 16384" : NULL}, {1, NULL, 0}}};
        importrows_expect(&c, NULL);
    }
}

static void pem_bundles(void **state)
{
    static const struct importrows_case table[] = {
        {"two keys", "$E$F", .format = FORMAT_PEM, .rows = {{1, NULL, 'e', .origin = "$E"}, {5, NULL, 'f', .origin = "$F"}}},
        {"text between", "one:\n$E\n\nand\n$F-- the end", .format = FORMAT_PEM, .rows = {{2, NULL, 'e'}, {9, NULL, 'f'}}},
        {"key and certificate", "$E$C$F", .format = FORMAT_PEM, .rows = {{1, NULL, 'e', 'c', .origin = "$E$C"}, {16, NULL, 'f'}}},
        {"certificate and key", "$C$E", .format = FORMAT_PEM, .rows = {{1, NULL, 'e', 'c', .origin = "$C$E"}}},
        {"certificate alone", "$C", .format = FORMAT_PEM, .rows = {{1, NULL, 'e'}}},
        {"another key's", "$F$C", .format = FORMAT_PEM, .rows = {{1, NULL, 'f'}, {5, NULL, 'e'}}},
        {"the same key twice", "$E$E", .format = FORMAT_PEM, .rows = {{1, NULL, 'e'}, {5, NULL, 'e'}}},
        {"two certificates", "$C$C", .format = FORMAT_PEM, .rows = {{1, NULL, 'e'}, {12, NULL, 'e'}}},
        {"torn", "-----BEGIN PUBLIC KEY-----\nMFkw\n$F", .format = FORMAT_PEM,
         .rows = {{1, .broken = "does not end", .origin = "-----BEGIN PUBLIC KEY-----\nMFkw\n"}, {3, NULL, 'f'}}},
        {"cut", "$E-----BEGIN PUBLIC KEY-----\nMFkw", .format = FORMAT_PEM,
         .rows = {{1, NULL, 'e'}, {5, .broken = "does not end", .origin = "-----BEGIN PUBLIC KEY-----\nMFkw"}}},
        {"not at the beginning of a line", "x-----BEGIN PUBLIC KEY-----\n$E", .format = FORMAT_PEM, .rows = {{2, NULL, 'e'}}},
        {"none", "nothing here\n", .format = FORMAT_PEM, .rows = {{0}}},
    };
    (void)state;
    expect_all(table, COUNT(table), NULL);
}

#define HASH "PublicKeyHash : 00\n"
static void windows_output(void **state)
{
    static const struct importrows_case table[] = {
        {"one", "\nIsPresent     : True\n" HASH "PublicKey : $x\nComputer : a\n", .format = FORMAT_WINDOWS, .rows = {{2, "a", 'f'}}},
        {"two, the name last", "IsPresent : True\nPublicKey : $x\nComputer : a\n\nIsPresent : True\nPublicKey : $e\nComputer : b\n",
         .format = FORMAT_WINDOWS, .rows = {{1, "a", 'f'}, {5, "b", 'e'}}},
        {"two, the name first", "Computer : a\nIsPresent : True\nPublicKey : $x\n\nComputer : b\nIsPresent : True\nPublicKey : $e\n",
         .format = FORMAT_WINDOWS, .rows = {{1, "a", 'f', .origin = "Computer : a\nIsPresent : True\nPublicKey : $x\n\n"}, {5, "b", 'e'}}},
        {"one without a name", "Computer : a\nIsPresent : True\nPublicKey : $x\nIsPresent : True\nPublicKey : $e\nComputer : b\n",
         .format = FORMAT_WINDOWS, .rows = {{1, "a", 'f'}, {4, "b", 'e'}}},
        {"on several lines", "IsPresent : True\nPublicKey :\n  $E\nManufacturerCertificates : {$X}\n", .format = FORMAT_WINDOWS,
         .rows = {{1, NULL, 'e', 'c'}}},
        {"no key shown", "IsPresent : True\nPublicKey : System.Security.Cryptography.AsnEncodedData\nComputer : a\n"
         "IsPresent : True\nPublicKey : $x\n", .format = FORMAT_WINDOWS,
         .rows = {{1, .broken = "PublicKey shows no key"}, {4, NULL, 'f'}}},
        {"no TPM", "IsPresent : False\nPublicKey : \n", .format = FORMAT_WINDOWS, .rows = {{1, .broken = "no endorsement key"}}},
        {"odd digits", "IsPresent : True\nPublicKey : $x0\n", .format = FORMAT_WINDOWS, .rows = {{1, NULL, '!'}}},
        {"no key at all", "IsPresent : True\n" HASH, .format = FORMAT_WINDOWS, .rows = {{1, NULL, 0}}},
        {"nothing", "\nhello\n", .format = FORMAT_WINDOWS, .rows = {{0}}},
    };
    (void)state;
    struct reader_options options = {0};
    assert_ok(import_map_add(&options.map, "Computer=registrationId"));
    expect_all(table, COUNT(table), &options);
}

static void a_long_record(void **state)
{
    (void)state;
    static char text[IMPORT_ROW_CAP + 1000] = "IsPresent : True\nPublicKey :";
    size_t len = strlen(text);
    memset(text + len, ' ', IMPORT_ROW_CAP);
    (void)strncpy(text + len + IMPORT_ROW_CAP, "\nIsPresent : False\nComputer : a\n", 100);
    struct importrows_case c = {"long", .bytes = span_text(text), .format = FORMAT_WINDOWS,
                                .rows = {{1, .broken = "longer than 16384"}, {2, .broken = "longer than 16384"}, {3, .broken = "no endorsement key"}}};
    importrows_expect(&c, NULL);
}

/* Columns by the list's own names: the same rows by way of a map. */
static void mapped_columns(void **state)
{
    static const struct importrows_case table[] = {
        {"csv", "Serial,note,EK\na,x,$e\nb,,$f\n", .format = FORMAT_CSV, .rows = {{2, "a", 'e'}, {3, "b", 'f'}}},
        {"jsonl", "{\"Serial\":\"a\",\"EK\":\"$e\",\"note\":7}\n{\"EK\":\"$f\",\"registrationId\":\"b\"}\n{\"ek\":\"\"}", .format = FORMAT_JSONL,
         .rows = {{1, "a", 'e'}, {2, "b", 'f'}, {3, .broken = "unknown member"}}},
        {"not mapped", "Serial,note,EK,x\n", .format = FORMAT_CSV, .end = "unknown column \"x\""},
        {"twice", "Serial,registrationId,EK\n", .format = FORMAT_CSV, .end = "twice the column"},
        {"no key", "Serial,note\n", .format = FORMAT_CSV, .end = "lacks the column endorsementKey"},
    };
    (void)state;
    struct reader_options options = {0};
    assert_ok(import_map_add(&options.map, "Serial=registrationId"));
    assert_ok(import_map_add(&options.map, "EK=endorsementKey"));
    assert_ok(import_map_add(&options.map, "note=-"));
    expect_all(table, COUNT(table), &options);
}

static void maps(void **state)
{
    static const struct {
        const char *text;
        enum err e;
    } table[] = {
        {"a=registrationId", ERR_OK},       {"a=deviceId", ERR_DUPLICATE},
        {"b", ERR_INVALID_ARGUMENT},        {"=registrationId", ERR_INVALID_ARGUMENT},
        {"b=colour", ERR_INVALID_ARGUMENT}, {"b=", ERR_INVALID_ARGUMENT},
        {"x=y=endorsementKey", ERR_OK},     {"b=-", ERR_OK},
        {"b=-", ERR_DUPLICATE},             {"endorsementKey=deviceId", ERR_OK},
    };
    static char names[IMPORT_MAP_MAX][40];
    (void)state;
    struct import_map m = {0};
    enum import_column column;
    for (size_t i = 0; i < COUNT(table); i++)
        assert_err_of(table[i].text, table[i].e, import_map_add(&m, table[i].text));
    assert_true(import_map_find(&m, span_text("x=y"), &column) && column == COLUMN_ENDORSEMENT_KEY);
    assert_true(import_map_find(&m, span_text("b"), &column) && column == COLUMN_COUNT);
    assert_true(import_map_find(&m, span_text("endorsementKey"), &column) && column == COLUMN_DEVICE_ID);
    assert_true(import_map_find(NULL, span_text("pinSrk"), &column) && column == COLUMN_PIN_SRK);
    assert_false(import_map_find(&m, span_text("c"), &column));
    for (size_t i = m.count; i <= IMPORT_MAP_MAX; i++) {
        (void)snprintf(names[i % IMPORT_MAP_MAX], sizeof names[0], "n%zu=-", i);
        assert_err(i < IMPORT_MAP_MAX ? ERR_OK : ERR_FULL, import_map_add(&m, names[i % IMPORT_MAP_MAX]));
    }
}

static void guesses(void **state)
{
    static const struct {
        const char *text;
        enum import_format format;
    } table[] = {
        {"", FORMAT_CSV},
        {"endorsementKey\n$e\n", FORMAT_CSV},
        {" \n{\"a\":1}", FORMAT_JSONL},
        {" \n[{\"endorsementKey\":\"\"}]", FORMAT_JSON},
        {"[]", FORMAT_JSON},
        {"[1]", FORMAT_JSON},
        {"[ \"a.b.c\"]", FORMAT_JWS},
        {"[ { \"payload\" : \"\"}]", FORMAT_JWS},
        {"[{\"signatures\":[]}]", FORMAT_JWS},
        {"[{\"payloads\":[]}]", FORMAT_JSON},
        {"[{payload", FORMAT_JSON},
        {"$E", FORMAT_PEM},
        {"Bag Attributes\n$C", FORMAT_PEM},
        {"a,-----BEGIN PUBLIC KEY-----\n", FORMAT_CSV},
        {"\nIsPresent : True\nPublicKeyHash : 00\n", FORMAT_WINDOWS},
        {"PublicKey : 00\nIsPresent : True\n", FORMAT_CSV},
        {"PublicKey : 00\nIsPresent : True\nPublicKey : 00\n", FORMAT_WINDOWS},
        {"$e\n", FORMAT_KEY},
        {"\n$r", FORMAT_KEY},
        {"$e,a\n", FORMAT_CSV},
        {"AAAA", FORMAT_CSV},
    };
    (void)state;
    static uint8_t room[8192];
    for (size_t i = 0; i < COUNT(table); i++) {
        struct buf out = BUF_OVER(room);
        enum import_format f = import_format_guess(importrows_text(table[i].text, &out));
        if (f != table[i].format)
            fail_msg("%s: %s", table[i].text, import_format_name(f));
    }
    static const char marks[] = "efrEFRc";
    for (size_t i = 0; marks[i] != 0; i++)
        assert_int_equal(FORMAT_KEY, import_format_guess(importrows_bytes(marks[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines),     cmocka_unit_test(json_options), cmocka_unit_test(json_arrays),
        cmocka_unit_test(long_elements),  cmocka_unit_test(pem_bundles),  cmocka_unit_test(windows_output),
        cmocka_unit_test(a_long_record),  cmocka_unit_test(mapped_columns), cmocka_unit_test(maps),
        cmocka_unit_test(guesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
