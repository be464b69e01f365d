#include "inner.h"

#include <wire/names.h>
#include <wire/sas.h>

enum err registrar_public_name(const uint8_t *tpm2b, size_t len, uint8_t ret_name[TPM_NAME_LEN])
{
    struct tpm_public pub = {.raw_len = len};
    struct buf b = BUF_OVER(pub.raw);
    buf_put(&b, span_of(tpm2b, len));
    TRY(buf_end(&b));
    return tpm_public_name(&pub, ret_name);
}

struct attest_binding registrar_binding(const struct registrar_worker *w, const struct regid *id,
                                        const uint8_t ek_name[TPM_NAME_LEN], uint64_t generation)
{
    return (struct attest_binding){
        .id_scope = span_text(w->registrar->config.id_scope),
        .registration_id = id,
        .ek_name = ek_name,
        .generation = generation,
    };
}

enum err subject_find(struct registrar_worker *w, const struct regid *id,
                      struct subject *ret_subject)
{
    struct subject *s = ret_subject;
    s->enrolled = s->registered = false;
    enum err e = store_enrollment_find(w->reader, id, &s->enrollment);
    if (e != ERR_OK && e != ERR_ABSENT)
        return e;
    s->enrolled = e == ERR_OK && s->enrollment.attestation == STORE_TPM;
    e = store_registration_find(w->reader, id, &s->registration);
    if (e != ERR_OK && e != ERR_ABSENT)
        return e;
    s->registered = e == ERR_OK && !s->registration.deleted;
    if (!s->registered) /* of a deleted one the generation counts on */
        s->registration = (struct store_registration){
            .generation = e == ERR_OK ? s->registration.generation : 0};
    if (!s->enrolled) { /* so that what follows takes as long */
        s->enrollment = (struct store_enrollment){.ek_len = TPM_PUBLIC_CAP};
        s->enrollment.id = *id;
    }
    return registrar_public_name(s->enrollment.ek, s->enrollment.ek_len, s->ek_name);
}

enum err proof_read_token(struct registrar_worker *w, struct registrar_exchange *x,
                          const struct regid *id, struct sas_token *ret_token)
{
    char resource[sizeof w->registrar->config.id_scope + sizeof NAME_REGISTRATIONS + REGID_MAX + 4];
    struct buf b = BUF_OVER(resource);
    buf_put_text(&b, w->registrar->config.id_scope);
    buf_put_text(&b, "/" NAME_REGISTRATIONS "/");
    buf_put(&b, regid_span(id));
    TRY(buf_end(&b));
    x->reason = "malformed token";
    TRY(sas_token_read(x->request.authorization, ret_token));
    x->reason = "token for another resource";
    TRY(sas_token_check_resource(ret_token, buf_span(&b)));
    x->reason = "token expired or valid for too long";
    TRY(sas_token_check_expiry(ret_token, registrar_now(w)));
    x->reason = NULL;
    return ERR_OK;
}

static enum err check_nonce_key(const struct registrar_worker *w, const struct attest_binding *b,
                                const struct sas_token *token)
{
    SECRET key = {.len = 0};
    TRY(attest_nonce_key(&w->registrar->config.nonce_root, b, &key));
    return sas_token_check_signature(token, secret_span(&key));
}

/* ---- the SRKs that come into question ---- */
struct candidates {
    struct span srk[SUBJECT_SRKS_MAX]; /* into what they were gathered from */
    int count;
};

static void add(struct candidates *c, struct span srk)
{
    for (int i = 0; i < c->count; i++)
        if (span_equal(c->srk[i], srk))
            return;
    if (srk.len > 0 && c->count < SUBJECT_SRKS_MAX)
        c->srk[c->count++] = srk;
}

/* An id of which nothing is known is checked as often as one of which something is. */
#define CANDIDATES_MIN 2
static void pad(struct candidates *c)
{
    static const uint8_t nobody[CANDIDATES_MIN][TPM_PUBLIC_CAP] = {{1}, {2}};
    for (int i = 0; c->count < CANDIDATES_MIN; i++)
        add(c, SPAN_ARRAY(nobody[i]));
}

