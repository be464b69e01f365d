/* Devices with symmetric keys: of an enrollment of their own, and of a group. */
#include "unit.h"

#include <credential.h>
#include <registrar_world.h>
#include <semaphore.h>
#include <stdlib.h>

static struct world w;
static struct attest *attest;
static const struct credential_keys own = {.at = {"primary key of own", "secondary key of own"},
                                           .len = {18, 20}};
static const struct credential_keys line = {.at = {"primary key of the line", "secondary of the line"},
                                            .len = {23, 21}};

static struct regid id_of(const char *text)
{
    struct regid id;
    assert_ok(regid_read(span_text(text), &id));
    return id;
}

/* ---- enrolling, as the service API does ---- */
struct wait {
    struct store_waiter waiter; /* first */
    sem_t done;
    enum err outcome;
};

static void told(struct store_waiter *waiter, enum err outcome)
{
    struct wait *x = (struct wait *)waiter;
    x->outcome = outcome;
    sem_post(&x->done);
}

static void apply(struct store_change *c)
{
    struct wait x = {.waiter = {told}};
    sem_init(&x.done, 0, 0);
    assert_ok(store_change_apply(w.store, c, 1, &x.waiter));
    while (sem_wait(&x.done) != 0)
        ;
    assert_ok(x.outcome);
    assert_ok(c->outcome);
}

static void credential_of(enum credential_owner owner, const char *id,
                          const struct credential_keys *k, struct buf *out)
{
    uint8_t bytes[CREDENTIAL_SEALED_CAP];
    struct buf sealed = BUF_OVER(bytes);
    struct regid of = id_of(id);
    assert_ok(credential_keys_seal(attest, &w.config.seal_key, owner, &of, k, &sealed));
    credential_write(out, CREDENTIAL_KEYS, buf_span(&sealed), span_of("", 0));
}

static void enroll(const char *id, const struct credential_keys *k, bool enabled)
{
    uint8_t bytes[512];
    struct buf b = BUF_OVER(bytes);
    credential_of(CREDENTIAL_OF_ENROLLMENT, id, k, &b);
    struct store_change c = {.object = STORE_ENROLLMENT, .match = STORE_MATCH_ANY,
                             .enrollment = {.id = id_of(id), .device_id = id_of("pump"),
                                            .attestation = STORE_SYMMETRIC_KEY, .enabled = enabled},
                             .credential = buf_span(&b)};
    apply(&c);
}

static void group(const char *id, const struct credential_keys *k, bool enabled)
{
    uint8_t bytes[512];
    struct buf b = BUF_OVER(bytes);
    credential_of(CREDENTIAL_OF_GROUP, id, k, &b);
    struct store_change c = {.object = STORE_GROUP, .match = STORE_MATCH_ANY,
                             .group = {.id = id_of(id), .attestation = STORE_SYMMETRIC_KEY,
                                       .enabled = enabled},
                             .credential = buf_span(&b)};
    apply(&c);
}

static int begin(void **state)
{
    (void)state;
    world_open(&w);
    return attest_open(&attest) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    attest_close(attest);
    world_close(&w);
    return 0;
}

/* ---- asking ---- */
static void ask(const char *method, const char *id, const char *tail, const char *as,
                const struct credential_keys *k, int which, struct answer *ret_answer)
{
    char path[512], token[1024];
    SECRET key = {.len = 0};
    assert_ok(secret_set(&key, span_of(k->at[which], k->len[which])));
    world_path(path, id, tail);
    world_token(&w, &key, as, 3600, token);
    const struct call c = {.method = method, .path = path, .token = token, .body = SPAN_LITERAL("{}")};
    world_call(&w, &c, ret_answer);
}

static void assert_assigned(const char *id, const struct credential_keys *k, int which,
                            const char *device_id)
{
    ANSWER a;
    ask("PUT", id, "/register", id, k, which, &a);
    assert_int_equal(a.status, 202);
    assert_string_equal(answer_text(&a, "status"), "assigned");
    assert_string_equal(answer_state(&a, "deviceId"), device_id);
    assert_non_null(strstr(a.body, "\"symmetricKey\":{"));
    assert_null(strstr(a.body, "authenticationKey"));
}

static void assert_refused(const char *id, const struct credential_keys *k)
{
    ANSWER a;
    ask("PUT", id, "/register", id, k, 0, &a);
    assert_int_equal(a.status, 401);
    assert_int_equal(a.code, 401002);
}

static void test_both_keys_of_an_enrollment(void **state)
{
    (void)state;
    enroll("own-1", &own, true);
    assert_assigned("own-1", &own, 0, "pump");
    assert_assigned("own-1", &own, 1, "pump");
    assert_refused("own-1", &line);
    assert_refused("own-2", &own);
}

