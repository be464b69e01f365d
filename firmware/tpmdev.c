#include "tpmdev.h"

#include <string.h>
#include <tss2/tss2_mu.h>
#include <wire/names.h>
#include <wire/tpmblob.h>

#define INNER_KEY_LEN 16 /* AES-128: what every client of this protocol expects */

static TSS2_SYS_CONTEXT *sys_of(struct tpmdev *d)
{
    return (TSS2_SYS_CONTEXT *)(void *)d->sys.at;
}

static TSS2_TCTI_CONTEXT *tcti_of(struct tpmdev *d)
{
    return (TSS2_TCTI_CONTEXT *)(void *)&d->link;
}

void tpmdev_init(struct tpmdev *d, struct hal_tpm *tpm, struct hal_clock *clock)
{
    memset(d, 0, sizeof *d);
    tpmlink_init(&d->link, tpm, clock);
    ERR_ASSERT(Tss2_Sys_GetContextSize(0) <= sizeof d->sys);
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    ERR_ASSERT(Tss2_Sys_Initialize(sys_of(d), sizeof d->sys, tcti_of(d), &abi) == TSS2_RC_SUCCESS);
}

void tpmdev_end(struct tpmdev *d)
{
    bytes_wipe(d, sizeof *d);
}

/* Keys went through both buffers: neither keeps them longer than the work on them. */
static void forget_traffic(struct tpmdev *d)
{
    tpmlink_wipe(&d->link);
    bytes_wipe(&d->sys, sizeof d->sys);
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    ERR_ASSERT(Tss2_Sys_Initialize(sys_of(d), sizeof d->sys, tcti_of(d), &abi) == TSS2_RC_SUCCESS);
}

/* ---- response codes ---- */
#define RC_FORMAT_ONE 0x080u
#define RC_FORMAT_ONE_ERROR 0x0BFu /* without the number of the parameter, session or handle */
#define RC_LAYER 0xFFFF0000u

static bool rc_is(TSS2_RC rc, TPM2_RC error)
{
    return (rc & RC_LAYER) == 0 && ((rc & RC_FORMAT_ONE) ? (rc & RC_FORMAT_ONE_ERROR) : rc) == error;
}

static enum err outcome(struct tpmdev *d, TSS2_RC rc)
{
    if (rc == TSS2_RC_SUCCESS)
        return ERR_OK;
    d->last_rc = rc;
    return d->link.failure == ERR_OK ? ERR_TPM : ERR_TPM_TRANSPORT;
}

/* Handles of one kind only are given, so an error about a handle means that nothing is there. */
static enum err outcome_of_lookup(struct tpmdev *d, TSS2_RC rc)
{
    return rc_is(rc, TPM2_RC_HANDLE) ? ERR_ABSENT : outcome(d, rc);
}

/* The TPM's verdict on something that the service sent. */
static enum err outcome_of_challenge(struct tpmdev *d, TSS2_RC rc)
{
    enum err e = outcome(d, rc);
    return e == ERR_TPM ? ERR_TPM_ACTIVATE : e;
}

/* ---- sessions and transient objects ---- */
struct held {
    struct tpmdev *dev;
    TPM2_HANDLE handle; /* 0: nothing held */
};
static void held_flush(struct held *h)
{
    if (h->handle != 0)
        (void)Tss2_Sys_FlushContext(sys_of(h->dev), h->handle);
    h->handle = 0;
}
#define HELD __attribute__((cleanup(held_flush))) struct held

static const TSS2L_SYS_AUTH_COMMAND empty_password = {
    .count = 1, .auths = {{.sessionHandle = TPM2_RS_PW}}};

/* ---- persistent keys ---- */
static enum err public_from(const TPM2B_PUBLIC *area, enum tpm_key_role role,
                            struct tpm_public *ret_pub)
{
    uint8_t bytes[sizeof(TPM2B_PUBLIC)];
    size_t len = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(area, bytes, sizeof bytes, &len) != TSS2_RC_SUCCESS)
        return ERR_KEY_SHAPE;
    struct tpm_public pub;
    TRY(tpm_public_read(span_of(bytes, len), &pub));
    TRY(tpm_public_check_role(&pub, role));
    *ret_pub = pub;
    return ERR_OK;
}

static enum err key_read(struct tpmdev *d, TPM2_HANDLE at, enum tpm_key_role role,
                         struct tpm_public *ret_pub)
{
    TPM2B_PUBLIC area = {0};
    TPM2B_NAME name = {0};
    TPM2B_NAME qualified = {0};
    TRY(outcome_of_lookup(
        d, Tss2_Sys_ReadPublic(sys_of(d), at, NULL, &area, &name, &qualified, NULL)));
    return public_from(&area, role, ret_pub);
}

