/* Reading EK certificates, and the files of what is trusted. */
#include <ekscene.h>
#include <stdlib.h>
#include "unit.h"

/* ---- what is in it ---- */

static void fields_are_read(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    uint8_t der[CERTMAKE_CAP];
    struct ekcert c;
    struct tpm_public ek;
    certkey_ek(&keys.ek, &ek);
    s.leaf.not_after_s = 253402300799;
    struct span whole = certmake(&s.leaf, der);
    POISON(c);
    assert_ok(ekcert_read(whole, &c));
    assert_span_equal(whole, c.der);
    assert_span_equal(SERIAL("\x12\x34"), c.serial);
    assert_int_equal(c.not_before_s, s.leaf.not_before_s);
    assert_int_equal(c.not_after_s, 253402300799);
    assert_int_equal(c.key, EKCERT_KEY_RSA_2048);
    assert_true(c.challengeable && tpm_public_same_key(&c.ek, &ek));
    assert_span_equal(SPAN_ARRAY(keys.middle.id), c.authority_key);
    assert_span_equal(SPAN_ARRAY(keys.ek.id), c.subject_key);
    assert_int_equal(c.key_usage, EKCERT_USE_KEY_ENCIPHERMENT);
    assert_true(c.has_purpose && c.purpose_ek && c.san_critical && !c.ca && !c.unknown_critical);
    assert_int_equal(c.path_len, EKCERT_NO_PATH_LEN);
    assert_int_equal(c.tpm.manufacturer, 0x49465800);
    assert_string_equal(c.tpm.vendor, "IFX");
    assert_string_equal(ekcert_vendor_name(c.tpm.manufacturer), "Infineon");
    assert_string_equal(c.tpm.model, "SLB 9999");
    assert_string_equal(c.tpm.firmware, "id:00010002");
    assert_int_equal(c.signature.scheme, EKCERT_ECDSA);
    assert_int_equal(c.signature.digest, EKCERT_SHA256);
    assert_int_equal(c.oddities, 0);
}

static void manufacturers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *vendor;
        uint32_t id;
    } cases[] = {
        {"id:49465800", "IFX", 0x49465800}, {"id:4e544300", "NTC", 0x4e544300},
        {"id:53544D20", "STM", 0x53544d20}, {"id:474F4F47", "GOOG", 0x474f4f47},
        {"id:00001014", "00001014", 0x1014}, {"id:4146ff00", "4146ff00", 0x4146ff00},
        {"id:41004600", "41004600", 0x41004600}, {"49465800", "", 0}, {"id:4946580", "", 0},
        {"id:494658000", "", 0}, {"id:4946580g", "", 0}, {"ID:49465800", "", 0}, {"", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s = scene_plain();
        uint8_t der[CERTMAKE_CAP];
        struct ekcert c;
        s.leaf.manufacturer = cases[i].text;
        assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
        assert_int_equal(c.tpm.manufacturer, cases[i].id);
        assert_string_equal(c.tpm.vendor, cases[i].vendor);
        assert_int_equal(c.oddities, cases[i].id ? 0 : EKCERT_ODD_MANUFACTURER);
    }
    assert_null(ekcert_vendor_name(0));
}

