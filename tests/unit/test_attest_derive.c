#include "../vectors/protocol.h"

#include <attest.h>
#include <unit.h>

/* Computed with Python's hmac: master 20..3f, names 000b 40..5f and 000b 60..7f. */
#define NONCE_ROOT "f0afc6ab4e816da630edafeb870843571ef8b39b94fe2c511f3dc700139e1f22"
#define HUB_ROOT "6549304b11ba48d3fea0a70b333ef80e79ac9026d93c33d46c585aaf644b5f0d"
#define POLICY_ROOT "8d96f4e0be28dbadba4f992a3d650c9bc09d114b4d48fd012c7bc5765ea55605"
#define NONCE_KEY "e7a6942fe595cfd2ae40ebe3fc934a3eb8d12f52c82902ab978af1983df7e485"
#define HUB_KEY "66d8780916dabe77e87db1709d83251431e3e2c23c522ad9375deae9844da469"

struct binding {
    struct regid id;
    uint8_t ek_name[TPM_NAME_LEN], srk_name[TPM_NAME_LEN];
    struct attest_binding b;
};

static void binding_make(struct binding *m)
{
    *m = (struct binding){.id = {.text = "dev-1"}, .ek_name = {0, 0x0b}, .srk_name = {0, 0x0b}};
    vector_count(m->ek_name + 2, 0x40, 32);
    vector_count(m->srk_name + 2, 0x60, 32);
    m->b = (struct attest_binding){.id_scope = SPAN_LITERAL("0ne00000001"),
                                   .registration_id = &m->id,
                                   .ek_name = m->ek_name,
                                   .srk_name = m->srk_name,
                                   .generation = 7,
                                   .window = attest_window(1700000000)};
}

static struct secret root_of(enum attest_root which)
{
    struct secret master = {.len = 32}, root;
    vector_count(master.at, 0x20, 32);
    assert_ok(attest_root(&master, which, &root));
    return root;
}

static void assert_secret(const char *hex, const struct secret *secret)
{
    uint8_t wanted[ATTEST_KEY_LEN];
    assert_span_equal(UNHEX(hex, wanted), secret_span(secret));
}

static void stable(void **state)
{
    (void)state;
    struct binding m;
    struct secret nonce_root = root_of(ATTEST_ROOT_NONCE), hub_root = root_of(ATTEST_ROOT_HUB);
    struct secret policy_root = root_of(ATTEST_ROOT_POLICY), key;
    binding_make(&m);
    assert_secret(NONCE_ROOT, &nonce_root);
    assert_secret(HUB_ROOT, &hub_root);
    assert_secret(POLICY_ROOT, &policy_root);
    assert_int_equal(m.b.window, 28333333);
    assert_ok(attest_nonce_key(&nonce_root, &m.b, &key));
    assert_secret(NONCE_KEY, &key);
    assert_ok(attest_hub_key(&hub_root, &m.b, &key));
    assert_secret(HUB_KEY, &key);
}

/* One change each; what a key is not bound to leaves it as it is. */
enum change {
    SAME,
    SCOPE,
    SCOPE_AND_ID_SHIFTED,
    ID,
    EK,
    SRK,
    GENERATION,
    GENERATION_HIGH,
    WINDOW,
    WINDOW_BEFORE,
    CHANGES
};

static void binding_change(struct binding *m, enum change change)
{
    binding_make(m);
    switch (change) {
    case SCOPE:
        m->b.id_scope = SPAN_LITERAL("0ne00000002");
        break;
    case SCOPE_AND_ID_SHIFTED: /* the same letters, the border elsewhere */
        m->b.id_scope = SPAN_LITERAL("0ne00000001d");
        memcpy(m->id.text, "ev-1", sizeof "ev-1");
        break;
    case ID:
        m->id.text[4] = '2';
        break;
    case EK:
        m->ek_name[33] ^= 1;
        break;
    case SRK:
        m->srk_name[2] ^= 0x80;
        break;
    case GENERATION:
        m->b.generation = 8;
        break;
    case GENERATION_HIGH:
        m->b.generation += (uint64_t)1 << 40;
        break;
    case WINDOW:
        m->b.window++;
        break;
    case WINDOW_BEFORE:
        m->b.window--;
        break;
    case SAME:
    case CHANGES:
        break;
    }
}

