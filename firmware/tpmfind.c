/* Which endorsement key, which storage root key: tpmdev_keys. */
#include "tpmcert.h"
#include "tpmsys.h"

#include <string.h>
#include <wire/names.h>

#define PLACES 2

/* ---- what lies at a handle ---- */
struct found {
    TPM2_HANDLE at;
    enum err why; /* ERR_OK: a key that can be used; ERR_ABSENT; ERR_KEY_SHAPE, ERR_KEY_ROLE */
    struct tpm_public pub;
};

static enum err look(struct tpmdev *d, TPM2_HANDLE at, enum tpm_key_role role, struct found *ret)
{
    TPM2B_PUBLIC area;
    ret->at = at;
    ret->why = tpmsys_public_read(d, at, &area);
    if (ret->why == ERR_ABSENT)
        return ERR_OK;
    TRY(ret->why);
    ret->why = tpmsys_key_judge(&area, role, &ret->pub);
    return ERR_OK;
}

/* Makes the key persist at the first of the places that is free. Where there is none, or it may not,
 * place says why, and the key is made again for each use. */
static enum err settle(struct tpmdev *d, TPM2_HANDLE object, const struct found *places,
                       struct tpm_place *ret_place)
{
    struct tpm_place place = {.created = true, .unkept = TPM_UNKEPT_TAKEN};
    for (int i = 0; i < PLACES && place.unkept == TPM_UNKEPT_TAKEN; i++) {
        if (places[i].why != ERR_ABSENT)
            continue;
        TRY(tpmsys_unkept(d, tpmsys_evict(d, object, places[i].at), &place.unkept));
        place.handle = place.unkept == TPM_KEPT ? places[i].at : 0;
    }
    *ret_place = place;
    return ERR_OK;
}

static enum err passed_over(const struct found *first)
{
    return first->why == ERR_ABSENT ? ERR_OK : first->why;
}

/* ---- the endorsement key ---- */
struct ek_search {
    struct tpmdev *d;
    struct found places[PLACES];
    struct tpmcert certificates[2]; /* by kind, from 1 */
    bool read[2];
};

static enum err certificate_of(struct ek_search *s, enum tpm_key_kind kind,
                               const struct tpmcert **ret)
{
    struct tpmcert *c = &s->certificates[kind - 1];
    if (!s->read[kind - 1])
        TRY(tpmcert_read(s->d, kind, c));
    s->read[kind - 1] = true;
    *ret = c;
    return ERR_OK;
}

static enum err is_certified(struct ek_search *s, const struct tpm_public *key, bool *ret)
{
    const struct tpmcert *c;
    TRY(certificate_of(s, key->kind, &c));
    *ret = tpmcert_is_of(c, key);
    return ERR_OK;
}

/* Of what kind the vendor made the key it certified; RSA if it certified none. */
static enum err kind_certified(struct ek_search *s, enum tpm_key_kind *ret_kind, bool *ret_any)
{
    const struct tpmcert *rsa, *ecc;
    *ret_kind = TPM_KEY_RSA_2048;
    TRY(certificate_of(s, TPM_KEY_RSA_2048, &rsa));
    *ret_any = rsa->why == ERR_OK;
    if (*ret_any)
        return ERR_OK;
    TRY(certificate_of(s, TPM_KEY_ECC_P256, &ecc));
    *ret_any = ecc->why == ERR_OK;
    if (*ret_any)
        *ret_kind = TPM_KEY_ECC_P256;
    return ERR_OK;
}

static enum err ek_take(struct ek_search *s, const struct found *f, enum tpm_ek_why why)
{
    s->d->ek = f->pub;
    s->d->ek_why = why;
    s->d->ek_place = (struct tpm_place){.handle = f->at};
    if (f != s->places)
        s->d->ek_place.passed_over = passed_over(s->places);
    return ERR_OK;
}

/* An endorsement key from the template; of the other kind where the TPM makes none of the first. */
static enum err ek_create(struct tpmdev *d, enum tpm_key_kind kind, struct held *held,
                          struct tpm_public *ret_pub)
{
    enum err e = tpmsys_primary_create(d, TPM_ROLE_EK, kind, held, ret_pub);
    if (e != ERR_KEY_SHAPE)
        return e;
    kind = kind == TPM_KEY_RSA_2048 ? TPM_KEY_ECC_P256 : TPM_KEY_RSA_2048;
    return tpmsys_primary_create(d, TPM_ROLE_EK, kind, held, ret_pub);
}

static const struct found *same_as(const struct ek_search *s, const struct tpm_public *key)
{
    for (int i = 0; i < PLACES; i++)
        if (s->places[i].why == ERR_OK && tpm_public_same_key(&s->places[i].pub, key))
            return &s->places[i];
    return NULL;
}

