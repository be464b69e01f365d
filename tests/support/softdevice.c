#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "softdevice.h"

#include <stdlib.h>
#include <wire/names.h>
#include <wire/sas.h>
#include <wire/text.h>
#include <wire/tpmblob.h>

#define HASH 32
#define AES 16
#define SEED_CAP 32

struct key {
    enum tpm_key_kind kind;
    bool open;
    union {
        RsaKey rsa;
        ecc_key ecc;
    };
    struct tpm_public pub;
};

struct softdevice {
    WC_RNG rng;
    bool has_rng;
    struct key ek, srk;
};

/* ---- keys ---- */
static void key_close(struct key *k)
{
    if (k->open && k->kind == TPM_KEY_RSA_2048)
        wc_FreeRsaKey(&k->rsa);
    if (k->open && k->kind == TPM_KEY_ECC_P256)
        wc_ecc_free(&k->ecc);
    k->open = false;
}

static bool key_begin(struct key *k, enum tpm_key_kind kind)
{
    key_close(k);
    k->kind = kind;
    k->open = kind == TPM_KEY_RSA_2048 ? wc_InitRsaKey(&k->rsa, NULL) == 0
                                       : wc_ecc_init(&k->ecc) == 0;
    return k->open;
}

/* The private part is there: blinding, and the public area a TPM would show. */
static enum err key_complete(struct key *k, WC_RNG *rng, enum tpm_key_role role)
{
    uint8_t material[TPM_RSA_LEN], exponent[8];
    word32 n = TPM_RSA_LEN, e = sizeof exponent, x = TPM_ECC_LEN, y = TPM_ECC_LEN;
    if (k->kind == TPM_KEY_RSA_2048) {
        if (wc_RsaSetRNG(&k->rsa, rng) != 0 ||
            wc_RsaFlattenPublicKey(&k->rsa, exponent, &e, material, &n) != 0)
            return ERR_CRYPTO;
        return tpm_public_from_key(role, k->kind, span_of(material, n), &k->pub);
    }
    if (wc_ecc_set_rng(&k->ecc, rng) != 0 ||
        wc_ecc_export_public_raw(&k->ecc, material, &x, material + TPM_ECC_LEN, &y) != 0)
        return ERR_CRYPTO;
    return tpm_public_from_key(role, k->kind, span_of(material, x + y), &k->pub);
}

static enum err key_make(struct key *k, WC_RNG *rng, enum tpm_key_kind kind, enum tpm_key_role role)
{
    if (!key_begin(k, kind))
        return ERR_CRYPTO;
    int rc = kind == TPM_KEY_RSA_2048 ? wc_MakeRsaKey(&k->rsa, 2048, WC_RSA_EXPONENT, rng)
                                      : wc_ecc_make_key_ex(rng, 32, &k->ecc, ECC_SECP256R1);
    return rc == 0 ? key_complete(k, rng, role) : ERR_CRYPTO;
}

static void key_write(struct key *k, struct buf *out)
{
    uint8_t der[2048];
    word32 len = TPM_ECC_LEN;
    buf_put_u8(out, (uint8_t)k->kind);
    if (k->kind == TPM_KEY_RSA_2048)
        len = (word32)wc_RsaKeyToDer(&k->rsa, der, sizeof der);
    else
        ERR_ASSERT(wc_ecc_export_private_only(&k->ecc, der, &len) == 0);
    ERR_ASSERT(len < sizeof der);
    size_t mark = buf_open_u16(out);
    buf_put(out, span_of(der, len));
    if (k->kind == TPM_KEY_ECC_P256)
        buf_put(out, span_of(k->pub.key, k->pub.key_len));
    buf_close_u16(out, mark);
}

static enum err key_read(struct key *k, WC_RNG *rng, enum tpm_key_role role, struct rd *r)
{
    enum tpm_key_kind kind = (enum tpm_key_kind)rd_u8(r);
    struct span der = rd_sized_u16(r);
    word32 at = 0;
    if (r->bad || (kind != TPM_KEY_RSA_2048 && kind != TPM_KEY_ECC_P256) || !key_begin(k, kind))
        return ERR_CRYPTO;
    if (kind == TPM_KEY_RSA_2048) {
        if (wc_RsaPrivateKeyDecode(der.at, &at, &k->rsa, (word32)der.len) != 0)
            return ERR_CRYPTO;
    } else if (der.len != 3 * TPM_ECC_LEN ||
               wc_ecc_import_unsigned(&k->ecc, der.at + 32, der.at + 64, der.at,
                                      ECC_SECP256R1) != 0) {
        return ERR_CRYPTO;
    }
    return key_complete(k, rng, role);
}