typedef enum err derive(const struct secret *, const struct attest_binding *, struct secret *);

static void assert_bound(derive *key_of, enum attest_root which, const bool bound[CHANGES])
{
    struct secret root = root_of(which), keys[CHANGES];
    for (enum change c = SAME; c < CHANGES; c++) {
        struct binding m;
        binding_change(&m, c);
        POISON(keys[c]);
        assert_ok(key_of(&root, &m.b, &keys[c]));
        assert_int_equal(keys[c].len, ATTEST_KEY_LEN);
    }
    for (enum change c = SAME; c < CHANGES; c++)
        for (enum change d = SAME; d < c; d++) {
            bool differ = memcmp(keys[c].at, keys[d].at, ATTEST_KEY_LEN) != 0;
            if (differ != (bound[c] || bound[d]))
                fail_msg("changes %d and %d: %s", d, c, differ ? "differ" : "agree");
        }
}

static void bound_to_every_input(void **state)
{
    (void)state;
    static const bool nonce[CHANGES] = {[SCOPE] = true,
                                        [SCOPE_AND_ID_SHIFTED] = true,
                                        [ID] = true,
                                        [EK] = true,
                                        [SRK] = true,
                                        [GENERATION] = true,
                                        [GENERATION_HIGH] = true,
                                        [WINDOW] = true,
                                        [WINDOW_BEFORE] = true};
    static const bool hub[CHANGES] = {
        [SCOPE] = true, [SCOPE_AND_ID_SHIFTED] = true, [ID] = true,
        [EK] = true,    [GENERATION] = true,           [GENERATION_HIGH] = true};
    assert_bound(attest_nonce_key, ATTEST_ROOT_NONCE, nonce);
    assert_bound(attest_hub_key, ATTEST_ROOT_HUB, hub);
}

/* The purposes are apart even under one root, and the roots are apart. */
static void bound_to_the_purpose(void **state)
{
    (void)state;
    struct binding m;
    struct secret root = root_of(ATTEST_ROOT_NONCE), other = root_of(ATTEST_ROOT_HUB);
    struct secret nonce, hub, elsewhere;
    binding_make(&m);
    assert_ok(attest_nonce_key(&root, &m.b, &nonce));
    assert_ok(attest_hub_key(&root, &m.b, &hub));
    assert_ok(attest_hub_key(&other, &m.b, &elsewhere));
    assert_memory_not_equal(nonce.at, hub.at, ATTEST_KEY_LEN);
    assert_memory_not_equal(hub.at, elsewhere.at, ATTEST_KEY_LEN);
    assert_memory_not_equal(root.at, other.at, ATTEST_KEY_LEN);
}

static void too_long_a_scope(void **state)
{
    (void)state;
    static const uint8_t scope[500] = {'s'};
    struct binding m;
    struct secret root = root_of(ATTEST_ROOT_NONCE), key;
    binding_make(&m);
    m.b.id_scope = SPAN_ARRAY(scope);
    POISON(key);
    assert_err(ERR_FULL, attest_nonce_key(&root, &m.b, &key));
    assert_err(ERR_FULL, attest_hub_key(&root, &m.b, &key));
    assert_poisoned(key);
}

static void windows(void **state)
{
    (void)state;
    assert_int_equal(attest_window(0), 0);
    assert_int_equal(attest_window(59), 0);
    assert_int_equal(attest_window(60), 1);
    assert_int_equal(attest_window(1700000000), 28333333);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stable),
        cmocka_unit_test(bound_to_every_input),
        cmocka_unit_test(bound_to_the_purpose),
        cmocka_unit_test(too_long_a_scope),
        cmocka_unit_test(windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