static enum err template_for(enum tpm_key_role role, TPM2B_PUBLIC *ret_template)
{
    uint8_t bytes[TPM_PUBLIC_CAP];
    struct buf out = BUF_OVER(bytes);
    tpm_public_template_write(&out, role, TPM_KEY_RSA_2048);
    TRY(buf_end(&out));
    size_t offset = 0;
    *ret_template = (TPM2B_PUBLIC){0};
    ERR_ASSERT(Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, out.len, &offset, ret_template) ==
               TSS2_RC_SUCCESS);
    return ERR_OK;
}

static enum err primary_create(struct tpmdev *d, enum tpm_key_role role, struct held *held,
                               TPM2B_PUBLIC *ret_area)
{
    TPM2B_PUBLIC template;
    TRY(template_for(role, &template));
    const TPM2B_SENSITIVE_CREATE sensitive = {.size = sizeof(TPMS_SENSITIVE_CREATE)};
    const TPM2B_DATA outside = {0};
    const TPML_PCR_SELECTION no_pcr = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST hash = {0};
    TPMT_TK_CREATION ticket = {0};
    TPM2B_NAME name = {0};
    return outcome(d, Tss2_Sys_CreatePrimary(
                          sys_of(d), role == TPM_ROLE_EK ? TPM2_RH_ENDORSEMENT : TPM2_RH_OWNER,
                          &empty_password, &sensitive, &template, &outside, &no_pcr, &held->handle,
                          ret_area, &data, &hash, &ticket, &name, NULL));
}

static enum err key_create(struct tpmdev *d, TPM2_HANDLE at, enum tpm_key_role role,
                           struct tpm_public *ret_pub)
{
    HELD key = {.dev = d};
    TPM2B_PUBLIC area = {0};
    TRY(primary_create(d, role, &key, &area));
    struct tpm_public pub;
    TRY(public_from(&area, role, &pub));
    TRY(outcome(d, Tss2_Sys_EvictControl(sys_of(d), TPM2_RH_OWNER, key.handle, &empty_password, at,
                                         NULL)));
    *ret_pub = pub;
    return ERR_OK;
}

static enum err key_find(struct tpmdev *d, TPM2_HANDLE at, enum tpm_key_role role,
                         struct tpm_public *ret_pub, bool *ret_created)
{
    enum err e = key_read(d, at, role, ret_pub);
    *ret_created = e == ERR_ABSENT;
    return e == ERR_ABSENT ? key_create(d, at, role, ret_pub) : e;
}

enum err tpmdev_keys(struct tpmdev *d)
{
    if (d->keys_known)
        return ERR_OK;
    TRY(key_find(d, HANDLE_EK, TPM_ROLE_EK, &d->ek, &d->created_ek));
    TRY(key_find(d, HANDLE_SRK, TPM_ROLE_SRK, &d->srk, &d->created_srk));
    d->keys_known = true;
    return ERR_OK;
}

/* ---- activation ---- */

/* The default EK's policy: the endorsement hierarchy's authorisation, which is empty. */
static enum err ek_session(struct tpmdev *d, struct held *session)
{
    const TPM2B_NONCE nonce = {.size = 16};
    const TPM2B_ENCRYPTED_SECRET no_salt = {0};
    const TPMT_SYM_DEF no_cipher = {.algorithm = TPM2_ALG_NULL};
    TPM2B_NONCE nonce_tpm = {0};
    TRY(outcome(d, Tss2_Sys_StartAuthSession(sys_of(d), TPM2_RH_NULL, TPM2_RH_NULL, NULL, &nonce,
                                             &no_salt, TPM2_SE_POLICY, &no_cipher, TPM2_ALG_SHA256,
                                             &session->handle, &nonce_tpm, NULL)));
    const TPM2B_NONCE no_nonce = {0};
    const TPM2B_DIGEST none = {0};
    TPM2B_TIMEOUT timeout = {0};
    TPMT_TK_AUTH ticket = {0};
    return outcome(d, Tss2_Sys_PolicySecret(sys_of(d), TPM2_RH_ENDORSEMENT, session->handle,
                                            &empty_password, &no_nonce, &none, &no_nonce, 0,
                                            &timeout, &ticket, NULL));
}

static enum err sized(struct span from, uint16_t *ret_size, uint8_t *ret_at, size_t cap)
{
    if (from.len > cap)
        return ERR_PROTOCOL;
    memcpy(ret_at, from.at, from.len);
    *ret_size = (uint16_t)from.len;
    return ERR_OK;
}

