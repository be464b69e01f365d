/* The device API as devices meet it when all is well, and when it nearly is: challenge, assignment,
 * polls and look-ups, across restarts and owners. */
#include "registrar_world.h"
#include "unit.h"

#include <attest.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wire/sas.h>
#include <wire/text.h>

#define RSA TPM_KEY_RSA_2048
#define ECC TPM_KEY_ECC_P256
static struct softdevice *pump, *valve, *mixed, *odd; /* RSA, ECC, RSA+ECC, ECC+RSA */
static struct world w;

static int make_devices(void **state)
{
    (void)state;
    return softdevice_open(RSA, RSA, &pump) != ERR_OK ||
           softdevice_open(ECC, ECC, &valve) != ERR_OK ||
           softdevice_open(RSA, ECC, &mixed) != ERR_OK || softdevice_open(ECC, RSA, &odd) != ERR_OK;
}

static int drop_devices(void **state)
{
    (void)state;
    softdevice_close(pump);
    softdevice_close(valve);
    softdevice_close(mixed);
    softdevice_close(odd);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    world_open(&w);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

static void poll(const char *id, const char *operation, const char *token, struct answer *ret_answer)
{
    char path[512], tail[128];
    snprintf(tail, sizeof tail, "/operations/%s", operation);
    world_path(path, id, tail);
    const struct call c = {.method = "GET", .path = path, .token = token,
                           .body = SPAN_LITERAL("{}")};
    world_call(&w, &c, ret_answer);
}

static void look_up(const char *id, const char *token, struct answer *ret_answer)
{
    char path[512];
    world_path(path, id, "");
    const struct call c = {.method = "POST", .path = path, .token = token,
                           .content_type = "application/json", .body = SPAN_LITERAL("{}")};
    world_call(&w, &c, ret_answer);
}

static void hub_key(const char *id, const struct softdevice *d, uint64_t generation,
                    struct secret *ret_key)
{
    struct regid registration_id;
    uint8_t ek_name[TPM_NAME_LEN];
    assert_ok(regid_read(span_text(id), &registration_id));
    assert_ok(tpm_public_name(softdevice_ek(d), ek_name));
    const struct attest_binding b = {.id_scope = span_text(WORLD_SCOPE),
                                     .registration_id = &registration_id,
                                     .ek_name = ek_name,
                                     .generation = generation};
    assert_ok(attest_hub_key(&w.config.hub_root, &b, ret_key));
}

/* ---- the exchange ---- */
static void check_challenge(struct softdevice *d)
{
    ANSWER a;
    world_challenge(&w, "dev-1", d, NULL, &a);
    assert_int_equal(a.status, 401);
    assert_true(a.expects_answer);
    assert_int_equal(a.code, 0);
    assert_int_equal(json_object_size(a.json), 4);
    assert_string_equal(answer_text(&a, "message"),
                        "Authorization required, resend request using supplied key");
    assert_string_equal(answer_text(&a, "keyName"), "registration");
    assert_true(json_is_null(json_object_get(a.json, "unencryptedAuthenticationKey")));
    assert_int_equal(strlen(answer_text(&a, "authenticationKey")) % 4, 0);
    assert_null(json_object_get(a.json, "status")); /* or the C SDK takes it for something else */
}

static void check_assigned(const struct answer *a)
{
    assert_string_equal(answer_text(a, "status"), "assigned");
    assert_string_equal(answer_state(a, "status"), "assigned");
    assert_string_equal(answer_state(a, "registrationId"), "dev-1");
    assert_string_equal(answer_state(a, "deviceId"), "dev-1");
    assert_non_null(strstr(answer_state(a, "assignedHub"), ".hub.test"));
    assert_int_equal(strlen(answer_state(a, "createdDateTimeUtc")), 28);
    assert_int_equal(strlen(answer_state(a, "lastUpdatedDateTimeUtc")), 28);
    assert_int_equal(strlen(answer_state(a, "etag")), 16);
    assert_null(json_object_get(a->json, "errorCode"));
    /* <digit>.<16 hex>.<guid> */
    const char *o = answer_text(a, "operationId");
    assert_int_equal(strlen(o), 1 + 1 + 16 + 1 + 36);
    assert_true(o[0] >= '0' && o[0] <= '9' && o[1] == '.' && o[18] == '.' && o[27] == '-');
}

static void check_exchange(struct softdevice *d)
{
    SECRET key = {.len = 0}, expected = {.len = 0};
    ANSWER a;
    world_enroll(&w, "dev-1", d, 0);
    check_challenge(d);
    world_provision(&w, "dev-1", d, &a, &key);
    assert_int_equal(a.status, 202);
    assert_int_equal(a.retry_after_s, 3);
    assert_false(a.expects_answer);
    assert_string_equal(a.location, "/" WORLD_SCOPE "/registrations/dev-1/register");
    check_assigned(&a);
    assert_string_equal(answer_state(&a, "substatus"), "initialAssignment");
    hub_key("dev-1", d, 1, &expected);
    assert_span_equal(secret_span(&expected), secret_span(&key));
}

static void exchange_rsa_rsa(void **state) { (void)state; check_exchange(pump); }
static void exchange_ecc_ecc(void **state) { (void)state; check_exchange(valve); }
static void exchange_rsa_ecc(void **state) { (void)state; check_exchange(mixed); }
static void exchange_ecc_rsa(void **state) { (void)state; check_exchange(odd); }

static void operation_stays_pollable(void **state)
{
    SECRET nonce = {.len = 0}, first = {.len = 0}, second = {.len = 0};
    char token[1024];
    ANSWER a, b, late;
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_token(&w, &nonce, "dev-1", 3600, token);
    world_answer(&w, "dev-1", pump, true, &nonce, &a);
    assert_int_equal(a.status, 202);
    w.now_s += 400; /* no nonce key of this window would be accepted any more */
    poll("dev-1", answer_text(&a, "operationId"), token, &b);
    assert_int_equal(b.status, 200);
    check_assigned(&b);
    assert_string_equal(answer_text(&a, "operationId"), answer_text(&b, "operationId"));
    assert_string_equal(answer_state(&a, "etag"), answer_state(&b, "etag"));
    assert_string_equal(answer_state(&a, "substatus"), answer_state(&b, "substatus"));
    assert_string_not_equal(answer_key(&a), answer_key(&b)); /* wrapped anew, */
    assert_ok(softdevice_activate_base64(pump, span_text(answer_key(&a)), &first));
    assert_ok(softdevice_activate_base64(pump, span_text(answer_key(&b)), &second));
    assert_span_equal(secret_span(&first), secret_span(&second)); /* but the same key */
    w.now_s += 201;
    poll("dev-1", answer_text(&a, "operationId"), token, &late);
    assert_int_equal(late.status, 404);
    assert_int_equal(late.code, 404000);
}

static void polls_are_refused(void **state)
{
    static const char other[] = "4.0000000000000000.00000000-0000-0000-0000-000000000000";
    SECRET nonce = {.len = 0}, key = {.len = 0};
    char token[1024], forged[1024];
    ANSWER a, without, wrong, unknown, hub;
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_token(&w, &nonce, "dev-1", 3600, token);
    world_answer(&w, "dev-1", pump, true, &nonce, &a);
    const char *operation = answer_text(&a, "operationId");
    poll("dev-1", operation, NULL, &without);
    assert_int_equal(without.code, 401002);
    nonce.at[0] ^= 1;
    world_token(&w, &nonce, "dev-1", 3600, forged);
    poll("dev-1", operation, forged, &wrong);
    assert_int_equal(wrong.code, 401002);
    poll("dev-1", other, token, &unknown);
    assert_int_equal(unknown.status, 404);
    assert_int_equal(unknown.code, 404000);
    assert_ok(softdevice_activate_base64(pump, span_text(answer_key(&a)), &key));
    world_token(&w, &key, "dev-1", 3600, token);
    poll("dev-1", operation, token, &hub); /* the hub key is not the operation's */
    assert_int_equal(hub.code, 401002);
}

static void disabled_meanwhile(void **state)
{
    SECRET nonce = {.len = 0};
    char token[1024];
    ANSWER a, b;
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_token(&w, &nonce, "dev-1", 3600, token);
    world_answer(&w, "dev-1", pump, true, &nonce, &a);
    world_set_enabled(&w, "dev-1", false);
    poll("dev-1", answer_text(&a, "operationId"), token, &b);
    assert_int_equal(b.status, 200);
    assert_string_equal(answer_text(&b, "status"), "disabled");
    assert_string_equal(answer_state(&b, "status"), "disabled");
    assert_string_equal(answer_state(&b, "registrationId"), "dev-1");
    const json_t *s = json_object_get(b.json, "registrationState");
    assert_int_equal(json_integer_value(json_object_get(s, "errorCode")), 401002);
    assert_true(json_is_string(json_object_get(s, "errorMessage")));
    assert_string_equal(answer_key(&b), "");
}

static void look_up_tells_no_key(void **state)
{
    SECRET nonce = {.len = 0}, key = {.len = 0};
    char token[1024];
    ANSWER a, by_hub, by_nonce, nobody, old;
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_token(&w, &nonce, "dev-1", 3600, token);
    look_up("dev-1", token, &old); /* nothing to be looked up yet, and no operation proven */
    assert_int_equal(old.code, 401002);
    world_answer(&w, "dev-1", pump, true, &nonce, &a);
    look_up("dev-1", token, &by_nonce);
    assert_int_equal(by_nonce.status, 200);
    assert_ok(softdevice_activate_base64(pump, span_text(answer_key(&a)), &key));
    w.now_s += 86400;
    world_token(&w, &key, "dev-1", 3600, token);
    look_up("dev-1", token, &by_hub);
    assert_int_equal(by_hub.status, 200);
    assert_string_equal(answer_text(&by_hub, "status"), "assigned");
    assert_string_equal(answer_text(&by_hub, "registrationId"), "dev-1");
    assert_string_equal(answer_text(&by_hub, "etag"), answer_state(&a, "etag"));
    assert_string_equal(answer_text(&by_hub, "assignedHub"), answer_state(&a, "assignedHub"));
    assert_null(json_object_get(by_hub.json, "tpm"));
    assert_null(json_object_get(by_hub.json, "operationId"));
    look_up("dev-1", NULL, &nobody);
    assert_int_equal(nobody.code, 401002);
}

/* ---- again and again ---- */
static void generations_replace_keys(void **state)
{
    SECRET first = {.len = 0}, second = {.len = 0};
    char token[1024];
    ANSWER a, b, c;
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    world_provision(&w, "dev-1", pump, &a, &first);
    w.now_s += 3600;
    world_provision(&w, "dev-1", pump, &b, &second);
    assert_int_equal(b.status, 202);
    assert_string_equal(answer_state(&b, "substatus"), "deviceDataMigrated");
    assert_string_equal(answer_state(&a, "createdDateTimeUtc"),
                        answer_state(&b, "createdDateTimeUtc"));
    assert_string_not_equal(answer_state(&a, "etag"), answer_state(&b, "etag"));
    assert_false(span_equal(secret_span(&first), secret_span(&second)));
    world_token(&w, &first, "dev-1", 3600, token);
    look_up("dev-1", token, &c); /* the first key is no longer the hub key */
    assert_int_equal(c.code, 401002);
}

static void another_hub(void **state)
{
    SECRET key = {.len = 0};
    ANSWER a, b, c;
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    world_provision(&w, "dev-1", pump, &a, &key);
    world_stop(&w);
    bool first = strcmp(answer_state(&a, "assignedHub"), "one.hub.test") == 0;
    if (first)
        w.config.hubs[0] = w.config.hubs[1];
    w.config.hub_count = 1;
    world_start(&w);
    world_provision(&w, "dev-1", pump, &b, &key);
    assert_string_not_equal(answer_state(&a, "assignedHub"), answer_state(&b, "assignedHub"));
    assert_string_equal(answer_state(&b, "substatus"), "reprovisionedToInitialAssignment");
    world_stop(&w);
    w.config.hub_count = 0;
    world_start(&w);
    world_provision(&w, "dev-1", pump, &c, &key);
    assert_int_equal(c.status, 400);
    assert_int_equal(c.code, 400208);
}

static void hubs_are_shared_evenly(void **state)
{
    SECRET key = {.len = 0};
    int one = 0;
    (void)state;
    for (int i = 0; i < 24; i++) {
        char id[32];
        struct softdevice *d = NULL;
        ANSWER a;
        snprintf(id, sizeof id, "fleet-%d", i);
        assert_ok(softdevice_open(ECC, ECC, &d));
        world_enroll(&w, id, d, 0);
        world_provision(&w, id, d, &a, &key);
        one += strcmp(answer_state(&a, "assignedHub"), "one.hub.test") == 0;
        softdevice_close(d);
    }
    assert_in_range(one, 4, 20);
}

static void restart_between(void **state)
{
    SECRET nonce = {.len = 0};
    ANSWER a;
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_restart(&w);
    world_answer(&w, "dev-1", pump, true, &nonce, &a);
    assert_int_equal(a.status, 202);
}

/* ---- clients that do not repeat their keys ---- */
static void answers_without_keys(bool restart, bool forget, unsigned flags, int expected)
{
    SECRET nonce = {.len = 0};
    char path[300];
    ANSWER a;
    world_enroll(&w, "dev-1", pump, flags);
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    if (forget) {
        world_stop(&w);
        snprintf(path, sizeof path, "%s/pending", w.dir);
        assert_int_equal(unlink(path), 0);
        world_start(&w);
    } else if (restart) {
        world_restart(&w);
    }
    world_answer(&w, "dev-1", pump, false, &nonce, &a);
    assert_int_equal(a.status, expected);
}

static void without_keys(void **state) { (void)state; answers_without_keys(false, false, 0, 202); }
static void without_keys_restarted(void **state)
{
    (void)state;
    answers_without_keys(true, false, 0, 202);
}

static void without_keys_enrolled(void **state)
{
    (void)state;
    answers_without_keys(true, true, WORLD_SRK, 202);
}

static void without_keys_forgotten(void **state)
{
    (void)state;
    answers_without_keys(true, true, 0, 401);
}


static void without_keys_registered(void **state)
{
    SECRET key = {.len = 0};
    ANSWER a;
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    world_provision(&w, "dev-1", pump, &a, &key);
    SECRET nonce = {.len = 0};
    char path[300];
    ANSWER b;
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_stop(&w);
    snprintf(path, sizeof path, "%s/pending", w.dir);
    assert_int_equal(unlink(path), 0);
    world_start(&w);
    world_answer(&w, "dev-1", pump, false, &nonce, &b);
    assert_int_equal(b.status, 202);
}

/* ---- owners ---- */
static void new_owner(void **state)
{
    struct softdevice *d = NULL;
    SECRET key = {.len = 0};
    ANSWER a, b;
    (void)state;
    assert_ok(softdevice_open(ECC, ECC, &d));
    world_enroll(&w, "dev-1", d, WORLD_SRK);
    world_provision(&w, "dev-1", d, &a, &key);
    assert_int_equal(a.status, 202);
    assert_null(strstr(w.last_line, "srkChanged"));
    assert_ok(softdevice_renew_srk(d, ECC));
    world_provision(&w, "dev-1", d, &b, &key);
    assert_int_equal(b.status, 202);
    assert_non_null(strstr(w.last_line, "\"srkChanged\":true"));
    assert_non_null(strstr(w.last_line, "\"registrationId\":\"dev-1\""));
    softdevice_close(d);
}

/* ---- spellings ---- */
static void spellings_of_one_id(void **state)
{
    static const char *const paths[] = {
        "/" WORLD_SCOPE "/registrations/Dev-1/register",
        "/0NEtest0001/Registrations/DEV-1/REGISTER",
        "/" WORLD_SCOPE "/registrations/%64ev%2d1/register",
        "/" WORLD_SCOPE "/%72egistrations/dev-1/register",
    };
    char body[2048];
    struct buf b = BUF_OVER(body);
    (void)state;
    world_enroll(&w, "dev-1", pump, 0);
    softdevice_put_body(pump, "DEV-1", true, &b);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        ANSWER a;
        const struct call c = {.method = "PUT", .path = paths[i], .body = buf_span(&b)};
        world_call(&w, &c, &a);
        assert_true(a.expects_answer);
    }
}

