#include <ekscene.h>

#include "unit.h"

struct scene_keys keys;

int keys_make(void **state)
{
    (void)state;
    certkey_rsa_make(&keys.ek, 2048);
    certkey_rsa_make(&keys.rsa_ca, 2048);
    certkey_rsa_make(&keys.weak, 1024);
    certkey_ecc_make(&keys.ek_ecc, 32);
    certkey_ecc_make(&keys.root, 32);
    certkey_ecc_make(&keys.middle, 32);
    certkey_ecc_make(&keys.other, 32);
    certkey_ecc_make(&keys.p384, 48);
    certkey_ecc_make(&keys.p521, 66);
    return 0;
}

int keys_free(void **state)
{
    (void)state;
    struct certkey *all[] = {&keys.ek,    &keys.ek_ecc, &keys.rsa_ca, &keys.root, &keys.middle,
                             &keys.other, &keys.p384,   &keys.p521,   &keys.weak};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        certkey_free(all[i]);
    return 0;
}

static const struct certspec ca_plain = {
    .not_before_s = NOW_S - 1000 * DAY_S,
    .not_after_s = NOW_S + 1000 * DAY_S,
    .serial = {(const uint8_t *)"\x05", 1},
    .basic = BASIC_CA,
    .path_len = NO_PATH_LEN,
    .usage = SIGNS_CERTS | SIGNS_CRLS,
};

struct scene scene_plain(void)
{
    struct scene s = {.now_s = NOW_S, .root = ca_plain, .middle = ca_plain, .leaf = ca_plain};
    s.root.subject = s.root.issuer = "Root";
    s.root.key = s.root.signer = s.root.own = &keys.root;
    s.middle.subject = "Middle";
    s.middle.issuer = "Root";
    s.middle.key = s.middle.own = &keys.middle;
    s.middle.signer = s.middle.authority = &keys.root;
    s.leaf.subject = "";
    s.leaf.issuer = "Middle";
    s.leaf.key = s.leaf.own = &keys.ek;
    s.leaf.signer = s.leaf.authority = &keys.middle;
    s.leaf.serial = SERIAL("\x12\x34");
    s.leaf.basic = BASIC_EMPTY;
    s.leaf.usage = ENCIPHERS;
    s.leaf.purpose = PURPOSE_EK;
    s.leaf.san = SAN_TPM;
    s.extra = s.middle;
    s.extra.subject = NULL;
    return s;
}

void scene_give(struct ekcert_trust *t, enum ekcert_trust_as as, const struct certspec *spec)
{
    uint8_t der[CERTMAKE_CAP];
    assert_ok(ekcert_trust_add(t, as, certmake(spec, der)));
}

static void give_crl(struct ekcert_trust *t, const struct crlspec *spec)
{
    uint8_t der[CERTMAKE_CAP];
    if (spec->issuer != NULL)
        assert_ok(ekcert_trust_add(t, EKCERT_TRUST_ROOTS, crlmake(spec, der)));
}

void scene_play(const struct scene *s, struct ekcert_verdict *ret_verdict)
{
    uint8_t der[CERTMAKE_CAP];
    struct ekcert_trust *t;
    struct ekcert c;
    struct tpm_public ek;
    struct ekcert_verdict again;
    assert_ok(ekcert_trust_open(&t));
    give_crl(t, &s->crl_2);
    if (s->extra.subject != NULL)
        scene_give(t, EKCERT_TRUST_ROOTS, &s->extra);
    if (!s->no_middle)
        scene_give(t, EKCERT_TRUST_ROOTS, &s->middle);
    if (!s->no_root)
        scene_give(t, EKCERT_TRUST_ROOTS, &s->root);
    give_crl(t, &s->crl);
    certkey_ek(s->wrong_ek ? &keys.ek_ecc : s->leaf.key, &ek);
    assert_ok(ekcert_read(certmake(&s->leaf, der), &c));
    POISON(*ret_verdict);
    ekcert_judge(t, &c, &ek, &s->policy, s->now_s, ret_verdict);
    /* What was kept of the first time must not change the second. */
    ekcert_judge(t, &c, &ek, &s->policy, s->now_s, &again);
    assert_int_equal(again.reason, ret_verdict->reason);
    assert_int_equal(again.grade, ret_verdict->grade);
    assert_int_equal(again.oddities, ret_verdict->oddities);
    assert_int_equal(again.depth, ret_verdict->depth);
    ekcert_trust_close(t);
}
