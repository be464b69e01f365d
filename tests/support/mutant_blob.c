#include <wolfssl/options.h>

#include <mutant_blob.h>
#include <string.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/integer.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>

/* Nothing is shared with attest_wrap but SHA-256, the AES block and the elliptic curve: HMAC, the
 * feedback mode, both derivations and OAEP are written out here once more. */

#define HASH 32
#define NONE ((struct span){0})

static const char *const names[MISTAKE_COUNT] = {
    [MISTAKE_NONE] = "NONE",
    [MISTAKE_NAME_OF_EK] = "NAME_OF_EK",
    [MISTAKE_NAME_WITH_SIZE] = "NAME_WITH_SIZE",
    [MISTAKE_NAME_WITHOUT_ALGORITHM] = "NAME_WITHOUT_ALGORITHM",
    [MISTAKE_IDENTITY_LABEL_STORAGE] = "IDENTITY_LABEL_STORAGE",
    [MISTAKE_IDENTITY_LABEL_WITHOUT_NUL] = "IDENTITY_LABEL_WITHOUT_NUL",
    [MISTAKE_CREDENTIAL_HMAC_WITHOUT_NAME] = "CREDENTIAL_HMAC_WITHOUT_NAME",
    [MISTAKE_KDFA_LABEL_WITHOUT_NUL] = "KDFA_LABEL_WITHOUT_NUL",
    [MISTAKE_IDENTITY_PARTIES_SWAPPED] = "IDENTITY_PARTIES_SWAPPED",
    [MISTAKE_IDENTITY_Z_IS_Y] = "IDENTITY_Z_IS_Y",
    [MISTAKE_INNER_HASH_WITHOUT_SIZE] = "INNER_HASH_WITHOUT_SIZE",
    [MISTAKE_INNER_HASH_WITHOUT_NAME] = "INNER_HASH_WITHOUT_NAME",
    [MISTAKE_INNER_HASH_SWAPPED] = "INNER_HASH_SWAPPED",
    [MISTAKE_OUTER_HMAC_SRK_NAME] = "OUTER_HMAC_SRK_NAME",
    [MISTAKE_OUTER_HMAC_WITHOUT_NAME] = "OUTER_HMAC_WITHOUT_NAME",
    [MISTAKE_OUTER_HMAC_OVER_INNER] = "OUTER_HMAC_OVER_INNER",
    [MISTAKE_OUTER_HMAC_ALTERED] = "OUTER_HMAC_ALTERED",
    [MISTAKE_DUPLICATE_LABEL_IDENTITY] = "DUPLICATE_LABEL_IDENTITY",
    [MISTAKE_DUPLICATE_LABEL_WITHOUT_NUL] = "DUPLICATE_LABEL_WITHOUT_NUL",
    [MISTAKE_DUPLICATE_TO_EK] = "DUPLICATE_TO_EK",
    [MISTAKE_DUPLICATE_PARTIES_SWAPPED] = "DUPLICATE_PARTIES_SWAPPED",
    [MISTAKE_INNER_KEY_32] = "INNER_KEY_32",
    [MISTAKE_INNER_ONLY_ENCRYPTED_DUPLICATION] = "INNER_ONLY_ENCRYPTED_DUPLICATION",
    [MISTAKE_UNIQUE_SWAPPED] = "UNIQUE_SWAPPED",
    [MISTAKE_SCHEME_NULL] = "SCHEME_NULL",
    [MISTAKE_SIGN_AND_DECRYPT] = "SIGN_AND_DECRYPT",
    [MISTAKE_FIXED_TPM] = "FIXED_TPM",
    [MISTAKE_FIXED_PARENT] = "FIXED_PARENT",
    [MISTAKE_RESTRICTED] = "RESTRICTED",
    [MISTAKE_NO_USER_WITH_AUTH] = "NO_USER_WITH_AUTH",
    [MISTAKE_NO_NO_DA] = "NO_NO_DA",
    [MISTAKE_OTHER_KEY] = "OTHER_KEY",
    [MISTAKE_TRAILER_SIZE_MISSING] = "TRAILER_SIZE_MISSING",
    [VARIANT_TRAILING_BYTES] = "TRAILING_BYTES",
    [VARIANT_INNER_ONLY] = "INNER_ONLY",
    [VARIANT_ENCRYPTED_DUPLICATION] = "ENCRYPTED_DUPLICATION",
    [VARIANT_SENSITIVE_DATA_ORIGIN] = "SENSITIVE_DATA_ORIGIN",
    [VARIANT_CREDENTIAL_SEED_16] = "CREDENTIAL_SEED_16",
};

