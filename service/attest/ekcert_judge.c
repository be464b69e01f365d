#include "ekcert_inner.h"

/* Bounds on what one certificate may cost: issuers looked at on all chains together, and among them
 * those whose key identifier says that they are the wrong ones. */
#define VISITS_MAX 64
#define STRANGERS_MAX 16

struct climb {
    struct ekcert_trust *trust;
    const struct ekcert_policy *policy;
    int64_t now_s;
    const struct trust_ca *path[EKCERT_DEPTH_MAX];
    unsigned visits, strangers;
    /* of the chain that came furthest */
    enum ekcert_reason reason;
    unsigned reached;
    /* of the chain that was found */
    unsigned depth;
    uint32_t oddities;
};

/* ---- rules ---- */

/* Whether a rule lets something pass; WARN leaves a mark. */
static bool passes(enum ekcert_rule rule, uint32_t mark, uint32_t *oddities)
{
    if (rule == EKCERT_WARN)
        *oddities |= mark;
    return rule != EKCERT_REFUSE;
}

/* No digest here is ever cut or chosen by the signature: its length follows from the algorithm. With
 * ECDSA 256 bits are the least, whatever the curve. */
enum ekcert_reason ekcert_algorithm_judge(const struct ekcert_signature *s,
                                          const struct ekcert_policy *policy, uint32_t *oddities)
{
    if (s->scheme == EKCERT_SCHEME_UNKNOWN)
        return EKCERT_ALGORITHM;
    if (s->digest == EKCERT_MD5 || (s->digest == EKCERT_SHA1 && s->scheme == EKCERT_ECDSA))
        return EKCERT_DIGEST;
    if (s->digest == EKCERT_SHA1 && !passes(policy->sha1, EKCERT_ODD_SHA1, oddities))
        return EKCERT_SHA1_REFUSED;
    return EKCERT_GOOD;
}

static enum ekcert_reason signature_judge(const struct ekcert *c,
                                          const struct ekcert_policy *policy, uint32_t *oddities)
{
    if (!c->algorithms_agree)
        return EKCERT_ALGORITHMS_DIFFER;
    return ekcert_algorithm_judge(&c->signature, policy, oddities);
}

static bool usage_is_ek(const struct ekcert *c)
{
    uint32_t wanted = EKCERT_USE_KEY_ENCIPHERMENT | EKCERT_USE_KEY_AGREEMENT;
    return !c->has_key_usage || (c->key_usage & wanted) != 0;
}

static bool purpose_is_ek(const struct ekcert *c, enum ekcert_purpose_rule rule)
{
    return rule == EKCERT_PURPOSE_IGNORE || c->purpose_ek ||
           (rule == EKCERT_PURPOSE_IF_PRESENT && !c->has_purpose);
}

static enum ekcert_reason leaf_judge(const struct ekcert *c, const struct tpm_public *ek,
                                     const struct ekcert_policy *policy, int64_t now_s,
                                     uint32_t *oddities)
{
    if (ek != NULL && !(c->challengeable && tpm_public_same_key(&c->ek, ek)))
        return EKCERT_OTHER_KEY;
    uint32_t signs = EKCERT_USE_CERT_SIGN | EKCERT_USE_CRL_SIGN;
    if (c->ca || (c->key_usage & signs) != 0)
        return EKCERT_LEAF_IS_CA;
    if (c->unknown_critical || c->name_constraints)
        return EKCERT_CRITICAL;
    if (c->san_critical && !c->tpm.present)
        return EKCERT_SUBJECT_NAME;
    if (!usage_is_ek(c))
        return EKCERT_KEY_USAGE;
    if (!purpose_is_ek(c, policy->purpose))
        return EKCERT_PURPOSE;
    enum ekcert_reason reason = signature_judge(c, policy, oddities);
    if (reason != EKCERT_GOOD)
        return reason;
    if (now_s < c->not_before_s)
        return EKCERT_NOT_YET_VALID;
    if (now_s > c->not_after_s && !passes(policy->expired, EKCERT_ODD_EXPIRED, oddities))
        return EKCERT_EXPIRED;
    return EKCERT_GOOD;
}

/* below: CA certificates between this one and the leaf that are not self-issued. */
static enum ekcert_reason ca_judge(const struct ekcert *c, unsigned below,
                                   const struct ekcert_policy *policy, int64_t now_s,
                                   uint32_t *oddities)
{
    if (!c->ca)
        return EKCERT_NOT_CA;
    if (c->has_key_usage && !(c->key_usage & EKCERT_USE_CERT_SIGN))
        return EKCERT_CA_KEY_USAGE;
    if (c->unknown_critical)
        return EKCERT_CA_CRITICAL;
    if (c->name_constraints)
        return EKCERT_NAME_CONSTRAINTS;
    if (c->path_len != EKCERT_NO_PATH_LEN && below > c->path_len)
        return EKCERT_PATH_LEN;
    if (now_s < c->not_before_s)
        return EKCERT_CA_NOT_YET_VALID;
    if (now_s > c->not_after_s && !passes(policy->ca_expired, EKCERT_ODD_CA_EXPIRED, oddities))
        return EKCERT_CA_EXPIRED;
    *oddities |= c->oddities & EKCERT_ODD_NAME_CONSTRAINTS;
    return EKCERT_GOOD;
}

/* ---- the chain ---- */

/* A wrong issuer says more than none, a failure higher up more than one further down. */
static void failed(struct climb *c, unsigned at, enum ekcert_reason reason)
{
    unsigned reached = at * 2 + (reason != EKCERT_NO_ISSUER);
    if (reached <= c->reached)
        return;
    c->reached = reached;
    c->reason = reason;
}

