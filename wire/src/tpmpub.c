#include <wolfssl/options.h>

#include <string.h>
#include <wire/tpmpub.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hash.h>

/* Algorithm identifiers, Part 2, 6.3 and 6.4. */
enum {
    ALG_RSA = 0x0001,
    ALG_AES = 0x0006,
    ALG_SHA256 = 0x000b,
    ALG_NULL = 0x0010,
    ALG_ECC = 0x0023,
    ALG_CFB = 0x0043,
    CURVE_P256 = 0x0003,
};
#define AES_BITS 128
#define RSA_BITS 2048
#define RSA_EXPONENT 65537
#define POLICY_LEN 32

const uint8_t tpm_ek_policy[POLICY_LEN] = {
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
};

/* ---- RSA: is the modulus a perfect square? ---- */
static bool is_square_modulo(uint32_t residue, uint32_t m)
{
    for (uint32_t x = 0; x <= m / 2; x++)
        if (x * x % m == residue)
            return true;
    return false;
}

/* Refuses 199 of 200 non-squares at the price of 86 additions: 2^24 - 1 is 9·5·7·13·17·241, and
 * modulo it a number is the sum of its 24-bit digits. The modulus is odd: 8k + 1 if a square. */
static bool may_be_square(const uint8_t modulus[TPM_RSA_LEN])
{
    static const uint8_t factors[] = {9, 5, 7, 13, 17, 241};
    if (modulus[TPM_RSA_LEN - 1] % 8 != 1)
        return false;
    uint32_t sum = modulus[0];
    for (size_t i = 1; i < TPM_RSA_LEN; i += 3)
        sum += (uint32_t)modulus[i] << 16 | (uint32_t)modulus[i + 1] << 8 | modulus[i + 2];
    for (size_t i = 0; i < sizeof factors; i++)
        if (!is_square_modulo(sum % factors[i], factors[i]))
            return false;
    return true;
}

/* A 1024-bit root and its remainder need two bits more: 17 words, the lowest first. */
#define ROOT_WORDS 17
struct wide {
    uint64_t word[ROOT_WORDS];
};

static void wide_shift_in(struct wide *a, unsigned bits, uint64_t low)
{
    for (size_t i = ROOT_WORDS - 1; i > 0; i--)
        a->word[i] = a->word[i] << bits | a->word[i - 1] >> (64 - bits);
    a->word[0] = a->word[0] << bits | low;
}

static bool wide_less(const struct wide *a, const struct wide *b)
{
    for (size_t i = ROOT_WORDS; i-- > 0;)
        if (a->word[i] != b->word[i])
            return a->word[i] < b->word[i];
    return false;
}

static void wide_subtract(struct wide *a, const struct wide *b)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < ROOT_WORDS; i++) {
        uint64_t before = a->word[i], middle = before - b->word[i];
        a->word[i] = middle - borrow;
        borrow = (before < b->word[i]) | (middle < borrow);
    }
}

/* The square root by pen and paper, in binary: two digits come down, and the root grows by a one
 * where 4·root + 1 can be taken from the remainder. */
static bool is_square(const uint8_t modulus[TPM_RSA_LEN])
{
    struct wide root = {0}, remainder = {0}, trial;
    for (size_t i = 0; i < TPM_RSA_LEN * 4; i++) {
        wide_shift_in(&remainder, 2, modulus[i / 4] >> (6 - i % 4 * 2) & 3);
        trial = root;
        wide_shift_in(&trial, 2, 1);
        bool fits = !wide_less(&remainder, &trial);
        if (fits)
            wide_subtract(&remainder, &trial);
        wide_shift_in(&root, 1, fits);
    }
    uint64_t left = 0;
    for (size_t i = 0; i < ROOT_WORDS; i++)
        left |= remainder.word[i];
    return left == 0;
}

static bool rsa_modulus_good(const uint8_t modulus[TPM_RSA_LEN])
{
    bool full_length = modulus[0] & 0x80, odd = modulus[TPM_RSA_LEN - 1] & 1;
    return full_length && odd && !(may_be_square(modulus) && is_square(modulus));
}

/* ---- ECC ---- */
static const uint8_t p256_prime[TPM_ECC_LEN] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

/* The curve's order is prime, so a point on it is in the right group, and (0, 0), which stands for
 * infinity, is not on it. */