/* Tokens as the SDKs write them, sr signed exactly as sent. */
static void spellings_of_tokens(void **state)
{
    static const char *const formats[] = {
        "SharedAccessSignature sr=%s&sig=%s&se=%s",
        "SharedAccessSignature sig=%2$s&se=%3$s&skn=&sr=%1$s",
        "SharedAccessSignature sr=%s&sig=%s&se=%s&skn=registration",
    };
    static const char *const resources[] = {
        "0neTEST0001/registrations/dev-1", "0neTEST0001%2fregistrations%2Fdev-1",
        "0netest0001%2Fregistrations%2fdev-1"};
    (void)state;
    world_enroll(&w, "dev-1", valve, 0);
    for (size_t i = 0; i < 3; i++) {
        SECRET nonce = {.len = 0};
        uint8_t signature[32];
        char se[24], message[256], base64[48], sig[160], token[512], path[512];
        struct buf b = BUF_OVER(base64), s = BUF_OVER(sig);
        world_challenge_key(&w, "dev-1", valve, NULL, &nonce);
        snprintf(se, sizeof se, "%lld", (long long)w.now_s + 30);
        snprintf(message, sizeof message, "%s\n%s", resources[i], se);
        assert_ok(sas_sign(secret_span(&nonce), span_text(message), signature));
        base64_write(&b, SPAN_ARRAY(signature));
        percent_write(&s, buf_span(&b));
        assert_ok(buf_end_text(&s));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(token, sizeof token, formats[i], resources[i], sig, se);
#pragma GCC diagnostic pop
        world_path(path, "dev-1", "/register");
        ANSWER a;
        const struct call c = {.method = "PUT", .path = path, .token = token,
                               .body = SPAN_LITERAL("{\"registrationId\":\"dev-1\"}")};
        world_call(&w, &c, &a);
        assert_int_equal(a.status, 202);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exchange_rsa_rsa), TEST(exchange_ecc_ecc), TEST(exchange_rsa_ecc),
        TEST(exchange_ecc_rsa), TEST(operation_stays_pollable), TEST(polls_are_refused),
        TEST(disabled_meanwhile), TEST(look_up_tells_no_key), TEST(generations_replace_keys),
        TEST(another_hub), TEST(hubs_are_shared_evenly), TEST(restart_between),
        TEST(without_keys), TEST(without_keys_restarted), TEST(without_keys_enrolled),
        TEST(without_keys_forgotten), TEST(without_keys_registered), TEST(new_owner),
        TEST(spellings_of_one_id), TEST(spellings_of_tokens),
    };
    return cmocka_run_group_tests(tests, make_devices, drop_devices);
}
