#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tpm_walk.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

static const TSS2L_SYS_AUTH_COMMAND password = {.count = 1,
                                                .auths = {{.sessionHandle = TPM2_RS_PW}}};

static void must(const char *what, TPM2_RC code)
{
    if (code == TPM2_RC_SUCCESS)
        return;
    fprintf(stderr, "%s: 0x%x\n", what, code);
    exit(2);
}

/* ---- the two keys ---- */

static TPM2_HANDLE primary_create(struct tpm_walk *w, enum tpm_key_role role,
                                  enum tpm_key_kind kind, struct tpm_public *ret_public)
{
    uint8_t bytes[TPM_PUBLIC_CAP];
    struct buf template = BUF_OVER(bytes);
    TPM2B_PUBLIC in = {0};
    TPM2B_PUBLIC out = {0};
    const TPM2B_SENSITIVE_CREATE sensitive = {0};
    const TPM2B_DATA outside = {0};
    const TPML_PCR_SELECTION pcrs = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST hash = {0};
    TPMT_TK_CREATION ticket = {0};
    TPM2B_NAME name = {0};
    TPM2_HANDLE handle;
    size_t offset = 0;
    tpm_public_template_write(&template, role, kind);
    must("template", Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, template.len, &offset, &in));
    must("CreatePrimary",
         Tss2_Sys_CreatePrimary(w->sys, role == TPM_ROLE_EK ? TPM2_RH_ENDORSEMENT : TPM2_RH_OWNER,
                                &password, &sensitive, &in, &outside, &pcrs, &handle, &out, &data,
                                &hash, &ticket, &name, NULL));
    offset = 0;
    must("public", Tss2_MU_TPM2B_PUBLIC_Marshal(&out, bytes, sizeof bytes, &offset));
    if (tpm_public_read(span_of(bytes, offset), ret_public) != ERR_OK ||
        tpm_public_check_role(ret_public, role) != ERR_OK) {
        fprintf(stderr, "the TPM's own key is refused\n");
        exit(2);
    }
    return handle;
}

void tpm_walk_open(struct tpm_walk *w, const char *tcti, enum tpm_key_kind ek,
                   enum tpm_key_kind srk)
{
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    size_t size = Tss2_Sys_GetContextSize(0);
    *w = (struct tpm_walk){.sys = calloc(1, size)};
    if (w->sys == NULL)
        exit(2);
    must("TCTI", Tss2_TctiLdr_Initialize(tcti, &w->tcti));
    must("SYS", Tss2_Sys_Initialize(w->sys, size, w->tcti, &abi));
    w->ek = primary_create(w, TPM_ROLE_EK, ek, &w->ek_public);
    w->srk = primary_create(w, TPM_ROLE_SRK, srk, &w->srk_public);
}

void tpm_walk_close(struct tpm_walk *w)
{
    Tss2_Sys_FlushContext(w->sys, w->ek);
    Tss2_Sys_FlushContext(w->sys, w->srk);
    Tss2_Sys_Finalize(w->sys);
    free(w->sys);
    Tss2_TctiLdr_Finalize(&w->tcti);
}

/* ---- the commands ---- */

static void copy_sized(struct span from, uint16_t *size, uint8_t *at, size_t cap)
{
    ERR_ASSERT(from.len <= cap);
    memcpy(at, from.at, from.len);
    *size = (uint16_t)from.len;
}
#define COPY_SIZED(from, to, member) copy_sized(from, &(to)->size, (to)->member, sizeof(to)->member)

/* A policy session in which the endorsement hierarchy's (empty) secret was shown. */
static TPM2_RC policy_session(struct tpm_walk *w, TPMI_SH_AUTH_SESSION *session)
{
    const TPM2B_NONCE nonce = {.size = 32};
    const TPM2B_ENCRYPTED_SECRET salt = {0};
    const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    const TPM2B_NONCE no_nonce = {0};
    const TPM2B_DIGEST empty = {0};
    TPM2B_NONCE nonce_tpm = {0};
    TPM2B_TIMEOUT timeout = {0};
    TPMT_TK_AUTH ticket = {0};
    TPM2_RC rc = Tss2_Sys_StartAuthSession(w->sys, TPM2_RH_NULL, TPM2_RH_NULL, NULL, &nonce, &salt,
                                           TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, session,
                                           &nonce_tpm, NULL);
    if (rc != TPM2_RC_SUCCESS)
        return rc;
    return Tss2_Sys_PolicySecret(w->sys, TPM2_RH_ENDORSEMENT, *session, &password, &no_nonce,
                                 &empty, &empty, 0, &timeout, &ticket, NULL);
}

