#include <stdlib.h>
#include <string.h>
#include <wire/text.h>

#include "ekcert_inner.h"

/* ---- PEM ---- */

#define BEGIN "-----BEGIN "
#define END "-----END "

/* Where `what` begins in text; text.len if it does not. */
static size_t find(struct span text, struct span what)
{
    for (size_t at = 0; at + what.len <= text.len; at++)
        if (text.at[at] == what.at[0] && span_starts_with(span_slice(text, at, what.len), what))
            return at;
    return text.len;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* base64 in lines: read in chunks of whole groups, so that no copy of all of it is needed. */
static enum err lines_read(struct span text, struct buf *der)
{
    uint8_t group[1024];
    size_t len = 0;
    for (size_t at = 0; at < text.len; at++) {
        if (is_space(text.at[at]))
            continue;
        if (len == sizeof group) {
            TRY(base64_read(span_of(group, len), der));
            if (group[len - 1] == '=')
                return ERR_ENCODING;
            len = 0;
        }
        group[len++] = text.at[at];
    }
    return base64_read(span_of(group, len), der);
}

static enum ekcert_pem pem_kind(struct span label)
{
    if (span_equal(label, SPAN_LITERAL("CERTIFICATE")))
        return EKCERT_PEM_CERTIFICATE;
    if (span_equal(label, SPAN_LITERAL("X509 CRL")))
        return EKCERT_PEM_CRL;
    if (span_equal(label, SPAN_LITERAL("PUBLIC KEY")) ||
        span_equal(label, SPAN_LITERAL("RSA PUBLIC KEY")))
        return EKCERT_PEM_PUBLIC_KEY;
    return EKCERT_PEM_OTHER;
}

enum err ekcert_pem_next(struct span *text, struct buf *der, enum ekcert_pem *ret_kind)
{
    struct span rest = span_slice(*text, find(*text, SPAN_LITERAL(BEGIN)), text->len);
    if (rest.len == 0)
        return ERR_ABSENT;
    rest = span_slice(rest, sizeof BEGIN - 1, rest.len);
    size_t label_len = find(rest, SPAN_LITERAL("-----"));
    struct span label = span_slice(rest, 0, label_len);
    rest = span_slice(rest, label_len + 5, rest.len);
    size_t end = find(rest, SPAN_LITERAL(END));
    struct span after = span_slice(rest, end + sizeof END - 1, rest.len);
    if (label.len > 64 || !span_starts_with(after, label) ||
        !span_starts_with(span_slice(after, label.len, after.len), SPAN_LITERAL("-----")))
        return ERR_ENCODING;
    enum ekcert_pem kind = pem_kind(label);
    if (kind != EKCERT_PEM_OTHER)
        TRY(lines_read(span_slice(rest, 0, end), der));
    *ret_kind = kind;
    *text = span_slice(after, label.len + 5, after.len);
    return ERR_OK;
}

/* ---- the store ---- */

uint64_t trust_name_hash(struct span name)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a: only to find, names are compared after it */
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ name.at[i]) * 0x100000001b3u;
    return h;
}

