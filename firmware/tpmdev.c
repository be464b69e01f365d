#include "tpmdev.h"

#include "tpmsys.h"

#include <string.h>
#include <tss2/tss2_mu.h>
#include <wire/names.h>
#include <wire/tpmblob.h>

#define INNER_KEY_LEN 16 /* AES-128: what every client of this protocol expects */

void tpmdev_init(struct tpmdev *d, struct hal_tpm *tpm, struct hal_clock *clock)
{
    memset(d, 0, sizeof *d);
    d->identity.handle = HANDLE_IDENTITY_KEY;
    tpmlink_init(&d->link, tpm, clock);
    tpmsys_reset(d);
}

void tpmdev_end(struct tpmdev *d)
{
    bytes_wipe(d, sizeof *d);
}

/* The TPM's verdict on something that the service sent. Some TPMs say "failure" of a seed that is not
 * for them; one that has truly failed says so again when it is next asked. */
static enum err outcome_of_challenge(struct tpmdev *d, TSS2_RC rc)
{
    enum err e = tpmsys_outcome(d, rc);
    return e == ERR_TPM || e == ERR_TPM_FAILED ? ERR_TPM_ACTIVATE : e;
}

/* A key where it persists; one that does not is made, and held as long as it is used. */
static enum err key_use(struct tpmdev *d, enum tpm_key_role role, struct held *held,
                        TPM2_HANDLE *ret_handle)
{
    const struct tpm_place *place = role == TPM_ROLE_EK ? &d->ek_place : &d->srk_place;
    *ret_handle = place->handle;
    if (place->handle != 0)
        return ERR_OK;
    struct tpm_public again;
    TRY(tpmsys_primary_create(d, role, role == TPM_ROLE_EK ? d->ek.kind : d->srk.kind, held, &again));
    *ret_handle = held->handle;
    return ERR_OK;
}

/* ---- activation ---- */

/* The default EK's policy: the endorsement hierarchy's authorisation, which must be empty. */
static enum err ek_session(struct tpmdev *d, struct held *session)
{
    const TPM2B_NONCE nonce = {.size = 16};
    const TPM2B_ENCRYPTED_SECRET no_salt = {0};
    const TPMT_SYM_DEF no_cipher = {.algorithm = TPM2_ALG_NULL};
    TPM2B_NONCE nonce_tpm = {0};
    TRY(tpmsys_outcome(
        d, Tss2_Sys_StartAuthSession(tpmsys_of(d), TPM2_RH_NULL, TPM2_RH_NULL, NULL, &nonce, &no_salt,
                                     TPM2_SE_POLICY, &no_cipher, TPM2_ALG_SHA256, &session->handle,
                                     &nonce_tpm, NULL)));
    const TPM2B_NONCE no_nonce = {0};
    const TPM2B_DIGEST none = {0};
    TPM2B_TIMEOUT timeout = {0};
    TPMT_TK_AUTH ticket = {0};
    TSS2_RC rc = Tss2_Sys_PolicySecret(tpmsys_of(d), TPM2_RH_ENDORSEMENT, session->handle,
                                       &tpmsys_empty_password, &no_nonce, &none, &no_nonce, 0,
                                       &timeout, &ticket, NULL);
    enum err e = tpmsys_outcome(d, rc);
    return e == ERR_TPM && tpmsys_says_auth(rc) ? ERR_TPM_ENDORSEMENT_AUTH : e;
}

static enum err sized(struct span from, uint16_t *ret_size, uint8_t *ret_at, size_t cap)
{
    if (from.len > cap)
        return ERR_PROTOCOL;
    memcpy(ret_at, from.at, from.len);
    *ret_size = (uint16_t)from.len;
    return ERR_OK;
}

/* The SRK's authorisation is the first session's. It was not empty: another SRK must be found, and
 * the service told of it. */
static enum err outcome_of_activation(struct tpmdev *d, TSS2_RC rc)
{
    if (tpmsys_says_auth(rc) && tpmsys_session_of(rc) == 1) {
        d->srk_locked = true;
        d->keys_known = false;
    }
    return outcome_of_challenge(d, rc);
}

static enum err activate_credential(struct tpmdev *d, const struct tpmblob *blob, TPM2_HANDLE ek,
                                    TPM2_HANDLE srk, TPM2B_DIGEST *ret_inner)
{
    TPM2B_ID_OBJECT credential = {0};
    TPM2B_ENCRYPTED_SECRET seed = {0};
    TRY(sized(blob->credential, &credential.size, credential.credential,
              sizeof credential.credential));
    TRY(sized(blob->credential_secret, &seed.size, seed.secret, sizeof seed.secret));
    HELD session = {.dev = d};
    TRY(ek_session(d, &session));
    TSS2L_SYS_AUTH_COMMAND auths = {
        .count = 2, .auths = {{.sessionHandle = TPM2_RS_PW}, {.sessionHandle = session.handle}}};
    TRY(outcome_of_activation(d, Tss2_Sys_ActivateCredential(tpmsys_of(d), srk, ek, &auths,
                                                             &credential, &seed, ret_inner, NULL)));
    session.handle = 0; /* it was not told to continue: the TPM has flushed it */
    return ERR_OK;
}

