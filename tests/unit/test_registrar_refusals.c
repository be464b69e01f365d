/* What gets nothing, and that it gets it in the right words: cases T1 to T3, T5 to T8, T14, T18,
 * T22 and T24 to T26 of the attack table, as far as they end at the registrar. */
#include "refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <wire/text.h>

#define RSA TPM_KEY_RSA_2048
#define ECC TPM_KEY_ECC_P256
static struct softdevice *pump, *valve, *stranger;
static struct world w;

static int make_devices(void **state)
{
    (void)state;
    return softdevice_open(RSA, RSA, &pump) != ERR_OK ||
           softdevice_open(ECC, ECC, &valve) != ERR_OK ||
           softdevice_open(RSA, RSA, &stranger) != ERR_OK;
}

static int drop_devices(void **state)
{
    (void)state;
    softdevice_close(pump);
    softdevice_close(valve);
    softdevice_close(stranger);
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

/* ---- T1, T14: refusals that look alike ---- */
static void refused_alike(void **state)
{
    struct {
        const char *id;
        struct softdevice *device;
        const char *reason;
        struct answer answer;
    } cases[] = {
        {"nobody", pump, "unknown registration id", {0}},
        {"dev-1", stranger, "another endorsement key than enrolled", {0}},
        {"locked", valve, "enrollment disabled", {0}},
        {"pinned", stranger, "another SRK than pinned", {0}},
    };
    struct softdevice *other = NULL;
    (void)state;
    world_enroll(&w, "locked", valve, WORLD_DISABLED);
    assert_ok(softdevice_open(ECC, ECC, &other));
    world_enroll(&w, "pinned", other, WORLD_PIN);
    assert_ok(softdevice_renew_srk(other, ECC));
    cases[3].device = other;
    for (size_t i = 0; i < 4; i++) {
        world_challenge(&w, cases[i].id, cases[i].device, NULL, &cases[i].answer);
        refusal_check(&w, cases[i].reason, &cases[i].answer, 404, 404201);
        assert_non_null(strstr(w.last_line, cases[i].reason));
        assert_string_equal(answer_text(&cases[0].answer, "message"),
                            answer_text(&cases[i].answer, "message"));
        assert_int_equal(cases[0].answer.body_len, cases[i].answer.body_len);
    }
    for (size_t i = 0; i < 4; i++)
        answer_free(&cases[i].answer);
    softdevice_close(other);
}

/* ---- T2: endorsement keys ---- */
static void other_endorsement_key(void **state)
{
    SECRET nonce = {.len = 0};
    char body[2048], token[1024];
    struct buf b = BUF_OVER(body);
    ANSWER right_token, wrong_token;
    (void)state;
    /* The body names another EK with the SRK that was challenged: only whoever proves himself first
     * is told. */
    struct softdevice *mix = NULL;
    assert_ok(softdevice_open(ECC, ECC, &mix));
    assert_ok(softdevice_share_srk(mix, pump));
    softdevice_put_body(mix, "dev-1", true, &b);
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_token(&w, &nonce, "dev-1", 3600, token);
    refusal_put(&w, "dev-1", token, buf_span(&b), &right_token);
    refusal_check(&w, "other EK, right token", &right_token, 400, 400004);
    nonce.at[0] ^= 1;
    world_token(&w, &nonce, "dev-1", 3600, token);
    refusal_put(&w, "dev-1", token, buf_span(&b), &wrong_token);
    refusal_check(&w, "other EK, wrong token", &wrong_token, 401, 401002);
    softdevice_close(mix);
}

/* ---- T3: an SRK of another TPM ---- */
static void foreign_srk_cannot_activate(void **state)
{
    SECRET key = {.len = 0};
    ANSWER a;
    (void)state;
    /* The stranger knows the EK's public part and has an SRK of his own. */
    char body[2048];
    struct buf b = BUF_OVER(body);
    const struct tpm_public *ek = softdevice_ek(pump), *srk = softdevice_srk(stranger);
    refusal_body(&b, span_of(ek->raw, ek->raw_len), span_of(srk->raw, srk->raw_len));
    refusal_put(&w, "dev-1", NULL, buf_span(&b), &a);
    assert_true(a.expects_answer);
    struct span blob = span_text(answer_key(&a));
    assert_err(ERR_TPM_ACTIVATE, softdevice_activate_base64(stranger, blob, &key)); /* not his EK */
    assert_err(ERR_TPM_ACTIVATE, softdevice_activate_base64(pump, blob, &key)); /* not its SRK */
}

/* ---- T5, T6, T8: tokens ---- */
static void check_token(const char *what, const char *id, const char *token)
{
    ANSWER a;
    refusal_put(&w, id, token, SPAN_LITERAL("{}"), &a);
    refusal_check(&w, what, &a, 401, 401002);
}

static void tokens(void **state)
{
    SECRET nonce = {.len = 0};
    char good[1024], token[1100];
    ANSWER a;
    static const struct {
        const char *what;
        int64_t in;
    } times[] = {{"expired", -301}, {"long expired", -86400}, {"far future", 90000 + 301},
                 {"before 1970", -1800000001}};
    (void)state;
    world_enroll(&w, "dev-2", valve, 0);
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        world_token(&w, &nonce, "dev-1", times[i].in, token);
        check_token(times[i].what, "dev-1", token);
    }
    check_token("nothing", "dev-1", "SharedAccessSignature ");
    check_token("another scheme", "dev-1", "Bearer abc");
    check_token("garbage", "dev-1", "SharedAccessSignature sr=a&sig=b&se=c");
    world_token(&w, &nonce, "dev-1", 3600, good);
    check_token("another id's token", "dev-2", good);
    world_token(&w, &nonce, "dev-2", 3600, token);
    check_token("token for another id", "dev-1", token);
    check_token("the nonce of another id", "dev-2", token);
    check_token("an unknown id", "nobody", token);
    assert_int_equal(strncmp(good, "SharedAccessSignature ", 22), 0);
    snprintf(token, sizeof token, "%.*s", (int)(strstr(good, "&se=") - good), good);
    check_token("no expiry", "dev-1", token);
    for (int i = 0; i < 4; i++) {
        static const char *const expiries[] = {"9223372036854775808", "-1", "0x7fffffff", "1e10"};
        snprintf(token, sizeof token, "%.*s&se=%s", (int)(strstr(good, "&se=") - good), good,
                 expiries[i]);
        check_token(expiries[i], "dev-1", token);
    }
    nonce.at[31] ^= 1;
    world_token(&w, &nonce, "dev-1", 3600, token);
    check_token("one bit off", "dev-1", token);
    refusal_put(&w, "dev-1", good, SPAN_LITERAL("{}"), &a); /* none of this consumed the challenge */
    assert_int_equal(a.status, 202);
    check_token("T5 replay", "dev-1", good);
    world_restart(&w);
    check_token("T5 replay after a restart", "dev-1", good);
}