size_t trust_ca_first(const struct ekcert_trust *t, uint64_t name_hash)
{
    size_t low = 0;
    for (size_t high = t->ca_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (t->ca[middle]->name_hash < name_hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t trust_crl_first(const struct ekcert_trust *t, uint64_t name_hash)
{
    size_t low = 0;
    for (size_t high = t->crl_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (t->crl[middle]->name_hash < name_hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool trust_keys_differ(struct span authority_key, struct span subject_key)
{
    return authority_key.len > 0 && subject_key.len > 0 && !span_equal(authority_key, subject_key);
}

enum ekcert_reason trust_links_verify(struct trust_links *links, struct span tbs,
                                      const struct ekcert_signature *s,
                                      const struct trust_ca *issuer)
{
    uintptr_t address = (uintptr_t)issuer;
    for (size_t i = 0; i < LINKS; i++) {
        uintptr_t known = atomic_load_explicit(&links->slot[i], memory_order_relaxed);
        if (known == 0)
            break;
        if ((known & ~(uintptr_t)1) == address)
            return known & 1 ? EKCERT_SIGNATURE : EKCERT_GOOD;
    }
    enum ekcert_reason reason = ekcert_signature_verify(tbs, s, &issuer->cert);
    if (reason != EKCERT_GOOD && reason != EKCERT_SIGNATURE)
        return reason;
    for (size_t i = 0; i < LINKS; i++) {
        uintptr_t empty = 0;
        if (atomic_compare_exchange_strong(&links->slot[i], &empty,
                                           address | (reason == EKCERT_SIGNATURE)))
            break;
    }
    return reason;
}

enum err ekcert_trust_open(struct ekcert_trust **ret_trust)
{
    struct ekcert_trust *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_MEMORY;
    *ret_trust = t;
    return ERR_OK;
}

static void ca_free(struct trust_ca *ca)
{
    if (ca == NULL)
        return;
    free(ca->own_der);
    free(ca);
}

static void ca_release(struct trust_ca **ca)
{
    ca_free(*ca);
}

static void bytes_release(uint8_t **bytes)
{
    free(*bytes);
}

void ekcert_trust_close(struct ekcert_trust *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->ca_count; i++)
        ca_free(t->ca[i]);
    for (size_t i = 0; i < t->crl_count; i++)
        trust_crl_free(t->crl[i]);
    free(t->ca);
    free(t->crl);
    free(t);
}

/* Makes room for one more at index `at` of a sorted list of pointers. */
static enum err list_open(void ***list, size_t count, size_t at)
{
    if ((count & (count - 1)) == 0) { /* full at each power of two */
        void **more = reallocarray(*list, count > 0 ? count * 2 : 1, sizeof **list);
        if (more == NULL)
            return ERR_MEMORY;
        *list = more;
    }
    memmove(*list + at + 1, *list + at, (count - at) * sizeof **list);
    return ERR_OK;
}

static enum err ca_make(struct span der, struct trust_ca **ret_ca)
{
    __attribute__((cleanup(ca_release))) struct trust_ca *ca = calloc(1, sizeof *ca);
    if (ca == NULL)
        return ERR_MEMORY;
    ca->own_der = malloc(der.len);
    if (ca->own_der == NULL)
        return ERR_MEMORY;
    memcpy(ca->own_der, der.at, der.len);
    TRY(ekcert_read(span_of(ca->own_der, der.len), &ca->cert));
    ca->name_hash = trust_name_hash(ca->cert.subject);
    *ret_ca = ca;
    ca = NULL;
    return ERR_OK;
}

/* Its own signature tells a root from a CA that took its own name along to a new key. */
static bool self_signed(const struct ekcert *c)
{
    return span_equal(c->subject, c->issuer) && c->algorithms_agree &&
           ekcert_signature_verify(c->tbs, &c->signature, c) == EKCERT_GOOD;
}

static void root_set(struct ekcert_trust *t, struct trust_ca *ca, enum ekcert_trust_as as)
{
    if (as != EKCERT_TRUST_ROOTS || ca->root || !self_signed(&ca->cert))
        return;
    ca->root = true;
    t->count.roots++;
    t->count.intermediates--;
}

static enum err certificate_add(struct ekcert_trust *t, enum ekcert_trust_as as, struct span der)
{
    __attribute__((cleanup(ca_release))) struct trust_ca *ca = NULL;
    TRY(ca_make(der, &ca));
    size_t at = trust_ca_first(t, ca->name_hash);
    for (; at < t->ca_count && t->ca[at]->name_hash == ca->name_hash; at++)
        if (span_equal(t->ca[at]->cert.der, ca->cert.der)) {
            root_set(t, t->ca[at], as);
            return ERR_OK;
        }
    void **list = (void **)t->ca;
    TRY(list_open(&list, t->ca_count, at));
    t->ca = (struct trust_ca **)list;
    t->ca[at] = ca;
    t->ca_count++;
    t->count.intermediates++;
    root_set(t, ca, as);
    ca = NULL;
    return ERR_OK;
}

static enum err crl_add(struct ekcert_trust *t, struct span der)
{
    struct trust_crl *crl;
    TRY(trust_crl_read(der, &crl));
    size_t at = trust_crl_first(t, crl->name_hash);
    void **list = (void **)t->crl;
    enum err e = list_open(&list, t->crl_count, at);
    if (e != ERR_OK) {
        trust_crl_free(crl);
        return e;
    }
    t->crl = (struct trust_crl **)list;
    t->crl[at] = crl;
    t->crl_count++;
    t->count.crls++;
    return ERR_OK;
}

static enum err pem_add(struct ekcert_trust *t, enum ekcert_trust_as as, struct span text)
{
    size_t cap = text.len / 4 * 3 + 3;
    __attribute__((cleanup(bytes_release))) uint8_t *bytes = malloc(cap);
    if (bytes == NULL)
        return ERR_MEMORY;
    for (;;) {
        struct buf der = buf_over(bytes, cap);
        enum ekcert_pem kind;
        t->blocks++;
        enum err e = ekcert_pem_next(&text, &der, &kind);
        if (e == ERR_ABSENT) {
            t->blocks--;
            return t->blocks > 0 ? ERR_OK : ERR_ABSENT;
        }
        TRY(e);
        if (kind == EKCERT_PEM_CERTIFICATE)
            TRY(certificate_add(t, as, buf_span(&der)));
        else if (kind == EKCERT_PEM_CRL)
            TRY(crl_add(t, buf_span(&der)));
    }
}

/* A CRL has no key in it: what cannot be read as a certificate may be one. */
static enum err der_add(struct ekcert_trust *t, enum ekcert_trust_as as, struct span der)
{
    t->blocks = 1;
    enum err e = certificate_add(t, as, der);
    return e == ERR_CERTIFICATE ? crl_add(t, der) : e;
}

enum err ekcert_trust_add(struct ekcert_trust *t, enum ekcert_trust_as as, struct span file)
{
    t->blocks = 0;
    if (file.len == 0)
        return ERR_ABSENT;
    bool der = file.at[0] == DER_TAG_SEQUENCE;
    return der ? der_add(t, as, file) : pem_add(t, as, file);
}

struct ekcert_trust_count ekcert_trust_count(const struct ekcert_trust *t)
{
    return t->count;
}

unsigned ekcert_trust_blocks(const struct ekcert_trust *t)
{
    return t->blocks;
}