static TPM2_RC activate(struct tpm_walk *w, const struct tpmblob *blob, TPM2B_DIGEST *inner_key)
{
    TPMI_SH_AUTH_SESSION session = 0;
    TPM2B_ID_OBJECT credential = {0};
    TPM2B_ENCRYPTED_SECRET secret = {0};
    COPY_SIZED(blob->credential, &credential, credential);
    COPY_SIZED(blob->credential_secret, &secret, secret);
    must("policy session", policy_session(w, &session));
    const TSS2L_SYS_AUTH_COMMAND auths = {
        .count = 2, .auths = {{.sessionHandle = TPM2_RS_PW}, {.sessionHandle = session}}};
    TPM2_RC rc = Tss2_Sys_ActivateCredential(w->sys, w->srk, w->ek, &auths, &credential, &secret,
                                             inner_key, NULL);
    Tss2_Sys_FlushContext(w->sys, session); /* a success has flushed it already */
    return rc;
}

static TPM2_RC import(struct tpm_walk *w, const struct tpmblob *blob, const TPM2B_DIGEST *inner_key,
                      const TPM2B_PUBLIC *area, TPM2B_PRIVATE *private)
{
    TPM2B_DATA key = {0};
    TPM2B_PRIVATE duplicate = {0};
    TPM2B_ENCRYPTED_SECRET seed = {0};
    const TPMT_SYM_DEF_OBJECT aes128 = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
    COPY_SIZED(span_of(inner_key->buffer, inner_key->size), &key, buffer);
    COPY_SIZED(blob->duplicate, &duplicate, buffer);
    COPY_SIZED(blob->duplicate_secret, &seed, secret);
    return Tss2_Sys_Import(w->sys, w->srk, &password, &key, area, &duplicate, &seed, &aes128,
                           private, NULL);
}

static TPM2_RC sign(struct tpm_walk *w, TPM2_HANDLE key, struct span message, bool repeat,
                    uint8_t mac[32])
{
    TPM2B_MAX_BUFFER buffer = {0};
    TPM2B_DIGEST out = {0};
    COPY_SIZED(message, &buffer, buffer);
    TPM2_RC rc = Tss2_Sys_HMAC(w->sys, key, &password, &buffer, TPM2_ALG_NULL, &out, NULL);
    if (rc == TPM2_RC_RETRY && repeat)
        rc = Tss2_Sys_HMAC(w->sys, key, &password, &buffer, TPM2_ALG_NULL, &out, NULL);
    if (rc == TPM2_RC_SUCCESS && out.size == 32)
        memcpy(mac, out.buffer, 32);
    return rc;
}

static TPM2B_PUBLIC area_of(struct span public_area)
{
    uint8_t bytes[2 + 512];
    struct buf sized = BUF_OVER(bytes);
    size_t mark = buf_open_u16(&sized);
    TPM2B_PUBLIC area = {0};
    size_t offset = 0;
    buf_put(&sized, public_area);
    buf_close_u16(&sized, mark);
    must("field 5", Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, sized.len, &offset, &area));
    return area;
}

struct tpm_outcome tpm_walk_blob(struct tpm_walk *w, const struct tpmblob *blob,
                                 struct span message, bool repeat_hmac)
{
    struct tpm_outcome end = {0};
    TPM2B_DIGEST inner_key = {0};
    TPM2B_PRIVATE private = {0};
    TPM2B_NAME name = {0};
    TPM2_HANDLE key;
    const TPM2B_PUBLIC area = area_of(blob->public_area);

    end.failed_at = "ActivateCredential";
    end.code = activate(w, blob, &inner_key);
    if (end.code != TPM2_RC_SUCCESS)
        return end;
    end.failed_at = "Import";
    end.code = import(w, blob, &inner_key, &area, &private);
    if (end.code != TPM2_RC_SUCCESS)
        return end;
    end.failed_at = "Load";
    end.code = Tss2_Sys_Load(w->sys, w->srk, &password, &private, &area, &key, &name, NULL);
    if (end.code != TPM2_RC_SUCCESS)
        return end;
    end.failed_at = "HMAC";
    end.code = sign(w, key, message, repeat_hmac, end.mac);
    Tss2_Sys_FlushContext(w->sys, key);
    if (end.code == TPM2_RC_SUCCESS)
        end.failed_at = NULL;
    return end;
}
