#include <toytpm.h>

#include <string.h>
#include <wire/names.h>
#include <wire/sas.h>
#include <wire/tpmblob.h>

#define ST_NO_SESSIONS 0x8001
#define ST_SESSIONS 0x8002
#define RC_INTEGRITY 0x1df
#define RC_HANDLE_1 0x18b
#define RC_NV_DEFINED 0x14c
#define RC_NV_RANGE 0x146
#define RC_NV_SPACE 0x14b
#define RC_BAD_AUTH_1 0x9a2
#define RC_TYPE_1 0x18a
#define RC_COMMAND_CODE 0x143
#define RC_SIZE 0x095
#define RH_OWNER 0x40000001
#define RH_ENDORSEMENT 0x4000000b
#define NV_CERTIFICATE 0x01c00002
#define TRANSIENT 0x80000000u
#define SESSION 0x03000000u
#define FLAG_CONTINUE 0x01

struct command {
    uint32_t code;
    uint32_t handles[2];
    unsigned sessions;
    bool policy_continues;
    bool owner_password;
    struct rd params;
};

static unsigned handle_count(uint32_t code)
{
    switch (code) {
    case CC_EVICT_CONTROL:
    case CC_ACTIVATE_CREDENTIAL:
    case CC_POLICY_SECRET:
    case CC_START_AUTH_SESSION:
    case CC_NV_READ:
        return 2;
    default:
        return 1;
    }
}

static bool command_read(struct span bytes, struct command *c)
{
    struct rd r = rd_over(bytes);
    uint16_t tag = rd_u16(&r);
    uint32_t size = rd_u32(&r);
    *c = (struct command){.code = rd_u32(&r)};
    for (unsigned i = 0; i < handle_count(c->code); i++)
        c->handles[i] = rd_u32(&r);
    if (tag == ST_SESSIONS) {
        uint32_t len = rd_u32(&r);
        struct rd auths = rd_over(rd_take(&r, len));
        while (auths.rest.len > 0 && !auths.bad) {
            uint32_t handle = rd_u32(&auths);
            (void)rd_sized_u16(&auths);
            uint8_t flags = rd_u8(&auths);
            c->owner_password |= span_equal(rd_sized_u16(&auths), SPAN_LITERAL("owner"));
            c->policy_continues |= handle == SESSION && (flags & FLAG_CONTINUE);
            c->sessions++;
        }
    }
    c->params = r;
    return !r.bad && size == bytes.len;
}

static void sized(struct buf *out, struct span bytes)
{
    size_t mark = buf_open_u16(out);
    buf_put(out, bytes);
    buf_close_u16(out, mark);
}

static void name(struct buf *out, const struct tpm_public *pub)
{
    uint8_t bytes[TPM_NAME_LEN];
    ERR_ASSERT(tpm_public_name(pub, bytes) == ERR_OK);
    sized(out, SPAN_ARRAY(bytes));
}

static struct tpm_public *key_of(struct toytpm *t, uint32_t handle, bool **ret_present)
{
    *ret_present = handle == HANDLE_EK ? &t->has_ek : &t->has_srk;
    return handle == HANDLE_EK ? &t->ek : &t->srk;
}

static void identity_public(const struct toytpm *t, struct buf *params)
{
    size_t mark = buf_open_u16(params);
    tpmblob_identity_public_write(params, t->identity);
    buf_close_u16(params, mark);
    sized(params, SPAN_LITERAL("name"));
    sized(params, SPAN_LITERAL("name"));
}

static uint32_t read_public(struct toytpm *t, struct command *c, struct buf *params)
{
    bool *present;
    if (c->handles[0] == HANDLE_IDENTITY_KEY && !t->identity_taken) {
        identity_public(t, params);
        return t->has_identity ? 0 : RC_HANDLE_1;
    }
    if (c->handles[0] == HANDLE_EK_SECOND || c->handles[0] == HANDLE_SRK_SECOND)
        return RC_HANDLE_1;
    const struct tpm_public *key = key_of(t, c->handles[0], &present);
    if (!*present)
        return RC_HANDLE_1;
    buf_put(params, span_of(key->raw, key->raw_len));
    name(params, key);
    name(params, key);
    return 0;
}

static uint32_t create_primary(struct toytpm *t, struct command *c, struct buf *params)
{
    const struct tpm_public *key = c->handles[0] == RH_ENDORSEMENT ? &t->ek : &t->srk;
    if (c->handles[0] == RH_OWNER && t->owner_auth && !c->owner_password)
        return RC_BAD_AUTH_1;
    (void)rd_sized_u16(&c->params);
    struct rd template = rd_over(rd_sized_u16(&c->params));
    if (t->first_primary == 0)
        t->first_primary = rd_u16(&template);
    t->transients++;
    buf_put(params, span_of(key->raw, key->raw_len));
    sized(params, span_of(NULL, 0)); /* creation data and hash: nobody looks */
    sized(params, span_of(NULL, 0));
    buf_put_u16(params, 0x8021);
    buf_put_u32(params, c->handles[0]);
    sized(params, span_of(NULL, 0));
    name(params, key);
    return 0;
}