static enum err credential_open(struct tpmdev *d, const struct tpmblob *blob,
                                struct secret *ret_inner_key)
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
    TPM2B_DIGEST inner = {0};
    TRY(outcome_of_challenge(d, Tss2_Sys_ActivateCredential(sys_of(d), HANDLE_SRK, HANDLE_EK, &auths,
                                                            &credential, &seed, &inner, NULL)));
    session.handle = 0; /* it was not told to continue: the TPM has flushed it */
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

static enum err duplicate_import(struct tpmdev *d, const struct tpmblob *blob,
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
        d, Tss2_Sys_Import(sys_of(d), HANDLE_SRK, &empty_password, &key, pub, &duplicate, &seed,
                           &cipher, ret_private, NULL));
    bytes_wipe(&key, sizeof key);
    return e;
}

/* EvictControl with a persistent object removes it; with a transient one, makes a copy persist. */
static TSS2_RC evict(struct tpmdev *d, TPM2_HANDLE object)
{
    return Tss2_Sys_EvictControl(sys_of(d), TPM2_RH_OWNER, object, &empty_password,
                                 HANDLE_IDENTITY_KEY, NULL);
}

static enum err identity_persist(struct tpmdev *d, TPM2_HANDLE object)
{
    TSS2_RC rc = d->identity_present ? TPM2_RC_NV_DEFINED : evict(d, object);
    if (rc_is(rc, TPM2_RC_NV_DEFINED)) {
        TRY(outcome(d, evict(d, HANDLE_IDENTITY_KEY)));
        d->identity_present = false;
        rc = evict(d, object);
    }
    TRY(outcome(d, rc));
    d->identity_present = true;
    return ERR_OK;
}

static enum err identity_install(struct tpmdev *d, const TPM2B_PRIVATE *private_area,
                                 const TPM2B_PUBLIC *public_area)
{
    HELD object = {.dev = d};
    TPM2B_NAME name = {0};
    TRY(outcome_of_challenge(d, Tss2_Sys_Load(sys_of(d), HANDLE_SRK, &empty_password, private_area,
                                              public_area, &object.handle, &name, NULL)));
    return identity_persist(d, object.handle);
}