static void keys_are_recognised(void **state)
{
    (void)state;
    static const struct {
        struct certkey *key;
        enum ekcert_key kind;
    } cases[] = {
        {&keys.ek, EKCERT_KEY_RSA_2048},   {&keys.ek_ecc, EKCERT_KEY_ECC_P256},
        {&keys.p384, EKCERT_KEY_ECC_P384}, {&keys.p521, EKCERT_KEY_ECC_P521},
        {&keys.weak, EKCERT_KEY_RSA_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s = scene_plain();
        uint8_t der[CERTMAKE_CAP];
        struct ekcert c;
        s.leaf.key = cases[i].key;
        assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
        assert_int_equal(c.key, cases[i].kind);
        assert_int_equal(c.challengeable, i < 2);
    }
}

/* RSAES-OAEP as the key's algorithm, an even modulus, a point off its curve. */
static void odd_keys(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    uint8_t der[CERTMAKE_CAP], spki[600];
    struct ekcert c;
    struct tpm_public ek;
    certkey_ek(&keys.ek, &ek);
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    assert_true(c.spki.len < sizeof spki);
    memcpy(spki, c.spki.at, c.spki.len);
    s.leaf.spki = span_of(spki, c.spki.len);
    spki[4 + 2 + 2 + 8] = 7; /* the last arc of rsaEncryption */
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    assert_int_equal(c.oddities, EKCERT_ODD_OAEP_KEY);
    assert_true(c.challengeable && tpm_public_same_key(&c.ek, &ek));
    spki[s.leaf.spki.len - 6] &= 0xfe; /* the modulus; 02 03 01 00 01 follow */
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    assert_int_equal(c.key, EKCERT_KEY_BAD);
    assert_false(c.challengeable);
    spki[s.leaf.spki.len - 6] |= 1;
    spki[s.leaf.spki.len - 1] = 3; /* exponent 65539 */
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    assert_int_equal(c.key, EKCERT_KEY_RSA_OTHER);
    s = scene_plain();
    s.leaf.key = s.leaf.own = &keys.ek_ecc;
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    memcpy(spki, c.spki.at, c.spki.len);
    s.leaf.spki = span_of(spki, c.spki.len);
    spki[c.spki.len - 1] ^= 1;
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    assert_int_equal(c.key, EKCERT_KEY_BAD);
}

static enum ekcert_key changed(const struct certkey *key, size_t from_end, uint8_t flip)
{
    struct scene s = scene_plain();
    uint8_t der[CERTMAKE_CAP], spki[600];
    struct ekcert c;
    s.leaf.key = key;
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    memcpy(spki, c.spki.at, c.spki.len);
    s.leaf.spki = span_of(spki, c.spki.len);
    spki[c.spki.len - from_end] ^= flip;
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    assert_true(c.key != EKCERT_KEY_BAD || (c.modulus.len == 0 && c.point.len == 0));
    return c.key;
}

/* Keys the challenge cannot serve are looked at as well: a CA may have one. */
static void odd_keys_of_other_kinds(void **state)
{
    (void)state;
    assert_int_equal(changed(&keys.weak, 6, 1), EKCERT_KEY_BAD); /* an even modulus */
    assert_int_equal(changed(&keys.weak, 1, 1), EKCERT_KEY_BAD); /* an even exponent */
    assert_int_equal(changed(&keys.weak, 6, 2), EKCERT_KEY_RSA_OTHER);
    assert_int_equal(changed(&keys.p384, 97, 6), EKCERT_KEY_BAD); /* a compressed point */
    assert_int_equal(changed(&keys.p384, 101, 4), EKCERT_KEY_OTHER); /* no such curve */
}

/* The key by itself, SubjectPublicKeyInfo or PKCS#1, is the same key. */
static void public_keys_alone(void **state)
{
    (void)state;
    static struct certkey *const all[] = {&keys.ek, &keys.ek_ecc, &keys.p384, &keys.weak};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct scene s = scene_plain();
        uint8_t der[CERTMAKE_CAP];
        struct ekcert c, alone;
        s.leaf.key = all[i];
        assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
        ekcert_public_key_read(c.spki, &alone);
        assert_int_equal(alone.key, c.key);
        assert_int_equal(alone.challengeable, i < 2);
        assert_true(i >= 2 || tpm_public_same_key(&alone.ek, &c.ek));
        ekcert_public_key_read(span_slice(c.spki, 0, c.spki.len - 1), &alone);
        assert_int_equal(alone.key, EKCERT_KEY_BAD);
        if (all[i]->kind != CERTKEY_RSA)
            continue;
        ekcert_public_key_read(span_slice(c.spki, i == 0 ? 24 : 22, c.spki.len), &alone);
        assert_int_equal(alone.key, c.key);
        assert_span_equal(c.modulus, alone.modulus);
    }
}

