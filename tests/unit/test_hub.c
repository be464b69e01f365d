/* The hub's decisions over a real data directory, with times handed in: sessions that must end, how
 * the looking is spread, and the back end's password under attack. Who is let in with which token is
 * told by tests/flow/hub. */
#include <wolfssl/options.h>

#include "unit.h"

#include <attest.h>
#include <backend.h>
#include <errno.h>
#include <hub.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <store.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/sas.h>
#include <wire/text.h>
#include <wolfssl/wolfcrypt/ecc.h>

#define HOST "hub.example.org"
#define NOW 1700000000
#define PASSWORD "correct horse"

/* ---- a data directory with one device ---- */
struct world {
    char dir[64];
    struct store_enrollment enrollment;
    struct hub *hub;
    int64_t wall_s, mono_ms;
    int ended;
    enum hub_verdict why;
};

static void write_file(const struct world *w, const char *name, struct span content, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(content.at, 1, content.len, f), content.len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void write_config(const struct world *w, const char *password)
{
    uint8_t stored_bytes[200], ini_bytes[600];
    struct buf stored = BUF_OVER(stored_bytes), ini = BUF_OVER(ini_bytes);
    const uint8_t salt[16] = {1, 2, 3};
    assert_ok(config_password_hash(span_text(password), salt, &stored));
    buf_put_text(&ini, "[service]\nid_scope = 0ne00000001\nlisten = 127.0.0.1:443\n"
                       "certificate = c\nkey = k\n[hubs]\nline = " HOST "\nother = other.example.org\n"
                       "[backend]\nuser = operator\npassword = ");
    buf_put(&ini, buf_span(&stored));
    buf_put_text(&ini, "\n");
    assert_ok(buf_end(&ini));
    write_file(w, "cradle.ini", buf_span(&ini), 0644);
}

static struct store *store_in(const struct world *w, enum store_mode mode)
{
    struct store *s;
    assert_ok(store_open(w->dir, mode, &s, NULL));
    return s;
}

static void ek_make(struct store_enrollment *e)
{
    WC_RNG rng;
    ecc_key key;
    uint8_t point[2 * TPM_ECC_LEN];
    word32 x = TPM_ECC_LEN, y = TPM_ECC_LEN;
    assert_int_equal(wc_InitRng(&rng) | wc_ecc_init(&key), 0);
    assert_int_equal(wc_ecc_make_key_ex(&rng, TPM_ECC_LEN, &key, ECC_SECP256R1), 0);
    assert_int_equal(wc_ecc_export_public_raw(&key, point, &x, point + TPM_ECC_LEN, &y), 0);
    wc_ecc_free(&key);
    wc_FreeRng(&rng);
    struct tpm_public ek;
    assert_ok(tpm_public_from_key(TPM_ROLE_EK, TPM_KEY_ECC_P256, SPAN_ARRAY(point), &ek));
    memcpy(e->ek, ek.raw, ek.raw_len);
    e->ek_len = ek.raw_len;
    assert_ok(tpm_public_key_hash(&ek, e->ek_hash));
}

static void enroll(struct world *w)
{
    struct store_batch *batch;
    enum store_put outcome;
    struct regid other;
    assert_ok(regid_read(span_text("dev-1"), &w->enrollment.id));
    w->enrollment.device_id = w->enrollment.id;
    w->enrollment.enabled = true;
    ek_make(&w->enrollment);
    struct store *s = store_in(w, STORE_IMPORT);
    assert_ok(store_batch_begin(s, &batch));
    assert_ok(store_batch_put(batch, &w->enrollment, &outcome, &other));
    assert_int_equal(outcome, STORE_PUT_NEW);
    assert_ok(store_batch_commit(batch));
    store_close(s);
}

struct waiting {
    struct store_waiter waiter; /* first: the store hands this back */
    sem_t done;
    enum err outcome;
};

static void assigned(struct store_waiter *w, enum err outcome)
{
    struct waiting *waiting = (struct waiting *)w;
    waiting->outcome = outcome;
    sem_post(&waiting->done);
}

static void provision(struct world *w, uint64_t generation, const char *host)
{
    struct store_registration row = {.id = w->enrollment.id, .device_id = w->enrollment.id,
                                     .generation = generation, .operation_id = "op", .etag = "e"};
    memcpy(row.ek_hash, w->enrollment.ek_hash, sizeof row.ek_hash);
    memcpy(row.srk, w->enrollment.ek, w->enrollment.ek_len);
    row.srk_len = w->enrollment.ek_len;
    assert_ok(span_to_text(span_text(host), row.hub, sizeof row.hub));
    struct waiting waiting = {.waiter = {.done = assigned}};
    sem_init(&waiting.done, 0, 0);
    struct store *s = store_in(w, STORE_SERVE);
    assert_ok(store_registration_assign(s, &row, &waiting.waiter));
    while (sem_wait(&waiting.done) != 0 && errno == EINTR)
        ;
    assert_ok(waiting.outcome);
    store_close(s);
}

static void set_enabled(struct world *w, bool enabled)
{
    struct store *s = store_in(w, STORE_IMPORT);
    assert_ok(store_enrollment_set_enabled(s, &w->enrollment.id, enabled, NOW));
    store_close(s);
}

static int world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    snprintf(w->dir, sizeof w->dir, "/tmp/cradle-test-hub.XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    char secrets[128];
    snprintf(secrets, sizeof secrets, "%s/secrets", w->dir);
    assert_int_equal(mkdir(secrets, 0700), 0);
    const uint8_t root[32] = {7};
    write_file(w, "secrets/hub", SPAN_ARRAY(root), 0600);
    write_config(w, PASSWORD);
    store_close(store_in(w, STORE_CREATE));
    enroll(w);
    provision(w, 1, HOST);
    struct config_reason why = {{0}};
    assert_ok(hub_open(w->dir, "line", &w->hub, &why));
    w->wall_s = NOW;
    w->mono_ms = 1000000;
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;
    char command[160];
    hub_close(w->hub);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

/* ---- clients ---- */
static char handles[20000];

static struct span token_for(const struct world *w, uint64_t generation, int64_t expiry_s,
                             uint8_t *bytes)
{
    struct tpm_public ek;
    uint8_t name[TPM_NAME_LEN], message_bytes[200], signature[SAS_SIGNATURE_LEN];
    assert_ok(tpm_public_read(span_of(w->enrollment.ek, w->enrollment.ek_len), &ek));
    assert_ok(tpm_public_name(&ek, name));
    const uint8_t root_bytes[32] = {7};
    SECRET root = {.len = 0}, key = {.len = 0};
    assert_ok(secret_set(&root, SPAN_ARRAY(root_bytes)));
    struct attest_binding binding = {.id_scope = span_text("0ne00000001"),
                                     .registration_id = &w->enrollment.id, .ek_name = name,
                                     .generation = generation};
    assert_ok(attest_hub_key(&root, &binding, &key));
    struct span sr = SPAN_LITERAL(HOST "%2Fdevices%2Fdev-1");
    struct buf message = BUF_OVER(message_bytes), token = buf_over(bytes, SAS_TOKEN_CAP);
    sas_message_write(&message, sr, expiry_s);
    assert_ok(sas_sign(secret_span(&key), buf_span(&message), signature));
    sas_token_write(&token, sr, signature, expiry_s, span_text(NULL));
    assert_ok(buf_end(&token));
    return buf_span(&token);
}

static enum hub_verdict connect_with(struct world *w, int handle, struct span password)
{
    struct hub_connect c = {
        .client = &handles[handle], .client_id = SPAN_LITERAL("dev-1"),
        .username = SPAN_LITERAL("dev-1"), .password = password,
        .address = SPAN_LITERAL("192.0.2.1"), .wall_s = w->wall_s, .mono_ms = w->mono_ms,
    };
    return hub_connect(w->hub, &c);
}

static enum hub_verdict connect_device(struct world *w, int handle, uint64_t generation,
                                       int64_t expiry_s)
{
    uint8_t bytes[SAS_TOKEN_CAP];
    return connect_with(w, handle, token_for(w, generation, expiry_s, bytes));
}

static enum hub_verdict connect_operator(struct world *w, const char *password, const char *address)
{
    struct hub_connect c = {
        .client = &handles[0], .client_id = SPAN_LITERAL("consumer"),
        .username = SPAN_LITERAL("operator"), .password = span_text(password),
        .address = span_text(address), .wall_s = w->wall_s, .mono_ms = w->mono_ms,
    };
    return hub_connect(w->hub, &c);
}

static void ended(void *context, const struct session *row, enum hub_verdict why)
{
    struct world *w = context;
    w->ended++;
    w->why = why;
    assert_false(hub_knows(w->hub, row->client));
    hub_disconnect(w->hub, row->client); /* as the broker's report of it does */
}

/* Sessions that ended in that time, a tick every 100 ms. */
static int pass(struct world *w, int ms)
{
    w->ended = 0;
    for (int i = 0; i < ms / HUB_TICK_MS; i++) {
        w->mono_ms += HUB_TICK_MS;
        hub_tick(w->hub, w->wall_s, w->mono_ms, ended, w);
    }
    return w->ended;
}

/* ---- tests ---- */
static void test_a_session_ends_with_its_token(void **state)
{
    struct world *w = *state;
    assert_int_equal(connect_device(w, 1, 1, NOW + 60), HUB_WELCOME);
    w->wall_s = NOW + 59;
    assert_int_equal(pass(w, 5000), 0);
    w->wall_s = NOW + 60;
    assert_int_equal(pass(w, HUB_TICK_MS), 1);
    assert_int_equal(w->why, HUB_TOKEN_END);
    assert_int_equal(connect_device(w, 2, 1, NOW + 60), HUB_SPENT);
    assert_int_equal(connect_device(w, 2, 1, NOW + 61), HUB_WELCOME);
}

/* The clock of the device is late: the token may be used, and its session lasts the allowance. */
static void test_a_late_token_is_good_for_the_allowance(void **state)
{
    struct world *w = *state;
    assert_int_equal(connect_device(w, 1, 1, NOW - SAS_SKEW_S - 1), HUB_EXPIRED);
    assert_int_equal(connect_device(w, 1, 1, NOW - 10), HUB_WELCOME);
    w->wall_s = NOW - 10 + SAS_SKEW_S - 1;
    assert_int_equal(pass(w, 1000), 0);
    w->wall_s++;
    assert_int_equal(pass(w, HUB_TICK_MS), 1);
}

static void test_a_session_ends_with_the_device_s_rights(void **state)
{
    struct world *w = *state;
    assert_int_equal(connect_device(w, 1, 1, NOW + 3600), HUB_WELCOME);
    assert_int_equal(pass(w, 5000), 0);
    set_enabled(w, false);
    assert_int_equal(pass(w, 2200), 1);
    assert_int_equal(w->why, HUB_DISABLED);
    assert_int_equal(connect_device(w, 1, 1, NOW + 3600), HUB_DISABLED);

    set_enabled(w, true);
    assert_int_equal(connect_device(w, 1, 1, NOW + 3600), HUB_WELCOME);
    provision(w, 2, HOST);
    assert_int_equal(pass(w, 2200), 1);
    assert_int_equal(w->why, HUB_NEWER);
    assert_int_equal(connect_device(w, 1, 1, NOW + 3600), HUB_SIGNATURE);

    assert_int_equal(connect_device(w, 1, 2, NOW + 3600), HUB_WELCOME);
    provision(w, 3, "other.example.org");
    assert_int_equal(pass(w, 2200), 1);
    assert_int_equal(w->why, HUB_ELSEWHERE);
    assert_int_equal(connect_device(w, 1, 3, NOW + 3600), HUB_ELSEWHERE);
}

/* One device stands for all: the sessions are told apart by their handles. */
static void test_many_sessions_are_looked_at_in_slices(void **state)
{
    enum { MANY = 10000 };
    struct world *w = *state;
    uint8_t bytes[SAS_TOKEN_CAP];
    struct span token = token_for(w, 1, NOW + 3600, bytes);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(connect_with(w, i, token), HUB_WELCOME);
    assert_int_equal(pass(w, HUB_ROUND_MS), 0);
    set_enabled(w, false);
    int most = 0, all = 0;
    for (int ms = 0; ms < HUB_ROUND_MS + HUB_ROUND_TICKS * HUB_TICK_MS; ms += HUB_TICK_MS) {
        int now = pass(w, HUB_TICK_MS);
        most = now > most ? now : most;
        all += now;
    }
    assert_int_equal(all, MANY);
    assert_true(most <= MANY / HUB_ROUND_TICKS + HUB_SLICE_MIN);
}

static void test_sessions_that_leave_during_a_round(void **state)
{
    enum { MANY = 1000 };
    struct world *w = *state;
    uint8_t bytes[SAS_TOKEN_CAP];
    struct span token = token_for(w, 1, NOW + 3600, bytes);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(connect_with(w, i, token), HUB_WELCOME);
    set_enabled(w, false);
    int all = 0;
    while (all == 0)
        all = pass(w, HUB_TICK_MS);
    int left = 0;
    for (int i = 0; i < MANY; i += 3) {
        left += hub_knows(w->hub, &handles[i]);
        hub_disconnect(w->hub, &handles[i]);
    }
    assert_int_equal(all + left + pass(w, HUB_ROUND_MS + HUB_ROUND_TICKS * HUB_TICK_MS), MANY);
}

static void test_the_operator_s_sessions_stay(void **state)
{
    struct world *w = *state;
    assert_int_equal(connect_operator(w, PASSWORD, "192.0.2.9"), HUB_WELCOME);
    set_enabled(w, false);
    w->wall_s += 1000000;
    assert_int_equal(pass(w, 5000), 0);
    assert_true(hub_knows(w->hub, &handles[0]));
}

static void test_a_missing_hub_or_secret_is_named(void **state)
{
    struct world *w = *state;
    struct hub *none = NULL;
    struct config_reason why = {{0}};
    assert_err(ERR_CONFIG, hub_open(w->dir, "nowhere", &none, &why));
    assert_non_null(strstr(why.text, "nowhere"));
    char path[128];
    snprintf(path, sizeof path, "%s/secrets/hub", w->dir);
    assert_int_equal(chmod(path, 0644), 0);
    assert_err(ERR_CONFIG, hub_open(w->dir, "line", &none, &why));
    assert_non_null(strstr(why.text, "secrets/hub"));
    assert_null(none);
}

/* ---- the back end's password ---- */
static void test_guessing_is_slowed_down(void **state)
{
    struct world *w = *state;
    assert_int_equal(connect_operator(w, "guess", "198.51.100.1"), HUB_PASSWORD);
    assert_int_equal(connect_operator(w, "guess", "198.51.100.1"), HUB_THROTTLED);
    assert_int_equal(connect_operator(w, PASSWORD, "198.51.100.1"), HUB_THROTTLED);
    w->mono_ms += BACKEND_WRONG_WAIT_MS;
    assert_int_equal(connect_operator(w, PASSWORD, "198.51.100.1"), HUB_WELCOME);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(connect_operator(w, "guess", "198.51.100.1"), HUB_PASSWORD);
        assert_int_equal(connect_operator(w, PASSWORD, "198.51.100.1"), HUB_WELCOME);
    }
    assert_int_equal(connect_operator(w, "", "198.51.100.1"), HUB_ANONYMOUS);
}

static void test_many_addresses_share_one_budget(void **state)
{
    struct world *w = *state;
    int looked_at = 0;
    for (int i = 0; i < 400; i++) {
        char address[32];
        snprintf(address, sizeof address, "2001:db8::%x", i);
        looked_at += connect_operator(w, "guess", address) == HUB_PASSWORD;
        w->mono_ms += 10;
    }
    assert_in_range(looked_at, 2, BACKEND_BURST + 400 * 10 / BACKEND_REFILL_MS);
}

static void test_a_changed_password_is_seen_after_a_reload(void **state)
{
    struct world *w = *state;
    struct config_reason why = {{0}};
    assert_int_equal(connect_operator(w, PASSWORD, "192.0.2.9"), HUB_WELCOME);
    write_config(w, "another one");
    assert_int_equal(connect_operator(w, "another one", "192.0.2.9"), HUB_PASSWORD);
    assert_ok(hub_reload(w->hub, &why));
    assert_int_equal(connect_operator(w, PASSWORD, "192.0.2.9"), HUB_PASSWORD);
    assert_int_equal(connect_operator(w, "another one", "192.0.2.10"), HUB_WELCOME);
    write_file(w, "cradle.ini", SPAN_LITERAL("[service\n"), 0644);
    assert_err(ERR_CONFIG, hub_reload(w->hub, &why));
    assert_int_equal(connect_operator(w, "another one", "192.0.2.10"), HUB_WELCOME);
    assert_int_equal(connect_device(w, 1, 1, NOW + 60), HUB_WELCOME);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_a_session_ends_with_its_token),
        IN_WORLD(test_a_late_token_is_good_for_the_allowance),
        IN_WORLD(test_a_session_ends_with_the_device_s_rights),
        IN_WORLD(test_many_sessions_are_looked_at_in_slices),
        IN_WORLD(test_sessions_that_leave_during_a_round),
        IN_WORLD(test_the_operator_s_sessions_stay),
        IN_WORLD(test_a_missing_hub_or_secret_is_named),
        IN_WORLD(test_guessing_is_slowed_down),
        IN_WORLD(test_many_addresses_share_one_budget),
        IN_WORLD(test_a_changed_password_is_seen_after_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