const char *mistake_name(enum mistake m)
{
    return names[m];
}

/* ---- primitives ---- */

void mutant_sha256(struct span a, struct span b, uint8_t ret_digest[HASH])
{
    uint8_t both[1024];
    struct buf text = BUF_OVER(both);
    buf_put(&text, a);
    buf_put(&text, b);
    ERR_ASSERT(buf_end(&text) == ERR_OK);
    ERR_ASSERT(wc_Sha256Hash(both, (word32)text.len, ret_digest) == 0);
}

/* RFC 2104, keys of one block at most. */
static void hmac(struct span key, struct span a, struct span b, uint8_t out[HASH])
{
    uint8_t inner[64] = {0};
    uint8_t outer[64] = {0};
    uint8_t digest[HASH];
    uint8_t both[512];
    struct buf text = BUF_OVER(both);
    ERR_ASSERT(key.len <= sizeof inner);
    for (size_t i = 0; i < sizeof inner; i++) {
        uint8_t k = i < key.len ? key.at[i] : 0;
        inner[i] = k ^ 0x36;
        outer[i] = k ^ 0x5c;
    }
    buf_put(&text, a);
    buf_put(&text, b);
    ERR_ASSERT(buf_end(&text) == ERR_OK);
    mutant_sha256(SPAN_ARRAY(inner), buf_span(&text), digest);
    mutant_sha256(SPAN_ARRAY(outer), SPAN_ARRAY(digest), out);
}

/* CFB: each block is xored with the encryption of the cipher text before it. */
static void cfb(const uint8_t *key, size_t key_len, uint8_t *bytes, size_t len)
{
    Aes aes;
    uint8_t before[16] = {0};
    uint8_t stream[16];
    ERR_ASSERT(wc_AesInit(&aes, NULL, INVALID_DEVID) == 0);
    ERR_ASSERT(wc_AesSetKeyDirect(&aes, key, (word32)key_len, before, AES_ENCRYPTION) == 0);
    for (size_t i = 0; i < len; i++) {
        if (i % 16 == 0)
            ERR_ASSERT(wc_AesEncryptDirect(&aes, stream, before) == 0);
        bytes[i] ^= stream[i % 16];
        before[i % 16] = bytes[i];
    }
    wc_AesFree(&aes);
}

static void kdfa(const struct mutant *m, struct span seed, const char *label, struct span context,
                 uint32_t bits, uint8_t *key)
{
    uint8_t bytes[128];
    uint8_t block[HASH];
    struct buf message = BUF_OVER(bytes);
    buf_put_u32(&message, 1);
    buf_put_text(&message, label);
    if (m->mistake != MISTAKE_KDFA_LABEL_WITHOUT_NUL)
        buf_put_u8(&message, 0);
    buf_put(&message, context);
    buf_put_u32(&message, bits);
    hmac(seed, buf_span(&message), NONE, block);
    memcpy(key, block, bits / 8);
}

void mutant_kdfe(const uint8_t z[HASH], struct span label, const uint8_t ephemeral_x[32],
                 const uint8_t recipient_x[32], uint8_t ret_seed[HASH])
{
    uint8_t bytes[256];
    struct buf message = BUF_OVER(bytes);
    buf_put_u32(&message, 1);
    buf_put(&message, span_of(z, HASH));
    buf_put(&message, label);
    buf_put(&message, span_of(ephemeral_x, 32));
    buf_put(&message, span_of(recipient_x, 32));
    mutant_sha256(buf_span(&message), NONE, ret_seed);
}

void mutant_oaep_mask(struct span seed, uint8_t *bytes, size_t len)
{
    uint8_t block[HASH];
    for (size_t i = 0; i < len; i++) {
        uint8_t counter[4] = {0, 0, 0, (uint8_t)(i / HASH)};
        if (i % HASH == 0)
            mutant_sha256(seed, SPAN_ARRAY(counter), block);
        bytes[i] ^= block[i % HASH];
    }
}

static WC_RNG *rng(void)
{
    static WC_RNG the_rng;
    static bool ready;
    if (!ready)
        ERR_ASSERT(wc_InitRng(&the_rng) == 0);
    ready = true;
    return &the_rng;
}