static bool ecc_point_good(const uint8_t point[2 * TPM_ECC_LEN])
{
    const uint8_t *x = point, *y = point + TPM_ECC_LEN;
    if (memcmp(x, p256_prime, TPM_ECC_LEN) >= 0 || memcmp(y, p256_prime, TPM_ECC_LEN) >= 0)
        return false;
    __attribute__((cleanup(wc_ecc_free))) ecc_key key;
    return wc_ecc_init(&key) == 0 && wc_ecc_import_unsigned(&key, x, y, NULL, ECC_SECP256R1) == 0 &&
           wc_ecc_point_is_on_curve(&key.pubkey, key.idx) == 0;
}

/* ---- reading ---- */
static void read_rsa(struct rd *r, struct tpm_public *pub)
{
    uint16_t bits = rd_u16(r);
    uint32_t exponent = rd_u32(r);
    struct span modulus = rd_sized_u16(r);
    if (bits != RSA_BITS || (exponent != 0 && exponent != RSA_EXPONENT) ||
        modulus.len != TPM_RSA_LEN) {
        r->bad = true;
        return;
    }
    pub->kind = TPM_KEY_RSA_2048;
    pub->key_len = TPM_RSA_LEN;
    memcpy(pub->key, modulus.at, TPM_RSA_LEN);
}

static void read_ecc(struct rd *r, struct tpm_public *pub)
{
    uint16_t curve = rd_u16(r);
    uint16_t kdf = rd_u16(r);
    struct span x = rd_sized_u16(r);
    struct span y = rd_sized_u16(r);
    if (curve != CURVE_P256 || kdf != ALG_NULL || x.len != TPM_ECC_LEN || y.len != TPM_ECC_LEN) {
        r->bad = true;
        return;
    }
    pub->kind = TPM_KEY_ECC_P256;
    pub->key_len = 2 * TPM_ECC_LEN;
    memcpy(pub->key, x.at, TPM_ECC_LEN);
    memcpy(pub->key + TPM_ECC_LEN, y.at, TPM_ECC_LEN);
}

/* TPMT_PUBLIC, Part 2, 12.2.4; anything out of the ordinary leaves r bad. */
static void read_area(struct rd *r, struct tpm_public *pub)
{
    uint16_t type = rd_u16(r);
    uint16_t name_algorithm = rd_u16(r);
    pub->attributes = rd_u32(r);
    struct span policy = rd_sized_u16(r);
    uint16_t cipher = rd_u16(r);
    uint16_t cipher_bits = rd_u16(r);
    uint16_t cipher_mode = rd_u16(r);
    uint16_t scheme = rd_u16(r);
    if (name_algorithm != ALG_SHA256 || (policy.len != 0 && policy.len != POLICY_LEN) ||
        cipher != ALG_AES || cipher_bits != AES_BITS || cipher_mode != ALG_CFB ||
        scheme != ALG_NULL)
        r->bad = true;
    else if (type == ALG_RSA)
        read_rsa(r, pub);
    else if (type == ALG_ECC)
        read_ecc(r, pub);
    else
        r->bad = true;
}

enum err tpm_public_read(struct span tpm2b_public, struct tpm_public *ret_pub)
{
    if (tpm2b_public.len == 0 || tpm2b_public.len > TPM_PUBLIC_CAP)
        return ERR_KEY_SHAPE;
    struct tpm_public pub = {.raw_len = tpm2b_public.len};
    memcpy(pub.raw, tpm2b_public.at, tpm2b_public.len);
    struct rd r = rd_over(tpm2b_public);
    if (rd_u16(&r) != r.rest.len)
        return ERR_KEY_SHAPE;
    read_area(&r, &pub);
    if (rd_end(&r) != ERR_OK)
        return ERR_KEY_SHAPE;
    if (!(pub.kind == TPM_KEY_RSA_2048 ? rsa_modulus_good(pub.key) : ecc_point_good(pub.key)))
        return ERR_KEY_SHAPE;
    *ret_pub = pub;
    return ERR_OK;
}

enum err tpm_public_check_role(const struct tpm_public *pub, enum tpm_key_role role)
{
    const uint32_t needed = TPM_ATTR_FIXED_TPM | TPM_ATTR_FIXED_PARENT |
                            TPM_ATTR_SENSITIVE_DATA_ORIGIN | TPM_ATTR_RESTRICTED | TPM_ATTR_DECRYPT;
    ERR_ASSERT(role == TPM_ROLE_EK || role == TPM_ROLE_SRK); /* the same for both, today */
    bool good = (pub->attributes & (needed | TPM_ATTR_SIGN)) == needed;
    return good ? ERR_OK : ERR_KEY_ROLE;
}

