#include <wolfssl/options.h>

#include <string.h>
#include <wire/regid.h>
#include <wire/text.h>
#include <wolfssl/wolfcrypt/hash.h>

static bool is_alphanumeric(uint8_t c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static bool is_mark(uint8_t c) { return c == '-' || c == '.' || c == '_' || c == ':'; }

enum err regid_read(struct span text, struct regid *ret_id)
{
    if (text.len == 0 || text.len > REGID_MAX)
        return ERR_REG_ID;
    struct regid id = {0};
    uint8_t c = 0;
    for (size_t i = 0; i < text.len; i++) {
        c = text.at[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c + ('a' - 'A'));
        if (!is_alphanumeric(c) && !is_mark(c))
            return ERR_REG_ID;
        id.text[i] = (char)c;
    }
    if (!is_alphanumeric(c) && c != '-')
        return ERR_REG_ID;
    *ret_id = id;
    return ERR_OK;
}

enum err regid_from_ek(struct span ek_tpm2b_public, struct regid *ret_id)
{
    uint8_t hash[WC_SHA256_DIGEST_SIZE];
    if (ek_tpm2b_public.len > UINT16_MAX + 2 ||
        wc_Sha256Hash(ek_tpm2b_public.at, (word32)ek_tpm2b_public.len, hash) != 0)
        return ERR_CRYPTO;
    struct regid id = {0};
    struct buf out = BUF_OVER(id.text);
    base32_write(&out, SPAN_ARRAY(hash));
    TRY(buf_end_text(&out));
    *ret_id = id;
    return ERR_OK;
}

struct span regid_span(const struct regid *id) { return span_text(id->text); }
