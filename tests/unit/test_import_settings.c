/* What a run and its rows say of devices beyond their keys, and what refused rows are written as. */
#include <importrows.h>
#include <inputs.h>
#include <options.h>
#include <rejects.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *text_of(const struct import_options *o, enum import_column column)
{
    return column == COLUMN_TAGS         ? o->profile.tags
           : column == COLUMN_HUBS       ? o->profile.hubs
           : column == COLUMN_ALLOCATION ? o->profile.allocation
           : column == COLUMN_TWIN       ? o->profile.twin
           : o->disabled                 ? "disabled"
                                         : "enabled";
}

static void options(void **state)
{
    static const struct {
        enum import_column column;
        const char *text, *value, *why;
    } table[] = {
        {COLUMN_TAGS, "b a", "a,b", NULL},
        {COLUMN_TAGS, "[\"b\",\"a\",\"b\"]", "a,b", NULL},
        {COLUMN_TAGS, "b;aa,a", "a,aa,b", NULL},
        {COLUMN_TAGS, " , ", "", NULL},
        {COLUMN_TAGS, "A-._:=/@+9", "A-._:=/@+9", NULL},
        {COLUMN_TAGS, "a?", NULL, "tags: not a name"},
        {COLUMN_TAGS, "{\"a\":1}", NULL, "tags: not a name"},
        {COLUMN_HUBS, "hub.example, a-1.test", "a-1.test,hub.example", NULL},
        {COLUMN_HUBS, "Hub.example", NULL, "iotHubs: not a host name"},
        {COLUMN_HUBS, ".example", NULL, "iotHubs: not a host name"},
        {COLUMN_HUBS, "-example", NULL, "iotHubs: not a host name"},
        {COLUMN_HUBS, "a_b", NULL, "iotHubs: not a host name"},
        {COLUMN_ALLOCATION, "geoLatency", "geoLatency", NULL},
        {COLUMN_ALLOCATION, "hashed", "hashed", NULL},
        {COLUMN_ALLOCATION, "Hashed", NULL, "allocationPolicy: not hashed"},
        {COLUMN_ALLOCATION, "hash", NULL, "allocationPolicy: not hashed"},
        {COLUMN_TWIN, "{ \"tags\" : { \"b\" : 1, \"a\" : null } }", "{\"tags\":{\"a\":null,\"b\":1}}", NULL},
        {COLUMN_TWIN, "[]", NULL, "initialTwin: not a JSON object"},
        {COLUMN_TWIN, "{", NULL, "initialTwin: not a JSON object"},
        {COLUMN_TWIN, "{\"tags\":1,\"tags\":2}", NULL, "initialTwin: not a JSON object"},
        {COLUMN_TWIN, "{\"tags\":7}", NULL, "initialTwin: its members must be objects"},
        {COLUMN_TWIN, "{\"x\":{}}", NULL, "initialTwin: has another member"},
        {COLUMN_STATUS, "disabled", "disabled", NULL},
        {COLUMN_STATUS, "enabled", "enabled", NULL},
        {COLUMN_STATUS, "Disabled", NULL, "provisioningStatus: neither"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        static struct import_options o, before;
        struct import_reason why = {""};
        memset(&o, 0, sizeof o);
        memset(o.profile.tags, 'x', 3);
        before = o;
        enum err e = options_set(&o, table[i].column, span_text(table[i].text), &why);
        assert_err_of(table[i].text, table[i].why == NULL ? ERR_OK : ERR_ENCODING, e);
        if (table[i].why != NULL && strncmp(why.text, table[i].why, strlen(table[i].why)) != 0)
            fail_msg("%s: %s", table[i].text, why.text);
        if (table[i].why != NULL)
            continue;
        assert_string_equal(table[i].value, text_of(&o, table[i].column));
        if (table[i].column != COLUMN_TAGS)
            assert_string_equal(before.profile.tags, o.profile.tags);
    }
}

static void options_have_bounds(void **state)
{
    (void)state;
    static struct import_options o;
    static char text[STORE_TWIN_CAP + 100];
    struct import_reason why;
    memset(text, 'a', 128);
    assert_ok(options_set(&o, COLUMN_TAGS, span_of(text, 128), &why));
    memset(text, 'a', 129);
    assert_err(ERR_ENCODING, options_set(&o, COLUMN_TAGS, span_of(text, 129), &why));
    for (int count = 64; count <= 65; count++) {
        text[0] = 0;
        for (int i = 0; i < count; i++)
            (void)snprintf(text + strlen(text), 20, "t%d,", i);
        assert_err(count == 64 ? ERR_OK : ERR_ENCODING, options_set(&o, COLUMN_TAGS, span_text(text), &why));
    }
    assert_string_equal("tags: too many", why.text);
    memset(text, 'a', sizeof text);
    for (size_t i = 100; i < sizeof text; i += 100)
        text[i] = ' ';
    for (size_t i = 1; i < 20; i++)
        text[i * 100 + 1] = (char)('a' + i);
    assert_err(ERR_ENCODING, options_set(&o, COLUMN_TAGS, span_of(text, 1900), &why));
    assert_string_equal("tags: too long", why.text);
    for (size_t over = 0; over < 2; over++) { /* {"tags":{"a":"aaa…"}} */
        size_t len = STORE_TWIN_CAP - 1 + over;
        memset(text, 'a', sizeof text);
        memcpy(text, "{\"tags\":{\"a\":\"", 14);
        memcpy(text + len - 3, "\"}}", 3);
        enum err e = options_set(&o, COLUMN_TWIN, span_of(text, len), &why);
        assert_err(over ? ERR_ENCODING : ERR_OK, e);
    }
    assert_string_equal("initialTwin: too long", why.text);
}

static void rows_go_before_the_run(void **state)
{
    (void)state;
    static struct import_options o;
    struct import_reason why;
    struct import_row row = {.fields = {[COLUMN_TAGS] = SPAN_LITERAL("b"), [COLUMN_STATUS] = SPAN_LITERAL("enabled")}};
    assert_ok(options_set(&o, COLUMN_TAGS, SPAN_LITERAL("a"), &why));
    assert_ok(options_set(&o, COLUMN_HUBS, SPAN_LITERAL("h"), &why));
    o.disabled = true;
    assert_true(options_has_profile(&row));
    assert_ok(options_read(&row, &o, &why));
    assert_string_equal("b", o.profile.tags);
    assert_string_equal("h", o.profile.hubs);
    assert_false(o.disabled);
    static const enum import_column columns[] = {COLUMN_TAGS, COLUMN_HUBS, COLUMN_ALLOCATION, COLUMN_TWIN};
    for (size_t i = 0; i < COUNT(columns); i++) {
        struct import_row other = {0};
        assert_false(options_has_profile(&other));
        other.fields[columns[i]] = SPAN_LITERAL("?");
        assert_true(options_has_profile(&other));
        assert_err(ERR_ENCODING, options_read(&other, &o, &why));
    }
}

/* ---- what was refused ---- */

static char folder[] = "/tmp/import_settings.XXXXXX";

static const char *path_of(const char *name)
{
    static char path[16][80];
    static unsigned next;
    char *at = path[next++ % COUNT(path)];
    (void)snprintf(at, sizeof path[0], "%s/%s", folder, name);
    return at;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(0, fclose(f));
}

static const char *read_file(const char *path)
{
    static char text[4096];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    assert_int_equal(0, fclose(f));
    return text;
}

/* Every second row of an input is refused, from the first one on. */
static void refuse_some(const char *input, const char *out, uint64_t keep, uint64_t lost)
{
    static struct import_block block;
    struct reader_options options = {0};
    struct inputs *inputs;
    struct reader *reader;
    struct rejects *rejects;
    struct import_reason why;
    struct import_row row;
    assert_ok(inputs_open(&input, 1, &options, &inputs, &why));
    assert_ok(rejects_open(out, inputs, keep, &rejects, &why));
    assert_ok(inputs_take(inputs, 0, &reader, &why));
    rejects_header(rejects, reader_header(reader));
    import_block_clear(&block, input, 0, 0);
    while (reader_next(reader, &row) == ERR_OK) {
        import_block_add(&block, &row);
        block.items[block.count - 1].outcome = block.count % 2 == 1 ? IMPORT_REFUSED : IMPORT_NEW;
    }
    assert_ok(rejects_block(rejects, &block));
    assert_int_equal(lost, rejects_lost(rejects));
    assert_ok(rejects_close(rejects));
    reader_close(reader);
    inputs_close(inputs);
}

static void rejects(void **state)
{
    static const struct {
        const char *input, *out;
        uint64_t lost;
    } table[] = {
        {"endorsementKey\na\nb\nc", "endorsementKey\na\nc\n", 0},
        {"endorsementKey\r\na,b\r\nb\r\n", "endorsementKey\r\na,b\r\n", 0},
        {"{\"a\":1}\n{}\n{", "{\"a\":1}\n{\n", 0},
        {"[1,2 , {\"x\":[3]}\n]", "[\n1,\n{\"x\":[3]}\n]\n", 0},
        {"[ \"a.b.c\" ]", NULL, 0},
        {"[]", "", 0},
        {"-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----\n", 0},
    };
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < COUNT(table); i++) {
        if (table[i].out == NULL)
            continue;
        write_file(path_of("in"), table[i].input);
        refuse_some(path_of("in"), path_of("out"), 0, table[i].lost);
        assert_string_equal(table[i].out, read_file(path_of("out")));
    }
    /* Behind what is there already, of which so much counts. */
    write_file(path_of("in"), "endorsementKey\na\n");
    write_file(path_of("out"), "endorsementKey\nx\ny\n");
    refuse_some(path_of("in"), path_of("out"), 17, 0);
    assert_string_equal("endorsementKey\nx\na\n", read_file(path_of("out")));
    write_file(path_of("in"), "[7]");
    write_file(path_of("out"), "[\n1\n]\n");
    refuse_some(path_of("in"), path_of("out"), 3, 0);
    assert_string_equal("[\n1,\n7\n]\n", read_file(path_of("out")));
}

