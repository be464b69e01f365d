#include "inner.h"

#include <wire/text.h>

/* Why these keys get no challenge, for the log; NULL if they do. */
static const char *refusal(const struct subject *s, const uint8_t ek_hash[TPM_KEY_HASH_LEN],
                           const struct device_keys *keys)
{
    const struct store_enrollment *e = &s->enrollment;
    bool same_ek = span_equal_constant_time(span_of(ek_hash, TPM_KEY_HASH_LEN),
                                            SPAN_ARRAY(e->ek_hash));
    if (!s->enrolled)
        return "unknown registration id";
    if (!same_ek)
        return "another endorsement key than enrolled";
    if (!e->enabled)
        return "enrollment disabled";
    if (e->pin_srk && !span_equal(span_of(e->srk, e->srk_len),
                                  span_of(keys->srk.raw, keys->srk.raw_len)))
        return "another SRK than pinned";
    return NULL;
}

static enum err wrap_nonce_key(struct registrar_worker *w, const struct subject *s,
                               const struct regid *id, const struct device_keys *keys,
                               struct buf *ret_base64)
{
    uint8_t srk_name[TPM_NAME_LEN], blob[TPMBLOB_CAP];
    struct buf b = BUF_OVER(blob);
    SECRET key = {.len = 0};
    TRY(tpm_public_name(&keys->srk, srk_name));
    struct attest_binding binding =
        registrar_binding(w, id, s->ek_name, s->registration.generation);
    binding.srk_name = srk_name;
    binding.window = attest_window(registrar_now(w));
    TRY(attest_nonce_key(&w->registrar->config.nonce_root, &binding, &key));
    TRY(attest_wrap(w->attest, &keys->ek, &keys->srk, secret_span(&key),
                    span_text(w->registrar->config.id_scope), &b));
    base64_write(ret_base64, buf_span(&b));
    return buf_end(ret_base64);
}

enum err challenge_give(struct registrar_worker *w, struct registrar_exchange *x,
                        const struct regid *id, const struct device_keys *keys)
{
    struct subject s;
    uint8_t ek_hash[TPM_KEY_HASH_LEN], base64[BLOB_BASE64_CAP];
    struct buf b = BUF_OVER(base64);
    x->event = "challenge";
    if (!keys->given) {
        x->reason = "neither token nor TPM keys";
        return ERR_UNAUTHORIZED;
    }
    TRY(subject_find(w, id, &s));
    TRY(tpm_public_key_hash(&keys->ek, ek_hash));
    /* For whoever asks, and only then judged: a refusal takes as long as a challenge. */
    TRY(wrap_nonce_key(w, &s, id, keys, &b));
    x->reason = refusal(&s, ek_hash, keys);
    if (x->reason != NULL)
        return ERR_NOT_ENROLLED;
    TRY(pending_put(w->registrar->pending, id, span_of(keys->srk.raw, keys->srk.raw_len),
                    x->request.peer, registrar_now(w)));
    answer_challenge(x, buf_span(&b));
    return ERR_OK;
}
