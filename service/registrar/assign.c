#include "inner.h"

#include <stddef.h>
#include <wire/names.h>
#include <wire/text.h>

/* ---- the row ---- */
static enum err name_operation(struct registrar_worker *w, enum substatus substatus,
                               struct store_registration *row)
{
    uint8_t random[8 + 12];
    char guid[GUID_LEN + 1];
    struct buf operation = BUF_OVER(row->operation_id), etag = BUF_OVER(row->etag);
    TRY(attest_random(w->attest, random, sizeof random));
    TRY(answer_guid(w, guid));
    buf_put_decimal(&operation, substatus);
    buf_put_u8(&operation, '.');
    hex_write(&operation, span_of(random, 8));
    buf_put_u8(&operation, '.');
    buf_put_text(&operation, guid);
    TRY(buf_end_text(&operation));
    base64_write(&etag, span_of(random + 8, 12));
    return buf_end_text(&etag);
}

enum err assign_row(struct registrar_worker *w, struct registrar_exchange *x,
                    const struct subject *s, const struct proof *proof,
                    struct store_registration *ret_row)
{
    const struct registrar_hub *hub = NULL;
    enum substatus substatus = SUBSTATUS_INITIAL;
    const struct store_registration *old = &s->registration;
    struct store_registration row = {
        .id = s->enrollment.id,
        .device_id = s->enrollment.device_id,
        .generation = old->generation + 1,
        .challenge_window = proof->window,
        .updated_s = registrar_now(w),
    };
    struct buf srk = BUF_OVER(row.srk), ek_hash = BUF_OVER(row.ek_hash);
    TRY(allocate(w, x, s, &hub, &substatus));
    row.created_s = s->registered ? old->created_s : row.updated_s;
    TRY(span_to_text(span_text(hub->host), row.hub, sizeof row.hub));
    buf_put(&srk, span_of(proof->srk, proof->srk_len));
    row.srk_len = srk.len;
    buf_put(&ek_hash, SPAN_ARRAY(s->enrollment.ek_hash));
    TRY(name_operation(w, substatus, &row));
    *ret_row = row;
    return ERR_OK;
}

/* ---- the hub key ---- */
enum err assign_wrap(struct registrar_worker *w, const struct subject *s,
                     const struct store_registration *row, struct buf *ret_base64)
{
    struct tpm_public ek, srk;
    uint8_t blob[TPMBLOB_CAP];
    struct buf b = BUF_OVER(blob);
    SECRET key = {.len = 0};
    TRY(tpm_public_read(span_of(s->enrollment.ek, s->enrollment.ek_len), &ek));
    TRY(tpm_public_read(span_of(row->srk, row->srk_len), &srk));
    TRY(tpm_public_check_role(&srk, TPM_ROLE_SRK));
    struct attest_binding binding = registrar_binding(w, &row->id, s->ek_name, row->generation);
    TRY(attest_hub_key(&w->registrar->config.hub_root, &binding, &key));
    TRY(attest_wrap(w->attest, &ek, &srk, secret_span(&key),
                    span_text(w->registrar->config.id_scope), &b));
    base64_write(ret_base64, buf_span(&b));
    return buf_end(ret_base64);
}

/* ---- who may ---- */
/* All of this comes after the proof, so only the device itself learns of it. */
static enum err check_rules(struct registrar_exchange *x, const struct subject *s,
                            const struct device_keys *keys, const struct proof *proof)
{
    const struct store_enrollment *e = &s->enrollment;
    bool same_srk = span_equal(span_of(e->srk, e->srk_len), span_of(proof->srk, proof->srk_len));
    uint8_t ek_hash[TPM_KEY_HASH_LEN];
    if (keys->given) {
        TRY(tpm_public_key_hash(&keys->ek, ek_hash));
        x->reason = "another endorsement key than enrolled";
        if (!span_equal(SPAN_ARRAY(ek_hash), SPAN_ARRAY(e->ek_hash)))
            return ERR_INVALID_ARGUMENT;
    }
    x->reason = "enrollment disabled";
    if (!e->enabled)
        return ERR_UNAUTHORIZED;
    x->reason = "another SRK than pinned";
    if (e->pin_srk && !same_srk)
        return ERR_UNAUTHORIZED;
    x->reason = NULL;
    return ERR_OK;
}

static bool srk_changed(const struct subject *s, const struct proof *proof)
{
    bool before = s->registration.srk_len > 0;
    struct span known = before ? span_of(s->registration.srk, s->registration.srk_len)
                               : span_of(s->enrollment.srk, s->enrollment.srk_len);
    return known.len > 0 && !span_equal(known, span_of(proof->srk, proof->srk_len));
}

/* ---- the exchange ---- */
static void committed(struct store_waiter *waiter, enum err outcome)
{
    struct registrar_exchange *x =
        (struct registrar_exchange *)((char *)waiter - offsetof(struct registrar_exchange, waiter));
    x->outcome = outcome;
    x->wake(x);
}

static enum err write_location(struct registrar_worker *w, struct registrar_exchange *x,
                               const struct regid *id)
{
    struct buf b = BUF_OVER(x->answer.location);
    buf_put_u8(&b, '/');
    buf_put_text(&b, w->registrar->config.id_scope);
    buf_put_text(&b, "/" NAME_REGISTRATIONS "/");
    percent_write(&b, regid_span(id));
    buf_put_text(&b, "/" NAME_REGISTER);
    return buf_end_text(&b);
}

static enum err prove(struct registrar_worker *w, struct registrar_exchange *x,
                      const struct regid *id, const struct device_keys *keys,
                      const struct sas_token *token, struct subject *ret_s,
                      struct proof *ret_proof)
{
    TRY(subject_find(w, id, ret_s));
    x->reason = "no live challenge was answered with this token";
    TRY(proof_of_challenge(w, ret_s, id, keys, token, ret_proof));
    x->reason = NULL;
    return check_rules(x, ret_s, keys, ret_proof);
}

/* The whole answer is ready before the row is queued; it leaves when the row is durable. */
enum err assign_queue(struct registrar_worker *w, struct registrar_exchange *x,
                      const struct store_registration *row)
{
    TRY(write_location(w, x, &row->id));
    x->answer.status = 202;
    x->answer.retry_after_s = 3;
    x->generation = row->generation;
    x->waiter.done = committed;
    return store_registration_assign(w->registrar->store, row, &x->waiter);
}

enum err assign_begin(struct registrar_worker *w, struct registrar_exchange *x,
                      const struct regid *id, const struct device_keys *keys,
                      const struct sas_token *token)
{
    struct subject s;
    struct proof proof;
    struct store_registration row;
    uint8_t base64[BLOB_BASE64_CAP];
    struct buf b = BUF_OVER(base64);
    x->event = "assignment";
    TRY(prove(w, x, id, keys, token, &s, &proof));
    TRY(assign_row(w, x, &s, &proof, &row));
    TRY(assign_wrap(w, &s, &row, &b));
    answer_assigned(x, &row, buf_span(&b));
    x->srk_changed = srk_changed(&s, &proof);
    return assign_queue(w, x, &row);
}

void assign_finish(struct registrar_worker *w, struct registrar_exchange *x)
{
    enum err e = x->outcome;
    if (e == ERR_CONFLICT) {
        x->reason = "another request was first, or the enrollment changed meanwhile";
        e = ERR_UNAUTHORIZED;
    }
    if (e != ERR_OK)
        answer_error(w, x, e);
    log_exchange(w, x, e);
}
