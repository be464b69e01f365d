/* Purpose: what the files of EK certificate checking share. */
#ifndef ATTEST_EKCERT_INNER_H
#define ATTEST_EKCERT_INNER_H

#include <ekcert.h>
#include <stdatomic.h>

#include "der_read.h"

#define OID_IS(oid, text) span_equal((oid), SPAN_LITERAL(text))

/* ---- reading ---- */
/* AlgorithmIdentifier of a signature; one not known is no error. ekcert_signature.c */
void ekcert_algorithm_read(struct rd *r, struct ekcert_signature *ret_signature,
                           uint32_t *oddities);
void ekcert_key_read(struct span spki, struct ekcert *c);        /* ekcert_key.c */
void ekcert_extensions_read(struct rd *r, struct ekcert *c);     /* ekcert_extension.c */
/* The next extension: false at the end or when bad. */
struct ekcert_extension {
    struct span oid;
    bool critical;
    struct span value;
};
bool ekcert_extension_next(struct rd *list, struct ekcert_extension *ret_extension,
                           uint32_t *oddities);
/* The key identifier in an authority key identifier's value; makes r bad if it is malformed. */
struct span ekcert_authority_read(struct rd *r);
void ekcert_name_check(struct span name, struct rd *r, uint32_t *oddities); /* a whole Name */
void ekcert_tpm_attribute(struct ekcert_tpm *tpm, struct span oid, struct span text,
                          uint32_t *oddities);                   /* ekcert_text.c */

/* ---- signatures ---- */
/* GOOD, SIGNATURE, SIGNATURE_KIND, CA_KEY. The algorithm has passed the policy. */
enum ekcert_reason ekcert_signature_verify(struct span tbs, const struct ekcert_signature *s,
                                           const struct ekcert *issuer);

/* ---- the store ---- */
/* What was found out about who signed something, kept for the next time. A slot holds the issuer's
 * address, the lowest bit set if it is not its signature. Full is no harm. */
#define LINKS 8
struct trust_links {
    _Atomic uintptr_t slot[LINKS];
};

struct trust_ca {
    struct ekcert cert; /* into own_der */
    uint8_t *own_der;
    uint64_t name_hash; /* of the subject */
    bool root;
    struct trust_links links;
};

struct trust_crl {
    uint8_t *own_der;
    struct span tbs, issuer, authority_key;
    struct ekcert_signature signature;
    uint64_t name_hash; /* of the issuer */
    int64_t this_update_s, next_update_s; /* INT64_MAX: none given */
    struct span *serials; /* sorted */
    size_t serial_count;
    struct trust_links links;
};

struct ekcert_trust {
    struct trust_ca **ca; /* sorted by name_hash */
    size_t ca_count;
    struct trust_crl **crl; /* likewise */
    size_t crl_count;
    struct ekcert_trust_count count;
    unsigned blocks;
};

uint64_t trust_name_hash(struct span name);
/* The index of the first entry with this hash or a greater one. */
size_t trust_ca_first(const struct ekcert_trust *t, uint64_t name_hash);
size_t trust_crl_first(const struct ekcert_trust *t, uint64_t name_hash);
enum ekcert_reason trust_links_verify(struct trust_links *links, struct span tbs,
                                      const struct ekcert_signature *s,
                                      const struct trust_ca *issuer);
/* ekcert_crl.c */
MUST_USE enum err trust_crl_read(struct span der, struct trust_crl **ret_crl);
void trust_crl_free(struct trust_crl *crl);
/* GOOD also when no CRL speaks of this issuer. */
enum ekcert_reason trust_crl_check(struct ekcert_trust *t, const struct ekcert *cert,
                                   const struct trust_ca *issuer,
                                   const struct ekcert_policy *policy, int64_t now_s,
                                   uint32_t *oddities);
/* Do two key identifiers speak against each other? Not if one is missing. */
bool trust_keys_differ(struct span authority_key, struct span subject_key);
/* Applies the policy to a signature's algorithm before it is verified. ekcert_judge.c */
enum ekcert_reason ekcert_algorithm_judge(const struct ekcert_signature *s,
                                          const struct ekcert_policy *policy, uint32_t *oddities);

#endif
