#include <stdlib.h>
#include <string.h>

#include "ekcert_inner.h"

/* Serials are compared as the bytes that stand in both certificate and list: an order, no secret. */
static int span_order(const void *left, const void *right)
{
    const struct span *a = left;
    const struct span *b = right;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    for (size_t i = 0; i < a->len; i++)
        if (a->at[i] != b->at[i])
            return a->at[i] < b->at[i] ? -1 : 1;
    return 0;
}

void trust_crl_free(struct trust_crl *crl)
{
    if (crl == NULL)
        return;
    free(crl->serials);
    free(crl->own_der);
    free(crl);
}

static void crl_release(struct trust_crl **crl)
{
    trust_crl_free(*crl);
}

/* CRL number and authority key are known; critical ones change what the list means. */
static void crl_extensions(struct rd *r, struct trust_crl *crl)
{
    static const uint8_t authority_key[] = {0x55, 0x1d, 0x23};
    struct rd list = der_open(r, DER_TAG_SEQUENCE);
    struct ekcert_extension x;
    uint32_t ignored = 0;
    while (ekcert_extension_next(&list, &x, &ignored)) {
        struct rd value = rd_over(x.value);
        if (x.critical)
            list.bad = true;
        else if (crl != NULL && span_equal(x.oid, SPAN_ARRAY(authority_key))) {
            crl->authority_key = ekcert_authority_read(&value);
            list.bad = rd_end(&value) != ERR_OK;
        }
    }
    der_close(r, &list);
}

/* revokedCertificates, twice: first to count, then to keep. */
static void revoked_read(struct rd *r, struct span *serials, size_t *ret_count)
{
    struct rd list = der_open(r, DER_TAG_SEQUENCE);
    size_t count = 0;
    while (list.rest.len > 0) {
        struct rd entry = der_open(&list, DER_TAG_SEQUENCE);
        struct span serial = der_take(&entry, DER_TAG_INTEGER);
        der_time(&entry);
        if (entry.rest.len > 0)
            crl_extensions(&entry, NULL);
        der_close(&list, &entry);
        if (serials != NULL && !list.bad)
            serials[count] = serial;
        count++;
    }
    der_close(r, &list);
    *ret_count = count;
}

static enum err revoked_keep(struct rd *r, struct trust_crl *crl)
{
    struct rd again = *r;
    size_t count;
    revoked_read(r, NULL, &count);
    if (r->bad)
        return ERR_CERTIFICATE;
    crl->serials = calloc(count + 1, sizeof *crl->serials);
    if (crl->serials == NULL)
        return ERR_MEMORY;
    revoked_read(&again, crl->serials, &crl->serial_count);
    qsort(crl->serials, crl->serial_count, sizeof *crl->serials, span_order);
    return ERR_OK;
}

static bool is_time(int tag)
{
    return tag == DER_TAG_UTC_TIME || tag == DER_TAG_GENERAL_TIME;
}

/* RFC 5280, 5.1.2. */
static enum err list_read(struct rd *r, struct trust_crl *crl, struct span *ret_algorithm)
{
    struct span content;
    if (der_peek(r) == DER_TAG_INTEGER && der_small(r) != 1)
        return ERR_CERTIFICATE;
    *ret_algorithm = der_take_whole(r, DER_TAG_SEQUENCE);
    crl->issuer = der_take_whole(r, DER_TAG_SEQUENCE);
    crl->this_update_s = der_time(r);
    crl->next_update_s = is_time(der_peek(r)) ? der_time(r) : INT64_MAX;
    if (der_peek(r) == DER_TAG_SEQUENCE)
        TRY(revoked_keep(r, crl));
    if (der_take_if(r, DER_TAG_CONTEXT(0), &content)) {
        struct rd inner = rd_over(content);
        crl_extensions(&inner, crl);
        der_close(r, &inner);
    }
    return rd_end(r) == ERR_OK ? ERR_OK : ERR_CERTIFICATE;
}

