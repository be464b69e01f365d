/* The policy on EK certificates: every rule and every way to break it, over chains made here. */
#include <ekscene.h>
#include "unit.h"

/* ---- the ways ---- */
#define WAY(name, ...)                                                                             \
    static void name(struct scene *s)                                                              \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
/* 1.2.3.4, unknown to everyone */
#define UNKNOWN_CRITICAL SPAN_LITERAL("\x30\x0c\x06\x03\x2a\x03\x04\x01\x01\xff\x04\x02\x05\x00")
#define UNKNOWN SPAN_LITERAL("\x30\x09\x06\x03\x2a\x03\x04\x04\x02\x05\x00")
#define CONSTRAINTS_CRITICAL                                                                       \
    SPAN_LITERAL("\x30\x16\x06\x03\x55\x1d\x1e\x01\x01\xff\x04\x0c\x30\x0a\xa0\x08\x30\x06\x82\x04"  \
                 "corp")
#define CONSTRAINTS                                                                                \
    SPAN_LITERAL("\x30\x13\x06\x03\x55\x1d\x1e\x04\x0c\x30\x0a\xa0\x08\x30\x06\x82\x04"              \
                 "corp")
#define POLICIES_CRITICAL                                                                          \
    SPAN_LITERAL("\x30\x14\x06\x03\x55\x1d\x20\x01\x01\xff\x04\x0a\x30\x08\x30\x06\x06\x04\x55\x1d"  \
                 "\x20\x00")
#define MD5_RSA SPAN_LITERAL("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04\x05\x00")
#define SHA256_RSA SPAN_LITERAL("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00")
#define SHA256_RSA_BARE SPAN_LITERAL("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")
#define SHA224_RSA SPAN_LITERAL("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e\x05\x00")
#define SHA256_ECDSA SPAN_LITERAL("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")
#define SHA256_ECDSA_NULL SPAN_LITERAL("\x30\x0c\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00")
#define SHA512_ECDSA SPAN_LITERAL("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04")
#define PSS_SHA256_MASK_SHA512                                                                     \
    SPAN_LITERAL("\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34"                   \
                 "\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00"           \
                 "\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"                   \
                 "\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00"                   \
                 "\xa2\x03\x02\x01\x20")
#define ED25519 SPAN_LITERAL("\x30\x05\x06\x03\x2b\x65\x70")

static void rsa_issuer(struct scene *s)
{
    s->middle.key = s->middle.own = s->leaf.signer = s->leaf.authority = &keys.rsa_ca;
}

static void both(struct certspec *c, struct span algorithm)
{
    c->inner = c->outer = algorithm;
}

static void crl_good(struct scene *s)
{
    s->crl = (struct crlspec){.issuer = "Middle",
                              .signer = &keys.middle,
                              .authority = &keys.middle,
                              .this_update_s = NOW_S - DAY_S,
                              .next_update_s = NOW_S + DAY_S};
}

static void crl_revokes(struct scene *s)
{
    static const struct span revoked[] = {{(const uint8_t *)"\x12\x34", 2},
                                          {(const uint8_t *)"\x7f", 1},
                                          {(const uint8_t *)"\x01\x00", 2}};
    crl_good(s);
    s->crl.revoked = revoked;
    s->crl.revoked_count = 3;
}

static void crl_lists_others(struct scene *s)
{
    static const struct span revoked[] = {{(const uint8_t *)"\x7f", 1},
                                          {(const uint8_t *)"\x12\x35", 2},
                                          {(const uint8_t *)"\x34", 1},
                                          {(const uint8_t *)"\x00\x92\x34", 3}};
    crl_good(s);
    s->crl.revoked = revoked;
    s->crl.revoked_count = 4;
}

static void crl_of_root_revokes_middle(struct scene *s)
{
    static const struct span revoked[] = {{(const uint8_t *)"\x05", 1}};
    s->crl = (struct crlspec){.issuer = "Root",
                              .signer = &keys.root,
                              .this_update_s = NOW_S - DAY_S,
                              .next_update_s = NOW_S + DAY_S,
                              .revoked = revoked,
                              .revoked_count = 1};
}