static uint32_t evict_control(struct toytpm *t, struct command *c)
{
    uint32_t at = rd_u32(&c->params);
    if (t->owner_auth && !c->owner_password)
        return RC_BAD_AUTH_1;
    if (t->full && c->handles[1] != at)
        return RC_NV_SPACE;
    if (at != HANDLE_IDENTITY_KEY) {
        bool *present;
        (void)key_of(t, at, &present);
        *present = true;
        return 0;
    }
    if (c->handles[1] == HANDLE_IDENTITY_KEY) {
        if (!t->has_identity)
            return RC_HANDLE_1;
        t->has_identity = false;
        return 0;
    }
    if (t->has_identity || t->identity_taken)
        return RC_NV_DEFINED;
    t->has_identity = true;
    memcpy(t->identity, t->loaded, sizeof t->identity);
    return 0;
}

static uint32_t policy_secret(struct buf *params)
{
    sized(params, span_of(NULL, 0));
    buf_put_u16(params, 0x8023);
    buf_put_u32(params, RH_ENDORSEMENT);
    sized(params, span_of(NULL, 0));
    return 0;
}

static uint32_t activate_credential(struct toytpm *t, struct command *c, struct buf *params)
{
    if (t->refuses_credentials)
        return RC_INTEGRITY;
    if (t->srk_locked && c->handles[0] == HANDLE_SRK)
        return RC_BAD_AUTH_1;
    if (!c->policy_continues)
        t->sessions--;
    static const uint8_t inner[16] = "inner wrap key..";
    sized(params, SPAN_ARRAY(inner));
    return 0;
}

static uint32_t import(struct toytpm *t, struct command *c, struct buf *params)
{
    (void)rd_sized_u16(&c->params);
    struct span pub = rd_sized_u16(&c->params);
    if (pub.len != TPMBLOB_IDENTITY_PUBLIC_LEN)
        return RC_SIZE;
    sized(params, span_of(&t->seed, 1)); /* the private area tells who can load it */
    return 0;
}

static uint32_t load(struct toytpm *t, struct command *c, struct buf *params)
{
    if (c->handles[0] == HANDLE_SRK && !t->has_srk)
        return RC_HANDLE_1;
    struct span private_area = rd_sized_u16(&c->params), pub = rd_sized_u16(&c->params);
    if (!span_equal(private_area, span_of(&t->seed, 1)) || pub.len != TPMBLOB_IDENTITY_PUBLIC_LEN)
        return RC_INTEGRITY;
    memcpy(t->loaded, pub.at + pub.len - 32, 32);
    t->transients++;
    sized(params, SPAN_LITERAL("name"));
    return 0;
}

static uint32_t flush_context(struct toytpm *t, struct command *c)
{
    unsigned *count = c->handles[0] == SESSION ? &t->sessions : &t->transients;
    if (*count == 0)
        return RC_HANDLE_1;
    --*count;
    return 0;
}

static uint32_t hmac(struct toytpm *t, struct command *c, struct buf *params)
{
    uint8_t signature[SAS_SIGNATURE_LEN];
    bool transient = c->handles[0] == TRANSIENT;
    if (transient ? t->transients == 0 : !t->has_identity)
        return !transient && t->identity_taken ? RC_TYPE_1 : RC_HANDLE_1;
    struct span message = rd_sized_u16(&c->params);
    ERR_ASSERT(sas_sign(span_of(transient ? t->loaded : t->identity, 32), message, signature) ==
               ERR_OK);
    sized(params, SPAN_ARRAY(signature));
    return 0;
}

static uint32_t nv_read(struct toytpm *t, struct command *c, struct buf *params)
{
    uint16_t size = rd_u16(&c->params), at = rd_u16(&c->params);
    if (c->handles[1] != NV_CERTIFICATE || t->certificate_len == 0)
        return RC_HANDLE_1;
    if (at + size > t->certificate_len)
        return RC_NV_RANGE;
    sized(params, span_of(t->certificate + at, size));
    return 0;
}

static uint32_t start_auth_session(struct toytpm *t, struct buf *params)
{
    t->sessions++;
    sized(params, SPAN_LITERAL("nonce of the TPM"));
    return 0;
}

/* Returns the response code; the handle that goes before the parameters, or 0. */
static uint32_t perform(struct toytpm *t, struct command *c, uint32_t *handle, struct buf *params)
{
    switch (c->code) {
    case CC_READ_PUBLIC:
        return read_public(t, c, params);
    case CC_CREATE_PRIMARY:
        *handle = TRANSIENT;
        return create_primary(t, c, params);
    case CC_EVICT_CONTROL:
        return evict_control(t, c);
    case CC_START_AUTH_SESSION:
        *handle = SESSION;
        return start_auth_session(t, params);
    case CC_POLICY_SECRET:
        return policy_secret(params);
    case CC_ACTIVATE_CREDENTIAL:
        return activate_credential(t, c, params);
    case CC_IMPORT:
        return import(t, c, params);
    case CC_LOAD:
        *handle = TRANSIENT;
        return load(t, c, params);
    case CC_FLUSH_CONTEXT:
        return flush_context(t, c);
    case CC_HMAC:
        return hmac(t, c, params);
    case CC_NV_READ:
        return nv_read(t, c, params);
    default:
        return RC_COMMAND_CODE;
    }
}