/* ---- T7: challenges beside each other ---- */
static void parallel_challenges(void **state)
{
    SECRET first = {.len = 0}, second = {.len = 0};
    ANSWER a, b;
    (void)state;
    world_challenge_key(&w, "dev-1", pump, NULL, &first);
    w.now_s += 61;
    world_challenge_key(&w, "dev-1", pump, NULL, &second);
    assert_false(span_equal(secret_span(&first), secret_span(&second)));
    world_answer(&w, "dev-1", pump, true, &first, &a); /* the older one still counts */
    assert_int_equal(a.status, 202);
    world_answer(&w, "dev-1", pump, true, &second, &b); /* one success ends all */
    refusal_check(&w, "after a success", &b, 401, 401002);
}

static void flooded(void **state)
{
    struct softdevice *many = NULL;
    SECRET nonce = {.len = 0};
    ANSWER a;
    (void)state;
    /* A stranger who knows the EK asks with a thousand SRKs of his own. */
    world_challenge_key(&w, "dev-1", pump, "192.0.2.7", &nonce);
    assert_ok(softdevice_open(ECC, ECC, &many));
    for (int i = 0; i < 200; i++) {
        ANSWER flood;
        char body[2048];
        struct buf b = BUF_OVER(body);
        assert_ok(softdevice_renew_srk(many, ECC));
        const struct tpm_public *ek = softdevice_ek(pump), *srk = softdevice_srk(many);
        refusal_body(&b, span_of(ek->raw, ek->raw_len), span_of(srk->raw, srk->raw_len));
        const struct call c = {.method = "PUT", .path = "/" WORLD_SCOPE "/registrations/dev-1/register",
                               .peer = "198.51.100.9", .body = buf_span(&b)};
        world_call(&w, &c, &flood);
        assert_true(flood.expects_answer);
    }
    world_answer(&w, "dev-1", pump, false, &nonce, &a);
    assert_int_equal(a.status, 202);
    softdevice_close(many);
}

/* Two requests with good tokens under way at once: one assignment. */
static void race(void **state)
{
    SECRET nonce = {.len = 0};
    char path[512], token[1024];
    ANSWER a, b;
    (void)state;
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_token(&w, &nonce, "dev-1", 3600, token);
    world_path(path, "dev-1", "/register");
    const struct call c = {.method = "PUT", .path = path, .token = token,
                           .body = SPAN_LITERAL("{}")};
    struct flight *first = world_begin(&w, &c), *second = world_begin(&w, &c);
    world_finish(&w, first, &a);
    world_finish(&w, second, &b);
    assert_int_equal(a.status, 202);
    assert_int_equal(b.status, 401);
    assert_int_equal(b.code, 401002);
    assert_string_equal(answer_key(&b), "");
}

/* ---- what changes between challenge and answer ---- */
static void locked_between(void **state)
{
    SECRET nonce = {.len = 0};
    ANSWER a, b;
    (void)state;
    world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
    world_set_enabled(&w, "dev-1", false);
    world_answer(&w, "dev-1", pump, true, &nonce, &a);
    refusal_check(&w, "disabled between", &a, 401, 401002);
    assert_non_null(strstr(w.last_line, "enrollment disabled"));
    world_set_enabled(&w, "dev-1", true);
    world_answer(&w, "dev-1", pump, true, &nonce, &b);
    assert_int_equal(b.status, 202);
}