/* ---- seeds ---- */

/* 00, masked seed, masked (label hash, zeros, 01, message): RFC 8017, 7.1.1. */
static void oaep(struct span message, struct span label, uint8_t block[TPM_RSA_LEN])
{
    uint8_t *seed = block + 1;
    uint8_t *db = block + 1 + HASH;
    const size_t db_len = TPM_RSA_LEN - 1 - HASH;
    memset(block, 0, TPM_RSA_LEN);
    ERR_ASSERT(wc_RNG_GenerateBlock(rng(), seed, HASH) == 0);
    mutant_sha256(label, NONE, db);
    db[db_len - message.len - 1] = 1;
    memcpy(db + db_len - message.len, message.at, message.len);
    mutant_oaep_mask(span_of(seed, HASH), db, db_len);
    mutant_oaep_mask(span_of(db, db_len), seed, HASH);
}

static void rsa_public(const struct tpm_public *to, const uint8_t block[TPM_RSA_LEN],
                       struct buf *secret)
{
    mp_int n;
    mp_int e;
    mp_int x;
    uint8_t *at = buf_reserve(secret, TPM_RSA_LEN);
    ERR_ASSERT(at != NULL && mp_init_multi(&n, &e, &x, NULL, NULL, NULL) == 0);
    ERR_ASSERT(mp_read_unsigned_bin(&n, to->key, TPM_RSA_LEN) == 0);
    ERR_ASSERT(mp_read_unsigned_bin(&x, block, TPM_RSA_LEN) == 0);
    ERR_ASSERT(mp_set_int(&e, 65537) == 0 && mp_exptmod(&x, &e, &n, &x) == 0);
    ERR_ASSERT(mp_to_unsigned_bin_len(&x, at, TPM_RSA_LEN) == 0);
}

/* The shared point, x then y. */
static void ecc_multiply(ecc_key *ours, const struct tpm_public *to, uint8_t shared[64])
{
    uint8_t der[1 + 64] = {4};
    word32 len = sizeof der;
    int curve = wc_ecc_get_curve_idx(ECC_SECP256R1);
    ecc_point *point = wc_ecc_new_point();
    mp_int a;
    mp_int prime;
    memcpy(der + 1, to->key, 64);
    ERR_ASSERT(point != NULL && mp_init_multi(&a, &prime, NULL, NULL, NULL, NULL) == 0);
    ERR_ASSERT(wc_ecc_import_point_der(der, sizeof der, curve, point) == 0);
    ERR_ASSERT(mp_read_radix(&a, ecc_sets[curve].Af, MP_RADIX_HEX) == 0);
    ERR_ASSERT(mp_read_radix(&prime, ecc_sets[curve].prime, MP_RADIX_HEX) == 0);
    ERR_ASSERT(wc_ecc_mulmod(&ours->k, point, point, &a, &prime, 1) == 0);
    ERR_ASSERT(wc_ecc_export_point_der(curve, point, der, &len) == 0 && len == sizeof der);
    memcpy(shared, der + 1, 64);
    wc_ecc_del_point(point);
}

struct party_mistakes {
    bool parties_swapped;
    bool z_is_y;
};

static void ecc_seed(const struct tpm_public *to, struct span label, struct party_mistakes wrong,
                     uint8_t seed[HASH], struct buf *secret)
{
    ecc_key ours;
    uint8_t x[32];
    uint8_t y[32];
    uint8_t shared[64];
    word32 x_len = sizeof x;
    word32 y_len = sizeof y;
    ERR_ASSERT(wc_ecc_init(&ours) == 0);
    ERR_ASSERT(wc_ecc_make_key_ex(rng(), 32, &ours, ECC_SECP256R1) == 0);
    ERR_ASSERT(wc_ecc_export_public_raw(&ours, x, &x_len, y, &y_len) == 0);
    ecc_multiply(&ours, to, shared);
    mutant_kdfe(wrong.z_is_y ? shared + 32 : shared, label, wrong.parties_swapped ? to->key : x,
                wrong.parties_swapped ? x : to->key, seed);
    buf_put_u16(secret, 32);
    buf_put(secret, SPAN_ARRAY(x));
    buf_put_u16(secret, 32);
    buf_put(secret, SPAN_ARRAY(y));
    wc_ecc_free(&ours);
}