/* ---- the device ---- */
static enum err begin(struct softdevice **ret_device)
{
    struct softdevice *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ERR_MEMORY;
    d->has_rng = wc_InitRng(&d->rng) == 0;
    if (!d->has_rng) {
        softdevice_close(d);
        return ERR_ENTROPY;
    }
    *ret_device = d;
    return ERR_OK;
}

static enum err finish(struct softdevice *d, enum err e, struct softdevice **ret_device)
{
    if (e == ERR_OK)
        *ret_device = d;
    else
        softdevice_close(d);
    return e;
}

enum err softdevice_open(enum tpm_key_kind ek, enum tpm_key_kind srk,
                         struct softdevice **ret_device)
{
    struct softdevice *d = NULL;
    TRY(begin(&d));
    enum err e = key_make(&d->ek, &d->rng, ek, TPM_ROLE_EK);
    if (e == ERR_OK)
        e = key_make(&d->srk, &d->rng, srk, TPM_ROLE_SRK);
    return finish(d, e, ret_device);
}

void softdevice_close(struct softdevice *d)
{
    if (d == NULL)
        return;
    key_close(&d->ek);
    key_close(&d->srk);
    if (d->has_rng)
        wc_FreeRng(&d->rng);
    free(d);
}

void softdevice_write(struct softdevice *d, struct buf *out)
{
    key_write(&d->ek, out);
    key_write(&d->srk, out);
}

enum err softdevice_read(struct span written, struct softdevice **ret_device)
{
    struct softdevice *d = NULL;
    struct rd r = rd_over(written);
    TRY(begin(&d));
    enum err e = key_read(&d->ek, &d->rng, TPM_ROLE_EK, &r);
    if (e == ERR_OK)
        e = key_read(&d->srk, &d->rng, TPM_ROLE_SRK, &r);
    if (e == ERR_OK)
        e = rd_end(&r);
    return finish(d, e, ret_device);
}

enum err softdevice_renew_srk(struct softdevice *d, enum tpm_key_kind kind)
{
    return key_make(&d->srk, &d->rng, kind, TPM_ROLE_SRK);
}

enum err softdevice_share_srk(struct softdevice *d, struct softdevice *other)
{
    uint8_t written[SOFTDEVICE_CAP];
    struct buf b = BUF_OVER(written);
    key_write(&other->srk, &b);
    TRY(buf_end(&b));
    struct rd r = rd_over(buf_span(&b));
    return key_read(&d->srk, &d->rng, TPM_ROLE_SRK, &r);
}

const struct tpm_public *softdevice_ek(const struct softdevice *d) { return &d->ek.pub; }

const struct tpm_public *softdevice_srk(const struct softdevice *d) { return &d->srk.pub; }

/* ---- what a TPM computes ---- */
static enum err sha256(struct span a, struct span b, struct span c, uint8_t ret_digest[HASH])
{
    wc_Sha256 sha;
    if (wc_InitSha256(&sha) != 0)
        return ERR_CRYPTO;
    bool done = wc_Sha256Update(&sha, a.at, (word32)a.len) == 0 &&
                (b.len == 0 || wc_Sha256Update(&sha, b.at, (word32)b.len) == 0) &&
                (c.len == 0 || wc_Sha256Update(&sha, c.at, (word32)c.len) == 0) &&
                wc_Sha256Final(&sha, ret_digest) == 0;
    wc_Sha256Free(&sha);
    return done ? ERR_OK : ERR_CRYPTO;
}

/* Part 1, 11.4.10.2, one block: label without its NUL, which is written here. */
static enum err kdfa(struct span seed, const char *label, struct span context, uint32_t bits,
                     uint8_t ret_key[HASH])
{
    uint8_t message[256];
    struct buf b = BUF_OVER(message);
    buf_put_u32(&b, 1);
    buf_put_text(&b, label);
    buf_put_u8(&b, 0);
    buf_put(&b, context);
    buf_put_u32(&b, bits);
    TRY(buf_end(&b));
    return sas_sign(seed, buf_span(&b), ret_key);
}

static enum err cfb_open(const uint8_t key[AES], struct span in, uint8_t *ret_out)
{
    static const uint8_t iv[AES];
    struct Aes aes;
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0)
        return ERR_CRYPTO;
    bool done = wc_AesSetKey(&aes, key, AES, iv, AES_ENCRYPTION) == 0 &&
                wc_AesCfbDecrypt(&aes, ret_out, in.at, (word32)in.len) == 0;
    wc_AesFree(&aes);
    return done ? ERR_OK : ERR_CRYPTO;
}

