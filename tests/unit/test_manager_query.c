/* The query language and the entity tags of the service API. */
#include "unit.h"

#include <inner.h>
#include <stdio.h>

static struct manager_exchange exchange;

static enum err parse(const char *text, struct query *ret_query)
{
    memset(&exchange, 0, sizeof exchange);
    return query_read(&exchange, span_text(text), ret_query);
}

static struct row enrollment(const char *id, const char *device_id, bool enabled,
                             enum store_attestation attestation, int64_t created_s)
{
    struct row row = {.kind = KIND_ENROLLMENT};
    struct store_enrollment *e = &row.enrollment;
    assert_ok(regid_read(span_text(id), &e->id));
    assert_ok(regid_read(span_text(device_id), &e->device_id));
    e->enabled = enabled;
    e->attestation = attestation;
    e->created_s = e->updated_s = created_s;
    if (attestation == STORE_TPM) {
        e->ek_len = 1;
        memset(e->ek_hash, 0xab, sizeof e->ek_hash);
    }
    return row;
}

#define HASH "abababababababababababababababababababababababababababababababab"

static void test_conditions(void **state)
{
    (void)state;
    /* press-1: TPM, enabled, 2020-01-01; press-2: keys, disabled, 2021-01-01; other: x509, 2022-01-01 */
    const struct row rows[] = {
        enrollment("press-1", "machine", true, STORE_TPM, 1577836800),
        enrollment("press-2", "press-2", false, STORE_SYMMETRIC_KEY, 1609459200),
        enrollment("other", "other", true, STORE_X509, 1640995200),
    };
    static const struct {
        const char *text;
        const char *matches; /* a digit for each row */
    } table[] = {
        {"", "111"},
        {"*", "111"},
        {"SELECT *", "111"},
        {"select * from anything", "111"},
        {"* WHERE registrationId = 'press-1'", "100"},
        {"* WHERE registrationid='PRESS-1'", "100"},
        {"* WHERE registrationId != 'press-1'", "011"},
        {"* WHERE registrationId <> 'press-1'", "011"},
        {"* WHERE registrationId < 'press-1'", "001"},
        {"* WHERE registrationId <= 'press-1'", "101"},
        {"* WHERE registrationId > 'press-1'", "010"},
        {"* WHERE registrationId >= 'press-1'", "110"},
        {"* WHERE registrationId LIKE 'press%'", "110"},
        {"* WHERE registrationId LIKE 'press'", "000"},
        {"* WHERE registrationId LIKE '%'", "111"},
        {"* WHERE deviceId = \"machine\"", "100"},
        {"* WHERE provisioningStatus = 'disabled'", "010"},
        {"* WHERE attestation.type = 'X509'", "001"},
        {"* WHERE createdDateTimeUtc >= '2021-01-01T00:00:00'", "011"},
        {"* WHERE createdDateTimeUtc < '2021'", "100"},
        {"* WHERE lastUpdatedDateTimeUtc LIKE '2022-%'", "001"},
        {"* WHERE ekHash = '" HASH "'", "100"},
        {"* WHERE ekHash = ''", "011"},
        {"* WHERE NOT registrationId = 'other'", "110"},
        {"* WHERE NOT NOT registrationId = 'other'", "001"},
        /* AND binds closer than OR */
        {"* WHERE registrationId='other' OR registrationId LIKE 'press%' AND provisioningStatus='enabled'",
         "101"},
        {"* WHERE (registrationId='other' OR registrationId LIKE 'press%') AND provisioningStatus='disabled'",
         "010"},
        {"* WHERE NOT (deviceId='machine' OR deviceId='other')", "010"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct query q;
        char found[4] = "";
        assert_err_of(table[i].text, ERR_OK, parse(table[i].text, &q));
        for (int r = 0; r < 3; r++)
            found[r] = query_matches(&q, &rows[r]) ? '1' : '0';
        if (strcmp(found, table[i].matches) != 0)
            fail_msg("%s: %s, not %s", table[i].text, found, table[i].matches);
    }
}

static void test_what_is_refused_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } table[] = {
        {"x", "character 1: SELECT expected, not \"x\""},
        {"SELECT", "character 7: * or registrationState expected, not \"the end\""},
        {"SELECT registrationState", "* expected"},
        {"SELECT *, colour", "character 11"},
        {"* FROM", "a name expected"},
        {"* FROM 'x'", "a name expected"},
        {"* WHERE", "registrationId, "},
        {"* WHERE colour = 'red'", "not \"colour\""},
        {"* WHERE registrationId", "LIKE expected"},
        {"* WHERE registrationId = 7", "a quoted text expected"},
        {"* WHERE registrationId = 'x", "does not end"},
        {"* WHERE registrationId = \"x'", "does not end"},
        {"* WHERE registrationId LIKE '%x%'", "at the end only"},
        {"* WHERE registrationId LIKE '%x'", "at the end only"},
        {"* WHERE registrationId = 'x' OR", "the end"},
        {"* WHERE (registrationId = 'x'", ") expected"},
        {"* WHERE registrationId = 'x')", "AND, OR expected"},
        {"* WHERE registrationId = 'x' ; DROP TABLE enrollment", "AND, OR expected, not \";\""},
        {"* WHERE registrationId = 'x' \"\"", "AND, OR expected"},
        {"* LIMIT 3", "WHERE expected"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct query q;
        assert_err_of(table[i].text, ERR_INVALID_ARGUMENT, parse(table[i].text, &q));
        if (strstr(exchange.message, table[i].says) == NULL)
            fail_msg("%s: %s, not %s", table[i].text, exchange.message, table[i].says);
    }
}

