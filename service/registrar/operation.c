#include "inner.h"

static enum err poll_keyed(struct registrar_worker *w, struct registrar_exchange *x,
                           const struct target *target, const struct sas_token *token)
{
    KEYED k = {.group = {.text = ""}};
    const struct store_registration *row = &k.subject.registration;
    TRY(keyed_find(w, x, &target->id, token, &k));
    x->reason = "unknown operation";
    if (!k.subject.registered ||
        !span_equal(span_text(target->operation_id), span_text(row->operation_id)))
        return ERR_NOT_FOUND;
    x->reason = k.subject.enrollment.enabled ? NULL : "enrollment disabled";
    if (!k.subject.enrollment.enabled) {
        answer_disabled(x, row);
        return ERR_OK;
    }
    answer_assigned_keyed(x, row);
    x->answer.status = 200;
    return ERR_OK;
}

/* The token of the exchange still counts for a while, since clients keep polling with it. */
enum err operation_poll(struct registrar_worker *w, struct registrar_exchange *x,
                        const struct target *target)
{
    struct sas_token token;
    struct subject s;
    uint8_t base64[BLOB_BASE64_CAP];
    struct buf b = BUF_OVER(base64);
    x->event = "operation";
    TRY(proof_read_token(w, x, &target->id, &token));
    enum err e = poll_keyed(w, x, target, &token);
    if (e != ERR_ABSENT)
        return e;
    TRY(subject_find(w, &target->id, &s));
    x->reason = "not the token of the last assignment";
    TRY(proof_of_operation(w, &s, &token));
    x->reason = "unknown operation";
    if (!span_equal(span_text(target->operation_id), span_text(s.registration.operation_id)))
        return ERR_NOT_FOUND;
    x->reason = s.enrollment.enabled ? NULL : "enrollment disabled";
    if (!s.enrollment.enabled) {
        answer_disabled(x, &s.registration);
        return ERR_OK;
    }
    TRY(assign_wrap(w, &s, &s.registration, &b));
    answer_assigned(x, &s.registration, buf_span(&b));
    x->answer.status = 200;
    return ERR_OK;
}

static enum err look_up_keyed(struct registrar_worker *w, struct registrar_exchange *x,
                              const struct regid *id, const struct sas_token *token)
{
    KEYED k = {.group = {.text = ""}};
    TRY(keyed_find(w, x, id, token, &k));
    x->reason = "not registered";
    if (!k.subject.registered)
        return ERR_NOT_ENROLLED;
    x->reason = NULL;
    answer_registration(x, &k.subject.registration);
    return ERR_OK;
}

enum err registration_look_up(struct registrar_worker *w, struct registrar_exchange *x,
                              const struct regid *id)
{
    struct sas_token token;
    struct subject s;
    x->event = "look-up";
    TRY(proof_read_token(w, x, id, &token));
    enum err e = look_up_keyed(w, x, id, &token);
    if (e != ERR_ABSENT)
        return e;
    TRY(subject_find(w, id, &s));
    x->reason = "token of neither hub key nor last assignment";
    e = proof_of_hub_key(w, &s, &token);
    if (e == ERR_UNAUTHORIZED)
        e = proof_of_operation(w, &s, &token);
    TRY(e);
    x->reason = NULL;
    answer_registration(x, &s.registration);
    return ERR_OK;
}