static void seed_send(const struct tpm_public *to, struct span label, struct party_mistakes wrong,
                      uint8_t *seed, size_t seed_len, struct buf *secret)
{
    uint8_t block[TPM_RSA_LEN];
    if (to->kind == TPM_KEY_ECC_P256) {
        ecc_seed(to, label, wrong, seed, secret);
        return;
    }
    oaep(span_of(seed, seed_len), label, block);
    rsa_public(to, block, secret);
}

/* A text as the label it should be, or without its NUL. */
static struct span label_of(const char *text, bool with_nul)
{
    return span_of(text, strlen(text) + (with_nul ? 1 : 0));
}

/* ---- names ---- */

static void name_put(struct buf *out, struct span hashed)
{
    uint8_t digest[HASH];
    mutant_sha256(hashed, NONE, digest);
    buf_put_u16(out, 0x000b);
    buf_put(out, SPAN_ARRAY(digest));
}

static void credential_name(const struct mutant *m, struct buf *name)
{
    const struct tpm_public *named = m->mistake == MISTAKE_NAME_OF_EK ? m->ek : m->srk;
    struct span whole = span_of(named->raw, named->raw_len);
    name_put(name, m->mistake == MISTAKE_NAME_WITH_SIZE ? whole : span_slice(whole, 2, whole.len));
    if (m->mistake == MISTAKE_NAME_WITHOUT_ALGORITHM) {
        memmove(name->at, name->at + 2, HASH);
        name->len = HASH;
    }
}

/* ---- fields 1 and 2 ---- */

static size_t inner_key_len(const struct mutant *m)
{
    return m->mistake == MISTAKE_INNER_KEY_32 ? 32 : 16;
}

static void credential_build(const struct mutant *m, struct mutant_blob *blob)
{
    uint8_t name_at[64];
    uint8_t seed_at[HASH];
    uint8_t symmetric[16];
    uint8_t mac_key[HASH];
    uint8_t mac[HASH];
    uint8_t identity_at[2 + 32];
    struct buf name = BUF_OVER(name_at);
    struct buf identity = BUF_OVER(identity_at);
    const enum mistake wrong = m->mistake;
    size_t seed_len = wrong == VARIANT_CREDENTIAL_SEED_16 ? 16 : HASH;
    memcpy(seed_at, m->credential_seed, HASH);
    if (m->credential_secret.len > 0)
        buf_put(&blob->credential_secret.out, m->credential_secret);
    else
        seed_send(m->ek,
                  label_of(wrong == MISTAKE_IDENTITY_LABEL_STORAGE ? "STORAGE" : "IDENTITY",
                           wrong != MISTAKE_IDENTITY_LABEL_WITHOUT_NUL),
                  (struct party_mistakes){wrong == MISTAKE_IDENTITY_PARTIES_SWAPPED,
                                          wrong == MISTAKE_IDENTITY_Z_IS_Y},
                  seed_at, seed_len, &blob->credential_secret.out);
    struct span seed = span_of(seed_at, seed_len);
    credential_name(m, &name);
    buf_put_u16(&identity, (uint16_t)inner_key_len(m));
    buf_put(&identity, span_of(m->inner_key, inner_key_len(m)));
    kdfa(m, seed, "STORAGE", buf_span(&name), 128, symmetric);
    kdfa(m, seed, "INTEGRITY", NONE, 256, mac_key);
    cfb(symmetric, sizeof symmetric, identity.at, identity.len);
    hmac(SPAN_ARRAY(mac_key), buf_span(&identity),
         wrong == MISTAKE_CREDENTIAL_HMAC_WITHOUT_NAME ? NONE : buf_span(&name), mac);
    buf_put_u16(&blob->credential.out, HASH);
    buf_put(&blob->credential.out, SPAN_ARRAY(mac));
    buf_put(&blob->credential.out, buf_span(&identity));
}

/* ---- field 5 ---- */

