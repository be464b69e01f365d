#include "../vectors/protocol.h"

#include <stdio.h>
#include <unit.h>
#include <wire/sas.h>
#include <wire/text.h>

static const struct {
    const char *sr, *sig;
} vectors[] = {
    {VECTOR_SAS_UPPER_SR, VECTOR_SAS_UPPER_SIG},
    {VECTOR_SAS_LOWER_SR, VECTOR_SAS_LOWER_SIG},
    {VECTOR_SAS_PLAIN_SR, VECTOR_SAS_PLAIN_SIG},
};
#define VECTOR_COUNT (sizeof vectors / sizeof *vectors)
#define SIG_UPPER "3WCEezACo6mZpK2m9%2BO2cZBc%2FnqzVGm8ZLv0TlOJDIM%3D"
#define SIG_LOWER "3WCEezACo6mZpK2m9%2bO2cZBc%2fnqzVGm8ZLv0TlOJDIM%3d"
#define SR VECTOR_SAS_UPPER_SR
#define TOKEN SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&skn=registration")
#define SAS_TOKEN(sr, sig, se, rest)                                                               \
    "SharedAccessSignature sr=" sr "&sig=" sig "&se=" se rest

static struct span vector_key(uint8_t key[32])
{
    vector_count(key, VECTOR_KEY_FIRST, 32);
    return span_of(key, 32);
}

static struct sas_token token_of(const char *text)
{
    struct sas_token token;
    assert_err_of(text, ERR_OK, sas_token_read(span_text(text), &token));
    return token;
}

/* ---- signing ---- */
static void signatures_are_those_of_the_vectors(void **state)
{
    (void)state;
    uint8_t key[32];
    vector_key(key);
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        uint8_t message_bytes[128], text[64], signature[SAS_SIGNATURE_LEN];
        struct buf message = BUF_OVER(message_bytes), sig = BUF_OVER(text);
        sas_message_write(&message, span_text(vectors[i].sr), VECTOR_SAS_EXPIRY_S);
        assert_ok(buf_end(&message));
        assert_ok(sas_sign(SPAN_ARRAY(key), buf_span(&message), signature));
        base64_write(&sig, SPAN_ARRAY(signature));
        assert_text(vectors[i].sig, buf_span(&sig));
    }
}

static void keys_that_cannot_be(void **state)
{
    (void)state;
    static const uint8_t huge[70000];
    uint8_t signature[SAS_SIGNATURE_LEN];
    POISON(signature);
    assert_err(ERR_CRYPTO, sas_sign((struct span){0}, SPAN_LITERAL("a"), signature));
    assert_err(ERR_CRYPTO, sas_sign(SPAN_ARRAY(huge), SPAN_LITERAL("a"), signature));
    assert_err(ERR_CRYPTO, sas_sign(SPAN_LITERAL("key"), SPAN_ARRAY(huge), signature));
    assert_poisoned(signature);
    struct sas_token token = token_of(TOKEN);
    assert_err(ERR_CRYPTO, sas_token_check_signature(&token, (struct span){0}));
}

static void token_written_is_read_and_verifies(void **state)
{
    (void)state;
    static const char *const names[] = {"registration", ""};
    for (size_t i = 0; i < 2; i++) {
        uint8_t key[32], signature[SAS_SIGNATURE_LEN], text[SAS_TOKEN_CAP], message_bytes[128];
        vector_key(key);
        struct buf message = BUF_OVER(message_bytes), out = BUF_OVER(text);
        sas_message_write(&message, span_text(SR), VECTOR_SAS_EXPIRY_S);
        assert_ok(sas_sign(SPAN_ARRAY(key), buf_span(&message), signature));
        sas_token_write(&out, span_text(SR), signature, VECTOR_SAS_EXPIRY_S, span_text(names[i]));
        assert_ok(buf_end(&out));
        assert_text(i == 0 ? TOKEN : SAS_TOKEN(SR, SIG_UPPER, "1700000000", ""), buf_span(&out));
        struct sas_token token;
        assert_ok(sas_token_read(buf_span(&out), &token));
        assert_ok(sas_token_check_signature(&token, SPAN_ARRAY(key)));
        assert_ok(sas_token_check_resource(&token, span_text(VECTOR_SAS_RESOURCE)));
    }
}

