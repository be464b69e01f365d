/* Requests that say something wrong: paths, ids, media types, JSON, base64 and public areas. Cases T4,
 * T8, T10 to T12, T19 and T20 of the attack table, as far as they end at the registrar. */
#include "refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <wire/text.h>

#define RSA TPM_KEY_RSA_2048
#define ECC TPM_KEY_ECC_P256
static struct softdevice *pump, *valve;
static struct world w;

static int make_devices(void **state)
{
    (void)state;
    return softdevice_open(RSA, RSA, &pump) != ERR_OK ||
           softdevice_open(ECC, ECC, &valve) != ERR_OK;
}

static int drop_devices(void **state)
{
    (void)state;
    softdevice_close(pump);
    softdevice_close(valve);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    world_open(&w);
    world_enroll(&w, "dev-1", pump, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

static void put_text(const char *what, const char *body, int status, int32_t code)
{
    ANSWER a;
    refusal_put(&w, "dev-1", NULL, span_text(body), &a);
    refusal_check(&w, what, &a, status, code);
}

/* ---- T4, T12: public areas ---- */
static void put_publics(struct span ek, struct span srk, struct answer *ret_answer)
{
    char body[4096];
    struct buf b = BUF_OVER(body);
    refusal_body(&b, ek, srk);
    refusal_put(&w, "dev-1", NULL, buf_span(&b), ret_answer);
}

static void attributes_matter(void **state)
{
    static const struct {
        const char *name;
        uint32_t flip;
    } cases[] = {
        {"fixedTPM", TPM_ATTR_FIXED_TPM},   {"fixedParent", TPM_ATTR_FIXED_PARENT},
        {"sensitiveDataOrigin", TPM_ATTR_SENSITIVE_DATA_ORIGIN},
        {"restricted", TPM_ATTR_RESTRICTED}, {"decrypt", TPM_ATTR_DECRYPT},
        {"sign", TPM_ATTR_SIGN},
    };
    struct softdevice *devices[] = {pump, valve};
    const struct tpm_public *good_ek = softdevice_ek(pump), *good_srk = softdevice_srk(pump);
    ANSWER good;
    (void)state;
    put_publics(span_of(good_ek->raw, good_ek->raw_len), span_of(good_srk->raw, good_srk->raw_len),
                &good);
    assert_true(good.expects_answer); /* as they are they are good */
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        struct softdevice *d = devices[i % 2];
        struct tpm_public ek = *softdevice_ek(d), srk = *softdevice_srk(d);
        uint32_t flip = cases[i / 2].flip;
        ANSWER a, b;
        for (int at = 0; at < 4; at++) /* attributes: after size, type and name algorithm */
            srk.raw[6 + at] ^= (uint8_t)(flip >> (24 - 8 * at));
        put_publics(span_of(ek.raw, ek.raw_len), span_of(srk.raw, srk.raw_len), &a);
        refusal_check(&w, cases[i / 2].name, &a, 400, 400004);
        srk = *softdevice_srk(d);
        for (int at = 0; at < 4; at++)
            ek.raw[6 + at] ^= (uint8_t)(flip >> (24 - 8 * at));
        put_publics(span_of(ek.raw, ek.raw_len), span_of(srk.raw, srk.raw_len), &b);
        refusal_check(&w, cases[i / 2].name, &b, 400, 400004);
    }
}

static void publics_are_exact(void **state)
{
    const struct tpm_public *ek = softdevice_ek(pump), *srk = softdevice_srk(pump);
    uint8_t raw[TPM_PUBLIC_CAP + 8];
    ANSWER shorter, longer, empty, huge;
    (void)state;
    struct span good = span_of(srk->raw, srk->raw_len);
    put_publics(span_of(ek->raw, ek->raw_len - 1), good, &shorter);
    refusal_check(&w, "a byte short", &shorter, 400, 400004);
    memcpy(raw, ek->raw, ek->raw_len);
    raw[ek->raw_len] = 0;
    put_publics(span_of(raw, ek->raw_len + 1), good, &longer);
    refusal_check(&w, "a byte long", &longer, 400, 400004);
    put_publics(SPAN_LITERAL(""), good, &empty);
    refusal_check(&w, "empty", &empty, 400, 400004);
    memset(raw, 0, sizeof raw);
    put_publics(SPAN_ARRAY(raw), good, &huge);
    refusal_check(&w, "too long", &huge, 400, 400004);
}

/* ---- T10, T11: bodies ---- */
static void bodies(void **state)
{
    static const struct {
        const char *what, *body;
        int status;
        int32_t code;
    } cases[] = {
        {"not JSON", "hello", 400, 400000},
        {"an array", "[]", 400, 400000},
        {"a string", "\"a\"", 400, 400000},
        {"cut off", "{\"registrationId\":\"dev-1\"", 400, 400000},
        {"trailing text", "{} {}", 400, 400000},
        {"duplicate key", "{\"a\":1,\"a\":2}", 400, 400000},
        {"duplicate id", "{\"registrationId\":\"dev-1\",\"registrationId\":\"dev-1\"}", 400, 400000},
        {"single quotes", "{'a':1}", 400, 400000},
        {"leading zero", "{\"a\":01}", 400, 400000},
        {"trailing comma", "{\"a\":[1,]}", 400, 400000},
        {"raw newline", "{\"a\":\"\n\"}", 400, 400000},
        {"invalid UTF-8", "{\"a\":\"\xc0\xaf\"}", 400, 400000},
        {"lone surrogate", "{\"a\":\"\\ud800\"}", 400, 400000},
        {"escaped NUL", "{\"registrationId\":\"dev-1\\u0000\"}", 400, 400000},
        {"out of range", "{\"payload\":1e309}", 400, 400000},
        {"no keys", "{}", 401, 401002},
        {"null keys", "{\"tpm\":null,\"registrationId\":null}", 401, 401002},
        {"a long number", "{\"payload\":123456789012345678901234567890}", 401, 401002},
        {"any payload", "{\"payload\":[{\"a\":[null,true,1.5,\"\\u20ac\"]}]}", 401, 401002},
        {"keys no object", "{\"tpm\":[]}", 400, 400004},
        {"keys empty", "{\"tpm\":{}}", 400, 400004},
        {"key no string", "{\"tpm\":{\"endorsementKey\":1,\"storageRootKey\":\"\"}}", 400, 400004},
        {"id no string", "{\"registrationId\":1}", 400, 400004},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        put_text(cases[i].what, cases[i].body, cases[i].status, cases[i].code);
    ANSWER nul;
    refusal_put(&w, "dev-1", NULL, SPAN_LITERAL("{\"a\":\"\0\"}"), &nul);
    refusal_check(&w, "a NUL", &nul, 400, 400000);
}

static void deep_bodies(void **state)
{
    static const struct {
        int depth, status;
    } cases[] = {{100, 401}, {2000, 401}, {2048, 400}, {10000, 400}, {45000, 400}};
    char *body = malloc(200000);
    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b = buf_over(body, 200000);
        ANSWER a;
        buf_put_text(&b, "{\"payload\":");
        for (int n = 0; n < cases[i].depth; n++)
            buf_put_u8(&b, '[');
        for (int n = 0; n < cases[i].depth; n++)
            buf_put_u8(&b, ']');
        buf_put_u8(&b, '}');
        refusal_put(&w, "dev-1", NULL, buf_span(&b), &a);
        assert_int_equal(a.status, cases[i].status);
    }
    free(body);
}

static void base64_is_exact(void **state)
{
    static const struct {
        const char *what;
        size_t at;      /* from the end of the key's base64 */
        char with;      /* 0: cut there */
    } cases[] = {
        {"padding cut", 1, 0},   {"white space", 100, ' '}, {"line feed", 100, '\\'},
        {"URL alphabet", 100, '_'}, {"padding inside", 100, '='}, {"a comma", 7, ','},
    };
    const struct tpm_public *ek = softdevice_ek(pump), *srk = softdevice_srk(pump);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char key[512], body[2048];
        struct buf k = BUF_OVER(key), b = BUF_OVER(body);
        ANSWER a;
        base64_write(&k, span_of(ek->raw, ek->raw_len)); /* 316 bytes: two padding characters */
        if (cases[i].with == 0)
            k.len -= cases[i].at;
        else
            k.at[k.len - cases[i].at] = (uint8_t)cases[i].with;
        buf_put_text(&b, "{\"tpm\":{\"endorsementKey\":\"");
        buf_put(&b, buf_span(&k));
        buf_put_text(&b, "\",\"storageRootKey\":\"");
        base64_write(&b, span_of(srk->raw, srk->raw_len));
        buf_put_text(&b, "\"}}");
        refusal_put(&w, "dev-1", NULL, buf_span(&b), &a);
        assert_int_equal(a.status, 400);
        assert_false(a.expects_answer);
    }
    /* Bits after the last byte: "==" leaves four. */
    char key[512], body[2048];
    struct buf k = BUF_OVER(key), b = BUF_OVER(body);
    ANSWER a;
    base64_write(&k, span_of(ek->raw, ek->raw_len));
    assert_int_equal(k.at[k.len - 1], '=');
    size_t last = k.len - (k.at[k.len - 2] == '=' ? 3 : 2);
    k.at[last] = (uint8_t)(k.at[last] + 1); /* a multiple of four or sixteen before */
    buf_put_text(&b, "{\"tpm\":{\"endorsementKey\":\"");
    buf_put(&b, buf_span(&k));
    buf_put_text(&b, "\",\"storageRootKey\":\"");
    base64_write(&b, span_of(srk->raw, srk->raw_len));
    buf_put_text(&b, "\"}}");
    refusal_put(&w, "dev-1", NULL, buf_span(&b), &a);
    refusal_check(&w, "trailing bits", &a, 400, 400004);
}