static void versions(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    uint8_t der[CERTMAKE_CAP];
    struct ekcert c;
    struct span whole = certmake(&s.leaf, der);
    assert_memory_equal(der + 8, "\xa0\x03\x02\x01\x02", 5);
    for (uint8_t version = 0; version < 5; version++) {
        der[12] = version; /* extensions are version 3's (2) alone */
        assert_err_of("version", version == 2 ? ERR_OK : ERR_CERTIFICATE, ekcert_read(whole, &c));
    }
}

/* ---- as it lies in an NV index ---- */

static void nv_images(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    uint8_t der[CERTMAKE_CAP], image[2 * CERTMAKE_CAP];
    struct ekcert c;
    struct span whole = certmake(&s.leaf, der);
    for (int i = 0; i < 8; i++) {
        bool header = i & 1, padded = i & 2;
        struct buf b = BUF_OVER(image);
        if (header) {
            buf_put(&b, SPAN_LITERAL("\x10\x01\x00"));
            buf_put_u16(&b, (uint16_t)(whole.len + 2));
            buf_put(&b, SPAN_LITERAL("\x10\x02"));
        }
        buf_put(&b, whole);
        for (int at = 0; padded && at < 300; at++)
            buf_put_u8(&b, i & 4 ? 0xff : 0x00);
        assert_ok(ekcert_read(buf_span(&b), &c));
        assert_span_equal(whole, c.der);
        assert_int_equal(c.oddities, (header ? EKCERT_ODD_STORED_HEADER : 0) |
                                         (padded ? EKCERT_ODD_PADDING : 0));
        if (!header) {
            buf_put_u8(&b, 0x30);
            assert_err(ERR_CERTIFICATE, ekcert_read(buf_span(&b), &c));
        }
    }
}

static void what_is_cut_or_damaged_is_refused(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    uint8_t der[CERTMAKE_CAP], *copy;
    struct ekcert c;
    struct span whole = certmake(&s.leaf, der);
    for (size_t len = 0; len < whole.len; len++) {
        copy = malloc(len > 0 ? len : 1); /* so that a byte too far is seen */
        memcpy(copy, der, len);
        POISON(c);
        assert_err(ERR_CERTIFICATE, ekcert_read(span_of(copy, len), &c));
        assert_poisoned(c);
        free(copy);
    }
    /* key usage: a bit set where there is none; no bits; five bytes of them */
    static const struct span usages[] = {
        {(const uint8_t *)"\x30\x0b\x06\x03\x55\x1d\x0f\x04\x04\x03\x02\x05\x2f", 13},
        {(const uint8_t *)"\x30\x0b\x06\x03\x55\x1d\x0f\x04\x04\x03\x02\x08\x20", 13},
        {(const uint8_t *)"\x30\x0a\x06\x03\x55\x1d\x0f\x04\x03\x03\x01\x00", 12},
    };
    s.leaf.usage = NO_USAGE;
    for (size_t i = 0; i < 3; i++) {
        s.leaf.extensions = usages[i];
        assert_err(ERR_CERTIFICATE, ekcert_read(certmake(&s.leaf, der), &c));
    }
    /* the same extension twice */
    s.leaf.extensions = SPAN_LITERAL("\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00");
    assert_err(ERR_CERTIFICATE, ekcert_read(certmake(&s.leaf, der), &c));
}

/* ---- files of trust ---- */

static const struct crlspec crl_plain = {.issuer = "Middle",
                                         .signer = &keys.middle,
                                         .authority = &keys.middle,
                                         .this_update_s = NOW_S - DAY_S,
                                         .next_update_s = NOW_S + DAY_S};