/* ---- reading ---- */
static void tokens_of_all_clients_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *client, *text;
    } rows[] = {
        {"escapes in upper case", TOKEN},
        {"escapes in lower case", SAS_TOKEN(SR, SIG_LOWER, "1700000000", "&skn=registration")},
        {"signature not escaped", SAS_TOKEN(SR, VECTOR_SAS_UPPER_SIG, "1700000000", "")},
        {"no key name", SAS_TOKEN(SR, SIG_UPPER, "1700000000", "")},
        {"empty key name", SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&skn=")},
        {"key name before expiry",
         "SharedAccessSignature sr=" SR "&sig=" SIG_UPPER "&skn=registration&se=1700000000"},
        {"another order",
         "SharedAccessSignature sig=" SIG_UPPER "&se=1700000000&skn=registration&sr=" SR},
    };
    uint8_t key[32];
    vector_key(key);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sas_token token = token_of(rows[i].text);
        assert_text(SR, token.sr);
        assert_text("1700000000", token.se);
        assert_true(token.expiry_s == VECTOR_SAS_EXPIRY_S);
        assert_err_of(rows[i].client, ERR_OK, sas_token_check_signature(&token, SPAN_ARRAY(key)));
    }
}

static void everything_else_is_unauthorized(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "SharedAccessSignature",
        "SharedAccessSignature ",
        "SharedAccessSignature  sr=" SR "&sig=" SIG_UPPER "&se=1700000000",
        "sharedaccesssignature sr=" SR "&sig=" SIG_UPPER "&se=1700000000",
        "Bearer sr=" SR "&sig=" SIG_UPPER "&se=1700000000",
        "SharedAccessSignature sig=" SIG_UPPER "&se=1700000000",     /* missing fields */
        "SharedAccessSignature sr=" SR "&se=1700000000",
        "SharedAccessSignature sr=" SR "&sig=" SIG_UPPER,
        SAS_TOKEN("", SIG_UPPER, "1700000000", ""),                  /* empty ones */
        SAS_TOKEN(SR, "", "1700000000", ""),
        SAS_TOKEN(SR, SIG_UPPER, "", ""),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&sr=" SR),           /* repeated ones */
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&sig=" SIG_UPPER),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&se=1700000000"),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&skn=&skn="),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&x=1"),              /* unknown ones */
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&SE=1700000000"),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&"),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&skn"),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000", "&&skn=a"),
        "SharedAccessSignature &sr=" SR "&sig=" SIG_UPPER "&se=1700000000",
        SAS_TOKEN(SR, SIG_UPPER, "-1", ""),                          /* attack case T6 */
        SAS_TOKEN(SR, SIG_UPPER, "01700000000", ""),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000.5", ""),
        SAS_TOKEN(SR, SIG_UPPER, "0x6553f100", ""),
        SAS_TOKEN(SR, SIG_UPPER, "1.7e9", ""),
        SAS_TOKEN(SR, SIG_UPPER, "9223372036854775808", ""),
        SAS_TOKEN(SR, SIG_UPPER, "18446744073709551617", ""),
        SAS_TOKEN(SR, SIG_UPPER, "1700000000 ", ""),
        SAS_TOKEN(SR, SIG_UPPER, "%31700000000", ""),
        SAS_TOKEN(SR, SIG_UPPER, "tomorrow", ""),
        SAS_TOKEN(SR, "AAAA", "1700000000", ""),                     /* not 32 bytes */
        SAS_TOKEN(SR, "3WCEezACo6mZpK2m9%2BO2cZBc%2FnqzVGm8ZLv0TlOJDA%3D%3D", "1700000000", ""),
        SAS_TOKEN(SR, "3WCEezACo6mZpK2m9%2BO2cZBc%2FnqzVGm8ZLv0TlOJDIMA", "1700000000", ""),
        SAS_TOKEN(SR, "3WCEezACo6mZpK2m9%2BO2cZBc%2FnqzVGm8ZLv0TlOJDIMAAAAA", "1700000000", ""),
        SAS_TOKEN(SR, "3WCEezACo6mZpK2m9%2BO2cZBc%2FnqzVGm8ZLv0TlOJDIM", "1700000000", ""),
        SAS_TOKEN(SR, "3WCEezACo6mZpK2m9%2BO2cZBc%2FnqzVGm8ZLv0TlOJDIN%3D", "1700000000", ""),
        SAS_TOKEN(SR, "3WCEezACo6mZpK2m9-O2cZBc_nqzVGm8ZLv0TlOJDIM%3D", "1700000000", ""),
        SAS_TOKEN(SR, "3WCEezACo6mZpK2m9%2BO2cZBc%2FnqzVGm8ZLv0TlOJDIM%3", "1700000000", ""),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sas_token token;
        POISON(token);
        assert_err_of(bad[i], ERR_UNAUTHORIZED, sas_token_read(span_text(bad[i]), &token));
        assert_poisoned(token);
    }
}