WAY(nothing, (void)s)
WAY(ecc_leaf, s->leaf.key = s->leaf.own = &keys.ek_ecc; s->leaf.usage = AGREES)
WAY(under_root, s->leaf.issuer = "Root"; s->leaf.signer = s->leaf.authority = &keys.root)
WAY(no_identifiers, s->leaf.authority = NULL; s->middle.authority = NULL; s->middle.own = NULL)
WAY(rsa_signed, rsa_issuer(s))
WAY(no_null, rsa_issuer(s); both(&s->leaf, SHA256_RSA_BARE))
/* dates */
WAY(expired, s->leaf.not_after_s = NOW_S - 1)
WAY(expires_now, s->leaf.not_after_s = NOW_S)
WAY(expired_warn, expired(s); s->policy.expired = EKCERT_WARN)
WAY(expired_accept, expired(s); s->policy.expired = EKCERT_ACCEPT)
WAY(expired_ca_rule, expired(s); s->policy.ca_expired = EKCERT_ACCEPT)
WAY(future, s->leaf.not_before_s = NOW_S + 1)
WAY(future_accept, future(s); s->policy.expired = EKCERT_ACCEPT)
WAY(begins_now, s->leaf.not_before_s = NOW_S)
WAY(year_9999, s->leaf.not_after_s = 253402300799)
WAY(ca_expired, s->middle.not_after_s = NOW_S - 1)
WAY(ca_expired_warn, ca_expired(s); s->policy.ca_expired = EKCERT_WARN)
WAY(ca_expired_accept, ca_expired(s); s->policy.ca_expired = EKCERT_ACCEPT)
WAY(ca_expired_leaf_rule, ca_expired(s); s->policy.expired = EKCERT_ACCEPT)
WAY(root_expired, s->root.not_after_s = NOW_S - 1)
WAY(ca_future, s->middle.not_before_s = NOW_S + 1)
/* who issued it */
WAY(no_middle, s->no_middle = true)
WAY(no_root, s->no_root = true)
WAY(nothing_given, s->no_root = s->no_middle = true)
WAY(wrong_issuer_name, s->leaf.issuer = "Nobody")
WAY(wrong_issuer_key, s->leaf.signer = &keys.other)
WAY(wrong_issuer_other_id, s->leaf.signer = s->leaf.authority = &keys.other)
WAY(authority_lies, s->leaf.authority = &keys.other)
WAY(middle_forged, s->middle.signer = &keys.other)
WAY(not_ca, s->middle.basic = BASIC_EMPTY)
WAY(no_basic, s->middle.basic = BASIC_NONE)
WAY(root_version_1, s->root.version_1 = true)
WAY(ca_no_sign, s->middle.usage = SIGNS | SIGNS_CRLS)
WAY(ca_no_usage, s->middle.usage = NO_USAGE)
WAY(path_len_0, s->middle.path_len = 0)
WAY(root_path_len_0, s->root.path_len = 0)
WAY(root_path_len_1, s->root.path_len = 1)
WAY(ca_critical, s->middle.extensions = UNKNOWN_CRITICAL)
WAY(root_critical, s->root.extensions = UNKNOWN_CRITICAL)
WAY(ca_unknown, s->middle.extensions = UNKNOWN)
WAY(ca_policies, s->middle.extensions = POLICIES_CRITICAL)
WAY(ca_constraints, s->middle.extensions = CONSTRAINTS_CRITICAL)
WAY(ca_constraints_soft, s->middle.extensions = CONSTRAINTS)
WAY(ca_weak_key, s->middle.key = s->middle.own = s->leaf.signer = s->leaf.authority = &keys.weak)
/* another way up */
WAY(second_middle_good, s->extra = s->middle; s->extra.not_after_s = NOW_S - 1)
WAY(second_middle_bad_first, s->extra = s->middle; s->middle.not_after_s = NOW_S - 1)
WAY(namesake, s->extra = s->middle; s->extra.key = s->extra.own = &keys.other)
WAY(namesake_without_id, namesake(s); s->extra.own = NULL; s->middle.own = NULL;
    s->leaf.authority = NULL)
WAY(namesake_only, namesake(s); s->no_middle = true)
WAY(rolled_over, s->extra = s->root; s->extra.key = s->extra.own = &keys.other;
    s->middle.signer = s->middle.authority = &keys.other)
