#include "tpmsys.h"

#include <string.h>
#include <tss2/tss2_mu.h>

TSS2_SYS_CONTEXT *tpmsys_of(struct tpmdev *d)
{
    return (TSS2_SYS_CONTEXT *)(void *)d->sys.at;
}

void tpmsys_reset(struct tpmdev *d)
{
    TSS2_TCTI_CONTEXT *tcti = (TSS2_TCTI_CONTEXT *)(void *)&d->link;
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    tpmlink_wipe(&d->link);
    bytes_wipe(&d->sys, sizeof d->sys);
    ERR_ASSERT(Tss2_Sys_GetContextSize(0) <= sizeof d->sys);
    ERR_ASSERT(Tss2_Sys_Initialize(tpmsys_of(d), sizeof d->sys, tcti, &abi) == TSS2_RC_SUCCESS);
}

/* ---- response codes ---- */
#define RC_FORMAT_ONE 0x080u
#define RC_FORMAT_ONE_ERROR 0x0BFu /* without the number of the parameter, session or handle */
#define RC_OF_SESSION 0x800u
#define RC_LAYER 0xFFFF0000u

bool tpmsys_says(TSS2_RC rc, TPM2_RC error)
{
    return (rc & RC_LAYER) == 0 && ((rc & RC_FORMAT_ONE) ? (rc & RC_FORMAT_ONE_ERROR) : rc) == error;
}

bool tpmsys_says_auth(TSS2_RC rc)
{
    return tpmsys_says(rc, TPM2_RC_AUTH_FAIL) || tpmsys_says(rc, TPM2_RC_BAD_AUTH);
}

unsigned tpmsys_session_of(TSS2_RC rc)
{
    bool of_session = (rc & RC_LAYER) == 0 && (rc & RC_FORMAT_ONE) && !(rc & TPM2_RC_P) &&
                      (rc & RC_OF_SESSION);
    return of_session ? (rc >> 8) & 7 : 0;
}

/* What a caller may meet with any command. */
static enum err meaning(TSS2_RC rc)
{
    static const struct {
        TPM2_RC code;
        enum err means;
    } table[] = {
        {TPM2_RC_RETRY, ERR_TPM_BUSY},           {TPM2_RC_YIELDED, ERR_TPM_BUSY},
        {TPM2_RC_TESTING, ERR_TPM_BUSY},         {TPM2_RC_NV_RATE, ERR_TPM_BUSY},
        {TPM2_RC_NV_UNAVAILABLE, ERR_TPM_BUSY},  {TPM2_RC_LOCKOUT, ERR_TPM_LOCKOUT},
        {TPM2_RC_FAILURE, ERR_TPM_FAILED},       {TPM2_RC_OBJECT_MEMORY, ERR_TPM_ROOM},
        {TPM2_RC_SESSION_MEMORY, ERR_TPM_ROOM},  {TPM2_RC_MEMORY, ERR_TPM_ROOM},
        {TPM2_RC_SESSION_HANDLES, ERR_TPM_ROOM}, {TPM2_RC_OBJECT_HANDLES, ERR_TPM_ROOM},
        {TPM2_RC_CONTEXT_GAP, ERR_TPM_ROOM},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (rc == table[i].code)
            return table[i].means;
    return ERR_TPM;
}

enum err tpmsys_outcome(struct tpmdev *d, TSS2_RC rc)
{
    if (rc == TSS2_RC_SUCCESS)
        return ERR_OK;
    d->last_rc = rc;
    if (d->link.failure != ERR_OK)
        return ERR_TPM_TRANSPORT;
    enum err e = meaning(rc);
    d->crowded |= e == ERR_TPM_ROOM;
    return e;
}

enum err tpmsys_outcome_of_lookup(struct tpmdev *d, TSS2_RC rc)
{
    return tpmsys_says(rc, TPM2_RC_HANDLE) ? ERR_ABSENT : tpmsys_outcome(d, rc);
}

/* ---- sessions and transient objects ---- */
void held_flush(struct held *h)
{
    if (h->handle != 0)
        (void)Tss2_Sys_FlushContext(tpmsys_of(h->dev), h->handle);
    h->handle = 0;
}

#define LOADED_SESSIONS 0x02000000u /* the first of each; Part 2, 7.2 */
#define TRANSIENT_OBJECTS 0x80000000u

static enum err flush_range(struct tpmdev *d, TPM2_HANDLE first)
{
    TPMI_YES_NO more = 0;
    TPMS_CAPABILITY_DATA data = {0};
    TRY(tpmsys_outcome(d, Tss2_Sys_GetCapability(tpmsys_of(d), NULL, TPM2_CAP_HANDLES, first,
                                                 TPM2_MAX_CAP_HANDLES, &more, &data, NULL)));
    const TPML_HANDLE *found = &data.data.handles;
    for (uint32_t i = 0; i < found->count && i < TPM2_MAX_CAP_HANDLES; i++)
        (void)Tss2_Sys_FlushContext(tpmsys_of(d), found->handle[i]);
    return ERR_OK;
}

enum err tpmsys_make_room(struct tpmdev *d)
{
    if (!d->crowded)
        return ERR_OK;
    TRY(flush_range(d, TRANSIENT_OBJECTS));
    TRY(flush_range(d, LOADED_SESSIONS));
    d->crowded = false;
    return ERR_OK;
}

/* ---- authorisations ---- */
const TSS2L_SYS_AUTH_COMMAND tpmsys_empty_password = {.count = 1,
                                                      .auths = {{.sessionHandle = TPM2_RS_PW}}};

static TSS2L_SYS_AUTH_COMMAND owner_password(const struct tpmdev *d)
{
    TSS2L_SYS_AUTH_COMMAND auth = tpmsys_empty_password;
    struct span value = d->choice.owner_auth;
    ERR_ASSERT(value.len <= sizeof auth.auths[0].hmac.buffer);
    if (value.len > 0)
        memcpy(auth.auths[0].hmac.buffer, value.at, value.len);
    auth.auths[0].hmac.size = (uint16_t)value.len;
    return auth;
}

/* ---- keys ---- */
enum err tpmsys_public_read(struct tpmdev *d, TPM2_HANDLE at, TPM2B_PUBLIC *ret_area)
{
    TPM2B_PUBLIC area = {0};
    TPM2B_NAME name = {0};
    TPM2B_NAME qualified = {0};
    TRY(tpmsys_outcome_of_lookup(
        d, Tss2_Sys_ReadPublic(tpmsys_of(d), at, NULL, &area, &name, &qualified, NULL)));
    *ret_area = area;
    return ERR_OK;
}

enum err tpmsys_key_judge(const TPM2B_PUBLIC *area, enum tpm_key_role role,
                          struct tpm_public *ret_pub)
{
    uint8_t bytes[sizeof(TPM2B_PUBLIC)];
    size_t len = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(area, bytes, sizeof bytes, &len) != TSS2_RC_SUCCESS)
        return ERR_KEY_SHAPE;
    struct tpm_public pub;
    TRY(tpm_public_read(span_of(bytes, len), &pub));
    TRY(tpm_public_check_role(&pub, role));
    const TPM2B_DIGEST *policy = &area->publicArea.authPolicy;
    if (role == TPM_ROLE_EK && !span_equal(span_of(policy->buffer, policy->size),
                                           span_of(tpm_ek_policy, sizeof tpm_ek_policy)))
        return ERR_KEY_ROLE;
    *ret_pub = pub;
    return ERR_OK;
}

