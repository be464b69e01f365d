#include <wolfssl/options.h>

#include <string.h>
#include <wire/names.h>
#include <wire/sas.h>
#include <wire/text.h>
#include <wolfssl/wolfcrypt/hmac.h>

/* ---- signing ---- */
static void hmac_drop(Hmac *hmac)
{
    wc_HmacFree(hmac);
    bytes_wipe(hmac, sizeof *hmac); /* freeing alone leaves the padded key behind */
}

static enum err sign_parts(struct span key, const struct span *parts, size_t count,
                           uint8_t ret_signature[SAS_SIGNATURE_LEN])
{
    if (key.len == 0 || key.len > UINT16_MAX)
        return ERR_CRYPTO;
    __attribute__((cleanup(hmac_drop))) Hmac hmac;
    bool good = wc_HmacInit(&hmac, NULL, INVALID_DEVID) == 0 &&
                wc_HmacSetKey(&hmac, WC_SHA256, key.at, (word32)key.len) == 0;
    for (size_t i = 0; i < count && good; i++)
        good = parts[i].len <= UINT16_MAX &&
               wc_HmacUpdate(&hmac, parts[i].at, (word32)parts[i].len) == 0;
    uint8_t signature[SAS_SIGNATURE_LEN];
    if (!good || wc_HmacFinal(&hmac, signature) != 0)
        return ERR_CRYPTO;
    memcpy(ret_signature, signature, sizeof signature);
    return ERR_OK;
}

enum err sas_sign(struct span key, struct span message, uint8_t ret_signature[SAS_SIGNATURE_LEN])
{
    return sign_parts(key, &message, 1, ret_signature);
}

/* ---- the text ---- */
void sas_message_write(struct buf *out, struct span sr, int64_t expiry_s)
{
    buf_put(out, sr);
    buf_put_u8(out, '\n');
    buf_put_decimal(out, expiry_s);
}

void sas_token_write(struct buf *out, struct span sr, const uint8_t signature[SAS_SIGNATURE_LEN],
                     int64_t expiry_s, struct span skn)
{
    uint8_t text[BASE64_LEN(SAS_SIGNATURE_LEN)];
    struct buf base64 = BUF_OVER(text);
    base64_write(&base64, span_of(signature, SAS_SIGNATURE_LEN));

    buf_put_text(out, SAS_SCHEME "sr=");
    buf_put(out, sr);
    buf_put_text(out, "&sig=");
    percent_write(out, buf_span(&base64));
    buf_put_text(out, "&se=");
    buf_put_decimal(out, expiry_s);
    if (skn.len) {
        buf_put_text(out, "&skn=");
        percent_write(out, skn);
    }
}

struct fields {
    struct span sr, sig, se, skn;
};

static struct span *field_named(struct fields *f, struct span name)
{
    if (span_equal(name, SPAN_LITERAL("sr")))
        return &f->sr;
    if (span_equal(name, SPAN_LITERAL("sig")))
        return &f->sig;
    if (span_equal(name, SPAN_LITERAL("se")))
        return &f->se;
    return span_equal(name, SPAN_LITERAL("skn")) ? &f->skn : NULL;
}

/* A field that was read has a place, at != NULL, even when it is empty as in "skn=". */
static enum err fields_read(struct span text, struct fields *ret_fields)
{
    struct fields f = {0};
    do {
        struct span value = span_cut(&text, '&');
        struct span name = span_cut(&value, '=');
        struct span *field = field_named(&f, name);
        if (!field || field->at || !value.at)
            return ERR_UNAUTHORIZED;
        *field = value;
    } while (text.at);
    if (!f.sr.len || !f.sig.len || !f.se.len)
        return ERR_UNAUTHORIZED;
    *ret_fields = f;
    return ERR_OK;
}

static enum err signature_read(struct span text, uint8_t ret_signature[SAS_SIGNATURE_LEN])
{
    uint8_t text_bytes[BASE64_LEN(SAS_SIGNATURE_LEN)], bytes[SAS_SIGNATURE_LEN + 1];
    struct buf base64 = BUF_OVER(text_bytes), signature = BUF_OVER(bytes);
    TRY(percent_read(text, &base64));
    TRY(base64_read(buf_span(&base64), &signature));
    if (signature.len != SAS_SIGNATURE_LEN)
        return ERR_ENCODING;
    memcpy(ret_signature, bytes, SAS_SIGNATURE_LEN);
    return ERR_OK;
}

enum err sas_token_read(struct span text, struct sas_token *ret_token)
{
    if (text.len > SAS_TOKEN_CAP || !span_starts_with(text, SPAN_LITERAL(SAS_SCHEME)))
        return ERR_UNAUTHORIZED;
    struct fields f;
    TRY(fields_read(span_slice(text, sizeof SAS_SCHEME - 1, text.len), &f));
    struct sas_token token = {.sr = f.sr, .se = f.se, .skn = f.skn};
    if (decimal_read(f.se, &token.expiry_s) != ERR_OK ||
        signature_read(f.sig, token.signature) != ERR_OK)
        return ERR_UNAUTHORIZED;
    *ret_token = token;
    return ERR_OK;
}

/* ---- checking ---- */
enum err sas_token_check_signature(const struct sas_token *token, struct span key)
{
    const struct span parts[] = {token->sr, SPAN_LITERAL("\n"), token->se};
    SECRET expected = {.len = SAS_SIGNATURE_LEN};
    TRY(sign_parts(key, parts, sizeof parts / sizeof *parts, expected.at));
    bool same = span_equal_constant_time(secret_span(&expected), SPAN_ARRAY(token->signature));
    return same ? ERR_OK : ERR_UNAUTHORIZED;
}

enum err sas_token_check_resource(const struct sas_token *token, struct span resource)
{
    uint8_t bytes[SAS_TOKEN_CAP];
    struct buf decoded = BUF_OVER(bytes);
    if (percent_read(token->sr, &decoded) != ERR_OK ||
        !span_equal_ignoring_case(buf_span(&decoded), resource))
        return ERR_UNAUTHORIZED;
    return ERR_OK;
}

enum err sas_token_check_expiry(const struct sas_token *token, int64_t now_s)
{
    if (now_s < 0 || token->expiry_s < 0)
        return ERR_UNAUTHORIZED;
    int64_t left_s = token->expiry_s - now_s; /* neither is negative: no overflow */
    bool good = left_s >= -SAS_SKEW_S && left_s <= SAS_LIFETIME_MAX_S + SAS_SKEW_S;
    return good ? ERR_OK : ERR_UNAUTHORIZED;
}