WAY(rolled_over_path_len_1, rolled_over(s); s->root.path_len = 1)
WAY(rolled_over_path_len_0, rolled_over(s); s->root.path_len = 0)
WAY(rolled_over_no_root, rolled_over(s); s->no_root = true)
/* the leaf itself */
WAY(other_key, s->wrong_ek = true)
WAY(leaf_ca, s->leaf.basic = BASIC_CA)
WAY(leaf_signs_certs, s->leaf.usage = ENCIPHERS | SIGNS_CERTS)
WAY(leaf_ak, s->leaf.usage = SIGNS)
WAY(leaf_no_usage, s->leaf.usage = NO_USAGE)
WAY(leaf_usage_not_der, s->leaf.usage_not_der = true)
WAY(leaf_default, s->leaf.basic = BASIC_FALSE)
WAY(leaf_critical, s->leaf.extensions = UNKNOWN_CRITICAL)
WAY(leaf_unknown, s->leaf.extensions = UNKNOWN)
WAY(leaf_constraints, s->leaf.extensions = CONSTRAINTS_CRITICAL)
WAY(negative_serial, s->leaf.serial = SERIAL("\x92\x34"))
WAY(zero_serial, s->leaf.serial = SERIAL("\x00"))
WAY(long_serial, s->leaf.serial = SERIAL("123456789012345678901"))
WAY(unsorted, s->leaf.set_unsorted = true)
/* purpose */
WAY(no_purpose, s->leaf.purpose = PURPOSE_NONE)
WAY(server_purpose, s->leaf.purpose = PURPOSE_SERVER)
WAY(two_purposes, s->leaf.purpose = PURPOSE_SERVER_AND_EK)
WAY(no_purpose_if_present, no_purpose(s); s->policy.purpose = EKCERT_PURPOSE_IF_PRESENT)
WAY(server_if_present, server_purpose(s); s->policy.purpose = EKCERT_PURPOSE_IF_PRESENT)
WAY(server_ignored, server_purpose(s); s->policy.purpose = EKCERT_PURPOSE_IGNORE)
/* names */
WAY(one_set, s->leaf.san = SAN_TPM_IN_ONE_SET)
WAY(dns_and_tpm, s->leaf.san = SAN_DNS_AND_TPM)
WAY(dns_only, s->leaf.san = SAN_DNS)
WAY(dns_only_soft, s->leaf.san = SAN_DNS; s->leaf.san_not_critical = true)
WAY(san_empty, s->leaf.san = SAN_EMPTY)
WAY(no_san, s->leaf.san = SAN_NONE)
WAY(manufacturer_decimal, s->leaf.manufacturer = "1414747215")
/* signatures */
WAY(flipped, s->leaf.flaw = CERTFLAW_FLIPPED)
WAY(middle_flipped, s->middle.flaw = CERTFLAW_FLIPPED)
WAY(root_flipped, s->root.flaw = CERTFLAW_FLIPPED)
WAY(rsa_flipped, rsa_issuer(s); s->leaf.flaw = CERTFLAW_FLIPPED)
WAY(rsa_short_digest, rsa_issuer(s); s->leaf.flaw = CERTFLAW_SHORT_DIGEST)
WAY(ecc_short_digest, s->leaf.flaw = CERTFLAW_SHORT_DIGEST)
WAY(rsa_no_info, rsa_issuer(s); s->leaf.flaw = CERTFLAW_NO_INFO)
WAY(rsa_info_trailing, rsa_issuer(s); s->leaf.flaw = CERTFLAW_INFO_TRAILING)
WAY(rsa_long, rsa_issuer(s); s->leaf.flaw = CERTFLAW_LONG)
WAY(ecc_long, s->leaf.flaw = CERTFLAW_LONG)
WAY(sha1, rsa_issuer(s); s->leaf.algorithm = CERTALG_SHA1)
WAY(sha1_warn, sha1(s); s->policy.sha1 = EKCERT_WARN)
WAY(sha1_accept, sha1(s); s->policy.sha1 = EKCERT_ACCEPT)
WAY(middle_sha1, s->root.key = s->root.own = s->root.signer = &keys.rsa_ca;
    s->middle.signer = s->middle.authority = &keys.rsa_ca; s->middle.algorithm = CERTALG_SHA1)