static enum err rsa_seed(struct key *k, struct span secret, const char *label,
                         uint8_t ret_seed[SEED_CAP])
{
    uint8_t terminated[16], in[TPM_RSA_LEN], out[TPM_RSA_LEN];
    struct buf l = BUF_OVER(terminated), copy = BUF_OVER(in);
    buf_put_text(&l, label);
    buf_put_u8(&l, 0);
    buf_put(&copy, secret);
    if (l.full || copy.full || copy.len != TPM_RSA_LEN)
        return ERR_TPM_ACTIVATE;
    int len = wc_RsaPrivateDecrypt_ex(in, TPM_RSA_LEN, out, sizeof out, &k->rsa, WC_RSA_OAEP_PAD,
                                      WC_HASH_TYPE_SHA256, WC_MGF1SHA256, terminated,
                                      (word32)l.len);
    if (len != SEED_CAP)
        return ERR_TPM_ACTIVATE;
    for (int i = 0; i < SEED_CAP; i++)
        ret_seed[i] = out[i];
    return ERR_OK;
}

/* Part 1, C.6.3: KDFe(Z, label, the ephemeral point's x, the own point's x). */
static enum err ecc_seed(struct key *k, struct span secret, const char *label,
                         uint8_t ret_seed[SEED_CAP])
{
    struct rd r = rd_over(secret);
    struct span x = rd_sized_u16(&r);
    struct span y = rd_sized_u16(&r);
    uint8_t z[TPM_ECC_LEN], head[64], parties[2 * TPM_ECC_LEN];
    struct buf h = BUF_OVER(head), p = BUF_OVER(parties);
    word32 len = sizeof z;
    ecc_key peer;
    if (rd_end(&r) != ERR_OK || x.len != TPM_ECC_LEN || y.len != TPM_ECC_LEN ||
        wc_ecc_init(&peer) != 0)
        return ERR_TPM_ACTIVATE;
    bool done = wc_ecc_import_unsigned(&peer, x.at, y.at, NULL, ECC_SECP256R1) == 0 &&
                wc_ecc_shared_secret(&k->ecc, &peer, z, &len) == 0 && len == sizeof z;
    wc_ecc_free(&peer);
    if (!done)
        return ERR_TPM_ACTIVATE;
    buf_put_u32(&h, 1);
    buf_put(&h, SPAN_ARRAY(z));
    buf_put_text(&h, label);
    buf_put_u8(&h, 0);
    buf_put(&p, x);
    buf_put(&p, span_of(k->pub.key, TPM_ECC_LEN));
    return sha256(buf_span(&h), buf_span(&p), SPAN_LITERAL(""), ret_seed);
}

static enum err seed_of(struct key *k, struct span secret, const char *label,
                        uint8_t ret_seed[SEED_CAP])
{
    return k->kind == TPM_KEY_RSA_2048 ? rsa_seed(k, secret, label, ret_seed)
                                       : ecc_seed(k, secret, label, ret_seed);
}

/* Undoes the outer layer that credential and duplicate have in common: 0020, HMAC, ciphertext. */
static enum err open_outer(struct span wrapped, const uint8_t seed[SEED_CAP], struct span name,
                           uint8_t *ret_plain, size_t cap, size_t *ret_len)
{
    uint8_t mac_key[HASH], mac[HASH], aes_key[HASH], message[512];
    struct rd r = rd_over(wrapped);
    struct span tag = rd_sized_u16(&r);
    struct buf m = BUF_OVER(message);
    if (r.bad || tag.len != HASH || r.rest.len > cap)
        return ERR_TPM_ACTIVATE;
    buf_put(&m, r.rest);
    buf_put(&m, name);
    TRY(kdfa(span_of(seed, SEED_CAP), "INTEGRITY", SPAN_LITERAL(""), 256, mac_key));
    TRY(kdfa(span_of(seed, SEED_CAP), "STORAGE", name, 128, aes_key));
    TRY(sas_sign(SPAN_ARRAY(mac_key), buf_span(&m), mac));
    if (m.full || !span_equal(tag, SPAN_ARRAY(mac)))
        return ERR_TPM_ACTIVATE;
    *ret_len = r.rest.len;
    return cfb_open(aes_key, r.rest, ret_plain);
}

static enum err open_credential(struct softdevice *d, const struct tpmblob *blob,
                                uint8_t ret_inner_key[AES])
{
    uint8_t seed[SEED_CAP], name[TPM_NAME_LEN], plain[64];
    size_t len = 0;
    TRY(tpm_public_name(&d->srk.pub, name));
    TRY(seed_of(&d->ek, blob->credential_secret, "IDENTITY", seed));
    TRY(open_outer(blob->credential, seed, SPAN_ARRAY(name), plain, sizeof plain, &len));
    struct rd r = rd_over(span_of(plain, len));
    struct span key = rd_sized_u16(&r);
    if (rd_end(&r) != ERR_OK || key.len != AES)
        return ERR_TPM_ACTIVATE;
    for (int i = 0; i < AES; i++)
        ret_inner_key[i] = key.at[i];
    return ERR_OK;
}