enum err trust_crl_read(struct span der, struct trust_crl **ret_crl)
{
    __attribute__((cleanup(crl_release))) struct trust_crl *crl = calloc(1, sizeof *crl);
    if (crl == NULL)
        return ERR_MEMORY;
    crl->own_der = malloc(der.len > 0 ? der.len : 1);
    if (crl->own_der == NULL)
        return ERR_MEMORY;
    memcpy(crl->own_der, der.at, der.len);
    struct rd all = rd_over(span_of(crl->own_der, der.len));
    struct rd outer = der_open(&all, DER_TAG_SEQUENCE);
    crl->tbs = der_take_whole(&outer, DER_TAG_SEQUENCE);
    struct rd tbs = rd_over(crl->tbs);
    struct rd list = der_open(&tbs, DER_TAG_SEQUENCE);
    struct span algorithm;
    TRY(list_read(&list, crl, &algorithm));
    struct span again = outer.rest;
    uint32_t ignored = 0;
    ekcert_algorithm_read(&outer, &crl->signature, &ignored);
    bool agree = span_equal(algorithm, span_slice(again, 0, again.len - outer.rest.len));
    crl->signature.value = der_bits(&outer);
    der_close(&all, &outer);
    if (!agree || rd_end(&all) != ERR_OK)
        return ERR_CERTIFICATE;
    crl->name_hash = trust_name_hash(crl->issuer);
    *ret_crl = crl;
    crl = NULL;
    return ERR_OK;
}

/* ---- asking it ---- */

static bool lists(const struct trust_crl *crl, struct span serial)
{
    return crl->serial_count > 0 &&
           bsearch(&serial, crl->serials, crl->serial_count, sizeof serial, span_order) !=
               NULL;
}

static enum ekcert_reason one_check(struct trust_crl *crl, const struct ekcert *cert,
                                    const struct trust_ca *issuer,
                                    const struct ekcert_policy *policy, int64_t now_s,
                                    uint32_t *oddities)
{
    if (issuer->cert.has_key_usage && !(issuer->cert.key_usage & EKCERT_USE_CRL_SIGN))
        return EKCERT_CRL_SIGNATURE;
    if (ekcert_algorithm_judge(&crl->signature, policy, oddities) != EKCERT_GOOD ||
        trust_links_verify(&crl->links, crl->tbs, &crl->signature, issuer) != EKCERT_GOOD)
        return EKCERT_CRL_SIGNATURE;
    if (lists(crl, cert->serial))
        return EKCERT_REVOKED;
    if (now_s < crl->this_update_s)
        return EKCERT_CRL_DATE;
    if (now_s <= crl->next_update_s || policy->crl_stale == EKCERT_ACCEPT)
        return EKCERT_GOOD;
    if (policy->crl_stale == EKCERT_REFUSE)
        return EKCERT_CRL_DATE;
    *oddities |= EKCERT_ODD_CRL_STALE;
    return EKCERT_GOOD;
}

/* One list that is in order will do beside others that are not, say, of last month; but what any of
 * them revokes is revoked. A list of another key with the same name is not this issuer's. */
enum ekcert_reason trust_crl_check(struct ekcert_trust *t, const struct ekcert *cert,
                                   const struct trust_ca *issuer,
                                   const struct ekcert_policy *policy, int64_t now_s,
                                   uint32_t *oddities)
{
    enum ekcert_reason worst = EKCERT_GOOD;
    bool one_good = false;
    size_t i = t->crl_count > 0 ? trust_crl_first(t, issuer->name_hash) : 0;
    for (; i < t->crl_count && t->crl[i]->name_hash == issuer->name_hash; i++) {
        struct trust_crl *crl = t->crl[i];
        if (!span_equal(crl->issuer, issuer->cert.subject) ||
            trust_keys_differ(crl->authority_key, issuer->cert.subject_key))
            continue;
        enum ekcert_reason r = one_check(crl, cert, issuer, policy, now_s, oddities);
        if (r == EKCERT_REVOKED)
            return r;
        one_good = one_good || r == EKCERT_GOOD;
        worst = r != EKCERT_GOOD ? r : worst;
    }
    return one_good ? EKCERT_GOOD : worst;
}
