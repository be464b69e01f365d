/* The importer's judgement of a row: every reason for which one is refused, and what becomes of a
 * good one. */
#include <attest.h>
#include <check.h>
#include <keytext.h>
#include <seen.h>
#include <stdio.h>
#include <wire/text.h>

#include "../vectors/protocol.h"
#include "unit.h"

/* The modulus of a key made for this test; its private part is gone. */
#define GOOD_MODULUS                                                                               \
    "beb72b27ba91abf8f586ab3768039846c8a9f1819d0716e05e1629d1c15c40d7"                             \
    "564028d613670c4f12a4fe7bb0ebf666e2be6858c19adc93cf8363a3c8fa6c4a"                             \
    "706e52eac24149dab471cb57f144ca607d3247b801509d5c81a067cda47c34b1"                             \
    "81e34fa93e19c9554c7d9a226177af88ded02ccc5381070ecb4ef9fc4949ff5d"                             \
    "36d187f29de3c4fdca8a9f82bb7608d763b8efc8d376667af3412e7bba2ab5e0"                             \
    "fdcdb88bbf8ce45a2e25b427917debc4f6921ece006e97dac3189aece3a84564"                             \
    "fbaaa707dcd4656d62d4c74813cd880df9447ecb30ff360cc19b316c12c716dc"                             \
    "ba0a43a3ddccc533334e5ca75e45be7f5e31aeee2d92995535ab88c2219918bb"
/* k*M + (65537^a mod M), twice, multiplied: what the faulty library made. */
#define ROCA_MODULUS                                                                               \
    "98f8fef4e86bde381ca5ff22a6277f0dafa6d4e83eea32cb452f67d6a26941ab"                             \
    "f4a81bc27183bc6ddb1e0e0f62b62df370acbf7e68f8750d7b0d47d71353ba4b"                             \
    "21780f5410b2932814b3c42d56af750d5129c523ae8d966fb2f09bb3466b9fe6"                             \
    "10086a0e24e8dceb6e4fcb824be8da12f5b40eb843d2247eae6c2686f49940fa"                             \
    "c66dda59f514fc449f04f69911ee025a45423915950364ba0b9b3d69827c23fe"                             \
    "f00f51a472a1056b93f33c45e360aa8842475036096c71cd4d4cbf7d86e65b11"                             \
    "a61fba318cd3ea775c598eec784f3fd06d7984bcf995af1f4030903e52878424"                             \
    "634a3405ed2d164e2469ebae8fbb78a494671288ccbc7694c5b2532a4cf0ad55"
#define PRIME_BELOW_2_2048 1942289u /* 2^2048 less this is prime */
#define SPKI_RSA_BEFORE "30820122300d06092a864886f70d01010105000382010f003082010a0282010100"
#define SPKI_RSA_AFTER "0203010001"
#define SPKI_P256 "3059301306072a8648ce3d020106082a8648ce3d03010703420004"

/* Text of keys, made once. */
static char ek_rsa[600], ek_ecc[200], srk_rsa[600], srk_ecc[200], ek_roca[600], srk_roca[600];
static char pem_rsa[600], pem_ecc[300], pem_roca[600], pem_1024[400], pem_exponent_3[600];
static char pem_p384[300], pem_even[600], pem_off_curve[300], srk_as_ek[200];

static void put_base64(char *text, size_t cap, struct span bytes)
{
    struct buf out = buf_over(text, cap);
    base64_write(&out, bytes);
    assert_ok(buf_end_text(&out));
}

static void put_key(char *text, size_t cap, enum tpm_key_role role, const char *key_hex)
{
    uint8_t key[TPM_RSA_LEN];
    struct tpm_public pub;
    struct span k = UNHEX(key_hex, key);
    enum tpm_key_kind kind = k.len == TPM_RSA_LEN ? TPM_KEY_RSA_2048 : TPM_KEY_ECC_P256;
    assert_ok(tpm_public_from_key(role, kind, k, &pub));
    put_base64(text, cap, span_of(pub.raw, pub.raw_len));
}

/* Lines of 64, as every tool writes them. */
static void put_pem(char *text, size_t cap, const char *der_hex)
{
    uint8_t der[500];
    char body[700];
    put_base64(body, sizeof body, UNHEX(der_hex, der));
    struct buf out = buf_over(text, cap);
    buf_put_text(&out, "-----BEGIN PUBLIC KEY-----\n");
    for (struct span rest = span_text(body); rest.len > 0; rest = span_slice(rest, 64, rest.len)) {
        buf_put(&out, span_slice(rest, 0, 64));
        buf_put_text(&out, "\n");
    }
    buf_put_text(&out, "-----END PUBLIC KEY-----\n");
    assert_ok(buf_end_text(&out));
}