WAY(middle_sha1_accept, middle_sha1(s); s->policy.sha1 = EKCERT_ACCEPT)
WAY(root_sha1, s->root.key = s->root.own = s->root.signer = &keys.rsa_ca;
    s->middle.signer = s->middle.authority = &keys.rsa_ca; s->root.algorithm = CERTALG_SHA1)
WAY(ecdsa_sha1, s->leaf.algorithm = CERTALG_SHA1; s->policy.sha1 = EKCERT_ACCEPT)
WAY(md5, rsa_issuer(s); both(&s->leaf, MD5_RSA); s->policy.sha1 = EKCERT_ACCEPT)
WAY(sha224, rsa_issuer(s); both(&s->leaf, SHA224_RSA))
WAY(pss_other_mask, rsa_issuer(s); s->leaf.algorithm = CERTALG_PSS_SHA256;
    both(&s->leaf, PSS_SHA256_MASK_SHA512))
WAY(pss, rsa_issuer(s); s->leaf.algorithm = CERTALG_PSS_SHA256)
WAY(ed25519, both(&s->leaf, ED25519))
WAY(rsa_oid_ecc_key, both(&s->leaf, SHA256_RSA))
WAY(ecc_oid_rsa_key, rsa_issuer(s); both(&s->leaf, SHA256_ECDSA))
WAY(other_digest_oid, both(&s->leaf, SHA512_ECDSA))
WAY(ecdsa_with_null, both(&s->leaf, SHA256_ECDSA_NULL))
WAY(inner_differs, s->leaf.inner = SHA512_ECDSA)
WAY(outer_differs, s->leaf.outer = SHA512_ECDSA)
WAY(middle_inner_differs, s->middle.inner = SHA512_ECDSA)
WAY(root_inner_differs, s->root.inner = SHA512_ECDSA)
WAY(middle_md5, s->root.key = s->root.own = s->root.signer = &keys.rsa_ca;
    s->middle.signer = s->middle.authority = &keys.rsa_ca; both(&s->middle, MD5_RSA))
/* revocation */
WAY(crl_other, crl_lists_others(s))
WAY(crl_stale, crl_good(s); s->crl.next_update_s = NOW_S - 1)
WAY(crl_stale_warn, crl_stale(s); s->policy.crl_stale = EKCERT_WARN)
WAY(crl_stale_accept, crl_stale(s); s->policy.crl_stale = EKCERT_ACCEPT)
WAY(crl_stale_revokes, crl_revokes(s); s->crl.next_update_s = NOW_S - 1;
    s->policy.crl_stale = EKCERT_ACCEPT)
WAY(crl_future, crl_good(s); s->crl.this_update_s = NOW_S + 1)
WAY(crl_no_next, crl_good(s); s->crl.next_update_s = 0)
WAY(crl_flipped, crl_revokes(s); s->crl.flaw = CERTFLAW_FLIPPED)
WAY(crl_of_other_key, crl_revokes(s); s->crl.signer = s->crl.authority = &keys.other)
WAY(crl_of_other_key_no_id, crl_revokes(s); s->crl.signer = &keys.other; s->crl.authority = NULL)
WAY(crl_of_other_name, crl_revokes(s); s->crl.issuer = "Root")
WAY(crl_of_other_name_no_id, crl_of_other_name(s); s->crl.authority = NULL)
WAY(crl_not_allowed, crl_good(s); s->middle.usage = SIGNS_CERTS)
WAY(crl_stale_and_good, crl_good(s); s->crl_2 = s->crl; s->crl_2.next_update_s = NOW_S - 1)
WAY(crl_good_and_stale_revokes, crl_revokes(s); s->crl_2 = s->crl; s->crl.revoked_count = 0;
    s->crl_2.next_update_s = NOW_S - 1)