/* ---- what a key is known by ---- */
enum err tpm_public_name(const struct tpm_public *pub, uint8_t ret_name[TPM_NAME_LEN])
{
    ERR_ASSERT(pub->raw_len > 2 && pub->raw_len <= TPM_PUBLIC_CAP);
    uint8_t hash[WC_SHA256_DIGEST_SIZE];
    if (wc_Sha256Hash(pub->raw + 2, (word32)(pub->raw_len - 2), hash) != 0)
        return ERR_CRYPTO;
    ret_name[0] = ALG_SHA256 >> 8;
    ret_name[1] = ALG_SHA256 & 0xff;
    memcpy(ret_name + 2, hash, sizeof hash);
    return ERR_OK;
}

enum err tpm_public_key_hash(const struct tpm_public *pub, uint8_t ret_hash[TPM_KEY_HASH_LEN])
{
    uint8_t bytes[1 + TPM_RSA_LEN], hash[WC_SHA256_DIGEST_SIZE];
    struct buf b = BUF_OVER(bytes);
    buf_put_u8(&b, (uint8_t)pub->kind);
    buf_put(&b, span_of(pub->key, pub->key_len));
    ERR_ASSERT(buf_end(&b) == ERR_OK);
    if (wc_Sha256Hash(bytes, (word32)b.len, hash) != 0)
        return ERR_CRYPTO;
    memcpy(ret_hash, hash, sizeof hash);
    return ERR_OK;
}

bool tpm_public_same_key(const struct tpm_public *a, const struct tpm_public *b)
{
    return a->kind == b->kind &&
           span_equal(span_of(a->key, a->key_len), span_of(b->key, b->key_len));
}

/* ---- templates ---- */
static void put_sized(struct buf *out, struct span s)
{
    buf_put_u16(out, (uint16_t)s.len);
    buf_put(out, s);
}

/* unique: the modulus or the x coordinate, and the y coordinate. */
static void area_write(struct buf *out, enum tpm_key_role role, enum tpm_key_kind kind,
                       struct span unique, struct span unique_y)
{
    const uint32_t common = TPM_ATTR_FIXED_TPM | TPM_ATTR_FIXED_PARENT |
                            TPM_ATTR_SENSITIVE_DATA_ORIGIN | TPM_ATTR_RESTRICTED | TPM_ATTR_DECRYPT;
    bool is_ek = role == TPM_ROLE_EK, is_rsa = kind == TPM_KEY_RSA_2048;
    size_t size = buf_open_u16(out);
    buf_put_u16(out, is_rsa ? ALG_RSA : ALG_ECC);
    buf_put_u16(out, ALG_SHA256);
    buf_put_u32(out, common | (is_ek ? TPM_ATTR_ADMIN_WITH_POLICY
                                     : TPM_ATTR_USER_WITH_AUTH | TPM_ATTR_NO_DA));
    put_sized(out, is_ek ? SPAN_ARRAY(tpm_ek_policy) : (struct span){0});
    buf_put_u16(out, ALG_AES);
    buf_put_u16(out, AES_BITS);
    buf_put_u16(out, ALG_CFB);
    buf_put_u16(out, ALG_NULL);
    if (is_rsa) {
        buf_put_u16(out, RSA_BITS);
        buf_put_u32(out, 0); /* the exponent: 65537 */
    } else {
        buf_put_u16(out, CURVE_P256);
        buf_put_u16(out, ALG_NULL);
    }
    put_sized(out, unique);
    if (!is_rsa)
        put_sized(out, unique_y);
    buf_close_u16(out, size);
}

enum err tpm_public_from_key(enum tpm_key_role role, enum tpm_key_kind kind, struct span key,
                             struct tpm_public *ret_pub)
{
    if (key.len != (kind == TPM_KEY_RSA_2048 ? TPM_RSA_LEN : 2 * TPM_ECC_LEN))
        return ERR_KEY_SHAPE;
    size_t first = kind == TPM_KEY_RSA_2048 ? TPM_RSA_LEN : TPM_ECC_LEN;
    uint8_t bytes[TPM_PUBLIC_CAP];
    struct buf area = BUF_OVER(bytes);
    area_write(&area, role, kind, span_slice(key, 0, first), span_slice(key, first, key.len));
    TRY(buf_end(&area));
    return tpm_public_read(buf_span(&area), ret_pub);
}

void tpm_public_template_write(struct buf *out, enum tpm_key_role role, enum tpm_key_kind kind)
{
    static const uint8_t zeros[TPM_RSA_LEN];
    struct span unique = {0};
    if (role == TPM_ROLE_EK)
        unique = span_of(zeros, kind == TPM_KEY_RSA_2048 ? TPM_RSA_LEN : TPM_ECC_LEN);
    area_write(out, role, kind, unique, unique);
}
