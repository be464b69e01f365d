#include <wolfssl/options.h>

#include "jwskey.h"

#include <ekcert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <wire/text.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>

#define FILE_CAP 65536
#define SIGNATURE_LEN 64 /* of both kinds */
#define HALF 32

static enum err refuse(const char *why, struct import_reason *ret_reason)
{
    import_reason_set(ret_reason, "%s", why);
    return ERR_CONFIG;
}

/* ---- base64url without padding, RFC 7515 appendix C ---- */

static void put_url(struct buf *out, struct span bytes)
{
    size_t from = out->len;
    base64_write(out, bytes);
    if (out->full)
        return;
    while (out->len > from && out->at[out->len - 1] == '=')
        out->len--;
    for (size_t i = from; i < out->len; i++)
        out->at[i] = out->at[i] == '+' ? '-' : out->at[i] == '/' ? '_' : out->at[i];
}

/* Reads it by writing it anew: only the one canonical spelling is taken. */
static bool read_url(struct span text, struct buf *out)
{
    size_t whole = text.len / 4 * 4;
    uint8_t tail[4] = "====";
    size_t begin = out->len;
    uint8_t quad[4];
    for (size_t i = 0; i < text.len; i += 4) {
        size_t n = i < whole ? 4 : text.len - whole;
        memcpy(quad, tail, 4);
        for (size_t k = 0; k < n; k++) {
            uint8_t c = text.at[i + k];
            if (c == '+' || c == '/' || c == '=')
                return false;
            quad[k] = c == '-' ? '+' : c == '_' ? '/' : c;
        }
        if (base64_read(SPAN_ARRAY(quad), out) != ERR_OK)
            return false;
    }
    return out->len > begin;
}

/* ---- keys ---- */

/* The first block of a key or a certificate; what else stands there, as curve parameters do, is passed
 * over. */
static enum err pem_take(char *text, struct buf *der)
{
    char *begin = text, *body = NULL, *end = NULL;
    while ((begin = strstr(begin, "-----BEGIN ")) != NULL) {
        body = strstr(begin + 11, "-----");
        end = body == NULL ? NULL : strstr(body + 5, "-----END ");
        if (end == NULL)
            return ERR_ENCODING;
        struct span label = span_of((uint8_t *)begin + 11, (size_t)(body - begin) - 11);
        if (span_equal(label, SPAN_LITERAL("CERTIFICATE")) ||
            (label.len >= 3 && memcmp(label.at + label.len - 3, "KEY", 3) == 0))
            break;
        begin = end;
    }
    if (begin == NULL)
        return ERR_ABSENT;
    size_t len = 0;
    for (char *c = body + 5; c < end; c++)
        if (strchr(" \t\r\n", *c) == NULL)
            body[len++] = *c;
    return base64_read(span_of((uint8_t *)body, len), der);
}

/* The first PEM block of a file, or the whole of it as DER. */
static enum err read_key_file(const char *path, struct buf *der, struct import_reason *ret_reason)
{
    char bytes[FILE_CAP];
    FILE *in = fopen(path, "rbe");
    size_t len = in == NULL ? 0 : fread(bytes, 1, sizeof bytes - 1, in);
    if (in != NULL)
        (void)fclose(in);
    bytes[len] = 0;
    if (len == 0 || len == sizeof bytes - 1)
        return refuse("the key's file cannot be read", ret_reason);
    enum err e = ERR_OK;
    if (bytes[0] == 0x30)
        buf_put(der, span_of((uint8_t *)bytes, len));
    else
        e = pem_take(bytes, der);
    bytes_wipe(bytes, sizeof bytes);
    if (e != ERR_OK || der->full)
        return refuse("the key's file is neither PEM nor DER", ret_reason);
    return ERR_OK;
}

struct verifier {
    bool ed25519;
    uint8_t point[65]; /* 04 x y, or the 32 bytes of Ed25519 */
};