#define ODD(name) EKCERT_ODD_##name
static const struct row {
    void (*way)(struct scene *s);
    const char *what;
    enum ekcert_reason reason;
    uint32_t oddities;
    unsigned depth;
} rows[] = {
#define GOOD(way, depth, odd) {way, #way, EKCERT_GOOD, odd, depth}
#define BAD(way, reason) {way, #way, EKCERT_##reason, 0, 0}
    GOOD(nothing, 2, 0),
    GOOD(ecc_leaf, 2, 0),
    GOOD(under_root, 1, 0),
    GOOD(no_identifiers, 2, 0),
    GOOD(rsa_signed, 2, 0),
    GOOD(no_null, 2, ODD(NULL)),
    BAD(expired, EXPIRED),
    GOOD(expires_now, 2, 0),
    GOOD(expired_warn, 2, ODD(EXPIRED)),
    GOOD(expired_accept, 2, 0),
    BAD(expired_ca_rule, EXPIRED),
    BAD(future, NOT_YET_VALID),
    BAD(future_accept, NOT_YET_VALID),
    GOOD(begins_now, 2, 0),
    GOOD(year_9999, 2, 0),
    BAD(ca_expired, CA_EXPIRED),
    GOOD(ca_expired_warn, 2, ODD(CA_EXPIRED)),
    GOOD(ca_expired_accept, 2, 0),
    BAD(ca_expired_leaf_rule, CA_EXPIRED),
    BAD(root_expired, CA_EXPIRED),
    BAD(ca_future, CA_NOT_YET_VALID),
    BAD(no_middle, NO_ISSUER),
    BAD(no_root, NO_ISSUER),
    BAD(nothing_given, NO_ISSUER),
    BAD(wrong_issuer_name, NO_ISSUER),
    BAD(wrong_issuer_key, SIGNATURE),
    BAD(wrong_issuer_other_id, NO_ISSUER),
    GOOD(authority_lies, 2, ODD(AUTHORITY)),
    BAD(middle_forged, SIGNATURE),
    BAD(not_ca, NOT_CA),
    BAD(no_basic, NOT_CA),
    BAD(root_version_1, NOT_CA),
    BAD(ca_no_sign, CA_KEY_USAGE),
    GOOD(ca_no_usage, 2, 0),
    GOOD(path_len_0, 2, 0),
    BAD(root_path_len_0, PATH_LEN),
    GOOD(root_path_len_1, 2, 0),
    BAD(ca_critical, CA_CRITICAL),
    BAD(root_critical, CA_CRITICAL),
    GOOD(ca_unknown, 2, 0),
    GOOD(ca_policies, 2, 0),
    BAD(ca_constraints, NAME_CONSTRAINTS),
    GOOD(ca_constraints_soft, 2, ODD(NAME_CONSTRAINTS)),
    BAD(ca_weak_key, CA_KEY),
    GOOD(second_middle_good, 2, 0),
    GOOD(second_middle_bad_first, 2, 0),
    GOOD(namesake, 2, 0),
    GOOD(namesake_without_id, 2, 0),
    BAD(namesake_only, NO_ISSUER),
    GOOD(rolled_over, 3, 0),
    GOOD(rolled_over_path_len_1, 3, 0), /* what is self-issued does not count */
    BAD(rolled_over_path_len_0, PATH_LEN),
    BAD(rolled_over_no_root, NO_ISSUER),
    BAD(other_key, OTHER_KEY),
    BAD(leaf_ca, LEAF_IS_CA),
    BAD(leaf_signs_certs, LEAF_IS_CA),
    BAD(leaf_ak, KEY_USAGE),
    GOOD(leaf_no_usage, 2, 0),
    GOOD(leaf_usage_not_der, 2, ODD(BITS)),
    GOOD(leaf_default, 2, ODD(DEFAULT)),
    BAD(leaf_critical, CRITICAL),
    GOOD(leaf_unknown, 2, 0),
    BAD(leaf_constraints, CRITICAL),
    GOOD(negative_serial, 2, ODD(SERIAL)),
    GOOD(zero_serial, 2, ODD(SERIAL)),
    GOOD(long_serial, 2, ODD(SERIAL)),
    {unsorted, "unsorted", EKCERT_NO_ISSUER, ODD(SET_ORDER), 0},
    BAD(no_purpose, PURPOSE),
    BAD(server_purpose, PURPOSE),
    GOOD(two_purposes, 2, 0),
    GOOD(no_purpose_if_present, 2, 0),
    BAD(server_if_present, PURPOSE),
    GOOD(server_ignored, 2, 0),
    GOOD(one_set, 2, ODD(SET_ORDER)),
    GOOD(dns_and_tpm, 2, 0),
    {dns_only, "dns_only", EKCERT_SUBJECT_NAME, ODD(MANUFACTURER), 0},
    GOOD(dns_only_soft, 2, ODD(MANUFACTURER)),
    {san_empty, "san_empty", EKCERT_SUBJECT_NAME, ODD(MANUFACTURER), 0},
    GOOD(no_san, 2, ODD(MANUFACTURER)),
    GOOD(manufacturer_decimal, 2, ODD(MANUFACTURER)),
    BAD(flipped, SIGNATURE),
    BAD(middle_flipped, SIGNATURE),
    BAD(root_flipped, NO_ISSUER),
    BAD(rsa_flipped, SIGNATURE),
    BAD(rsa_short_digest, SIGNATURE),
    BAD(ecc_short_digest, SIGNATURE),
    BAD(rsa_no_info, SIGNATURE),
    BAD(rsa_info_trailing, SIGNATURE),
    BAD(rsa_long, SIGNATURE),
    BAD(ecc_long, SIGNATURE),
    BAD(sha1, SHA1_REFUSED),
    GOOD(sha1_warn, 2, ODD(SHA1)),
    GOOD(sha1_accept, 2, 0),
    BAD(middle_sha1, SHA1_REFUSED),
    GOOD(middle_sha1_accept, 2, 0),
    GOOD(root_sha1, 2, 0),
    BAD(ecdsa_sha1, DIGEST),
    BAD(md5, DIGEST),
    BAD(middle_md5, DIGEST),
    BAD(sha224, ALGORITHM),
    BAD(ed25519, ALGORITHM),
    GOOD(pss, 2, 0),
    BAD(pss_other_mask, ALGORITHM),
    BAD(rsa_oid_ecc_key, SIGNATURE_KIND),
    BAD(ecc_oid_rsa_key, SIGNATURE_KIND),
    BAD(other_digest_oid, SIGNATURE),
    BAD(ecdsa_with_null, ALGORITHM),
    BAD(inner_differs, ALGORITHMS_DIFFER),
    BAD(outer_differs, ALGORITHMS_DIFFER),
    BAD(middle_inner_differs, ALGORITHMS_DIFFER),
    BAD(root_inner_differs, ALGORITHMS_DIFFER),
    GOOD(crl_good, 2, 0),
    BAD(crl_revokes, REVOKED),
    GOOD(crl_other, 2, 0),
    BAD(crl_of_root_revokes_middle, REVOKED),
    BAD(crl_stale, CRL_DATE),
    GOOD(crl_stale_warn, 2, ODD(CRL_STALE)),
    GOOD(crl_stale_accept, 2, 0),
    BAD(crl_stale_revokes, REVOKED),
    BAD(crl_future, CRL_DATE),
    GOOD(crl_no_next, 2, 0),
    BAD(crl_flipped, CRL_SIGNATURE),
    GOOD(crl_of_other_key, 2, 0),
    BAD(crl_of_other_key_no_id, CRL_SIGNATURE),
    GOOD(crl_of_other_name, 2, 0),
    BAD(crl_of_other_name_no_id, CRL_SIGNATURE),
    BAD(crl_not_allowed, CRL_SIGNATURE),
    GOOD(crl_stale_and_good, 2, 0),
    BAD(crl_good_and_stale_revokes, REVOKED),
};