/* count conditions joined by AND. */
static void chain(char *ret_text, size_t cap, int count)
{
    struct buf b = buf_over(ret_text, cap);
    buf_put_text(&b, "* WHERE registrationId='x'");
    for (int i = 1; i < count; i++)
        buf_put_text(&b, " AND registrationId='x'");
    assert_ok(buf_end_text(&b));
}

static void nested(char *ret_text, size_t cap, const char *open, const char *close, int depth)
{
    struct buf b = buf_over(ret_text, cap);
    buf_put_text(&b, "* WHERE ");
    for (int i = 0; i < depth; i++)
        buf_put_text(&b, open);
    buf_put_text(&b, "registrationId='x'");
    for (int i = 0; i < depth; i++)
        buf_put_text(&b, close);
    assert_ok(buf_end_text(&b));
}

static void test_bounds(void **state)
{
    (void)state;
    char text[4096], value[400];
    struct query q;
    chain(text, sizeof text, 32); /* and 31 ANDs */
    assert_ok(parse(text, &q));
    chain(text, sizeof text, 33);
    assert_err(ERR_INVALID_ARGUMENT, parse(text, &q));
    nested(text, sizeof text, "(", ")", 16);
    assert_ok(parse(text, &q));
    nested(text, sizeof text, "(", ")", 17);
    assert_err(ERR_INVALID_ARGUMENT, parse(text, &q));
    nested(text, sizeof text, "NOT ", "", 16);
    assert_ok(parse(text, &q));
    nested(text, sizeof text, "NOT ", "", 17);
    assert_err(ERR_INVALID_ARGUMENT, parse(text, &q));
    for (int len = QUERY_VALUE_CAP - 1; len <= QUERY_VALUE_CAP; len++) {
        memset(value, 'x', sizeof value);
        value[len] = 0;
        (void)snprintf(text, sizeof text, "* WHERE deviceId='%s'", value);
        assert_err(len < QUERY_VALUE_CAP ? ERR_OK : ERR_INVALID_ARGUMENT, parse(text, &q));
    }
    assert_err(ERR_INVALID_ARGUMENT, query_read(&exchange, SPAN_LITERAL("* WHERE deviceId='a\0b'"), &q));
}

static void test_pins(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pinned;
    } table[] = {
        {"*", NULL},
        {"* WHERE registrationId = 'a'", "a"},
        {"* WHERE deviceId = 'b' AND registrationId = 'a'", "a"},
        {"* WHERE registrationId = 'a' OR deviceId = 'b'", NULL},
        {"* WHERE NOT registrationId = 'a'", NULL},
        {"* WHERE registrationId != 'a'", NULL},
        {"* WHERE registrationId LIKE 'a%'", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct query q;
        struct span value;
        assert_ok(parse(table[i].text, &q));
        bool pins = query_pins(&q, FIELD_ID, &value);
        assert_int_equal(table[i].pinned != NULL, pins);
        if (pins)
            assert_text(table[i].pinned, value);
    }
}

static void test_entity_tags(void **state)
{
    (void)state;
    char tag[ETAG_CAP], quoted[ETAG_CAP + 2];
    struct condition c;
    etag_write(0x123456789abcdef0, 77, tag);
    assert_ok(etag_read(span_text(tag), &c));
    assert_int_equal(c.match, STORE_MATCH_REVISION);
    assert_true(c.number == 0x123456789abcdef0 && c.revision == 77);
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", tag);
    POISON(c);
    assert_ok(etag_read(span_text(quoted), &c));
    assert_true(c.match == STORE_MATCH_REVISION && c.revision == 77);
    assert_ok(etag_read(SPAN_LITERAL(""), &c));
    assert_int_equal(c.match, STORE_MATCH_ABSENT);
    assert_ok(etag_read(SPAN_LITERAL("*"), &c));
    assert_int_equal(c.match, STORE_MATCH_ANY);
    assert_ok(etag_read(SPAN_LITERAL("\"*\""), &c));
    assert_int_equal(c.match, STORE_MATCH_ANY);
    tag[3] ^= 1;
    POISON(c);
    static const char *const bad[] = {"x", "AAAA", "\"", "W/\"AAAA\"", "IjAwMDAwMDAwMDAwMDAwMDAi"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err_of(bad[i], ERR_ETAG, etag_read(span_text(bad[i]), &c));
    assert_poisoned(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_what_is_refused_is_said),
        cmocka_unit_test(test_bounds),     cmocka_unit_test(test_pins),
        cmocka_unit_test(test_entity_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
