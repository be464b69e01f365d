#include <wolfssl/options.h>

#include "../vectors/protocol.h"

#include <unit.h>
#include <wire/tpmblob.h>
#include <wolfssl/wolfcrypt/hash.h>

/* The blob of the vectors; the spans point into the caller's space. */
struct parts {
    uint8_t credential[64], credential_secret[256], duplicate[160], duplicate_secret[256];
    uint8_t public_area[64], trailer[64];
    struct tpmblob blob;
};

static void make_parts(struct parts *p, bool with_trailer)
{
    vector_fill(p->credential_secret, 0, sizeof p->credential_secret);
    vector_fill(p->duplicate_secret, 0, sizeof p->duplicate_secret);
    p->blob = (struct tpmblob){
        .credential_secret = SPAN_ARRAY(p->credential_secret),
        .duplicate_secret = SPAN_ARRAY(p->duplicate_secret),
    };
    p->blob.credential = UNHEX(VECTOR_CREDENTIAL, p->credential);
    p->blob.duplicate = UNHEX(VECTOR_DUPLICATE, p->duplicate);
    p->blob.public_area = UNHEX(VECTOR_PUBLIC_AREA, p->public_area);
    if (with_trailer)
        p->blob.trailer = UNHEX(VECTOR_TRAILER, p->trailer);
}

static void layout_is_that_of_the_vectors(void **state)
{
    (void)state;
    struct parts p;
    make_parts(&p, false);
    uint8_t bytes[TPMBLOB_CAP], hash[32], expected[32];
    struct buf out = BUF_OVER(bytes);
    tpmblob_write(&out, &p.blob);
    assert_ok(buf_end(&out));
    assert_int_equal(VECTOR_BLOB_LEN, out.len);
    static const struct {
        size_t at;
        const char *size;
    } fields[] = {{0, "\x00\x34"},   {54, "\x01\x00"},  {312, "\x00\x8e"},
                  {456, "\x01\x00"}, {714, "\x00\x30"}, {764, "\x00\x00"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        assert_memory_equal(fields[i].size, bytes + fields[i].at, 2);
    assert_int_equal(0, wc_Sha256Hash(bytes, (word32)out.len, hash));
    assert_span_equal(UNHEX(VECTOR_BLOB_SHA256, expected), SPAN_ARRAY(hash));
}

static void blob_comes_back(void **state)
{
    (void)state;
    for (int with_trailer = 0; with_trailer <= 1; with_trailer++) {
        struct parts p;
        make_parts(&p, with_trailer);
        uint8_t bytes[TPMBLOB_CAP];
        struct buf out = BUF_OVER(bytes);
        tpmblob_write(&out, &p.blob);
        struct tpmblob back;
        assert_ok(tpmblob_read(buf_span(&out), &back));
        assert_span_equal(p.blob.credential, back.credential);
        assert_span_equal(p.blob.credential_secret, back.credential_secret);
        assert_span_equal(p.blob.duplicate, back.duplicate);
        assert_span_equal(p.blob.duplicate_secret, back.duplicate_secret);
        assert_span_equal(p.blob.public_area, back.public_area);
        assert_span_equal(p.blob.trailer, back.trailer);
        assert_ptr_equal(bytes + 2, back.credential.at); /* into what was read */
    }
}

static void truncated_and_trailing(void **state)
{
    (void)state;
    struct parts p;
    make_parts(&p, true);
    uint8_t bytes[TPMBLOB_CAP];
    struct buf out = BUF_OVER(bytes);
    tpmblob_write(&out, &p.blob);
    struct tpmblob back;
    POISON(back);
    for (size_t len = 0; len < out.len; len++)
        assert_err(ERR_TRUNCATED, tpmblob_read(span_of(bytes, len), &back));
    assert_err(ERR_TRAILING, tpmblob_read(span_of(bytes, out.len + 1), &back));
    assert_poisoned(back);
}

static void only_the_trailer_may_be_empty(void **state)
{
    (void)state;
    for (int which = 0; which < 5; which++) {
        struct parts p;
        make_parts(&p, true);
        struct span *const fields[] = {&p.blob.credential, &p.blob.credential_secret,
                                       &p.blob.duplicate, &p.blob.duplicate_secret,
                                       &p.blob.public_area};
        *fields[which] = (struct span){0};
        uint8_t bytes[TPMBLOB_CAP];
        struct buf out = BUF_OVER(bytes);
        tpmblob_write(&out, &p.blob);
        struct tpmblob back;
        POISON(back);
        assert_err(ERR_PROTOCOL, tpmblob_read(buf_span(&out), &back));
        assert_poisoned(back);
    }
}

static void blob_that_does_not_fit(void **state)
{
    (void)state;
    struct parts p;
    make_parts(&p, false);
    uint8_t bytes[VECTOR_BLOB_LEN];
    for (size_t cap = 0; cap < sizeof bytes; cap++) {
        struct buf out = buf_over(bytes, cap);
        tpmblob_write(&out, &p.blob);
        assert_err(ERR_FULL, buf_end(&out));
    }
}

static void identity_public_area(void **state)
{
    (void)state;
    uint8_t unique[32], expected[64], bytes[TPMBLOB_IDENTITY_PUBLIC_LEN];
    UNHEX(VECTOR_UNIQUE, unique);
    struct buf out = BUF_OVER(bytes);
    tpmblob_identity_public_write(&out, unique);
    assert_ok(buf_end(&out));
    assert_span_equal(UNHEX(VECTOR_PUBLIC_AREA, expected), buf_span(&out));
    assert_ok(tpmblob_identity_public_check(buf_span(&out)));
}

static void identity_public_area_of_any_other_kind(void **state)
{
    (void)state;
    uint8_t bytes[TPMBLOB_IDENTITY_PUBLIC_LEN + 1] = {0};
    UNHEX(VECTOR_PUBLIC_AREA, bytes);
    struct span good = span_of(bytes, TPMBLOB_IDENTITY_PUBLIC_LEN);
    for (size_t bit = 0; bit < TPMBLOB_IDENTITY_PUBLIC_LEN * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum err expected = bit / 8 < 16 ? ERR_KEY_ROLE : ERR_OK; /* unique is free */
        assert_err(expected, tpmblob_identity_public_check(good));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_ok(tpmblob_identity_public_check(good));
    assert_err(ERR_KEY_ROLE, tpmblob_identity_public_check(span_of(bytes, good.len - 1)));
    assert_err(ERR_KEY_ROLE, tpmblob_identity_public_check(span_of(bytes, good.len + 1)));
    assert_err(ERR_KEY_ROLE, tpmblob_identity_public_check((struct span){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_is_that_of_the_vectors),
        cmocka_unit_test(blob_comes_back),
        cmocka_unit_test(truncated_and_trailing),
        cmocka_unit_test(only_the_trailer_may_be_empty),
        cmocka_unit_test(blob_that_does_not_fit),
        cmocka_unit_test(identity_public_area),
        cmocka_unit_test(identity_public_area_of_any_other_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
