#include "inner.h"

#include <credential.h>
#include <wire/names.h>
#include <wire/sas.h>

/* Devices that hold a symmetric key: of an enrollment of their own, or derived from that of a group. There
 * is no challenge: the first request brings a token already. */

/* ---- whose key it is ---- */
static enum err credential_open(struct registrar_worker *w, enum credential_owner owner,
                                const struct regid *id, struct span bytes,
                                struct credential_keys *ret_keys)
{
    struct credential c;
    TRY(credential_read(bytes, &c));
    if (c.kind != CREDENTIAL_KEYS)
        return ERR_STORE;
    return credential_keys_open(&w->registrar->config.seal_key, owner, id, c.at[0], ret_keys);
}

static enum err enrollment_keys(struct registrar_worker *w, const struct store_enrollment *row,
                                struct credential_keys *ret_keys)
{
    uint8_t bytes[STORE_CREDENTIAL_CAP];
    struct buf b = BUF_OVER(bytes);
    TRY(store_credential_find(w->reader, row->number, &b));
    return credential_open(w, CREDENTIAL_OF_ENROLLMENT, &row->id, buf_span(&b), ret_keys);
}

static enum err group_keys(struct registrar_worker *w, const struct store_group *group,
                           const struct regid *id, struct credential_keys *ret_keys)
{
    uint8_t bytes[STORE_CREDENTIAL_CAP];
    struct buf b = BUF_OVER(bytes);
    CREDENTIAL_KEYS_OWNED of_group = {.len = {0, 0}};
    TRY(store_group_credential_find(w->reader, group->number, &b));
    TRY(credential_open(w, CREDENTIAL_OF_GROUP, &group->id, buf_span(&b), &of_group));
    return credential_keys_derive(&of_group, id, ret_keys);
}

/* A member of a group stands for an enrollment like any other from here on. */
static void enroll_member(const struct store_group *group, const struct regid *id,
                          struct keyed *ret_keyed)
{
    ret_keyed->group = group->id;
    ret_keyed->subject.enrollment = (struct store_enrollment){
        .id = *id,
        .device_id = *id,
        .attestation = STORE_SYMMETRIC_KEY,
        .enabled = group->enabled,
        .profile = group->profile,
    };
}

/* The first group of which the token's key is a member's, in the order they were made. */
static enum err find_group(struct registrar_worker *w, const struct regid *id,
                           const struct sas_token *token, struct keyed *ret_keyed)
{
    struct store_group group = {.number = 0};
    for (;;) {
        TRY(store_group_next(w->reader, group.number, &group));
        if (group.attestation != STORE_SYMMETRIC_KEY)
            continue;
        TRY(group_keys(w, &group, id, &ret_keyed->keys));
        enum err e = credential_keys_check(&ret_keyed->keys, token);
        if (e == ERR_OK)
            enroll_member(&group, id, ret_keyed);
        if (e != ERR_UNAUTHORIZED)
            return e;
    }
}

void keyed_wipe(struct keyed *k) { credential_keys_wipe(&k->keys); }

static enum err find_registration(struct registrar_worker *w, const struct regid *id,
                                  struct subject *s)
{
    enum err e = store_registration_find(w->reader, id, &s->registration);
    if (e != ERR_OK && e != ERR_ABSENT)
        return e;
    s->registered = e == ERR_OK && !s->registration.deleted;
    if (!s->registered) /* of a deleted one the generation counts on */
        s->registration = (struct store_registration){
            .generation = e == ERR_OK ? s->registration.generation : 0};
    return ERR_OK;
}

enum err keyed_find(struct registrar_worker *w, struct registrar_exchange *x, const struct regid *id,
                    const struct sas_token *token, struct keyed *ret_keyed)
{
    struct subject *s = &ret_keyed->subject;
    ret_keyed->group.text[0] = '\0';
    enum err e = store_enrollment_find(w->reader, id, &s->enrollment);
    if (e == ERR_OK && s->enrollment.attestation != STORE_SYMMETRIC_KEY)
        return ERR_ABSENT;
    if (e == ERR_OK) {
        TRY(enrollment_keys(w, &s->enrollment, &ret_keyed->keys));
        x->reason = "not signed with a key of the enrollment";
        TRY(credential_keys_check(&ret_keyed->keys, token));
        x->reason = NULL;
    } else if (e == ERR_ABSENT) {
        TRY(find_group(w, id, token, ret_keyed));
    } else {
        return e;
    }
    s->enrolled = true;
    return find_registration(w, id, s);
}

/* ---- assigning ---- */
/* What the hub checks the device's tokens with: sealed for it alone. */
static enum err seal_for_hub(struct registrar_worker *w, const struct keyed *k,
                             struct store_registration *row)
{
    struct buf b = BUF_OVER(row->device_keys);
    SECRET key = {.len = 0};
    TRY(attest_hub_seal_key(&w->registrar->config.hub_root, &key));
    TRY(credential_keys_seal(w->attest, &key, CREDENTIAL_OF_DEVICE, &row->id, &k->keys, &b));
    row->device_keys_len = b.len;
    return ERR_OK;
}

enum err keyed_begin(struct registrar_worker *w, struct registrar_exchange *x,
                     const struct sas_token *token, const struct regid *id)
{
    KEYED k = {.group = {.text = ""}};
    static const struct proof no_challenge = {.srk_len = 0};
    struct store_registration row;
    TRY(keyed_find(w, x, id, token, &k));
    x->event = "assignment";
    x->reason = "enrollment disabled";
    if (!k.subject.enrollment.enabled)
        return ERR_UNAUTHORIZED;
    x->reason = NULL;
    TRY(assign_row(w, x, &k.subject, &no_challenge, &row));
    row.group = k.group;
    TRY(seal_for_hub(w, &k, &row));
    answer_assigned_keyed(x, &row);
    return assign_queue(w, x, &row);
}