static uint32_t identity_attributes(enum mistake m)
{
    const uint32_t right = 0x00040440; /* sign, noDA, userWithAuth */
    switch (m) {
    case MISTAKE_SIGN_AND_DECRYPT:
        return right | 0x00020000;
    case MISTAKE_FIXED_TPM:
        return right | 0x00000002;
    case MISTAKE_FIXED_PARENT:
        return right | 0x00000010;
    case MISTAKE_RESTRICTED:
        return right | 0x00010000;
    case MISTAKE_NO_USER_WITH_AUTH:
        return right & ~0x00000040u;
    case MISTAKE_NO_NO_DA:
        return right & ~0x00000400u;
    case MISTAKE_INNER_ONLY_ENCRYPTED_DUPLICATION:
    case VARIANT_ENCRYPTED_DUPLICATION:
        return right | 0x00000800;
    case VARIANT_SENSITIVE_DATA_ORIGIN:
        return right | 0x00000020;
    default:
        return right;
    }
}

static void public_area_build(const struct mutant *m, struct span key, struct buf *area)
{
    uint8_t unique[HASH];
    if (m->mistake == MISTAKE_UNIQUE_SWAPPED)
        mutant_sha256(key, SPAN_ARRAY(m->seed_value), unique);
    else
        mutant_sha256(SPAN_ARRAY(m->seed_value), key, unique);
    buf_put_u16(area, 0x0008);
    buf_put_u16(area, 0x000b);
    buf_put_u32(area, identity_attributes(m->mistake));
    buf_put_u16(area, 0);
    if (m->mistake == MISTAKE_SCHEME_NULL) {
        buf_put_u16(area, 0x0010);
    } else {
        buf_put_u16(area, 0x0005);
        buf_put_u16(area, 0x000b);
    }
    buf_put_u16(area, HASH);
    buf_put(area, SPAN_ARRAY(unique));
}

/* ---- fields 3 and 4 ---- */

/* Digest, then TPM2B_SENSITIVE, under the inner key. */
static void inner_build(const struct mutant *m, struct span key, struct span name,
                        struct buf *inner)
{
    uint8_t sensitive_at[256];
    uint8_t digest[HASH];
    struct buf sensitive = BUF_OVER(sensitive_at);
    size_t size = buf_open_u16(&sensitive);
    buf_put_u16(&sensitive, 0x0008);
    buf_put_u16(&sensitive, 0);
    buf_put_u16(&sensitive, HASH);
    buf_put(&sensitive, SPAN_ARRAY(m->seed_value));
    buf_put_u16(&sensitive, (uint16_t)key.len);
    buf_put(&sensitive, key);
    buf_close_u16(&sensitive, size);
    struct span whole = buf_span(&sensitive);
    if (m->mistake == MISTAKE_INNER_HASH_WITHOUT_SIZE)
        mutant_sha256(span_slice(whole, 2, whole.len), name, digest);
    else if (m->mistake == MISTAKE_INNER_HASH_WITHOUT_NAME)
        mutant_sha256(whole, NONE, digest);
    else if (m->mistake == MISTAKE_INNER_HASH_SWAPPED)
        mutant_sha256(name, whole, digest);
    else
        mutant_sha256(whole, name, digest);
    buf_put_u16(inner, HASH);
    buf_put(inner, SPAN_ARRAY(digest));
    buf_put(inner, whole);
    cfb(m->inner_key, inner_key_len(m), inner->at, inner->len);
}

static void outer_build(const struct mutant *m, struct span seed, struct span name,
                        struct buf *inner, struct buf *duplicate)
{
    uint8_t symmetric[16];
    uint8_t mac_key[HASH];
    uint8_t mac[HASH];
    uint8_t srk_name_at[34];
    uint8_t before_at[512];
    struct buf srk_name = BUF_OVER(srk_name_at);
    struct buf before = BUF_OVER(before_at);
    name_put(&srk_name, span_of(m->srk->raw + 2, m->srk->raw_len - 2));
    buf_put(&before, buf_span(inner));
    kdfa(m, seed, "STORAGE", name, 128, symmetric);
    kdfa(m, seed, "INTEGRITY", NONE, 256, mac_key);
    cfb(symmetric, sizeof symmetric, inner->at, inner->len);
    struct span named = name;
    if (m->mistake == MISTAKE_OUTER_HMAC_SRK_NAME)
        named = buf_span(&srk_name);
    if (m->mistake == MISTAKE_OUTER_HMAC_WITHOUT_NAME)
        named = NONE;
    hmac(SPAN_ARRAY(mac_key),
         m->mistake == MISTAKE_OUTER_HMAC_OVER_INNER ? buf_span(&before) : buf_span(inner), named,
         mac);
    if (m->mistake == MISTAKE_OUTER_HMAC_ALTERED)
        mac[7] ^= 1;
    buf_put_u16(duplicate, HASH);
    buf_put(duplicate, SPAN_ARRAY(mac));
    buf_put(duplicate, buf_span(inner));
}