static enum err check_candidate(struct registrar_worker *w, const struct subject *s,
                                const struct regid *id, struct span srk,
                                const struct sas_token *token, int64_t *ret_window)
{
    uint8_t srk_name[TPM_NAME_LEN];
    TRY(registrar_public_name(srk.at, srk.len, srk_name));
    struct attest_binding b = registrar_binding(w, id, s->ek_name, s->registration.generation);
    b.srk_name = srk_name;
    int64_t now = attest_window(registrar_now(w));
    for (b.window = now; b.window > now - ATTEST_WINDOWS; b.window--) {
        enum err e = check_nonce_key(w, &b, token);
        if (e == ERR_OK)
            *ret_window = b.window;
        if (e != ERR_UNAUTHORIZED)
            return e;
    }
    return ERR_UNAUTHORIZED;
}

static enum err check_candidates(struct registrar_worker *w, const struct subject *s,
                                 const struct regid *id, const struct candidates *c,
                                 const struct sas_token *token, struct proof *ret_proof)
{
    for (int i = 0; i < c->count; i++) {
        enum err e = check_candidate(w, s, id, c->srk[i], token, &ret_proof->window);
        if (e == ERR_OK) {
            struct buf b = BUF_OVER(ret_proof->srk);
            buf_put(&b, c->srk[i]);
            ret_proof->srk_len = b.len;
        }
        if (e != ERR_UNAUTHORIZED)
            return e;
    }
    return ERR_UNAUTHORIZED;
}

enum err proof_of_challenge(struct registrar_worker *w, const struct subject *s,
                            const struct regid *id, const struct device_keys *keys,
                            const struct sas_token *token, struct proof *ret_proof)
{
    struct pending_srk pending[PENDING_WAYS];
    struct candidates c = {.count = 0};
    int n = 0;
    if (keys->given)
        add(&c, span_of(keys->srk.raw, keys->srk.raw_len));
    else {
        TRY(pending_find(w->registrar->pending, id, registrar_now(w), pending, &n));
        for (int i = 0; i < n; i++)
            add(&c, span_of(pending[i].at, pending[i].len));
        add(&c, span_of(s->registration.srk, s->registration.srk_len));
        add(&c, span_of(s->enrollment.srk, s->enrollment.srk_len));
        pad(&c);
    }
    TRY(check_candidates(w, s, id, &c, token, ret_proof));
    return s->enrolled ? ERR_OK : ERR_UNAUTHORIZED;
}

/* ---- after an assignment ---- */
static bool same_endorsement_key(const struct subject *s)
{
    return s->enrolled && s->registered &&
           span_equal(SPAN_ARRAY(s->enrollment.ek_hash), SPAN_ARRAY(s->registration.ek_hash));
}

enum err proof_of_operation(struct registrar_worker *w, const struct subject *s,
                            const struct sas_token *token)
{
    uint8_t srk_name[TPM_NAME_LEN];
    const struct store_registration *row = &s->registration;
    if (!same_endorsement_key(s) || row->generation == 0)
        return ERR_UNAUTHORIZED;
    TRY(registrar_public_name(row->srk, row->srk_len, srk_name));
    struct attest_binding b = registrar_binding(w, &row->id, s->ek_name, row->generation - 1);
    b.srk_name = srk_name;
    b.window = row->challenge_window;
    TRY(check_nonce_key(w, &b, token));
    return registrar_now(w) - row->updated_s <= POLL_S ? ERR_OK : ERR_NOT_FOUND;
}

enum err proof_of_hub_key(struct registrar_worker *w, const struct subject *s,
                          const struct sas_token *token)
{
    SECRET key = {.len = 0};
    if (!same_endorsement_key(s) || s->registration.generation == 0)
        return ERR_UNAUTHORIZED;
    struct attest_binding b =
        registrar_binding(w, &s->registration.id, s->ek_name, s->registration.generation);
    TRY(attest_hub_key(&w->registrar->config.hub_root, &b, &key));
    return sas_token_check_signature(token, secret_span(&key));
}