/* SubjectPublicKeyInfo of an Ed25519 key, RFC 8410. */
static const uint8_t ed25519_before[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                         0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

static bool verifier_of(struct span der, struct verifier *ret_verifier)
{
    struct ekcert cert;
    struct span spki = der;
    if (ekcert_read(der, &cert) == ERR_OK)
        spki = cert.spki;
    if (spki.len == sizeof ed25519_before + HALF &&
        span_starts_with(spki, SPAN_ARRAY(ed25519_before))) {
        ret_verifier->ed25519 = true;
        memcpy(ret_verifier->point, spki.at + sizeof ed25519_before, HALF);
        return true;
    }
    ekcert_public_key_read(spki, &cert);
    if (cert.key != EKCERT_KEY_ECC_P256 || cert.point.len != sizeof ret_verifier->point)
        return false;
    ret_verifier->ed25519 = false;
    memcpy(ret_verifier->point, cert.point.at, cert.point.len);
    return true;
}

static bool ed25519_good(const struct verifier *v, struct span signed_text, const uint8_t *signature)
{
    ed25519_key key;
    int good = 0;
    if (wc_ed25519_init(&key) != 0)
        return false;
    bool ok = wc_ed25519_import_public(v->point, HALF, &key) == 0 &&
              wc_ed25519_verify_msg(signature, SIGNATURE_LEN, signed_text.at,
                                    (word32)signed_text.len, &good, &key) == 0;
    wc_ed25519_free(&key);
    return ok && good == 1;
}

static bool es256_good(const struct verifier *v, struct span signed_text, const uint8_t *signature)
{
    uint8_t hash[WC_SHA256_DIGEST_SIZE], der[80];
    word32 der_len = sizeof der;
    int good = 0;
    ecc_key key;
    if (wc_ecc_init(&key) != 0)
        return false;
    bool ok = wc_Sha256Hash(signed_text.at, (word32)signed_text.len, hash) == 0 &&
              wc_ecc_import_x963_ex(v->point, sizeof v->point, &key, ECC_SECP256R1) == 0 &&
              wc_ecc_check_key(&key) == 0 &&
              wc_ecc_rs_raw_to_sig(signature, HALF, signature + HALF, HALF, der, &der_len) == 0 &&
              wc_ecc_verify_hash(der, der_len, hash, sizeof hash, &good, &key) == 0;
    wc_ecc_free(&key);
    return ok && good == 1;
}

/* ---- checking ---- */

static bool header_says(struct span text, const char *algorithm)
{
    uint8_t bytes[1024];
    struct buf out = BUF_OVER(bytes);
    json_error_t error;
    if (!read_url(text, &out))
        return false;
    json_t *header =
        json_loadb((const char *)out.at, out.len, JSON_REJECT_DUPLICATES, &error);
    const char *said = json_string_value(json_object_get(header, "alg"));
    bool same = said != NULL && strcmp(said, algorithm) == 0 &&
                json_object_get(header, "crit") == NULL;
    json_decref(header);
    return same;
}

enum err jwskey_open(struct span jws, const char *signer, struct buf *payload,
                     struct import_reason *ret_reason)
{
    uint8_t key_bytes[FILE_CAP], signature_bytes[SIGNATURE_LEN + 8];
    struct buf der = BUF_OVER(key_bytes), signature = BUF_OVER(signature_bytes);
    struct verifier v;
    TRY(read_key_file(signer, &der, ret_reason));
    if (!verifier_of(buf_span(&der), &v))
        return refuse("the signer's key is neither P-256 nor Ed25519", ret_reason);
    struct span rest = jws;
    struct span header = span_cut(&rest, '.');
    struct span body = span_cut(&rest, '.');
    if (!header_says(header, v.ed25519 ? "EdDSA" : "ES256") || !read_url(rest, &signature) ||
        signature.len != SIGNATURE_LEN)
        return refuse("is not a compact JWS signed in the way of the signer's key", ret_reason);
    struct span signed_text = span_of(jws.at, header.len + 1 + body.len);
    if (!(v.ed25519 ? ed25519_good(&v, signed_text, signature_bytes)
                    : es256_good(&v, signed_text, signature_bytes)))
        return refuse("the signature is not the signer's", ret_reason);
    if (!read_url(body, payload))
        return refuse("the payload is not base64url", ret_reason);
    return ERR_OK;
}

/* ---- signing ---- */

static bool es256_sign(struct span der, struct span text, uint8_t ret_signature[SIGNATURE_LEN])
{
    uint8_t hash[WC_SHA256_DIGEST_SIZE], sig[80], r[HALF], s[HALF];
    word32 at = 0, len = sizeof sig, r_len = HALF, s_len = HALF;
    ecc_key key;
    WC_RNG rng;
    if (wc_ecc_init(&key) != 0)
        return false;
    bool seeded = wc_InitRng(&rng) == 0;
    bool ok = seeded && wc_EccPrivateKeyDecode(der.at, &at, &key, (word32)der.len) == 0 &&
              wc_ecc_size(&key) == HALF &&
              wc_Sha256Hash(text.at, (word32)text.len, hash) == 0 &&
              wc_ecc_sign_hash(hash, sizeof hash, sig, &len, &rng, &key) == 0 &&
              wc_ecc_sig_to_rs(sig, len, r, &r_len, s, &s_len) == 0;
    if (ok) {
        memset(ret_signature, 0, SIGNATURE_LEN);
        memcpy(ret_signature + HALF - r_len, r, r_len);
        memcpy(ret_signature + SIGNATURE_LEN - s_len, s, s_len);
    }
    if (seeded)
        (void)wc_FreeRng(&rng);
    wc_ecc_free(&key);
    return ok;
}

static bool ed25519_key_of(struct span der, ed25519_key *key)
{
    uint8_t public_key[HALF];
    word32 at = 0;
    return wc_Ed25519PrivateKeyDecode(der.at, &at, key, (word32)der.len) == 0 &&
           wc_ed25519_make_public(key, public_key, HALF) == 0 &&
           wc_ed25519_import_private_key(key->k, HALF, public_key, HALF, key) == 0;
}

static bool ed25519_sign(struct span der, struct span text, uint8_t ret_signature[SIGNATURE_LEN])
{
    word32 len = SIGNATURE_LEN;
    ed25519_key key;
    if (wc_ed25519_init(&key) != 0)
        return false;
    bool ok = ed25519_key_of(der, &key) &&
              wc_ed25519_sign_msg(text.at, (word32)text.len, ret_signature, &len, &key) == 0;
    wc_ed25519_free(&key);
    return ok;
}

/* The decoder of Ed25519 keys takes others for its own: the algorithm's identifier tells. */
static bool is_ed25519(struct span der)
{
    static const uint8_t algorithm[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};
    for (size_t i = 0; i + sizeof algorithm <= der.len && i < 16; i++)
        if (memcmp(der.at + i, algorithm, sizeof algorithm) == 0)
            return true;
    return false;
}

enum err jwskey_sign(const char *key, struct span payload, struct buf *out,
                     struct import_reason *ret_reason)
{
    static const char es256[] = "{\"alg\":\"ES256\"}", eddsa[] = "{\"alg\":\"EdDSA\"}";
    uint8_t bytes[FILE_CAP], signature[SIGNATURE_LEN];
    struct buf der = BUF_OVER(bytes);
    TRY(read_key_file(key, &der, ret_reason));
    bool ed = is_ed25519(buf_span(&der));
    put_url(out, span_text(ed ? eddsa : es256));
    buf_put_u8(out, '.');
    put_url(out, payload);
    bool ok = !out->full && (ed ? ed25519_sign(buf_span(&der), buf_span(out), signature)
                                : es256_sign(buf_span(&der), buf_span(out), signature));
    bytes_wipe(bytes, sizeof bytes);
    if (!ok)
        return refuse("not a private key of P-256 or Ed25519, or too many files", ret_reason);
    buf_put_u8(out, '.');
    put_url(out, SPAN_ARRAY(signature));
    return out->full ? refuse("too many files", ret_reason) : ERR_OK;
}