static void test_members_of_a_group(void **state)
{
    struct credential_keys member, other;
    struct regid one = id_of("member-1"), two = id_of("member-2");
    (void)state;
    assert_ok(credential_keys_derive(&line, &one, &member));
    assert_ok(credential_keys_derive(&line, &two, &other));
    group("other-line", &own, true);
    group("line-7", &line, true);
    assert_assigned("member-1", &member, 0, "member-1");
    assert_assigned("member-1", &member, 1, "member-1");
    assert_refused("member-1", &other);
    assert_refused("member-2", &member);
    assert_refused("member-1", &line); /* the group's own key is no device's */
    ANSWER a;
    ask("PUT", "member-2", "/register", "member-2", &other, 0, &a);
    assert_non_null(strstr(a.body, "\"symmetricKey\":{\"enrollmentGroupId\":\"line-7\"}"));
}

/* The first match decides, even if it is disabled. */
static void test_an_enrollment_wins_over_a_group(void **state)
{
    struct credential_keys member;
    struct regid id = id_of("own-1");
    (void)state;
    assert_ok(credential_keys_derive(&line, &id, &member));
    group("line-7", &line, true);
    assert_assigned("own-1", &member, 0, "own-1");
    enroll("own-1", &own, true);
    assert_refused("own-1", &member);
    assert_assigned("own-1", &own, 0, "pump");
    enroll("own-1", &own, false);
    assert_refused("own-1", &own);
    assert_refused("own-1", &member);
}

static void test_disabled(void **state)
{
    struct credential_keys member;
    struct regid id = id_of("member-1");
    (void)state;
    assert_ok(credential_keys_derive(&line, &id, &member));
    group("line-7", &line, false);
    assert_refused("member-1", &member);
    group("line-7", &line, true);
    assert_assigned("member-1", &member, 0, "member-1");
}

static void test_tokens_for_others(void **state)
{
    ANSWER a, b;
    (void)state;
    enroll("own-1", &own, true);
    ask("PUT", "own-1", "/register", "own-2", &own, 0, &a);
    assert_int_equal(a.code, 401002);
    ask("PUT", "own-1", "/register", "own-1", &own, 0, &b);
    assert_int_equal(b.status, 202);
}

static void test_polls_and_look_ups(void **state)
{
    ANSWER a, b, c, d, e;
    char tail[200];
    (void)state;
    enroll("own-1", &own, true);
    ask("PUT", "own-1", "/register", "own-1", &own, 0, &a);
    snprintf(tail, sizeof tail, "/operations/%s", answer_text(&a, "operationId"));
    ask("GET", "own-1", tail, "own-1", &own, 1, &b);
    assert_int_equal(b.status, 200);
    assert_string_equal(answer_state(&b, "assignedHub"), answer_state(&a, "assignedHub"));
    ask("GET", "own-1", "/operations/4.0", "own-1", &own, 0, &c);
    assert_int_equal(c.status, 404);
    ask("POST", "own-1", "", "own-1", &own, 0, &d);
    assert_int_equal(d.status, 200);
    assert_string_equal(answer_text(&d, "status"), "assigned");
    ask("POST", "own-1", "", "own-1", &line, 0, &e);
    assert_int_equal(e.status, 401);
}

/* What the hub reads is sealed for it, and opens for this device alone. */
static void test_keys_for_the_hub(void **state)
{
    struct store_reader *r = NULL;
    struct store_registration row;
    struct credential_keys k;
    struct regid id = id_of("own-1"), other = id_of("own-2");
    SECRET key = {.len = 0};
    (void)state;
    enroll("own-1", &own, true);
    assert_assigned("own-1", &own, 0, "pump");
    assert_ok(store_reader_open(w.store, &r));
    assert_ok(store_registration_find(r, &id, &row));
    store_reader_close(r);
    struct span sealed = span_of(row.device_keys, row.device_keys_len);
    assert_ok(attest_hub_seal_key(&w.config.hub_root, &key));
    assert_ok(credential_keys_open(&key, CREDENTIAL_OF_DEVICE, &id, sealed, &k));
    assert_span_equal(span_of(own.at[1], own.len[1]), span_of(k.at[1], k.len[1]));
    assert_err(ERR_CRYPTO, credential_keys_open(&key, CREDENTIAL_OF_DEVICE, &other, sealed, &k));
    assert_err(ERR_CRYPTO, credential_keys_open(&key, CREDENTIAL_OF_ENROLLMENT, &id, sealed, &k));
    assert_err(ERR_CRYPTO, credential_keys_open(&w.config.seal_key, CREDENTIAL_OF_DEVICE, &id, sealed, &k));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_both_keys_of_an_enrollment), TEST(test_members_of_a_group),
        TEST(test_an_enrollment_wins_over_a_group), TEST(test_disabled), TEST(test_tokens_for_others),
        TEST(test_polls_and_look_ups), TEST(test_keys_for_the_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