static void each_rule_and_each_way_to_break_it(void **state)
{
    (void)state;
    unsigned wrong = 0;
    bool met[EKCERT_REASON_COUNT] = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct scene s = scene_plain();
        struct ekcert_verdict v;
        r->way(&s);
        scene_play(&s, &v);
        met[r->reason] = true;
        enum ekcert_grade grade = r->reason == EKCERT_GOOD        ? EKCERT_CERTIFICATE_TRUSTED
                                  : r->reason == EKCERT_NO_ISSUER ? EKCERT_CERTIFICATE
                                                                  : EKCERT_KEY_ONLY;
        if (v.reason == r->reason && v.grade == grade && v.depth == r->depth &&
            v.refused == (grade == EKCERT_KEY_ONLY) && v.oddities == r->oddities)
            continue;
        print_error("%s: %s (%s), depth %u, odd %x; not %s, depth %u, odd %x\n", r->what,
                    ekcert_reason_name(v.reason), ekcert_grade_text(v.grade), v.depth,
                    v.oddities, ekcert_reason_name(r->reason), r->depth, r->oddities);
        wrong++;
    }
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < EKCERT_REASON_COUNT; i++)
        if (!met[i] && i != EKCERT_TOO_DEEP)
            fail_msg("no row gives %s", ekcert_reason_name((enum ekcert_reason)i));
}