static void longest_token(void **state)
{
    (void)state;
    char text[SAS_TOKEN_CAP + 2];
    int head = snprintf(text, sizeof text, "%s", TOKEN);
    memset(text + head, 'x', sizeof text - (size_t)head);
    struct sas_token token;
    assert_ok(sas_token_read(span_of(text, SAS_TOKEN_CAP), &token));
    POISON(token);
    assert_err(ERR_UNAUTHORIZED, sas_token_read(span_of(text, SAS_TOKEN_CAP + 1), &token));
    assert_poisoned(token);
}

static void every_truncation_of_a_token(void **state)
{
    (void)state;
    /* What is left of it either is no token, or is the same with a shorter expiry or key name: then
     * its signature fails, unless only the key name was cut. */
    uint8_t key[32];
    vector_key(key);
    size_t signed_len = sizeof SAS_TOKEN(SR, SIG_UPPER, "1700000000", "") - 1;
    for (size_t len = 0; len < sizeof TOKEN - 1; len++) {
        struct sas_token token;
        enum err e = sas_token_read(span_of(TOKEN, len), &token);
        if (e == ERR_OK)
            e = sas_token_check_signature(&token, SPAN_ARRAY(key));
        bool name_cut = len == signed_len || len >= signed_len + sizeof "&skn=" - 1;
        assert_err(name_cut ? ERR_OK : ERR_UNAUTHORIZED, e);
    }
}

/* ---- checking ---- */
static void signature_covers_key_resource_and_expiry(void **state)
{
    (void)state;
    uint8_t key[32];
    vector_key(key);
    static const char *const bad[] = {
        SAS_TOKEN(VECTOR_SAS_LOWER_SR, SIG_UPPER, "1700000000", ""), /* not byte for byte the same */
        SAS_TOKEN(VECTOR_SAS_PLAIN_SR, SIG_UPPER, "1700000000", ""),
        SAS_TOKEN("0ne00000001%2Fregistrations%2Fdev-2", SIG_UPPER, "1700000000", ""),
        SAS_TOKEN(SR, SIG_UPPER, "1700000001", ""),
        SAS_TOKEN(SR, SIG_UPPER, "17000000000", ""),
        SAS_TOKEN(SR, "4WCEezACo6mZpK2m9%2BO2cZBc%2FnqzVGm8ZLv0TlOJDIM%3D", "1700000000", ""),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sas_token token = token_of(bad[i]);
        enum err e = sas_token_check_signature(&token, SPAN_ARRAY(key));
        assert_err_of(bad[i], ERR_UNAUTHORIZED, e);
    }
    struct sas_token token = token_of(TOKEN);
    assert_ok(sas_token_check_signature(&token, SPAN_ARRAY(key)));
    for (size_t bit = 0; bit < SAS_SIGNATURE_LEN * 8; bit++) {
        struct sas_token forged = token;
        forged.signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_err(ERR_UNAUTHORIZED, sas_token_check_signature(&forged, SPAN_ARRAY(key)));
    }
    key[31] ^= 1;
    assert_err(ERR_UNAUTHORIZED, sas_token_check_signature(&token, SPAN_ARRAY(key)));
}