static enum err read_sensitive(struct span sensitive, struct span public_area,
                               struct secret *ret_key)
{
    uint8_t unique[HASH];
    struct rd outer = rd_over(sensitive);
    struct rd r = rd_over(rd_sized_u16(&outer));
    uint16_t type = rd_u16(&r);
    struct span auth = rd_sized_u16(&r);
    struct span seed_value = rd_sized_u16(&r);
    struct span key = rd_sized_u16(&r);
    if (rd_end(&outer) != ERR_OK || rd_end(&r) != ERR_OK || type != 0x0008 || auth.len != 0)
        return ERR_TPM_ACTIVATE;
    TRY(sha256(seed_value, key, SPAN_LITERAL(""), unique));
    if (public_area.len < HASH ||
        !span_equal(span_slice(public_area, public_area.len - HASH, HASH), SPAN_ARRAY(unique)))
        return ERR_TPM_ACTIVATE;
    return secret_set(ret_key, key);
}

static enum err open_duplicate(struct softdevice *d, const struct tpmblob *blob,
                               const uint8_t inner_key[AES], struct secret *ret_key)
{
    uint8_t seed[SEED_CAP], name[TPM_NAME_LEN] = {0x00, 0x0b}, inner[256], plain[256], hash[HASH];
    size_t len = 0;
    TRY(sha256(blob->public_area, SPAN_LITERAL(""), SPAN_LITERAL(""), name + 2));
    TRY(seed_of(&d->srk, blob->duplicate_secret, "DUPLICATE", seed));
    TRY(open_outer(blob->duplicate, seed, SPAN_ARRAY(name), inner, sizeof inner, &len));
    TRY(cfb_open(inner_key, span_of(inner, len), plain));
    struct rd r = rd_over(span_of(plain, len));
    struct span claimed = rd_sized_u16(&r);
    if (r.bad)
        return ERR_TPM_ACTIVATE;
    TRY(sha256(r.rest, SPAN_ARRAY(name), SPAN_LITERAL(""), hash));
    if (!span_equal(claimed, SPAN_ARRAY(hash)))
        return ERR_TPM_ACTIVATE;
    return read_sensitive(r.rest, blob->public_area, ret_key);
}

enum err softdevice_activate(struct softdevice *d, struct span blob, struct secret *ret_key)
{
    struct tpmblob b;
    uint8_t inner_key[AES];
    TRY(tpmblob_read(blob, &b));
    TRY(tpmblob_identity_public_check(b.public_area));
    TRY(open_credential(d, &b, inner_key));
    return open_duplicate(d, &b, inner_key, ret_key);
}

enum err softdevice_activate_base64(struct softdevice *d, struct span base64,
                                    struct secret *ret_key)
{
    uint8_t blob[TPMBLOB_CAP];
    struct buf b = BUF_OVER(blob);
    TRY(base64_read(base64, &b));
    return softdevice_activate(d, buf_span(&b), ret_key);
}

/* ---- what a device says ---- */
static void put_key(struct buf *out, const char *name, const struct tpm_public *pub)
{
    buf_put_u8(out, '"');
    buf_put_text(out, name);
    buf_put_text(out, "\":\"");
    base64_write(out, span_of(pub->raw, pub->raw_len));
    buf_put_u8(out, '"');
}

void softdevice_put_body(const struct softdevice *d, const char *registration_id, bool with_keys,
                         struct buf *out)
{
    buf_put_text(out, "{\"" NAME_REGISTRATION_ID "\":\"");
    buf_put_text(out, registration_id);
    buf_put_u8(out, '"');
    if (with_keys) {
        buf_put_text(out, ",\"" NAME_TPM "\":{");
        put_key(out, NAME_ENDORSEMENT_KEY, &d->ek.pub);
        buf_put_u8(out, ',');
        put_key(out, NAME_STORAGE_ROOT_KEY, &d->srk.pub);
        buf_put_u8(out, '}');
    }
    buf_put_u8(out, '}');
}

enum err softdevice_put_token(const struct secret *key, const char *resource, int64_t expiry_s,
                              struct buf *out)
{
    uint8_t escaped[512], message[640], signature[SAS_SIGNATURE_LEN];
    struct buf sr = BUF_OVER(escaped), m = BUF_OVER(message);
    percent_write(&sr, span_text(resource));
    sas_message_write(&m, buf_span(&sr), expiry_s);
    TRY(buf_end(&sr));
    TRY(buf_end(&m));
    TRY(sas_sign(secret_span(key), buf_span(&m), signature));
    sas_token_write(out, buf_span(&sr), signature, expiry_s, SPAN_LITERAL(KEY_NAME_REGISTRATION));
    return buf_end(out);
}