/* ---- signatures ---- */

static void each_algorithm_verifies(void **state)
{
    (void)state;
    static const struct {
        struct certkey *issuer;
        enum certalg algorithm;
    } cases[] = {
        {&keys.rsa_ca, CERTALG_SHA256},     {&keys.rsa_ca, CERTALG_SHA384},
        {&keys.rsa_ca, CERTALG_SHA512},     {&keys.rsa_ca, CERTALG_PSS_SHA256},
        {&keys.rsa_ca, CERTALG_PSS_SHA384}, {&keys.rsa_ca, CERTALG_PSS_SHA512},
        {&keys.rsa_ca, CERTALG_SHA1},       {&keys.root, CERTALG_SHA256},
        {&keys.root, CERTALG_SHA384},       {&keys.root, CERTALG_SHA512},
        {&keys.p384, CERTALG_SHA256},       {&keys.p384, CERTALG_SHA384},
        {&keys.p384, CERTALG_SHA512},       {&keys.p521, CERTALG_SHA256},
        {&keys.p521, CERTALG_SHA384},       {&keys.p521, CERTALG_SHA512},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int flaw = 0; flaw < 2; flaw++) {
            struct scene s = scene_plain();
            struct ekcert_verdict v;
            s.policy.sha1 = EKCERT_ACCEPT;
            s.middle.key = s.middle.own = s.leaf.authority = s.leaf.signer = cases[i].issuer;
            s.leaf.algorithm = cases[i].algorithm;
            s.leaf.flaw = flaw ? CERTFLAW_FLIPPED : CERTFLAW_NONE;
            scene_play(&s, &v);
            if (v.reason != (flaw ? EKCERT_SIGNATURE : EKCERT_GOOD))
                fail_msg("case %zu, flaw %d: %s", i, flaw, ekcert_reason_name(v.reason));
        }
}

