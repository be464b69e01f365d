#include <credential.h>
#include <string.h>

static void sized_put(struct buf *b, struct span s)
{
    size_t mark = buf_open_u16(b);
    buf_put(b, s);
    buf_close_u16(b, mark);
}

void credential_write(struct buf *out, enum credential_kind kind, struct span first,
                      struct span second)
{
    buf_put_u8(out, (uint8_t)kind);
    sized_put(out, first);
    sized_put(out, second);
}

enum err credential_read(struct span bytes, struct credential *ret_credential)
{
    struct credential c = {.kind = CREDENTIAL_NONE};
    struct rd r = rd_over(bytes);
    if (bytes.len > 0) {
        c.kind = (enum credential_kind)rd_u8(&r);
        c.at[0] = rd_sized_u16(&r);
        c.at[1] = rd_sized_u16(&r);
        if (rd_end(&r) != ERR_OK || c.kind < CREDENTIAL_KEYS || c.kind > CREDENTIAL_REFERENCES)
            return ERR_STORE;
    }
    *ret_credential = c;
    return ERR_OK;
}

/* ---- keys ---- */
void credential_keys_wipe(struct credential_keys *k) { bytes_wipe(k, sizeof *k); }

static void place_write(struct buf *b, enum credential_owner owner, const struct regid *id)
{
    static const char *const owners[] = {
        [CREDENTIAL_OF_ENROLLMENT] = "enrollment keys ",
        [CREDENTIAL_OF_GROUP] = "enrollment group keys ",
        [CREDENTIAL_OF_DEVICE] = "device keys ",
    };
    buf_put_text(b, owners[owner]);
    buf_put(b, regid_span(id));
    ERR_ASSERT(!b->full);
}
#define PLACE_CAP (REGID_MAX + 32)
#define PLAIN_CAP (2 * (CREDENTIAL_KEY_MAX + 2))

enum err credential_keys_seal(struct attest *a, const struct secret *seal_key,
                              enum credential_owner owner, const struct regid *id,
                              const struct credential_keys *k, struct buf *out)
{
    char place_text[PLACE_CAP];
    uint8_t plain_bytes[PLAIN_CAP];
    struct buf place = BUF_OVER(place_text), plain = BUF_OVER(plain_bytes);
    place_write(&place, owner, id);
    sized_put(&plain, span_of(k->at[0], k->len[0]));
    sized_put(&plain, span_of(k->at[1], k->len[1]));
    enum err e = attest_seal(a, seal_key, buf_span(&place), buf_span(&plain), out);
    buf_wipe(&plain);
    return e;
}

static enum err keys_read(struct span plain, struct credential_keys *ret_keys)
{
    struct rd r = rd_over(plain);
    for (int i = 0; i < 2; i++) {
        struct span key = rd_sized_u16(&r);
        if (key.len > CREDENTIAL_KEY_MAX)
            return ERR_CRYPTO;
        memcpy(ret_keys->at[i], key.at, key.len);
        ret_keys->len[i] = key.len;
    }
    return rd_end(&r) == ERR_OK ? ERR_OK : ERR_CRYPTO;
}

enum err credential_keys_open(const struct secret *seal_key, enum credential_owner owner,
                              const struct regid *id, struct span sealed,
                              struct credential_keys *ret_keys)
{
    char place_text[PLACE_CAP];
    uint8_t plain_bytes[PLAIN_CAP];
    struct buf place = BUF_OVER(place_text), plain = BUF_OVER(plain_bytes);
    place_write(&place, owner, id);
    TRY(attest_unseal(seal_key, buf_span(&place), sealed, &plain));
    enum err e = keys_read(buf_span(&plain), ret_keys);
    buf_wipe(&plain);
    return e;
}

enum err credential_keys_derive(const struct credential_keys *group, const struct regid *id,
                                struct credential_keys *ret_keys)
{
    for (int i = 0; i < 2; i++) {
        if (group->len[i] > 0)
            TRY(sas_sign(span_of(group->at[i], group->len[i]), regid_span(id), ret_keys->at[i]));
        ret_keys->len[i] = group->len[i] > 0 ? SAS_SIGNATURE_LEN : 0;
    }
    return ERR_OK;
}

enum err credential_keys_check(const struct credential_keys *k, const struct sas_token *token)
{
    enum err outcome = ERR_UNAUTHORIZED;
    for (int i = 0; i < 2; i++) {
        if (k->len[i] == 0)
            continue;
        enum err e = sas_token_check_signature(token, span_of(k->at[i], k->len[i]));
        if (e != ERR_UNAUTHORIZED)
            outcome = e;
    }
    return outcome;
}
