/* A token that is read lies inside its text and holds what a token written anew from it holds; no
 * check of it goes wrong, and no key signed it by chance. */
#include "fuzz.h"

#include <wire/sas.h>

static bool is_inside(struct span part, struct span whole)
{
    return part.len && part.at >= whole.at && part.at + part.len <= whole.at + whole.len;
}

static void written_again_is_the_same(const struct sas_token *token)
{
    uint8_t bytes[2 * SAS_TOKEN_CAP];
    struct buf out = BUF_OVER(bytes);
    sas_token_write(&out, token->sr, token->signature, token->expiry_s, SPAN_LITERAL("a&b"));
    MUST_HOLD(buf_end(&out) == ERR_OK);
    struct sas_token again;
    enum err e = sas_token_read(buf_span(&out), &again);
    MUST_HOLD(e == ERR_OK || out.len > SAS_TOKEN_CAP);
    if (e != ERR_OK)
        return;
    MUST_HOLD(span_equal(token->sr, again.sr) && span_equal(token->se, again.se));
    MUST_HOLD(memcmp(token->signature, again.signature, SAS_SIGNATURE_LEN) == 0);
    MUST_HOLD(token->expiry_s == again.expiry_s);
}

static void signed_anew_it_verifies(struct sas_token token)
{
    uint8_t bytes[2 * SAS_TOKEN_CAP];
    struct buf message = BUF_OVER(bytes);
    struct span key = SPAN_LITERAL("a key that no input knows of");
    MUST_HOLD(sas_token_check_signature(&token, key) == ERR_UNAUTHORIZED);
    sas_message_write(&message, token.sr, token.expiry_s);
    MUST_HOLD(sas_sign(key, buf_span(&message), token.signature) == ERR_OK);
    MUST_HOLD(sas_token_check_signature(&token, key) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct sas_token token;
    enum err e = sas_token_read(text, &token);
    MUST_HOLD(e == ERR_OK || e == ERR_UNAUTHORIZED);
    if (e != ERR_OK)
        return 0;
    MUST_HOLD(size <= SAS_TOKEN_CAP && is_inside(token.sr, text) && is_inside(token.se, text));
    MUST_HOLD(token.expiry_s >= 0);
    written_again_is_the_same(&token);
    signed_anew_it_verifies(token);
    (void)!sas_token_check_resource(&token, text);
    (void)!sas_token_check_resource(&token, token.sr);
    MUST_HOLD(sas_token_check_expiry(&token, token.expiry_s) == ERR_OK);
    return 0;
}