static enum err credential_open(struct tpmdev *d, const struct tpmblob *blob, TPM2_HANDLE srk,
                                struct secret *ret_inner_key)
{
    HELD ek = {.dev = d};
    TPM2_HANDLE ek_handle = 0;
    TPM2B_DIGEST inner = {0};
    TRY(key_use(d, TPM_ROLE_EK, &ek, &ek_handle));
    TRY(activate_credential(d, blob, ek_handle, srk, &inner));
    enum err e = inner.size == INNER_KEY_LEN
                     ? secret_set(ret_inner_key, span_of(inner.buffer, inner.size))
                     : ERR_TPM_ACTIVATE;
    bytes_wipe(&inner, sizeof inner);
    return e;
}

static enum err public_area_read(struct span area, TPM2B_PUBLIC *ret_public)
{
    TPM2B_PUBLIC pub = {.size = (uint16_t)area.len};
    size_t offset = 0;
    if (Tss2_MU_TPMT_PUBLIC_Unmarshal(area.at, area.len, &offset, &pub.publicArea) !=
            TSS2_RC_SUCCESS ||
        offset != area.len)
        return ERR_PROTOCOL;
    *ret_public = pub;
    return ERR_OK;
}

static enum err duplicate_import(struct tpmdev *d, const struct tpmblob *blob, TPM2_HANDLE srk,
                                 const struct secret *inner_key, const TPM2B_PUBLIC *pub,
                                 TPM2B_PRIVATE *ret_private)
{
    static const TPMT_SYM_DEF_OBJECT cipher = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
    TPM2B_PRIVATE duplicate = {0};
    TPM2B_ENCRYPTED_SECRET seed = {0};
    TPM2B_DATA key = {0};
    TRY(sized(blob->duplicate, &duplicate.size, duplicate.buffer, sizeof duplicate.buffer));
    TRY(sized(blob->duplicate_secret, &seed.size, seed.secret, sizeof seed.secret));
    TRY(sized(secret_span(inner_key), &key.size, key.buffer, sizeof key.buffer));
    enum err e = outcome_of_challenge(
        d, Tss2_Sys_Import(tpmsys_of(d), srk, &tpmsys_empty_password, &key, pub, &duplicate, &seed,
                           &cipher, ret_private, NULL));
    bytes_wipe(&key, sizeof key);
    return e;
}

/* A key that the service sent, as its TPM alone can load it. */
struct sent_key {
    TPM2B_PUBLIC public_area;
    TPM2B_PRIVATE private_area;
};

static enum err blob_open(struct tpmdev *d, struct span bytes, TPM2_HANDLE srk, struct sent_key *ret)
{
    struct tpmblob blob;
    SECRET inner_key = {0};
    TRY(tpmblob_read(bytes, &blob));
    TRY(tpmblob_identity_public_check(blob.public_area));
    TRY(public_area_read(blob.public_area, &ret->public_area));
    TRY(credential_open(d, &blob, srk, &inner_key));
    return duplicate_import(d, &blob, srk, &inner_key, &ret->public_area, &ret->private_area);
}

static TSS2_RC load(struct tpmdev *d, TPM2_HANDLE parent, const struct sent_key *key,
                    struct held *object)
{
    TPM2B_NAME name = {0};
    return Tss2_Sys_Load(tpmsys_of(d), parent, &tpmsys_empty_password, &key->private_area,
                         &key->public_area, &object->handle, &name, NULL);
}

/* ---- the identity key ---- */

/* Whether what is at the handle is an identity key, of whoever's: any client of this protocol
 * replaces those. */
static enum err holds_identity(struct tpmdev *d, TPM2_HANDLE at, bool *ret)
{
    TPM2B_PUBLIC area;
    uint8_t bytes[sizeof(TPMT_PUBLIC)];
    size_t len = 0;
    *ret = false;
    enum err e = tpmsys_public_read(d, at, &area);
    if (e == ERR_ABSENT)
        return ERR_OK;
    TRY(e);
    *ret = Tss2_MU_TPMT_PUBLIC_Marshal(&area.publicArea, bytes, sizeof bytes, &len) ==
               TSS2_RC_SUCCESS &&
           tpmblob_identity_public_check(span_of(bytes, len)) == ERR_OK;
    return ERR_OK;
}