static int make_keys(void **state)
{
    (void)state;
    put_key(ek_rsa, sizeof ek_rsa, TPM_ROLE_EK, GOOD_MODULUS);
    put_key(srk_rsa, sizeof srk_rsa, TPM_ROLE_SRK, GOOD_MODULUS);
    put_key(ek_ecc, sizeof ek_ecc, TPM_ROLE_EK, VECTOR_P256_GX VECTOR_P256_GY);
    put_key(srk_ecc, sizeof srk_ecc, TPM_ROLE_SRK, VECTOR_P256_2GX VECTOR_P256_2GY);
    put_key(ek_roca, sizeof ek_roca, TPM_ROLE_EK, ROCA_MODULUS);
    put_key(srk_roca, sizeof srk_roca, TPM_ROLE_SRK, ROCA_MODULUS);
    put_pem(pem_rsa, sizeof pem_rsa, SPKI_RSA_BEFORE GOOD_MODULUS SPKI_RSA_AFTER);
    put_pem(pem_roca, sizeof pem_roca, SPKI_RSA_BEFORE ROCA_MODULUS SPKI_RSA_AFTER);
    put_pem(pem_exponent_3, sizeof pem_exponent_3, SPKI_RSA_BEFORE GOOD_MODULUS "0203000003");
    put_pem(pem_ecc, sizeof pem_ecc, SPKI_P256 VECTOR_P256_GX VECTOR_P256_GY);
    put_pem(pem_off_curve, sizeof pem_off_curve, SPKI_P256 VECTOR_P256_GX VECTOR_P256_2GY);
    put_pem(pem_p384, sizeof pem_p384,
            "3076301006072a8648ce3d020106052b8104002203620004" VECTOR_P256_GX VECTOR_P256_GX
                VECTOR_P256_GX);
    put_pem(
        pem_1024, sizeof pem_1024,
        "30819f300d06092a864886f70d010101050003818d0030818902818100" VECTOR_P256_GX VECTOR_P256_GX
            VECTOR_P256_GX VECTOR_P256_GX SPKI_RSA_AFTER);
    put_pem(pem_even, sizeof pem_even,
            SPKI_RSA_BEFORE VECTOR_P256_GX VECTOR_P256_GX VECTOR_P256_GX VECTOR_P256_GX
                VECTOR_P256_GX VECTOR_P256_GX VECTOR_P256_GX VECTOR_P256_GX SPKI_RSA_AFTER);
    put_key(srk_as_ek, sizeof srk_as_ek, TPM_ROLE_SRK, VECTOR_P256_GX VECTOR_P256_GY);
    return 0;
}

static struct import_row row_of(const char *id, const char *ek, const char *srk, const char *device,
                                const char *pin)
{
    return (struct import_row){.line = 7,
                               .fields = {[COLUMN_REGISTRATION_ID] = span_text(id),
                                          [COLUMN_ENDORSEMENT_KEY] = span_text(ek),
                                          [COLUMN_STORAGE_ROOT_KEY] = span_text(srk),
                                          [COLUMN_DEVICE_ID] = span_text(device),
                                          [COLUMN_PIN_SRK] = span_text(pin)}};
}