static void resource_is_compared_decoded_and_without_case(void **state)
{
    (void)state;
    static const struct {
        const char *sr;
        enum err expected;
    } rows[] = {
        {VECTOR_SAS_UPPER_SR, ERR_OK},
        {VECTOR_SAS_LOWER_SR, ERR_OK},
        {VECTOR_SAS_PLAIN_SR, ERR_OK},
        {"0NE00000001%2FREGISTRATIONS%2FDEV-1", ERR_OK},
        {"0ne00000001%2fregistrations%2f%64ev-1", ERR_OK},
        {"0ne00000001%252Fregistrations%252Fdev-1", ERR_UNAUTHORIZED}, /* decoded once */
        {"0ne00000001/registrations/dev-2", ERR_UNAUTHORIZED},
        {"0ne00000001/registrations/dev-1/", ERR_UNAUTHORIZED},
        {"0ne00000001/registrations/dev-", ERR_UNAUTHORIZED},
        {"0ne00000001/registrations/dev-11", ERR_UNAUTHORIZED},
        {"0ne00000002/registrations/dev-1", ERR_UNAUTHORIZED},
        {"/0ne00000001/registrations/dev-1", ERR_UNAUTHORIZED},
        {"0ne00000001/registrations/dev-1%", ERR_UNAUTHORIZED},
        {"0ne00000001/registrations/dev-1%00", ERR_UNAUTHORIZED},
        {"0ne00000001+registrations+dev-1", ERR_UNAUTHORIZED},
        {"x", ERR_UNAUTHORIZED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sas_token token = {.sr = span_text(rows[i].sr)};
        enum err e = sas_token_check_resource(&token, span_text(VECTOR_SAS_RESOURCE));
        assert_err_of(rows[i].sr, rows[i].expected, e);
    }
}

static void expiry_has_skew_and_a_longest_life(void **state)
{
    (void)state;
    const int64_t now_s = 1700000000, longest_s = SAS_LIFETIME_MAX_S + SAS_SKEW_S;
    const struct {
        int64_t expiry_s, now_s;
        enum err expected;
    } rows[] = {
        {now_s, now_s, ERR_OK},
        {now_s + 30, now_s, ERR_OK},
        {now_s + 86400, now_s, ERR_OK},
        {now_s - SAS_SKEW_S, now_s, ERR_OK},
        {now_s - SAS_SKEW_S - 1, now_s, ERR_UNAUTHORIZED},
        {now_s + longest_s, now_s, ERR_OK},
        {now_s + longest_s + 1, now_s, ERR_UNAUTHORIZED},
        {0, now_s, ERR_UNAUTHORIZED},
        {INT64_MAX, now_s, ERR_UNAUTHORIZED},
        {INT64_MAX, 0, ERR_UNAUTHORIZED},
        {0, INT64_MAX, ERR_UNAUTHORIZED},
        {0, 0, ERR_OK},
        {-1, 0, ERR_UNAUTHORIZED},
        {INT64_MIN, now_s, ERR_UNAUTHORIZED},
        {now_s, -1, ERR_UNAUTHORIZED},          /* the time is not known */
        {100, -1, ERR_UNAUTHORIZED},
        {now_s, INT64_MIN, ERR_UNAUTHORIZED},
        {INT64_MAX, INT64_MAX, ERR_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sas_token token = {.expiry_s = rows[i].expiry_s};
        assert_err(rows[i].expected, sas_token_check_expiry(&token, rows[i].now_s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_the_vectors),
        cmocka_unit_test(keys_that_cannot_be),
        cmocka_unit_test(token_written_is_read_and_verifies),
        cmocka_unit_test(tokens_of_all_clients_are_read),
        cmocka_unit_test(everything_else_is_unauthorized),
        cmocka_unit_test(longest_token),
        cmocka_unit_test(every_truncation_of_a_token),
        cmocka_unit_test(signature_covers_key_resource_and_expiry),
        cmocka_unit_test(resource_is_compared_decoded_and_without_case),
        cmocka_unit_test(expiry_has_skew_and_a_longest_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