static enum err identity_persist(struct tpmdev *d, TPM2_HANDLE object, enum tpm_unkept *ret_why)
{
    TSS2_RC rc = d->identity_ours ? TPM2_RC_NV_DEFINED : tpmsys_evict(d, object, HANDLE_IDENTITY_KEY);
    bool replace = d->identity_ours;
    if (tpmsys_says(rc, TPM2_RC_NV_DEFINED) && !replace)
        TRY(holds_identity(d, HANDLE_IDENTITY_KEY, &replace));
    if (replace) {
        d->identity_ours = false;
        TRY(tpmsys_unkept(d, tpmsys_evict(d, HANDLE_IDENTITY_KEY, HANDLE_IDENTITY_KEY), ret_why));
        if (*ret_why != TPM_KEPT)
            return ERR_OK;
        d->identity_replaced = true;
        rc = tpmsys_evict(d, object, HANDLE_IDENTITY_KEY);
    }
    TRY(tpmsys_unkept(d, rc, ret_why));
    d->identity_ours = *ret_why == TPM_KEPT;
    return ERR_OK;
}

static enum err identity_wrap(const struct tpmdev *d, const struct sent_key *key,
                              struct tpm_identity *ret)
{
    const TPM2B_DIGEST *unique = &key->public_area.publicArea.unique.keyedHash;
    struct tpm_identity wrapped = {.parent = d->srk_place.handle, .parent_kind = d->srk.kind};
    if (key->private_area.size > TPM_WRAPPED_CAP || unique->size != TPM_UNIQUE_LEN)
        return ERR_FULL;
    wrapped.wrapped_len = key->private_area.size;
    memcpy(wrapped.wrapped, key->private_area.buffer, key->private_area.size);
    memcpy(wrapped.unique, unique->buffer, TPM_UNIQUE_LEN);
    *ret = wrapped;
    return ERR_OK;
}

static enum err identity_keep(struct tpmdev *d, TPM2_HANDLE srk, const struct sent_key *key)
{
    HELD object = {.dev = d};
    TRY(outcome_of_challenge(d, load(d, srk, key, &object)));
    d->identity_replaced = false;
    TRY(identity_persist(d, object.handle, &d->identity_unkept));
    if (d->identity_unkept != TPM_KEPT)
        return identity_wrap(d, key, &d->identity);
    d->identity = (struct tpm_identity){.handle = HANDLE_IDENTITY_KEY};
    return ERR_OK;
}

static enum err activate(struct tpmdev *d, struct span blob)
{
    HELD srk = {.dev = d};
    TPM2_HANDLE srk_handle = 0;
    struct sent_key key = {0};
    TRY(key_use(d, TPM_ROLE_SRK, &srk, &srk_handle));
    TRY(blob_open(d, blob, srk_handle, &key));
    return identity_keep(d, srk_handle, &key);
}

enum err tpmdev_activate(struct tpmdev *d, struct span blob)
{
    ERR_ASSERT(d->keys_known);
    TRY(tpmsys_make_room(d));
    enum err e = activate(d, blob);
    tpmsys_reset(d); /* keys went through: neither buffer keeps them longer than the work on them */
    return e;
}

/* ---- signing ---- */
static enum err signature_from(const TPM2B_DIGEST *digest, uint8_t ret_signature[32])
{
    if (digest->size != 32)
        return ERR_TPM;
    memcpy(ret_signature, digest->buffer, 32);
    return ERR_OK;
}

static void chunk_take(struct span *rest, TPM2B_MAX_BUFFER *ret_chunk)
{
    struct span chunk = span_slice(*rest, 0, TPM2_MAX_DIGEST_BUFFER);
    *ret_chunk = (TPM2B_MAX_BUFFER){.size = (uint16_t)chunk.len};
    if (chunk.len > 0)
        memcpy(ret_chunk->buffer, chunk.at, chunk.len);
    *rest = span_slice(*rest, chunk.len, rest->len);
}

/* The first command with the key: it is not there, or what is there is no identity key. */
static enum err outcome_of_key(struct tpmdev *d, TSS2_RC rc)
{
    static const TPM2_RC another[] = {TPM2_RC_TYPE, TPM2_RC_ATTRIBUTES, TPM2_RC_AUTH_FAIL,
                                      TPM2_RC_BAD_AUTH, TPM2_RC_AUTH_UNAVAILABLE, TPM2_RC_AUTH_TYPE};
    enum err e = tpmsys_outcome_of_lookup(d, rc);
    for (size_t i = 0; i < sizeof another / sizeof *another && e == ERR_TPM; i++)
        if (tpmsys_says(rc, another[i]))
            e = ERR_ABSENT;
    return e;
}

