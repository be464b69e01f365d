#include "jws.h"

#include <jansson.h>
#include <string.h>
#include <wire/names.h>
#include <wire/text.h>

#include "signer.h"

static void json_release(json_t **value)
{
    json_decref(*value);
}
#define JSON __attribute__((cleanup(json_release))) json_t

static bool refuse(struct import_row *row, const char *why)
{
    import_reason_set(&row->broken, "%s", why);
    return false;
}

/* Base64 by the URL alphabet, without padding (RFC 7515, 2). */
static bool base64url_read(struct span text, struct buf *out)
{
    uint8_t plain[BASE64_LEN(IMPORT_ROW_CAP)];
    struct buf b = BUF_OVER(plain);
    if (text.len > IMPORT_ROW_CAP || text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c == '+' || c == '/' || c == '=')
            return false;
        buf_put_u8(&b, c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (b.len % 4 != 0)
        buf_put_u8(&b, '=');
    return base64_read(buf_span(&b), out) == ERR_OK;
}

static struct span string_of(const json_t *value)
{
    return span_of(json_string_value(value), json_string_length(value));
}

/* ---- signatures ---- */

/* The only algorithm, and nothing in the header that would have to be understood. */
static bool header_is_es256(struct span protected_text)
{
    uint8_t bytes[4096];
    struct buf out = BUF_OVER(bytes);
    if (!base64url_read(protected_text, &out))
        return false;
    JSON *header = json_loadb((const char *)bytes, out.len, JSON_REJECT_DUPLICATES, NULL);
    const char *alg = json_string_value(json_object_get(header, "alg"));
    return alg != NULL && strcmp(alg, "ES256") == 0 && json_object_get(header, "crit") == NULL;
}

static bool signature_is_good(const struct jws_signers *signers, struct span protected_text,
                              struct span payload_text, struct span signature_text)
{
    uint8_t bytes[SIGNER_SIGNATURE_LEN];
    struct buf signature = BUF_OVER(bytes);
    return header_is_es256(protected_text) && base64url_read(signature_text, &signature) &&
           signature.len == sizeof bytes &&
           signers_verify(signers, protected_text, payload_text, bytes);
}

static bool object_is_signed(const struct jws_signers *signers, const json_t *object,
                             struct span payload_text)
{
    const json_t *protected_text = json_object_get(object, "protected");
    const json_t *signature = json_object_get(object, "signature");
    return json_is_string(protected_text) && json_is_string(signature) &&
           signature_is_good(signers, string_of(protected_text), payload_text,
                             string_of(signature));
}

static bool read_compact(const struct jws *j, struct span text, struct span *ret_payload)
{
    struct span protected_text = span_cut(&text, '.');
    struct span payload = span_cut(&text, '.');
    *ret_payload = payload;
    return text.at != NULL && memchr(text.at, '.', text.len) == NULL &&
           signature_is_good(j->signers, protected_text, payload, text);
}

/* One good signature is enough: others may be of parties not known here. */
static bool read_object(const struct jws *j, const json_t *object, struct span *ret_payload)
{
    size_t i;
    const json_t *one;
    const json_t *payload = json_object_get(object, "payload");
    const json_t *list = json_object_get(object, "signatures");
    if (!json_is_string(payload))
        return false;
    *ret_payload = string_of(payload);
    if (list == NULL)
        return object_is_signed(j->signers, object, *ret_payload);
    json_array_foreach(list, i, one)
    {
        if (object_is_signed(j->signers, one, *ret_payload))
            return true;
    }
    return false;
}

/* ---- the payload ---- */

static void put(struct buf *scratch, enum import_column column, struct span text, bool raw,
                struct import_row *row)
{
    size_t begin = scratch->len;
    buf_put(scratch, text);
    row->fields[column] = span_of(scratch->at + begin, scratch->len - begin);
    if (raw)
        row->raw |= 1u << column;
}

static bool coordinate_read(const json_t *jwk, const char *name, struct buf *out)
{
    const json_t *value = json_object_get(jwk, name);
    return json_is_string(value) && base64url_read(string_of(value), out);
}

static bool text_is(const json_t *jwk, const char *name, const char *want)
{
    const char *text = json_string_value(json_object_get(jwk, name));
    return text != NULL && strcmp(text, want) == 0;
}

/* RFC 7518, 6.2 and 6.3, as the public area that the default template makes of it. */
static bool jwk_read(struct buf *scratch, const json_t *jwk, struct import_row *row)
{
    uint8_t bytes[1024], e_bytes[8];
    struct buf key = BUF_OVER(bytes), e = BUF_OVER(e_bytes);
    struct tpm_public pub;
    bool rsa = text_is(jwk, "kty", "RSA");
    if (rsa) {
        if (!coordinate_read(jwk, "n", &key) || !coordinate_read(jwk, "e", &e))
            return refuse(row, "publicKeySet: the JWK is malformed");
    } else if (!text_is(jwk, "kty", "EC") || !coordinate_read(jwk, "x", &key) ||
               !coordinate_read(jwk, "y", &key)) {
        return refuse(row, "publicKeySet: the JWK is malformed");
    }
    bool fits =
        rsa ? key.len == TPM_RSA_LEN && span_equal(buf_span(&e), SPAN_LITERAL("\x01\x00\x01"))
            : key.len == 2 * TPM_ECC_LEN && text_is(jwk, "crv", "P-256");
    if (!fits)
        return refuse(row, "publicKeySet: the key is neither RSA-2048 with exponent 65537 nor "
                           "P-256, which is what the challenge serves");
    if (tpm_public_from_key(TPM_ROLE_EK, rsa ? TPM_KEY_RSA_2048 : TPM_KEY_ECC_P256, buf_span(&key),
                            &pub) != ERR_OK)
        return refuse(row, "publicKeySet: the key is malformed");
    put(scratch, COLUMN_ENDORSEMENT_KEY, span_of(pub.raw, pub.raw_len), true, row);
    return true;
}

/* The only key, or the only one to encrypt to. */
static const json_t *choose_key(const json_t *keys)
{
    const json_t *one, *chosen = NULL;
    size_t i;
    if (json_array_size(keys) == 1)
        return json_array_get(keys, 0);
    json_array_foreach(keys, i, one)
    {
        if (!text_is(one, "use", "enc"))
            continue;
        if (chosen != NULL)
            return NULL;
        chosen = one;
    }
    return chosen;
}

static bool read_key_set(struct buf *scratch, const json_t *set, struct import_row *row)
{
    const json_t *jwk = choose_key(json_object_get(set, "keys"));
    const json_t *certificate = json_array_get(json_object_get(jwk, "x5c"), 0);
    if (jwk == NULL)
        return refuse(row,
                      "publicKeySet: no key, or more than one to encrypt to (\"use\":\"enc\")");
    if (json_is_string(certificate))
        put(scratch, COLUMN_EK_CERTIFICATE, string_of(certificate), false, row);
    return jwk_read(scratch, jwk, row);
}

/* A payload's own fields: texts and the one boolean. */
static bool read_member(const struct jws *j, struct buf *scratch, const char *name,
                        const json_t *value, struct import_row *row)
{
    enum import_column column;
    if (strcmp(name, "publicKeySet") == 0)
        return read_key_set(scratch, value, row);
    if (strcmp(name, "uniqueId") == 0)
        column = COLUMN_REGISTRATION_ID;
    else if (!import_map_find(j->map, span_text(name), &column) || column == COLUMN_COUNT)
        return true;
    if (row->fields[column].len > 0)
        return refuse(row, "the payload has a field twice");
    if (json_is_boolean(value))
        put(scratch, column, span_text(json_is_true(value) ? "true" : "false"), false, row);
    else if (json_is_string(value))
        put(scratch, column, string_of(value), false, row);
    else
        return refuse(row, "a field of the payload is neither text nor boolean");
    return true;
}

static void read_payload(struct jws *j, struct span payload_text, struct import_row *row)
{
    struct buf payload = BUF_OVER(j->payload), scratch = BUF_OVER(j->scratch);
    const char *name;
    json_t *value;
    if (!base64url_read(payload_text, &payload)) {
        (void)refuse(row, "the payload is not base64url");
        return;
    }
    JSON *root = json_loadb((const char *)payload.at, payload.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root))
        (void)refuse(row, "the payload is not a JSON object");
    json_object_foreach(root, name, value)
    {
        if (!read_member(j, &scratch, name, value, row))
            return;
    }
    if (scratch.full)
        (void)refuse(row, "the payload is too long");
}

void jws_row_read(struct jws *j, struct span element, struct import_row *row)
{
    JSON *root = json_loadb((const char *)element.at, element.len,
                            JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    struct span payload_text = {0};
    bool good = json_is_string(root) ? read_compact(j, string_of(root), &payload_text)
                                     : read_object(j, root, &payload_text);
    if (good)
        read_payload(j, payload_text, row);
    else
        (void)refuse(row, root == NULL ? "not a JWS" : "no good ES256 signature of a given signer");
}