/* RFC 4158, 2.4.2: a name and its key a second time lead nowhere that was not reached before. */
static bool on_path(const struct climb *c, unsigned depth, const struct trust_ca *ca)
{
    for (unsigned i = 0; i < depth; i++)
        if (span_equal(c->path[i]->cert.subject, ca->cert.subject) &&
            span_equal(c->path[i]->cert.spki, ca->cert.spki))
            return true;
    return false;
}

static unsigned below_count(const struct climb *c, unsigned depth)
{
    unsigned count = 0;
    for (unsigned i = 0; i < depth; i++)
        count += !span_equal(c->path[i]->cert.subject, c->path[i]->cert.issuer);
    return count;
}

/* Everything about the step from a certificate to this issuer of it. links: NULL for the leaf. */
static enum ekcert_reason step_judge(struct climb *c, const struct ekcert *cert,
                                     struct trust_links *links, unsigned depth,
                                     const struct trust_ca *issuer, uint32_t *oddities)
{
    enum ekcert_reason reason =
        links != NULL ? trust_links_verify(links, cert->tbs, &cert->signature, issuer)
                      : ekcert_signature_verify(cert->tbs, &cert->signature, &issuer->cert);
    if (reason == EKCERT_GOOD)
        reason = ca_judge(&issuer->cert, below_count(c, depth), c->policy, c->now_s, oddities);
    if (reason == EKCERT_GOOD)
        reason = trust_crl_check(c->trust, cert, issuer, c->policy, c->now_s, oddities);
    return reason;
}

static bool climb_from(struct climb *c, const struct ekcert *cert, struct trust_links *links,
                       unsigned depth, uint32_t oddities);

static bool climb_over(struct climb *c, const struct ekcert *cert, struct trust_links *links,
                       unsigned depth, struct trust_ca *issuer, uint32_t oddities)
{
    bool stranger = trust_keys_differ(cert->authority_key, issuer->cert.subject_key);
    if (c->visits++ >= VISITS_MAX || (stranger && c->strangers++ >= STRANGERS_MAX))
        return false;
    enum ekcert_reason reason = step_judge(c, cert, links, depth, issuer, &oddities);
    if (reason != EKCERT_GOOD) {
        bool of_signature = reason == EKCERT_SIGNATURE || reason == EKCERT_SIGNATURE_KIND ||
                            reason == EKCERT_CA_KEY;
        if (stranger && of_signature)
            reason = EKCERT_NO_ISSUER;
        failed(c, depth + !of_signature, reason);
        return false;
    }
    if (stranger)
        oddities |= EKCERT_ODD_AUTHORITY;
    c->path[depth] = issuer;
    if (issuer->root) {
        c->depth = depth + 1;
        c->oddities = oddities;
        return true;
    }
    reason = signature_judge(&issuer->cert, c->policy, &oddities);
    if (reason != EKCERT_GOOD) {
        failed(c, depth + 1, reason);
        return false;
    }
    return climb_from(c, &issuer->cert, &issuer->links, depth + 1, oddities);
}

/* Issuers whose key identifier fits come first; the others after them, since vendors get it wrong
 * and the signature has the last word. */
static bool climb_from(struct climb *c, const struct ekcert *cert, struct trust_links *links,
                       unsigned depth, uint32_t oddities)
{
    failed(c, depth, EKCERT_NO_ISSUER);
    uint64_t hash = trust_name_hash(cert->issuer);
    size_t first = trust_ca_first(c->trust, hash);
    for (int strangers = 0; strangers < 2; strangers++)
        for (size_t i = first; i < c->trust->ca_count && c->trust->ca[i]->name_hash == hash; i++) {
            struct trust_ca *ca = c->trust->ca[i];
            if (!span_equal(ca->cert.subject, cert->issuer) || on_path(c, depth, ca) ||
                trust_keys_differ(cert->authority_key, ca->cert.subject_key) != (strangers == 1))
                continue;
            if (depth == EKCERT_DEPTH_MAX)
                failed(c, depth, EKCERT_TOO_DEEP);
            else if (climb_over(c, cert, links, depth, ca, oddities))
                return true;
        }
    return false;
}

void ekcert_judge(struct ekcert_trust *trust, const struct ekcert *cert,
                  const struct tpm_public *ek, const struct ekcert_policy *policy, int64_t now_s,
                  struct ekcert_verdict *ret_verdict)
{
    struct climb c = {.trust = trust, .policy = policy, .now_s = now_s,
                      .reason = EKCERT_NO_ISSUER};
    uint32_t oddities = cert->oddities;
    struct ekcert_verdict v = {.reason = leaf_judge(cert, ek, policy, now_s, &oddities)};
    if (v.reason == EKCERT_GOOD && trust == NULL)
        v.reason = EKCERT_NO_ISSUER;
    else if (v.reason == EKCERT_GOOD && !climb_from(&c, cert, NULL, 0, oddities))
        v.reason = c.reason;
    v.oddities = oddities | c.oddities;
    v.depth = c.depth;
    v.refused = v.reason != EKCERT_GOOD && v.reason != EKCERT_NO_ISSUER;
    v.grade = v.reason == EKCERT_GOOD        ? EKCERT_CERTIFICATE_TRUSTED
              : v.reason == EKCERT_NO_ISSUER ? EKCERT_CERTIFICATE
                                             : EKCERT_KEY_ONLY;
    *ret_verdict = v;
}
