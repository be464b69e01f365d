#include "../vectors/protocol.h"

#include <unit.h>
#include <wire/regid.h>

/* Attack case T8: one canonical form, and nothing that merely looks like it. */
static void one_canonical_form(void **state)
{
    (void)state;
    static const struct {
        const char *text, *id; /* NULL: refused */
    } rows[] = {
        {"dev-1", "dev-1"},
        {"a", "a"},
        {"0", "0"},
        {"-", "-"},
        {"Dev-1", "dev-1"},
        {"DEV-1", "dev-1"},
        {"AZaz09", "azaz09"},
        {"a.b_c:d-e", "a.b_c:d-e"},
        {"dev-", "dev-"},
        {".a", ".a"},
        {"..", NULL},        /* and with it every path made of dots */
        {"", NULL},
        {"dev.", NULL},
        {"dev_", NULL},
        {"dev:", NULL},
        {".", NULL},
        {"dev 1", NULL},
        {" dev1", NULL},
        {"dev1 ", NULL},
        {"dev1\n", NULL},
        {"dev/1", NULL},
        {"dev\\1", NULL},
        {"dev%2D1", NULL},   /* decoding is done once, before */
        {"dev%201", NULL},
        {"dev+1", NULL},
        {"dev@1", NULL},
        {"dev[1", NULL},
        {"dev`1", NULL},
        {"dev{1", NULL},
        {"dev;1", NULL},
        {"dev,1", NULL},
        {"dev'1", NULL},
        {"dev\"1", NULL},
        {"dev#", NULL},
        {"dev$1", NULL},
        {"dev~1", NULL},
        {"dev\x7f", NULL},
        {"d\xc3\xa9v1", NULL},         /* e with acute */
        {"d\xd0\xb5v-1", NULL},        /* Cyrillic ie */
        {"dev\xe2\x80\x90" "1", NULL},    /* U+2010, a hyphen */
        {"dev\xef\xbc\x91" "1", NULL},    /* full-width one */
        {"\xe2\x84\xaa" "ey", NULL},   /* Kelvin sign, which folds to k */
        {"d\xc4\xb1v", NULL},          /* dotless i */
        {"\xef\xbb\xbf" "dev", NULL},  /* byte order mark */
        {"dev\xc0\xad", NULL},         /* overlong '-' */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct regid id;
        POISON(id);
        enum err e = regid_read(span_text(rows[i].text), &id);
        assert_err_of(rows[i].text, rows[i].id ? ERR_OK : ERR_REG_ID, e);
        if (rows[i].id)
            assert_text(rows[i].id, regid_span(&id));
        else
            assert_poisoned(id);
    }
}

static void nul_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    struct regid id;
    POISON(id);
    assert_err(ERR_REG_ID, regid_read(SPAN_LITERAL("dev\0001"), &id));
    assert_err(ERR_REG_ID, regid_read(SPAN_LITERAL("dev\0"), &id));
    assert_err(ERR_REG_ID, regid_read(SPAN_LITERAL("\0"), &id));
    assert_err(ERR_REG_ID, regid_read((struct span){0}, &id));
    assert_poisoned(id);
}

static void at_most_128_characters(void **state)
{
    (void)state;
    uint8_t text[REGID_MAX + 1];
    memset(text, 'x', sizeof text);
    struct regid id;
    POISON(id);
    assert_err(ERR_REG_ID, regid_read(SPAN_ARRAY(text), &id));
    assert_poisoned(id);
    assert_ok(regid_read(span_of(text, REGID_MAX), &id));
    assert_int_equal(REGID_MAX, regid_span(&id).len);
    assert_int_equal(0, id.text[REGID_MAX]);
}

static void reading_again_changes_nothing(void **state)
{
    (void)state;
    struct regid once, twice;
    assert_ok(regid_read(SPAN_LITERAL("Line-7:Dev.42"), &once));
    assert_ok(regid_read(regid_span(&once), &twice));
    assert_memory_equal(&once, &twice, sizeof once);
}

static void default_id_is_the_hash_of_the_whole_public_area(void **state)
{
    (void)state;
    uint8_t ek[VECTOR_EK_RSA_LEN];
    size_t prefix = UNHEX(VECTOR_EK_RSA_PREFIX, ek).len;
    vector_fill(ek + prefix, VECTOR_EK_MODULUS_BYTE, sizeof ek - prefix);
    struct regid id, again;
    assert_ok(regid_from_ek(SPAN_ARRAY(ek), &id));
    assert_string_equal(VECTOR_REGISTRATION_ID, id.text);
    assert_ok(regid_read(regid_span(&id), &again));
    assert_string_equal(id.text, again.text);
    ek[sizeof ek - 1] ^= 1;
    assert_ok(regid_from_ek(SPAN_ARRAY(ek), &again));
    assert_string_not_equal(id.text, again.text);
}

static void what_cannot_be_a_public_area_has_no_id(void **state)
{
    (void)state;
    static const uint8_t too_long[65538];
    struct regid id;
    POISON(id);
    assert_err(ERR_CRYPTO, regid_from_ek(SPAN_ARRAY(too_long), &id));
    assert_poisoned(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_canonical_form),
        cmocka_unit_test(nul_is_refused_wherever_it_stands),
        cmocka_unit_test(at_most_128_characters),
        cmocka_unit_test(reading_again_changes_nothing),
        cmocka_unit_test(default_id_is_the_hash_of_the_whole_public_area),
        cmocka_unit_test(what_cannot_be_a_public_area_has_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