static enum err sign_long(struct tpmdev *d, TPM2_HANDLE key, struct span message,
                          TPM2B_DIGEST *ret_digest)
{
    HELD sequence = {.dev = d};
    const TPM2B_AUTH no_auth = {0};
    TRY(outcome_of_key(d, Tss2_Sys_HMAC_Start(tpmsys_of(d), key, &tpmsys_empty_password, &no_auth,
                                              TPM2_ALG_NULL, &sequence.handle, NULL)));
    TPM2B_MAX_BUFFER chunk;
    for (chunk_take(&message, &chunk); message.len > 0; chunk_take(&message, &chunk))
        TRY(tpmsys_outcome(d, Tss2_Sys_SequenceUpdate(tpmsys_of(d), sequence.handle,
                                                      &tpmsys_empty_password, &chunk, NULL)));
    TPMT_TK_HASHCHECK ticket = {0};
    TRY(tpmsys_outcome(d, Tss2_Sys_SequenceComplete(tpmsys_of(d), sequence.handle,
                                                    &tpmsys_empty_password, &chunk, TPM2_RH_NULL,
                                                    ret_digest, &ticket, NULL)));
    sequence.handle = 0; /* gone with its completion */
    return ERR_OK;
}

static enum err sign_with(struct tpmdev *d, TPM2_HANDLE key, struct span message,
                          uint8_t ret_signature[32])
{
    TPM2B_DIGEST digest = {0};
    if (message.len > TPM2_MAX_DIGEST_BUFFER) {
        TRY(sign_long(d, key, message, &digest));
        return signature_from(&digest, ret_signature);
    }
    TPM2B_MAX_BUFFER whole;
    chunk_take(&message, &whole);
    TRY(outcome_of_key(d, Tss2_Sys_HMAC(tpmsys_of(d), key, &tpmsys_empty_password, &whole,
                                        TPM2_ALG_NULL, &digest, NULL)));
    return signature_from(&digest, ret_signature);
}

static enum err prove(struct tpmdev *d, struct span blob, struct span message,
                      uint8_t ret_signature[32])
{
    HELD srk = {.dev = d}, object = {.dev = d};
    TPM2_HANDLE srk_handle = 0;
    struct sent_key key = {0};
    TRY(key_use(d, TPM_ROLE_SRK, &srk, &srk_handle));
    TRY(blob_open(d, blob, srk_handle, &key));
    TRY(outcome_of_challenge(d, load(d, srk_handle, &key, &object)));
    return sign_with(d, object.handle, message, ret_signature);
}

enum err tpmdev_prove(struct tpmdev *d, struct span blob, struct span message,
                      uint8_t ret_signature[32])
{
    ERR_ASSERT(d->keys_known);
    TRY(tpmsys_make_room(d));
    enum err e = prove(d, blob, message, ret_signature);
    tpmsys_reset(d);
    return e == ERR_ABSENT ? ERR_TPM_ACTIVATE : e;
}

/* ---- the identity key where it could not persist ---- */
static enum err unwrap(const struct tpm_identity *id, struct sent_key *ret)
{
    uint8_t bytes[TPMBLOB_IDENTITY_PUBLIC_LEN];
    struct buf area = BUF_OVER(bytes);
    tpmblob_identity_public_write(&area, id->unique);
    TRY(public_area_read(buf_span(&area), &ret->public_area));
    return sized(span_of(id->wrapped, id->wrapped_len), &ret->private_area.size,
                 ret->private_area.buffer, sizeof ret->private_area.buffer);
}

/* A TPM that was cleared has another SRK, or none, and opens nothing of before. */
static enum err outcome_of_wrapped(struct tpmdev *d, TSS2_RC rc)
{
    enum err e = tpmsys_outcome_of_lookup(d, rc);
    return e == ERR_TPM ? ERR_ABSENT : e;
}

static enum err sign_wrapped(struct tpmdev *d, struct span message, uint8_t ret_signature[32])
{
    const struct tpm_identity *id = &d->identity;
    HELD srk = {.dev = d}, object = {.dev = d};
    TPM2_HANDLE parent = id->parent;
    struct tpm_public again;
    struct sent_key key = {0};
    TRY(unwrap(id, &key));
    if (parent == 0) {
        TRY(tpmsys_primary_create(d, TPM_ROLE_SRK, id->parent_kind, &srk, &again));
        parent = srk.handle;
    }
    TRY(outcome_of_wrapped(d, load(d, parent, &key, &object)));
    return sign_with(d, object.handle, message, ret_signature);
}

enum err tpmdev_sign(struct tpmdev *d, struct span message, uint8_t ret_signature[32])
{
    TRY(tpmsys_make_room(d));
    return d->identity.handle != 0 ? sign_with(d, d->identity.handle, message, ret_signature)
                                   : sign_wrapped(d, message, ret_signature);
}