static enum err ek_make(struct ek_search *s, enum tpm_key_kind kind)
{
    struct tpmdev *d = s->d;
    HELD key = {.dev = d};
    struct tpm_public made;
    bool certified = false, chosen = d->choice.ek != TPM_EK_AUTO;
    TRY(ek_create(d, kind, &key, &made));
    if (d->choice.ek != TPM_EK_PERSISTENT)
        TRY(is_certified(s, &made, &certified));
    const struct found *same = same_as(s, &made);
    if (!chosen && !certified && s->places[0].why == ERR_OK)
        return ek_take(s, &s->places[0], TPM_EK_OTHER_CERTIFIED);
    enum tpm_ek_why why = certified ? TPM_EK_CERTIFIED : chosen ? TPM_EK_CHOSEN : TPM_EK_MADE;
    if (same)
        return ek_take(s, same, why);
    d->ek = made;
    d->ek_why = why;
    TRY(settle(d, key.handle, s->places, &d->ek_place));
    d->ek_place.passed_over = passed_over(s->places);
    return ERR_OK;
}

/* TPM_EK_PERSISTENT: as it is, and nothing is compared. */
static enum err ek_persistent(struct ek_search *s)
{
    if (s->places[0].why == ERR_OK)
        return ek_take(s, s->places, TPM_EK_CHOSEN);
    if (s->places[0].why != ERR_ABSENT)
        return s->places[0].why;
    s->places[1].why = ERR_KEY_ROLE; /* not to be used */
    return ek_make(s, TPM_KEY_RSA_2048);
}

/* In the order of what they cost: a certified key at one of the handles; without a certificate any
 * usable one; only then is a key made, which takes a real TPM seconds. */
static enum err ek_search(struct ek_search *s)
{
    struct tpmdev *d = s->d;
    enum tpm_key_kind kind;
    bool certified = false, any_certificate = false;
    TRY(look(d, HANDLE_EK, TPM_ROLE_EK, &s->places[0]));
    if (d->choice.ek == TPM_EK_PERSISTENT)
        return ek_persistent(s);
    for (int i = 0; i < PLACES; i++) {
        if (i > 0)
            TRY(look(d, HANDLE_EK_SECOND, TPM_ROLE_EK, &s->places[i]));
        if (s->places[i].why != ERR_OK)
            continue;
        TRY(is_certified(s, &s->places[i].pub, &certified));
        if (certified)
            return ek_take(s, &s->places[i], TPM_EK_CERTIFIED);
        TRY(kind_certified(s, &kind, &any_certificate));
        if (!any_certificate && d->choice.ek == TPM_EK_AUTO)
            return ek_take(s, &s->places[i], TPM_EK_UNCERTIFIED);
    }
    TRY(kind_certified(s, &kind, &any_certificate));
    return ek_make(s, kind);
}

/* What was read of the certificate on the way need not be read again. */
static void certificate_remember(const struct ek_search *s)
{
    struct tpmdev *d = s->d;
    const struct tpmcert *c = &s->certificates[d->ek.kind - 1];
    d->certificate_known = s->read[d->ek.kind - 1];
    d->certificate_error = c->why;
    d->certificate = (struct tpmdev_certificate){
        .nv_index = c->nv_index, .len = c->len, .is_of_ek = tpmcert_is_of(c, &d->ek)};
}

static enum err ek_find(struct tpmdev *d)
{
    struct ek_search s = {.d = d};
    TRY(ek_search(&s));
    certificate_remember(&s);
    return ERR_OK;
}

/* ---- the storage root key ---- */
static enum err srk_take(struct tpmdev *d, const struct found *f, enum err over)
{
    d->srk = f->pub;
    d->srk_place = (struct tpm_place){.handle = f->at, .passed_over = over};
    return ERR_OK;
}

static enum err srk_make(struct tpmdev *d, const struct found *places)
{
    HELD key = {.dev = d};
    TRY(tpmsys_primary_create(d, TPM_ROLE_SRK, d->ek.kind, &key, &d->srk));
    TRY(settle(d, key.handle, places, &d->srk_place));
    d->srk_place.passed_over = passed_over(places);
    return ERR_OK;
}

/* An SRK of another owner's template will do, of whatever kind, if it is one at all and nothing is
 * wanted for its use. */
static enum err srk_find(struct tpmdev *d)
{
    struct found places[PLACES] = {{0}, {.why = ERR_KEY_ROLE}}; /* the second: not looked for */
    struct found *first = &places[0], *second = &places[1];
    TRY(look(d, HANDLE_SRK, TPM_ROLE_SRK, first));
    if (first->why == ERR_OK && d->srk_locked)
        first->why = ERR_UNAUTHORIZED;
    if (first->why == ERR_OK)
        return srk_take(d, first, ERR_OK);
    if (first->why != ERR_ABSENT) {
        TRY(look(d, HANDLE_SRK_SECOND, TPM_ROLE_SRK, second));
        if (second->why == ERR_OK)
            return srk_take(d, second, first->why);
    }
    return srk_make(d, places);
}

enum err tpmdev_keys(struct tpmdev *d)
{
    if (d->keys_known)
        return ERR_OK;
    TRY(tpmsys_make_room(d));
    TRY(ek_find(d));
    TRY(srk_find(d));
    d->created_ek = d->ek_place.created;
    d->created_srk = d->srk_place.created;
    d->keys_known = true;
    return ERR_OK;
}