static void duplicate_build(const struct mutant *m, struct span key, struct mutant_blob *blob)
{
    uint8_t name_at[34];
    uint8_t inner_at[MUTANT_FIELD_CAP];
    uint8_t seed[HASH];
    struct buf name = BUF_OVER(name_at);
    struct buf inner = BUF_OVER(inner_at);
    const enum mistake wrong = m->mistake;
    name_put(&name, buf_span(&blob->public_area.out));
    inner_build(m, key, buf_span(&name), &inner);
    if (wrong == VARIANT_INNER_ONLY || wrong == MISTAKE_INNER_ONLY_ENCRYPTED_DUPLICATION) {
        buf_put(&blob->duplicate.out, buf_span(&inner));
        return;
    }
    memcpy(seed, m->duplicate_seed, HASH);
    if (m->duplicate_secret.len > 0)
        buf_put(&blob->duplicate_secret.out, m->duplicate_secret);
    else
        seed_send(
            wrong == MISTAKE_DUPLICATE_TO_EK ? m->ek : m->srk,
            label_of(wrong == MISTAKE_DUPLICATE_LABEL_IDENTITY ? "IDENTITY" : "DUPLICATE",
                     wrong != MISTAKE_DUPLICATE_LABEL_WITHOUT_NUL),
            (struct party_mistakes){.parties_swapped = wrong == MISTAKE_DUPLICATE_PARTIES_SWAPPED},
            seed, HASH, &blob->duplicate_secret.out);
    outer_build(m, SPAN_ARRAY(seed), buf_span(&name), &inner, &blob->duplicate.out);
}

/* ---- the whole ---- */

static void field_init(struct mutant_field *f)
{
    f->out = buf_over(f->at, sizeof f->at);
}

void mutant_build(const struct mutant *m, struct mutant_blob *ret_blob)
{
    uint8_t key_at[128];
    ERR_ASSERT(m->key.len >= 1 && m->key.len <= sizeof key_at);
    memcpy(key_at, m->key.at, m->key.len);
    if (m->mistake == MISTAKE_OTHER_KEY)
        key_at[0] ^= 1;
    struct span key = span_of(key_at, m->key.len);
    struct mutant_field *const fields[] = {
        &ret_blob->credential,       &ret_blob->credential_secret, &ret_blob->duplicate,
        &ret_blob->duplicate_secret, &ret_blob->public_area,       &ret_blob->trailer,
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        field_init(fields[i]);
    ret_blob->mistake = m->mistake;
    credential_build(m, ret_blob);
    public_area_build(m, key, &ret_blob->public_area.out);
    duplicate_build(m, key, ret_blob);
    buf_put(&ret_blob->trailer.out, m->trailer);
    cfb(m->inner_key, inner_key_len(m), ret_blob->trailer.at, ret_blob->trailer.out.len);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        ERR_ASSERT(buf_end(&fields[i]->out) == ERR_OK);
}

struct tpmblob mutant_fields(const struct mutant_blob *blob)
{
    return (struct tpmblob){
        .credential = buf_span(&blob->credential.out),
        .credential_secret = buf_span(&blob->credential_secret.out),
        .duplicate = buf_span(&blob->duplicate.out),
        .duplicate_secret = buf_span(&blob->duplicate_secret.out),
        .public_area = buf_span(&blob->public_area.out),
        .trailer = buf_span(&blob->trailer.out),
    };
}

void mutant_write(struct buf *out, const struct mutant_blob *blob)
{
    const struct mutant_field *const fields[] = {
        &blob->credential,       &blob->credential_secret, &blob->duplicate,
        &blob->duplicate_secret, &blob->public_area,
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        buf_put_u16(out, (uint16_t)fields[i]->out.len);
        buf_put(out, buf_span(&fields[i]->out));
    }
    if (blob->mistake != MISTAKE_TRAILER_SIZE_MISSING)
        buf_put_u16(out, (uint16_t)blob->trailer.out.len);
    buf_put(out, buf_span(&blob->trailer.out));
    if (blob->mistake == VARIANT_TRAILING_BYTES)
        buf_put_u32(out, 0);
}