/* Whatever single bit of a certificate is another, it is not trusted. */
static void bits_change(const struct certkey *issuer, enum certalg algorithm)
{
    struct scene s = scene_plain();
    struct ekcert_trust *t;
    uint8_t der[CERTMAKE_CAP];
    struct ekcert c;
    struct ekcert_verdict v;
    struct tpm_public ek;
    s.middle.key = s.middle.own = s.leaf.signer = s.leaf.authority = issuer;
    s.leaf.algorithm = algorithm;
    certkey_ek(s.leaf.key, &ek);
    assert_ok(ekcert_trust_open(&t));
    scene_give(t, EKCERT_TRUST_ROOTS, &s.root);
    scene_give(t, EKCERT_TRUST_ROOTS, &s.middle);
    struct span whole = certmake(&s.leaf, der);
    for (size_t bit = 0; bit < whole.len * 8; bit++) {
        der[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (ekcert_read(whole, &c) == ERR_OK) {
            ekcert_judge(t, &c, &ek, &s.policy, s.now_s, &v);
            if (v.grade == EKCERT_CERTIFICATE_TRUSTED)
                fail_msg("bit %zu may change", bit);
        }
        der[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_ok(ekcert_read(whole, &c));
    ekcert_judge(t, &c, &ek, &s.policy, s.now_s, &v);
    assert_int_equal(v.reason, EKCERT_GOOD);
    ekcert_trust_close(t);
}

static void no_bit_can_change(void **state)
{
    (void)state;
    bits_change(&keys.rsa_ca, CERTALG_SHA256);
    bits_change(&keys.rsa_ca, CERTALG_PSS_SHA256);
    bits_change(&keys.middle, CERTALG_SHA256);
}

/* wolfCrypt is not asked to compute with a point off its curve. */
static void a_ca_key_off_its_curve(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    uint8_t der[CERTMAKE_CAP], spki[200];
    struct ekcert c;
    struct ekcert_verdict v;
    s.middle.key = s.middle.own = s.leaf.signer = s.leaf.authority = &keys.p384;
    assert_ok(ekcert_read(certmake(&s.middle, der), &c));
    assert_true(c.spki.len <= sizeof spki);
    memcpy(spki, c.spki.at, c.spki.len);
    spki[c.spki.len - 1] ^= 1;
    s.middle.spki = span_of(spki, c.spki.len);
    scene_play(&s, &v);
    assert_int_equal(v.reason, EKCERT_CA_KEY);
}

/* ---- long chains and loops ---- */

static const char *const ladder[] = {"L0", "L1", "L2", "L3", "L4", "L5", "L6", "L7"};

/* A root L0 and `count` CAs below it; the leaf under the last. */
static enum ekcert_reason climb(unsigned count, unsigned *ret_depth)
{
    struct scene s = scene_plain();
    struct ekcert_trust *t;
    uint8_t der[CERTMAKE_CAP];
    struct ekcert c;
    struct ekcert_verdict v;
    assert_ok(ekcert_trust_open(&t));
    s.root.subject = s.root.issuer = ladder[0];
    scene_give(t, EKCERT_TRUST_ROOTS, &s.root);
    for (unsigned i = 1; i <= count; i++) {
        s.middle.subject = ladder[i];
        s.middle.issuer = ladder[i - 1];
        s.middle.key = s.middle.own = s.middle.signer = s.middle.authority = &keys.root;
        scene_give(t, EKCERT_TRUST_ROOTS, &s.middle);
    }
    s.leaf.issuer = ladder[count];
    s.leaf.signer = s.leaf.authority = &keys.root;
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    ekcert_judge(t, &c, NULL, &s.policy, s.now_s, &v);
    ekcert_trust_close(t);
    *ret_depth = v.depth;
    return v.reason;
}

static void chains_have_a_greatest_length(void **state)
{
    (void)state;
    unsigned depth;
    assert_int_equal(climb(EKCERT_DEPTH_MAX - 1, &depth), EKCERT_GOOD);
    assert_int_equal(depth, EKCERT_DEPTH_MAX);
    assert_int_equal(climb(EKCERT_DEPTH_MAX, &depth), EKCERT_TOO_DEEP);
    assert_int_equal(depth, 0);
}

/* CAs that certify each other, many times over, and no root among them. */
static void loops_end(void **state)
{
    (void)state;
    struct scene s = scene_plain();
    struct ekcert_trust *t;
    uint8_t der[CERTMAKE_CAP];
    struct ekcert c;
    struct ekcert_verdict v;
    assert_ok(ekcert_trust_open(&t));
    s.middle.own = s.middle.authority = s.leaf.authority = NULL;
    for (int i = 0; i < 20; i++) {
        uint8_t serial[] = {1, (uint8_t)i};
        s.middle.serial = SPAN_ARRAY(serial);
        s.middle.key = s.middle.signer = &keys.middle;
        s.middle.subject = i % 2 ? "Middle" : "Ring";
        s.middle.issuer = i % 2 ? "Ring" : "Middle";
        scene_give(t, EKCERT_TRUST_ROOTS, &s.middle);
    }
    assert_ok(ekcert_read(certmake(&s.leaf, der), &c));
    ekcert_judge(t, &c, NULL, &s.policy, s.now_s, &v);
    assert_int_equal(v.grade, EKCERT_CERTIFICATE);
    assert_int_equal(v.reason, EKCERT_NO_ISSUER);
    ekcert_trust_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_and_each_way_to_break_it),
        cmocka_unit_test(each_algorithm_verifies),
        cmocka_unit_test(no_bit_can_change),
        cmocka_unit_test(a_ca_key_off_its_curve),
        cmocka_unit_test(chains_have_a_greatest_length),
        cmocka_unit_test(loops_end),
    };
    return cmocka_run_group_tests(tests, keys_make, keys_free);
}