enum err tpmdev_activate(struct tpmdev *d, struct span bytes)
{
    ERR_ASSERT(d->keys_known);
    struct tpmblob blob;
    TPM2B_PUBLIC pub;
    TRY(tpmblob_read(bytes, &blob));
    TRY(tpmblob_identity_public_check(blob.public_area));
    TRY(public_area_read(blob.public_area, &pub));
    SECRET inner_key = {0};
    TPM2B_PRIVATE private_area = {0};
    enum err e = credential_open(d, &blob, &inner_key);
    if (e == ERR_OK)
        e = duplicate_import(d, &blob, &inner_key, &pub, &private_area);
    if (e == ERR_OK)
        e = identity_install(d, &private_area, &pub);
    forget_traffic(d);
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

static enum err sign_long(struct tpmdev *d, struct span message, TPM2B_DIGEST *ret_digest)
{
    HELD sequence = {.dev = d};
    const TPM2B_AUTH no_auth = {0};
    TRY(outcome_of_lookup(d, Tss2_Sys_HMAC_Start(sys_of(d), HANDLE_IDENTITY_KEY, &empty_password,
                                                 &no_auth, TPM2_ALG_NULL, &sequence.handle, NULL)));
    TPM2B_MAX_BUFFER chunk;
    for (chunk_take(&message, &chunk); message.len > 0; chunk_take(&message, &chunk))
        TRY(outcome(d, Tss2_Sys_SequenceUpdate(sys_of(d), sequence.handle, &empty_password, &chunk,
                                               NULL)));
    TPMT_TK_HASHCHECK ticket = {0};
    TRY(outcome(d, Tss2_Sys_SequenceComplete(sys_of(d), sequence.handle, &empty_password, &chunk,
                                             TPM2_RH_NULL, ret_digest, &ticket, NULL)));
    sequence.handle = 0; /* gone with its completion */
    return ERR_OK;
}

enum err tpmdev_sign(struct tpmdev *d, struct span message, uint8_t ret_signature[32])
{
    TPM2B_DIGEST digest = {0};
    if (message.len > TPM2_MAX_DIGEST_BUFFER) {
        TRY(sign_long(d, message, &digest));
        return signature_from(&digest, ret_signature);
    }
    TPM2B_MAX_BUFFER whole;
    chunk_take(&message, &whole);
    TRY(outcome_of_lookup(d, Tss2_Sys_HMAC(sys_of(d), HANDLE_IDENTITY_KEY, &empty_password, &whole,
                                           TPM2_ALG_NULL, &digest, NULL)));
    return signature_from(&digest, ret_signature);
}

/* ---- the EK certificate ---- */
#define NV_CERTIFICATE_RSA 0x01C00002u /* TCG EK Credential Profile 2.5, 2.2.1.4 */
#define NV_CERTIFICATE_ECC 0x01C0000Au
#define NV_CHUNK 512                   /* what every TPM gives at once */

static enum err nv_size(struct tpmdev *d, TPM2_HANDLE index, uint16_t *ret_len)
{
    TPM2B_NV_PUBLIC area = {0};
    TPM2B_NAME name = {0};
    TRY(outcome_of_lookup(d, Tss2_Sys_NV_ReadPublic(sys_of(d), index, NULL, &area, &name, NULL)));
    *ret_len = area.nvPublic.dataSize;
    return ERR_OK;
}

static enum err nv_read(struct tpmdev *d, TPM2_HANDLE index, uint16_t len, struct buf *out)
{
    for (uint16_t at = 0; at < len; at += NV_CHUNK) {
        uint16_t want = len - at < NV_CHUNK ? (uint16_t)(len - at) : NV_CHUNK;
        TPM2B_MAX_NV_BUFFER chunk = {0};
        TRY(outcome(d, Tss2_Sys_NV_Read(sys_of(d), index, index, &empty_password, want, at, &chunk,
                                        NULL)));
        if (chunk.size != want)
            return ERR_TPM;
        buf_put(out, span_of(chunk.buffer, want));
    }
    return buf_end(out);
}

/* A SEQUENCE with a length of two bytes, as every certificate of such a key has; after it padding. */
static enum err certificate_cut(struct span nv, struct span *ret_certificate)
{
    struct rd r = rd_over(nv);
    uint16_t tag = rd_u16(&r);
    struct span inside = rd_sized_u16(&r);
    if (tag != 0x3082 || inside.len == 0)
        return ERR_PROTOCOL;
    *ret_certificate = span_slice(nv, 0, 4 + inside.len);
    return ERR_OK;
}

/* The key as the certificate's BIT STRING has it: an RSAPublicKey, or an uncompressed point. */
static bool certificate_holds(struct span certificate, const struct tpm_public *ek)
{
    static const uint8_t modulus_head[] = {0x30, 0x82, 0x01, 0x0A, 0x02, 0x82, 0x01, 0x01, 0x00};
    static const uint8_t exponent[] = {0x02, 0x03, 0x01, 0x00, 0x01};
    static const uint8_t point_head[] = {0x03, 0x42, 0x00, 0x04};
    bool rsa = ek->kind == TPM_KEY_RSA_2048;
    uint8_t want[sizeof modulus_head + TPM_RSA_LEN + sizeof exponent];
    struct buf out = BUF_OVER(want);
    buf_put(&out, rsa ? span_of(modulus_head, sizeof modulus_head)
                      : span_of(point_head, sizeof point_head));
    buf_put(&out, span_of(ek->key, ek->key_len));
    if (rsa)
        buf_put(&out, span_of(exponent, sizeof exponent));
    return !out.full && memmem(certificate.at, certificate.len, want, out.len) != NULL;
}

enum err tpmdev_ek_certificate(struct tpmdev *d, struct tpmdev_certificate *ret_certificate)
{
    uint8_t bytes[TPMDEV_CERTIFICATE_CAP];
    return tpmdev_ek_certificate_read(d, bytes, ret_certificate);
}

enum err tpmdev_ek_certificate_read(struct tpmdev *d, uint8_t ret_bytes[TPMDEV_CERTIFICATE_CAP],
                                    struct tpmdev_certificate *ret_certificate)
{
    ERR_ASSERT(d->keys_known);
    TPM2_HANDLE index =
        d->ek.kind == TPM_KEY_RSA_2048 ? NV_CERTIFICATE_RSA : NV_CERTIFICATE_ECC;
    struct buf nv = buf_over(ret_bytes, TPMDEV_CERTIFICATE_CAP);
    struct span certificate;
    uint16_t len = 0;
    TRY(nv_size(d, index, &len));
    if (len > TPMDEV_CERTIFICATE_CAP)
        return ERR_PROTOCOL;
    TRY(nv_read(d, index, len, &nv));
    TRY(certificate_cut(buf_span(&nv), &certificate));
    *ret_certificate = (struct tpmdev_certificate){
        .nv_index = index,
        .len = (uint16_t)certificate.len,
        .is_of_ek = certificate_holds(certificate, &d->ek),
    };
    return ERR_OK;
}