/* ---- T8, T19: ids, paths, methods, types ---- */
static void requests(void **state)
{
#define R "/" WORLD_SCOPE "/registrations/"
    static const struct {
        const char *method, *path, *type, *body;
        int status;
        int32_t code;
    } cases[] = {
        {"PUT", R "dev-1/register", "text/plain", "{}", 415, 415000},
        {"PUT", R "dev-1/register", "application/jsonx", "{}", 415, 415000},
        {"PUT", R "dev-1/register", "APPLICATION/JSON ; charset=utf-8", "{}", 401, 401002},
        {"PUT", R "dev-1/register", "text/plain", "", 401, 401002},
        {"PUT", R "dev-1/register", NULL, "{}", 401, 401002},
        {"GET", R "dev-1/register", NULL, "", 405, 405000},
        {"put", R "dev-1/register", NULL, "", 405, 405000},
        {"GET", R "dev-1", NULL, "", 405, 405000},
        {"PUT", R "dev-1/operations/x", NULL, "", 405, 405000},
        {"DELETE", R "dev-1", NULL, "", 405, 405000},
        {"PUT", "/", NULL, "{}", 404, 404000},
        {"PUT", "", NULL, "{}", 404, 404000},
        {"PUT", "/" WORLD_SCOPE, NULL, "{}", 404, 404000},
        {"PUT", "/" WORLD_SCOPE "/registrations", NULL, "{}", 404, 404000},
        {"PUT", R "dev-1/register/", NULL, "{}", 404, 404000},
        {"PUT", R "dev-1//register", NULL, "{}", 404, 404000},
        {"PUT", "/" R "dev-1/register", NULL, "{}", 404, 404000},
        {"PUT", R "dev-1/register/x", NULL, "{}", 404, 404000},
        {"GET", R "dev-1/operations/a/b", NULL, "", 404, 404000},
        {"PUT", "/0neOTHER/registrations/dev-1/register", NULL, "{}", 404, 404201},
        {"PUT", R "dev-1%2fregister", NULL, "{}", 405, 405000}, /* one segment: a look-up's path */
        {"POST", R "dev-1%2fregister", NULL, "{}", 400, 400004},
        {"PUT", R "%2e%2e/register", NULL, "{}", 400, 400004},
        {"PUT", R "..%2f..%2fetc/register", NULL, "{}", 400, 400004},
        {"PUT", R "dev-1./register", NULL, "{}", 400, 400004},
        {"PUT", R "dev%201/register", NULL, "{}", 400, 400004},
        {"PUT", R "dev-1%00/register", NULL, "{}", 400, 400000},
        {"PUT", R "dev-1%0d%0a/register", NULL, "{}", 400, 400004},
        {"PUT", R "dev-1%/register", NULL, "{}", 400, 400000},
        {"PUT", R "dev-1%zz/register", NULL, "{}", 400, 400000},
        {"PUT", R "d%c3%a9v-1/register", NULL, "{}", 400, 400004},
        {"PUT", R "%64ev%252d1/register", NULL, "{}", 400, 400004}, /* undone once, not twice */
        {"PUT", R "dev-1'%20or%201=1--/register", NULL, "{}", 400, 400004}, /* T20 */
        {"PUT", R "dev-1/register", NULL, "{\"registrationId\":\"dev-2\"}", 400, 400004},
        {"PUT", R "dev-1/register", NULL, "{\"registrationId\":\"dev-1 \"}", 400, 400004},
        {"PUT", R "dev-1/register", NULL, "{\"registrationId\":\"\"}", 400, 400004},
        {"POST", R "dev-1", NULL, "{\"registrationId\":\"dev-2\"}", 400, 400004},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct call c = {.method = cases[i].method, .path = cases[i].path,
                               .content_type = cases[i].type, .body = span_text(cases[i].body)};
        ANSWER a;
        world_call(&w, &c, &a);
        refusal_check(&w, cases[i].path, &a, cases[i].status, cases[i].code);
    }
    char path[2000];
    struct buf b = BUF_OVER(path);
    buf_put_text(&b, R);
    for (int i = 0; i < 129; i++)
        buf_put_u8(&b, 'a');
    buf_put_text(&b, "/register");
    assert_ok(buf_end_text(&b));
    const struct call c = {.method = "PUT", .path = path, .body = SPAN_LITERAL("{}")};
    ANSWER a;
    world_call(&w, &c, &a);
    refusal_check(&w, "129 characters", &a, 400, 400004);
#undef R
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(attributes_matter), TEST(publics_are_exact), TEST(bodies), TEST(deep_bodies),
        TEST(base64_is_exact), TEST(requests),
    };
    return cmocka_run_group_tests(tests, make_devices, drop_devices);
}