/* T22: the service's clock steps while a challenge is open. */
static void clock_steps(void **state)
{
    static const struct {
        int64_t step;
        int status;
    } cases[] = {{299, 202}, {420, 401}, {315360000, 401}, {-315360000, 401}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        SECRET nonce = {.len = 0};
        ANSWER a;
        w.now_s = 1800000000;
        world_challenge_key(&w, "dev-1", pump, NULL, &nonce);
        w.now_s += cases[i].step;
        world_answer(&w, "dev-1", pump, true, &nonce, &a);
        assert_int_equal(a.status, cases[i].status);
    }
}

/* ---- T18: the log ---- */
static void log_lines_stay_lines(void **state)
{
    static const char evil[] = "x\r\n{\"level\":\"info\"}\x1b[31m\"\\%s%n\x7f\xff";
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct call c = {.method = "PUT", .path = i == 0 ? evil : "/a", .agent = evil,
                               .peer = "::1"};
        ANSWER a;
        world_log_clear(&w);
        world_call(&w, &c, &a);
        refusal_check(&w, "evil", &a, 404, 404000);
        assert_ptr_equal(strchr(w.log, '\n'), w.log + w.log_len - 1);
        for (const char *p = w.last_line; *p != '\0'; p++)
            assert_in_range((unsigned char)*p, 0x20, 0x7e);
    }
    char agent[5000];
    memset(agent, '"', sizeof agent - 1);
    agent[sizeof agent - 1] = '\0';
    const struct call c = {.method = "PUT", .path = agent, .agent = agent};
    ANSWER a;
    world_call(&w, &c, &a);
    refusal_check(&w, "long", &a, 404, 404000);
    assert_true(strlen(w.last_line) < 3000);
}

static void log_flood_is_bounded(void **state)
{
    const struct call c = {.method = "PUT", .path = "/a"};
    int lines = 0;
    (void)state;
    for (int i = 0; i < 3000; i++) {
        ANSWER a;
        world_log_clear(&w);
        world_call(&w, &c, &a);
        lines += w.log_len > 0;
    }
    assert_int_equal(lines, 1000);
    w.now_s++;
    world_log_clear(&w);
    ANSWER a;
    world_call(&w, &c, &a);
    assert_non_null(strstr(w.log, "\"count\":2000"));
    refusal_check(&w, "the next second", &a, 404, 404000);
}

/* ---- T24 to T26: secrets ---- */
static bool file_holds(const char *name, struct span needle)
{
    char path[400];
    static char content[8 << 20];
    snprintf(path, sizeof path, "%s/%s", w.dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(content, 1, sizeof content, f);
    fclose(f);
    return memmem(content, len, needle.at, needle.len) != NULL;
}

static void secrets_stay_secret(void **state)
{
    static const char *const files[] = {"db/enrollments.db", "db/registrations.db",
                                        "db/registrations.db-wal", "pending"};
    SECRET nonce = {.len = 0}, key = {.len = 0};
    char token[1024];
    ANSWER a, b;
    (void)state;
    world_challenge(&w, "dev-1", pump, NULL, &b);
    assert_ok(softdevice_activate_base64(pump, span_text(answer_key(&b)), &nonce));
    world_token(&w, &nonce, "dev-1", 3600, token);
    refusal_put(&w, "dev-1", token, SPAN_LITERAL("{}"), &a);
    assert_int_equal(a.status, 202);
    assert_ok(softdevice_activate_base64(pump, span_text(answer_key(&a)), &key));
    for (size_t i = 0; i < 4; i++) {
        assert_false(file_holds(files[i], secret_span(&nonce)));
        assert_false(file_holds(files[i], secret_span(&key)));
        assert_false(file_holds(files[i], span_of(answer_key(&a), 64)));
        assert_false(file_holds(files[i], secret_span(&w.config.nonce_root)));
        assert_false(file_holds(files[i], secret_span(&w.config.hub_root)));
    }
    assert_true(file_holds("db/registrations.db-wal", SPAN_LITERAL("dev-1"))); /* it can find */
    assert_null(strstr(w.log, "SharedAccess"));
    assert_null(strstr(w.log, strstr(token, "&sig=") + 5));
    char blob[65];
    snprintf(blob, sizeof blob, "%.64s", answer_key(&a));
    assert_null(strstr(w.log, blob));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refused_alike), TEST(other_endorsement_key), TEST(foreign_srk_cannot_activate),
        TEST(tokens), TEST(parallel_challenges), TEST(flooded), TEST(race), TEST(locked_between),
        TEST(clock_steps), TEST(log_lines_stay_lines), TEST(log_flood_is_bounded),
        TEST(secrets_stay_secret),
    };
    return cmocka_run_group_tests(tests, make_devices, drop_devices);
}