static void rows(void **state)
{
    (void)state;
    char long_id[REGID_MAX + 2];
    memset(long_id, 'a', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = 0;
    const struct {
        const char *id, *ek, *srk, *device, *pin;
        enum err e;
        const char *why; /* how the reason begins */
    } table[] = {
        {"one", ek_rsa, "", "", "", ERR_OK, ""},
        {"one", ek_rsa, srk_ecc, "two", "true", ERR_OK, ""},
        {"one", ek_ecc, srk_rsa, "", "FALSE", ERR_OK, ""},
        {"ONE.two_3:-", pem_rsa, "", "", "", ERR_OK, ""},
        {"", pem_ecc, srk_ecc, "", "", ERR_OK, ""},
        {"one", "", "", "", "", ERR_ENCODING, "endorsementKey: there is none"},
        {"a b", ek_rsa, "", "", "", ERR_REG_ID, "registrationId: not 1 to 128 of"},
        {"../etc", ek_rsa, "", "", "", ERR_REG_ID, "registrationId: "},
        {"%2e%2e", ek_rsa, "", "", "", ERR_REG_ID, "registrationId: "},
        {"=cmd|' /C calc'!A0", ek_rsa, "", "", "", ERR_REG_ID, "registrationId: "},
        {"x'; drop table enrollment; --", ek_rsa, "", "", "", ERR_REG_ID, "registrationId: "},
        {"ends.", ek_rsa, "", "", "", ERR_REG_ID, "registrationId: "},
        {long_id, ek_rsa, "", "", "", ERR_REG_ID, "registrationId: "},
        {"one", ek_rsa, "", "a/b", "", ERR_REG_ID, "deviceId: not 1 to 128 of"},
        {"one", ek_rsa, "", "", "yes", ERR_ENCODING, "pinSrk: neither true nor false"},
        {"one", ek_rsa, "", "", "true", ERR_ENCODING, "pinSrk: there is no storageRootKey"},
        {"one", "nonsense!", "", "", "", ERR_ENCODING, "endorsementKey: neither canonical base64"},
        {"one", ek_roca, "", "", "", ERR_KEY_WEAK, "endorsementKey: the modulus has the structure"},
        {"one", pem_roca, "", "", "", ERR_KEY_WEAK,
         "endorsementKey: the modulus has the structure"},
        {"one", ek_ecc, srk_roca, "", "", ERR_KEY_WEAK, "storageRootKey: the modulus has the str"},
        {"one", srk_rsa, "", "", "", ERR_OK, ""}, /* an EK without policy: its attributes will do */
        {"one", ek_ecc, "bm9ib2R5", "", "", ERR_KEY_SHAPE, "storageRootKey: "},
        {"one", ek_ecc, srk_as_ek, "", "", ERR_KEY_ROLE, "storageRootKey: is the endorsement key"},
        {"one", pem_1024, "", "", "", ERR_KEY_SHAPE, "endorsementKey: the key is"},
        {"one", pem_exponent_3, "", "", "", ERR_KEY_SHAPE, "endorsementKey: the key is"},
        {"one", pem_p384, "", "", "", ERR_KEY_SHAPE, "endorsementKey: the key is"},
        {"one", pem_even, "", "", "", ERR_KEY_SHAPE, "endorsementKey: "},
        {"one", pem_off_curve, "", "", "", ERR_KEY_SHAPE, "endorsementKey: "},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct import_row row =
            row_of(table[i].id, table[i].ek, table[i].srk, table[i].device, table[i].pin);
        struct store_enrollment e;
        struct import_reason why;
        char what[60];
        (void)snprintf(what, sizeof what, "row %zu (%.20s)", i, table[i].id);
        POISON(e);
        assert_err_of(what, table[i].e, check_row(&row, CHECK_THOROUGH, 1000, &e, &why));
        if (strncmp(why.text, table[i].why, strlen(table[i].why)) != 0)
            fail_msg("%s: \"%s\"", what, why.text);
        if (table[i].e != ERR_OK) {
            assert_poisoned(e);
            assert_true(why.text[0] != 0);
        }
    }
}

static void a_good_row_becomes_an_enrollment(void **state)
{
    (void)state;
    struct import_row row = row_of("Dev-1", ek_rsa, srk_ecc, "Meter-1", "true");
    struct store_enrollment e;
    struct import_reason why;
    uint8_t ek[TPM_PUBLIC_CAP];
    struct buf raw = BUF_OVER(ek);
    assert_ok(check_row(&row, CHECK_THOROUGH, 1000, &e, &why));
    assert_ok(base64_read(span_text(ek_rsa), &raw));
    assert_text("dev-1", regid_span(&e.id));
    assert_text("meter-1", regid_span(&e.device_id));
    assert_span_equal(buf_span(&raw), span_of(e.ek, e.ek_len));
    assert_int_equal(VECTOR_SRK_ECC_LEN, e.srk_len);
    assert_true(e.pin_srk);
    assert_true(e.enabled);
    assert_int_equal(1000, e.created_s);
    assert_int_equal(1000, e.updated_s);
}

/* A modulus that is prime takes milliseconds to be told from a product of two: only the thorough
 * search does. Every other weakness is found in each row. */
static void fast_and_thorough(void **state)
{
    (void)state;
    struct import_row roca = row_of("one", ek_roca, "", "", "");
    struct store_enrollment e;
    struct import_reason why;
    char text[600];
    uint8_t key[TPM_RSA_LEN];
    struct tpm_public pub;
    assert_err(ERR_KEY_WEAK, check_row(&roca, CHECK_FAST, 1000, &e, &why));
    memset(key, 0xff, sizeof key);
    for (int k = 0; k < 4; k++)
        key[TPM_RSA_LEN - 1 - k] = (uint8_t)(-PRIME_BELOW_2_2048 >> 8 * k);
    assert_ok(tpm_public_from_key(TPM_ROLE_EK, TPM_KEY_RSA_2048, SPAN_ARRAY(key), &pub));
    put_base64(text, sizeof text, span_of(pub.raw, pub.raw_len));
    struct import_row row = row_of("one", text, "", "", "");
    assert_err(ERR_KEY_WEAK, check_row(&row, CHECK_THOROUGH, 1000, &e, &why));
    assert_ok(check_row(&row, CHECK_FAST, 1000, &e, &why));
}

/* The same key as TPM2B_PUBLIC and as PEM is the same enrollment, with the id a device derives. */
static void both_spellings_are_one_key(void **state)
{
    static const char *const pairs[][2] = {{ek_rsa, pem_rsa}, {ek_ecc, pem_ecc}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct store_enrollment e[2];
        struct import_reason why;
        memset(e, 0, sizeof e);
        for (int k = 0; k < 2; k++) {
            struct import_row row = row_of("", pairs[i][k], "", "", "");
            assert_ok(check_row(&row, CHECK_THOROUGH, 1000, &e[k], &why));
        }
        assert_memory_equal(&e[0], &e[1], sizeof e[0]);
        struct regid id;
        assert_ok(regid_from_ek(span_of(e[0].ek, e[0].ek_len), &id));
        assert_string_equal(id.text, e[0].id.text);
        assert_string_equal(id.text, e[0].device_id.text);
    }
}

static void a_broken_row_keeps_its_reason(void **state)
{
    (void)state;
    struct import_row row = row_of("one", ek_rsa, "", "", "");
    struct store_enrollment e;
    struct import_reason why;
    import_reason_set(&row.broken, "the row is torn");
    assert_err(ERR_ENCODING, check_row(&row, CHECK_THOROUGH, 1000, &e, &why));
    assert_string_equal("the row is torn", why.text);
}

/* ---- how a key may be written ---- */

static void expect_key(const char *what, const char *text, enum err expected)
{
    struct tpm_public pub;
    struct import_reason why = {""};
    POISON(pub);
    assert_err_of(what, expected, keytext_read(span_text(text), TPM_ROLE_EK, &pub, &why));
    if (expected != ERR_OK) {
        assert_poisoned(pub);
        assert_true(why.text[0] != 0);
    }
}

static void spellings_of_a_key(void **state)
{
    (void)state;
    char text[1200];
#define SPELLED(expected, ...)                                                                     \
    do {                                                                                           \
        (void)snprintf(text, sizeof text, __VA_ARGS__);                                            \
        expect_key(text, text, expected);                                                          \
    } while (0)
    size_t len = strlen(ek_ecc);
    SPELLED(ERR_ENCODING, " %s", ek_ecc);
    SPELLED(ERR_ENCODING, "%s\n", ek_ecc);
    SPELLED(ERR_ENCODING, "%.*s", (int)len - 1, ek_ecc);
    SPELLED(ERR_KEY_SHAPE, "%.*s", (int)len - 4, ek_ecc);
    SPELLED(ERR_ENCODING, "%sAAAA", ek_ecc);
    SPELLED(ERR_ENCODING, "%s%s%s%s", ek_ecc, ek_ecc, ek_ecc, ek_ecc);
    SPELLED(ERR_OK, "  %s  ", pem_ecc);
    for (char *c = pem_ecc; *c != 0; c++)
        text[c - pem_ecc] = *c == '\n' ? ' ' : *c; /* what a spreadsheet makes of it */
    text[strlen(pem_ecc)] = 0;
    expect_key("on one line", text, ERR_OK);
    SPELLED(ERR_KEY_SHAPE, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    SPELLED(ERR_KEY_SHAPE, "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n");
    SPELLED(ERR_ENCODING, "-----BEGIN PUBLIC KEY-----\nAAAA");
    SPELLED(ERR_ENCODING, "-----BEGIN PUBLIC KEY-----");
    SPELLED(ERR_ENCODING, "-----BEGIN PUBLIC KEY-----\nA*AA\n-----END PUBLIC KEY-----");
    SPELLED(ERR_KEY_SHAPE, "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----");
    SPELLED(ERR_ENCODING, "%s%s", pem_ecc, pem_ecc);
#undef SPELLED
}

/* ---- what was seen before ---- */

#define ROWS_MAX 50000

static struct store_enrollment enrollment_of(const char *id, uint8_t key, const char *device)
{
    struct store_enrollment e = {.ek_len = 4, .ek = {key}, .ek_hash = {key}};
    assert_ok(regid_read(span_text(id), &e.id));
    assert_ok(regid_read(span_text(device), &e.device_id));
    return e;
}

static void add(struct seen *s, const struct store_enrollment *e, struct seen_place place)
{
    struct seen_print print = seen_print(s, e);
    seen_add(s, &print, place);
}

static enum seen_what look(const struct seen *s, const struct store_enrollment *e,
                           struct seen_place *ret_place)
{
    struct seen_print print = seen_print(s, e);
    enum seen_what what;
    seen_find(s, &print, &what, ret_place);
    return what;
}

static void collisions_within_a_run(void **state)
{
    static const struct {
        const char *id;
        uint8_t key;
        const char *device;
        enum seen_what what;
    } table[] = {
        {"one", 1, "one", SEEN_SAME},   {"one", 2, "one", SEEN_ID},
        {"one", 1, "x", SEEN_ID},       {"two", 1, "two", SEEN_KEY},
        {"two", 2, "one", SEEN_DEVICE}, {"two", 2, "two", SEEN_NOTHING},
    };
    (void)state;
    struct seen *s = NULL;
    struct seen_place there;
    assert_ok(seen_open(ROWS_MAX, &s));
    struct store_enrollment first = enrollment_of("one", 1, "one");
    add(s, &first, (struct seen_place){3, 14});
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct store_enrollment e = enrollment_of(table[i].id, table[i].key, table[i].device);
        assert_int_equal(table[i].what, look(s, &e, &there));
        if (table[i].what != SEEN_NOTHING) {
            assert_int_equal(3, there.file_index);
            assert_int_equal(14, there.line);
        }
    }
    struct store_enrollment second = enrollment_of("three", 3, "device");
    add(s, &second, (struct seen_place){4, 15});
    struct store_enrollment as_id = enrollment_of("device", 4, "device"),
                            as_device = enrollment_of("four", 4, "device"),
                            by_id_of_own = enrollment_of("five", 5, "three");
    assert_int_equal(SEEN_DEVICE, look(s, &as_id, &there));
    assert_int_equal(SEEN_DEVICE, look(s, &as_device, &there));
    assert_int_equal(15, there.line);
    assert_int_equal(SEEN_NOTHING, look(s, &by_id_of_own, &there)); /* its device id is another */
    seen_close(s);
}

static void what_was_seen_is_bounded(void **state)
{
    (void)state;
    struct seen *s = NULL;
    struct seen_place there;
    struct store_enrollment e = enrollment_of("one", 1, "one");
    assert_ok(seen_open(ROWS_MAX, &s));
    for (uint32_t i = 0; i <= ROWS_MAX; i++) {
        assert_int_equal(ROWS_MAX - i, seen_room(s));
        assert_false(seen_is_full(s));
        (void)snprintf(e.id.text, sizeof e.id.text, "id-%u", i);
        e.device_id = e.id;
        memcpy(e.ek_hash, &i, sizeof i);
        add(s, &e, (struct seen_place){0, i});
    }
    assert_true(seen_is_full(s));
    assert_int_equal(SEEN_NOTHING, look(s, &e, &there)); /* one too many */
    e = enrollment_of("id-7", 99, "x");
    assert_int_equal(SEEN_ID, look(s, &e, &there)); /* what was known stays known */
    assert_int_equal(7, there.line);
    seen_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(a_good_row_becomes_an_enrollment),
        cmocka_unit_test(fast_and_thorough),
        cmocka_unit_test(both_spellings_are_one_key),
        cmocka_unit_test(a_broken_row_keeps_its_reason),
        cmocka_unit_test(spellings_of_a_key),
        cmocka_unit_test(collisions_within_a_run),
        cmocka_unit_test(what_was_seen_is_bounded),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