static void pem_files(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    uint8_t der[CERTMAKE_CAP], text[4 * CERTMAKE_CAP], more[CERTMAKE_CAP];
    struct buf b = BUF_OVER(text);
    struct ekcert_trust *t;
    s.crl = crl_plain;
    buf_put_text(&b, "subject: Root\n");
    buf_put(&b, pemmake("CERTIFICATE", certmake(&s.root, der), more, sizeof more));
    buf_put(&b, pemmake("PUBLIC KEY", SPAN_LITERAL("anything"), more, sizeof more));
    buf_put(&b, pemmake("CERTIFICATE", certmake(&s.middle, der), more, sizeof more));
    buf_put(&b, pemmake("X509 CRL", crlmake(&s.crl, der), more, sizeof more));
    assert_false(b.full);
    assert_ok(ekcert_trust_open(&t));
    assert_ok(ekcert_trust_add(t, EKCERT_TRUST_INTERMEDIATES, buf_span(&b)));
    assert_int_equal(ekcert_trust_count(t).roots, 0);
    assert_int_equal(ekcert_trust_count(t).intermediates, 2);
    assert_int_equal(ekcert_trust_count(t).crls, 1);
    assert_int_equal(ekcert_trust_blocks(t), 4);
    assert_ok(ekcert_trust_add(t, EKCERT_TRUST_ROOTS, buf_span(&b)));
    assert_int_equal(ekcert_trust_count(t).roots, 1);
    assert_int_equal(ekcert_trust_count(t).intermediates, 1);
    /* cut in the last block, nothing at all, no certificate */
    struct span damaged = span_slice(buf_span(&b), 0, b.len - 30);
    assert_err(ERR_ENCODING, ekcert_trust_add(t, EKCERT_TRUST_ROOTS, damaged));
    assert_int_equal(ekcert_trust_blocks(t), 4);
    assert_err(ERR_ABSENT, ekcert_trust_add(t, EKCERT_TRUST_ROOTS, SPAN_LITERAL("\n\n")));
    assert_err(ERR_ABSENT, ekcert_trust_add(t, EKCERT_TRUST_ROOTS, (struct span){0}));
    struct span junk = pemmake("CERTIFICATE", SPAN_LITERAL("0\003abc"), more, sizeof more);
    assert_err(ERR_CERTIFICATE, ekcert_trust_add(t, EKCERT_TRUST_ROOTS, junk));
    ekcert_trust_close(t);
    ekcert_trust_close(NULL);
}

static void damaged_pem(void **state)
{
    (void)state;
    char long_line[1200];
    memset(long_line, 'A', sizeof long_line);
    memcpy(long_line, "-----BEGIN X509 CRL-----", 24);
    memcpy(long_line + 24 + 1022, "==AAAA-----END X509 CRL-----", 29);
    const char *const texts[] = {
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATF-----\n",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE----\n",
        "-----BEGIN CERTIFICATE-----\nMAA=\n",
        "-----BEGIN CERTIFICATE-----\nMA!=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE",
        long_line,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint8_t bytes[1200];
        struct buf der = BUF_OVER(bytes);
        struct span text = span_text(texts[i]), before = text;
        enum ekcert_pem kind;
        assert_err_of(texts[i], ERR_ENCODING, ekcert_pem_next(&text, &der, &kind));
        assert_span_equal(before, text);
    }
}

/* A root that only stands among the intermediates anchors nothing. */
static void an_intermediate_file_makes_no_root(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    struct ekcert_trust *t;
    uint8_t der[CERTMAKE_CAP];
    struct ekcert c;
    struct ekcert_verdict v;
    assert_ok(ekcert_trust_open(&t));
    scene_give(t, EKCERT_TRUST_INTERMEDIATES, &s.root);
    scene_give(t, EKCERT_TRUST_INTERMEDIATES, &s.middle);
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    ekcert_judge(t, &c, NULL, &s.policy, s.now_s, &v);
    assert_int_equal(v.reason, EKCERT_NO_ISSUER);
    ekcert_judge(NULL, &c, NULL, &s.policy, s.now_s, &v);
    assert_int_equal(v.reason, EKCERT_NO_ISSUER);
    assert_int_equal(v.grade, EKCERT_CERTIFICATE);
    ekcert_trust_close(t);
}

