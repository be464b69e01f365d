#include "inner.h"

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

enum err registration_look_up(struct registrar_worker *w, struct registrar_exchange *x,
                              const struct regid *id)
{
    struct sas_token token;
    struct subject s;
    x->event = "look-up";
    TRY(proof_read_token(w, x, id, &token));
    TRY(subject_find(w, id, &s));
    x->reason = "token of neither hub key nor last assignment";
    enum err e = proof_of_hub_key(w, &s, &token);
    if (e == ERR_UNAUTHORIZED)
        e = proof_of_operation(w, &s, &token);
    TRY(e);
    x->reason = NULL;
    answer_registration(x, &s.registration);
    return ERR_OK;
}