static void reply_write(struct buf *out, const struct command *c, uint32_t rc, uint32_t handle,
                        struct span params)
{
    bool with_sessions = rc == 0 && c->sessions > 0;
    size_t len = 10;
    if (rc == 0)
        len += (handle ? 4 : 0) + params.len + (with_sessions ? 4 + 5 * c->sessions : 0);
    buf_put_u16(out, with_sessions ? ST_SESSIONS : ST_NO_SESSIONS);
    buf_put_u32(out, (uint32_t)len);
    buf_put_u32(out, rc);
    if (rc != 0)
        return;
    if (handle)
        buf_put_u32(out, handle);
    if (with_sessions)
        buf_put_u32(out, (uint32_t)params.len);
    buf_put(out, params);
    for (unsigned i = 0; with_sessions && i < c->sessions; i++)
        buf_put(out, span_of("\0\0\1\0\0", 5));
}

static enum err transact(struct hal_tpm *table, struct span bytes, uint8_t *ret_reply, size_t cap,
                         size_t *ret_len)
{
    struct toytpm *t = (struct toytpm *)table;
    struct command c;
    uint8_t params[1024];
    struct buf params_out = BUF_OVER(params), out = buf_over(ret_reply, cap);
    uint32_t handle = 0;
    bool good = command_read(bytes, &c);
    if (t->commands < TOYTPM_LOG)
        t->log[t->commands] = c.code;
    t->commands++;
    uint32_t rc = good ? perform(t, &c, &handle, &params_out) : RC_SIZE;
    reply_write(&out, &c, rc, handle, buf_span(&params_out));
    ERR_ASSERT(!params_out.full);
    TRY(buf_end(&out));
    *ret_len = out.len;
    return ERR_OK;
}

bool toytpm_saw(const struct toytpm *t, uint32_t code)
{
    for (unsigned i = 0; i < t->commands && i < TOYTPM_LOG; i++)
        if (t->log[i] == code)
            return true;
    return false;
}

static void key_make(enum tpm_key_role role, uint8_t seed, struct tpm_public *ret_pub)
{
    uint8_t modulus[TPM_RSA_LEN];
    for (size_t i = 0; i < sizeof modulus; i++)
        modulus[i] = (uint8_t)(seed + i * 7);
    modulus[0] |= 0x80;
    modulus[sizeof modulus - 1] |= 1;
    ERR_ASSERT(tpm_public_from_key(role, TPM_KEY_RSA_2048, SPAN_ARRAY(modulus), ret_pub) == ERR_OK);
}

void toytpm_init(struct toytpm *t, bool has_keys)
{
    memset(t, 0, sizeof *t);
    t->table.transact = transact;
    key_make(TPM_ROLE_EK, 1, &t->ek);
    key_make(TPM_ROLE_SRK, 2, &t->srk);
    t->has_ek = t->has_srk = has_keys;
}

void toytpm_certify(struct toytpm *t, bool is_of_ek)
{
    static const uint8_t head[] = {0x30, 0x82, 0x01, 0x0A, 0x02, 0x82, 0x01, 0x01, 0x00};
    static const uint8_t tail[] = {0x02, 0x03, 0x01, 0x00, 0x01};
    const struct tpm_public *key = is_of_ek ? &t->ek : &t->srk;
    struct buf out = BUF_OVER(t->certificate);
    memset(t->certificate, 0xa5, sizeof t->certificate);
    t->certificate_len = sizeof t->certificate;
    buf_put_u16(&out, 0x3082);
    buf_put_u16(&out, (uint16_t)(t->certificate_len - 4 - 100)); /* and padding */
    (void)buf_reserve(&out, 500);
    buf_put(&out, SPAN_ARRAY(head));
    buf_put(&out, span_of(key->key, key->key_len));
    buf_put(&out, SPAN_ARRAY(tail));
}

void toytpm_blob_write(struct buf *out, const uint8_t key[32])
{
    uint8_t area[TPMBLOB_IDENTITY_PUBLIC_LEN];
    struct buf area_out = BUF_OVER(area);
    tpmblob_identity_public_write(&area_out, key);
    const struct tpmblob blob = {
        .credential = SPAN_LITERAL("credential"),
        .credential_secret = SPAN_LITERAL("its seed"),
        .duplicate = SPAN_LITERAL("duplicate"),
        .duplicate_secret = SPAN_LITERAL("its seed too"),
        .public_area = buf_span(&area_out),
        .trailer = SPAN_LITERAL("t"),
    };
    tpmblob_write(out, &blob);
}