/* A CRL that speaks of a part only, or is damaged, would be followed wrongly. */
static void partial_crls_are_refused(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    struct ekcert_trust *t;
    uint8_t der[CERTMAKE_CAP];
    assert_ok(ekcert_trust_open(&t));
    const struct span revoked[] = {SERIAL("\x12\x34")};
    s.crl = crl_plain;
    s.crl.revoked = revoked;
    s.crl.revoked_count = 1;
    s.crl.extensions = SPAN_LITERAL("\x30\x0d\x06\x03\x55\x1d\x1b\x01\x01\xff\x04\x03\x02\x01\x01");
    assert_err(ERR_CERTIFICATE,
               ekcert_trust_add(t, EKCERT_TRUST_ROOTS, crlmake(&s.crl, der)));
    s.crl.extensions = (struct span){0};
    struct span whole = crlmake(&s.crl, der);
    for (size_t len = 1; len < whole.len; len++)
        assert_err(ERR_CERTIFICATE,
                   ekcert_trust_add(t, EKCERT_TRUST_ROOTS, span_slice(whole, 0, len)));
    assert_ok(ekcert_trust_add(t, EKCERT_TRUST_ROOTS, whole));
    assert_int_equal(ekcert_trust_count(t).crls, 1);
    /* the signed algorithm is another than the unsigned */
    uint8_t *arc = memmem(der, whole.len, "\xce\x3d\x04\x03\x02", 5);
    assert_non_null(arc);
    arc[4] = 4;
    assert_err(ERR_CERTIFICATE, ekcert_trust_add(t, EKCERT_TRUST_ROOTS, whole));
    ekcert_trust_close(t);
}

static void everything_has_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < EKCERT_REASON_COUNT; i++) {
        assert_true(strlen(ekcert_reason_name((enum ekcert_reason)i)) > 0);
        assert_true(strlen(ekcert_reason_text((enum ekcert_reason)i)) > 0);
    }
    assert_string_equal(ekcert_reason_name(EKCERT_CRL_DATE), "CRL_DATE");
    assert_string_equal(ekcert_reason_text(EKCERT_REASON_COUNT), "unknown");
    for (unsigned bit = 1; bit <= EKCERT_ODD_CRL_STALE; bit <<= 1)
        assert_string_not_equal(ekcert_oddity_text((enum ekcert_oddity)bit), "unknown");
    assert_string_equal(ekcert_oddity_text((enum ekcert_oddity)(EKCERT_ODD_CRL_STALE << 1)),
                        "unknown");
    assert_string_equal(ekcert_grade_text(EKCERT_CERTIFICATE_TRUSTED), "certificate-trusted");
    assert_string_equal(ekcert_key_text(EKCERT_KEY_ECC_P384), "P-384");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read),
        cmocka_unit_test(manufacturers_are_read),
        cmocka_unit_test(keys_are_recognised),
        cmocka_unit_test(odd_keys),
        cmocka_unit_test(odd_keys_of_other_kinds),
        cmocka_unit_test(public_keys_alone),
        cmocka_unit_test(versions),
        cmocka_unit_test(nv_images),
        cmocka_unit_test(what_is_cut_or_damaged_is_refused),
        cmocka_unit_test(pem_files),
        cmocka_unit_test(damaged_pem),
        cmocka_unit_test(an_intermediate_file_makes_no_root),
        cmocka_unit_test(partial_crls_are_refused),
        cmocka_unit_test(everything_has_a_text),
    };
    return cmocka_run_group_tests(tests, keys_make, keys_free);
}