static void rejects_refused(void **state)
{
    (void)state;
    const char *csv = path_of("a.csv"), *other = path_of("b.csv"), *lines = path_of("c.jsonl");
    write_file(csv, "endorsementKey\n");
    write_file(other, "endorsementKey,registrationId\n");
    write_file(lines, "{}\n");
    const struct {
        const char *files[2], *out;
        enum err e;
    } table[] = {
        {{csv, csv}, path_of("out"), ERR_OK},
        {{csv, other}, path_of("out"), ERR_CONFIG},
        {{csv, lines}, path_of("out"), ERR_CONFIG},
        {{csv, csv}, csv, ERR_DUPLICATE},
        {{csv, csv}, "/nonexistent/out", ERR_IO},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct reader_options options = {0};
        struct inputs *inputs;
        struct rejects *r = NULL;
        struct import_reason why = {""};
        assert_ok(inputs_open(table[i].files, 2, &options, &inputs, &why));
        assert_err(table[i].e, rejects_open(i == 3 ? csv : table[i].out, inputs, 0, &r, &why));
        assert_true((r != NULL) == (table[i].e == ERR_OK));
        assert_ok(rejects_close(r));
        inputs_close(inputs);
    }
    assert_string_equal("endorsementKey\n", read_file(csv));
    char command[80];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(0, system(command));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options),
        cmocka_unit_test(options_have_bounds),
        cmocka_unit_test(rows_go_before_the_run),
        cmocka_unit_test(rejects),
        cmocka_unit_test(rejects_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