static enum err template_for(enum tpm_key_role role, enum tpm_key_kind kind,
                             TPM2B_PUBLIC *ret_template)
{
    uint8_t bytes[TPM_PUBLIC_CAP];
    struct buf out = BUF_OVER(bytes);
    tpm_public_template_write(&out, role, kind);
    TRY(buf_end(&out));
    size_t offset = 0;
    *ret_template = (TPM2B_PUBLIC){0};
    ERR_ASSERT(Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, out.len, &offset, ret_template) ==
               TSS2_RC_SUCCESS);
    return ERR_OK;
}

static enum err outcome_of_creation(struct tpmdev *d, enum tpm_key_role role, TSS2_RC rc)
{
    static const TPM2_RC unsupported[] = {TPM2_RC_ASYMMETRIC, TPM2_RC_TYPE, TPM2_RC_CURVE,
                                          TPM2_RC_KEY_SIZE};
    enum err e = tpmsys_outcome(d, rc);
    if (e != ERR_TPM)
        return e;
    if (tpmsys_says_auth(rc))
        return role == TPM_ROLE_EK ? ERR_TPM_ENDORSEMENT_AUTH : ERR_TPM_OWNER_AUTH;
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (tpmsys_says(rc, unsupported[i]))
            return ERR_KEY_SHAPE;
    return e;
}

enum err tpmsys_primary_create(struct tpmdev *d, enum tpm_key_role role, enum tpm_key_kind kind,
                               struct held *held, struct tpm_public *ret_pub)
{
    TPM2B_PUBLIC template, area = {0};
    TRY(template_for(role, kind, &template));
    const TSS2L_SYS_AUTH_COMMAND auth =
        role == TPM_ROLE_EK ? tpmsys_empty_password : owner_password(d);
    const TPM2B_SENSITIVE_CREATE sensitive = {.size = sizeof(TPMS_SENSITIVE_CREATE)};
    const TPM2B_DATA outside = {0};
    const TPML_PCR_SELECTION no_pcr = {0};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST hash = {0};
    TPMT_TK_CREATION ticket = {0};
    TPM2B_NAME name = {0};
    TRY(outcome_of_creation(
        d, role,
        Tss2_Sys_CreatePrimary(tpmsys_of(d),
                               role == TPM_ROLE_EK ? TPM2_RH_ENDORSEMENT : TPM2_RH_OWNER, &auth,
                               &sensitive, &template, &outside, &no_pcr, &held->handle, &area, &data,
                               &hash, &ticket, &name, NULL)));
    return tpmsys_key_judge(&area, role, ret_pub);
}

TSS2_RC tpmsys_evict(struct tpmdev *d, TPM2_HANDLE object, TPM2_HANDLE at)
{
    const TSS2L_SYS_AUTH_COMMAND auth = owner_password(d);
    return Tss2_Sys_EvictControl(tpmsys_of(d), TPM2_RH_OWNER, object, &auth, at, NULL);
}

enum err tpmsys_unkept(struct tpmdev *d, TSS2_RC rc, enum tpm_unkept *ret_why)
{
    *ret_why = TPM_KEPT;
    if (rc == TSS2_RC_SUCCESS)
        return ERR_OK;
    if (tpmsys_says_auth(rc))
        *ret_why = TPM_UNKEPT_OWNER_AUTH;
    else if (tpmsys_says(rc, TPM2_RC_NV_SPACE))
        *ret_why = TPM_UNKEPT_FULL;
    else if (tpmsys_says(rc, TPM2_RC_NV_DEFINED))
        *ret_why = TPM_UNKEPT_TAKEN;
    else
        return tpmsys_outcome(d, rc);
    d->last_rc = rc;
    return ERR_OK;
}
