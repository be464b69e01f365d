#include "../vectors/protocol.h"

#include <tss2/tss2_mu.h>
#include <unit.h>
#include <wire/tpmpub.h>

/* ---- the keys the tests begin with ---- */
enum base { EK_RSA, SRK_RSA, EK_ECC, SRK_ECC, BASE_COUNT };
struct area {
    uint8_t at[TPM_PUBLIC_CAP + 64];
    size_t len;
};

static void append_hex(struct area *a, const char *hex)
{
    a->len += unhex(hex, a->at + a->len, sizeof a->at - a->len).len;
}

static struct area base_area(enum base base)
{
    static const char *const prefixes[BASE_COUNT] = {VECTOR_EK_RSA_PREFIX, VECTOR_SRK_RSA_PREFIX,
                                                     VECTOR_EK_ECC_PREFIX, VECTOR_SRK_ECC_PREFIX};
    struct area a = {.len = 0};
    append_hex(&a, prefixes[base]);
    if (base == EK_RSA || base == SRK_RSA) {
        vector_fill(a.at + a.len, base == EK_RSA ? VECTOR_EK_MODULUS_BYTE : VECTOR_SRK_MODULUS_BYTE,
                    TPM_RSA_LEN);
        a.len += TPM_RSA_LEN;
    } else {
        append_hex(&a, base == EK_ECC ? "0020" VECTOR_P256_GX "0020" VECTOR_P256_GY
                                      : "0020" VECTOR_P256_2GX "0020" VECTOR_P256_2GY);
    }
    return a;
}

static struct span area_span(const struct area *a) { return span_of(a->at, a->len); }

static struct tpm_public read_base(enum base base)
{
    struct area a = base_area(base);
    struct tpm_public pub;
    assert_ok(tpm_public_read(area_span(&a), &pub));
    return pub;
}

/* ---- reading ---- */
static void good_areas_are_read(void **state)
{
    (void)state;
    static const size_t lens[BASE_COUNT] = {VECTOR_EK_RSA_LEN, VECTOR_SRK_RSA_LEN,
                                            VECTOR_EK_ECC_LEN, VECTOR_SRK_ECC_LEN};
    for (enum base base = EK_RSA; base < BASE_COUNT; base++) {
        struct area a = base_area(base);
        struct tpm_public pub;
        POISON(pub);
        assert_ok(tpm_public_read(area_span(&a), &pub));
        bool rsa = base == EK_RSA || base == SRK_RSA;
        assert_int_equal(lens[base], pub.raw_len);
        assert_memory_equal(a.at, pub.raw, a.len);
        assert_int_equal(rsa ? TPM_KEY_RSA_2048 : TPM_KEY_ECC_P256, pub.kind);
        assert_int_equal(base == EK_RSA || base == EK_ECC ? 0x000300b2 : 0x00030472, pub.attributes);
        assert_int_equal(rsa ? 256 : 64, pub.key_len);
        if (rsa) {
            assert_memory_equal(a.at + a.len - 256, pub.key, 256);
        } else {
            assert_memory_equal(a.at + a.len - 32 - 2 - 32, pub.key, 32);
            assert_memory_equal(a.at + a.len - 32, pub.key + 32, 32);
        }
    }
}

/* One deviation from a good area: these bytes at this place, then so many bytes more (or fewer). */
struct deviation {
    const char *what;
    enum base base;
    size_t at;
    const char *bytes;
    int grow;
    enum err expected;
};

static struct area deviate(const struct deviation *d)
{
    struct area a = base_area(d->base);
    uint8_t bytes[128];
    struct span patch = UNHEX(d->bytes, bytes);
    assert_true(d->at + patch.len <= sizeof a.at);
    memcpy(a.at + d->at, patch.at, patch.len);
    a.len = (size_t)((int)a.len + d->grow);
    return a;
}

#define ZEROS_32 "0000000000000000000000000000000000000000000000000000000000000000"
#define ONES_32 "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define PRIME "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
#define Y_OF_ZERO "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4"

/* Attack case T12. */
static const struct deviation deviations[] = {
    {"size one less", EK_RSA, 0, "0139", 0, ERR_KEY_SHAPE},
    {"size one more", EK_RSA, 0, "013b", 0, ERR_KEY_SHAPE},
    {"size two less", EK_RSA, 0, "0138", 0, ERR_KEY_SHAPE},
    {"size of the whole", EK_RSA, 0, "013c", 0, ERR_KEY_SHAPE},
    {"size zero", EK_RSA, 0, "0000", 0, ERR_KEY_SHAPE},
    {"size largest", EK_RSA, 0, "ffff", 0, ERR_KEY_SHAPE},
    {"one byte short", EK_RSA, 0, "", -1, ERR_KEY_SHAPE},
    {"one byte short, size agrees", EK_RSA, 0, "0139", -1, ERR_KEY_SHAPE},
    {"one byte behind", EK_RSA, 0, "", 1, ERR_KEY_SHAPE},
    {"one byte behind, size agrees", EK_RSA, 0, "013b", 1, ERR_KEY_SHAPE},
    {"more than any key has", EK_RSA, 0, "", 32, ERR_KEY_SHAPE},
    {"type KEYEDHASH", EK_RSA, 2, "0008", 0, ERR_KEY_SHAPE},
    {"type SYMCIPHER", EK_RSA, 2, "0025", 0, ERR_KEY_SHAPE},
    {"type ECC over an RSA key", EK_RSA, 2, "0023", 0, ERR_KEY_SHAPE},
    {"type unknown", EK_RSA, 2, "4242", 0, ERR_KEY_SHAPE},
    {"type zero", EK_RSA, 2, "0000", 0, ERR_KEY_SHAPE},
    {"name algorithm SHA-1", EK_RSA, 4, "0004", 0, ERR_KEY_SHAPE},
    {"name algorithm SHA-384", EK_RSA, 4, "000c", 0, ERR_KEY_SHAPE},
    {"name algorithm NULL", EK_RSA, 4, "0010", 0, ERR_KEY_SHAPE},
    {"policy of 31 bytes", EK_RSA, 10, "001f", 0, ERR_KEY_SHAPE},
    {"policy of 33 bytes", EK_RSA, 10, "0021", 0, ERR_KEY_SHAPE},
    {"policy gone, bytes left", EK_RSA, 10, "0000", 0, ERR_KEY_SHAPE},
    {"policy longer than the area", EK_RSA, 10, "ffff", 0, ERR_KEY_SHAPE},
    {"cipher NULL", EK_RSA, 44, "0010", 0, ERR_KEY_SHAPE},
    {"cipher Camellia", EK_RSA, 44, "0026", 0, ERR_KEY_SHAPE},
    {"AES-256", EK_RSA, 46, "0100", 0, ERR_KEY_SHAPE},
    {"AES-CBC", EK_RSA, 48, "0042", 0, ERR_KEY_SHAPE},
    {"scheme RSASSA", EK_RSA, 50, "0014", 0, ERR_KEY_SHAPE},
    {"scheme OAEP", EK_RSA, 50, "0017", 0, ERR_KEY_SHAPE},
    {"RSA-1024", EK_RSA, 52, "0400", 0, ERR_KEY_SHAPE},
    {"RSA-3072", EK_RSA, 52, "0c00", 0, ERR_KEY_SHAPE},
    {"exponent 1", EK_RSA, 54, "00000001", 0, ERR_KEY_SHAPE},
    {"exponent 2", EK_RSA, 54, "00000002", 0, ERR_KEY_SHAPE},
    {"exponent 3", EK_RSA, 54, "00000003", 0, ERR_KEY_SHAPE},
    {"exponent 65536", EK_RSA, 54, "00010000", 0, ERR_KEY_SHAPE},
    {"exponent 65537", EK_RSA, 54, "00010001", 0, ERR_OK}, /* what zero means, spelled out */
    {"exponent 65539", EK_RSA, 54, "00010003", 0, ERR_KEY_SHAPE},
    {"exponent largest", EK_RSA, 54, "ffffffff", 0, ERR_KEY_SHAPE},
    {"modulus size 255", EK_RSA, 58, "00ff", 0, ERR_KEY_SHAPE},
    {"modulus of 255 bytes, sizes agree", EK_RSA, 58, "00ff", -1, ERR_KEY_SHAPE},
    {"modulus size 257", EK_RSA, 58, "0101", 0, ERR_KEY_SHAPE},
    {"modulus size zero", EK_RSA, 58, "0000", 0, ERR_KEY_SHAPE},
    {"modulus size largest", EK_RSA, 58, "ffff", 0, ERR_KEY_SHAPE},
    {"modulus top bit clear", EK_RSA, 60, "7f", 0, ERR_KEY_SHAPE},
    {"modulus with a leading zero", EK_RSA, 60, "00", 0, ERR_KEY_SHAPE},
    {"modulus even", EK_RSA, 315, "c2", 0, ERR_KEY_SHAPE},
    {"curve P-384", EK_ECC, 52, "0004", 0, ERR_KEY_SHAPE},
    {"curve BN-P256", EK_ECC, 52, "0010", 0, ERR_KEY_SHAPE},
    {"curve SM2", EK_ECC, 52, "0020", 0, ERR_KEY_SHAPE},
    {"curve none", EK_ECC, 52, "0000", 0, ERR_KEY_SHAPE},
    {"a key derivation", EK_ECC, 54, "0020", 0, ERR_KEY_SHAPE},
    {"type RSA over an ECC key", EK_ECC, 2, "0001", 0, ERR_KEY_SHAPE},
    {"x size 31", EK_ECC, 56, "001f", 0, ERR_KEY_SHAPE},
    {"x size 33", EK_ECC, 56, "0021", 0, ERR_KEY_SHAPE},
    {"x size zero", EK_ECC, 56, "0000", 0, ERR_KEY_SHAPE},
    {"y size 31", EK_ECC, 90, "001f", 0, ERR_KEY_SHAPE},
    {"y of 31 bytes", EK_ECC, 90, "001f", -1, ERR_KEY_SHAPE},
    {"y size 33", EK_ECC, 90, "0021", 1, ERR_KEY_SHAPE},
    {"y size zero", EK_ECC, 90, "0000", -32, ERR_KEY_SHAPE},
    {"both coordinates absent", EK_ECC, 56, "0000 0000", -64, ERR_KEY_SHAPE},
    {"point (0, 0), that is infinity", EK_ECC, 58, ZEROS_32 "0020" ZEROS_32, 0, ERR_KEY_SHAPE},
    {"point with x = 0 on the curve", EK_ECC, 58, ZEROS_32 "0020" Y_OF_ZERO, 0, ERR_OK},
    {"the same point, x = p", EK_ECC, 58, PRIME "0020" Y_OF_ZERO, 0, ERR_KEY_SHAPE},
    {"y = p", EK_ECC, 92, PRIME, 0, ERR_KEY_SHAPE},
    {"y largest", EK_ECC, 92, ONES_32, 0, ERR_KEY_SHAPE},
    {"x and y largest", EK_ECC, 58, ONES_32 "0020" ONES_32, 0, ERR_KEY_SHAPE},
    {"not on the curve, one bit off", EK_ECC, 123, "f4", 0, ERR_KEY_SHAPE},
    {"x of one point, y of another", EK_ECC, 92, VECTOR_P256_2GY, 0, ERR_KEY_SHAPE},
    {"coordinates swapped", EK_ECC, 58, VECTOR_P256_GY "0020" VECTOR_P256_GX, 0, ERR_KEY_SHAPE},
    {"another point", EK_ECC, 58, VECTOR_P256_2GX "0020" VECTOR_P256_2GY, 0, ERR_OK},
};

static void deviations_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof deviations / sizeof *deviations; i++) {
        const struct deviation *d = &deviations[i];
        struct area a = deviate(d);
        if (d->grow != 0 && d->at != 0) { /* so that not the outer size is what is wrong */
            a.at[0] = (uint8_t)((a.len - 2) >> 8);
            a.at[1] = (uint8_t)(a.len - 2);
        }
        struct tpm_public pub;
        POISON(pub);
        assert_err_of(d->what, d->expected, tpm_public_read(area_span(&a), &pub));
        if (d->expected != ERR_OK)
            assert_poisoned(pub);
    }
}

static void policies_are_absent_or_of_32_bytes(void **state)
{
    (void)state;
    const size_t policy_at = 12;
    for (size_t len = 0; len <= 34; len++) {
        struct area a = base_area(SRK_RSA); /* it has none */
        memmove(a.at + policy_at + len, a.at + policy_at, a.len - policy_at);
        a.len += len;
        a.at[policy_at - 1] = (uint8_t)len;
        a.at[0] = (uint8_t)((a.len - 2) >> 8);
        a.at[1] = (uint8_t)(a.len - 2);
        struct tpm_public pub;
        enum err expected = len == 0 || len == 32 ? ERR_OK : ERR_KEY_SHAPE;
        assert_err(expected, tpm_public_read(area_span(&a), &pub));
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (enum base base = EK_RSA; base < BASE_COUNT; base++) {
        struct area a = base_area(base);
        for (size_t len = 0; len < a.len; len++) {
            struct tpm_public pub;
            POISON(pub);
            assert_err(ERR_KEY_SHAPE, tpm_public_read(span_of(a.at, len), &pub));
            struct area fitting = a; /* again with an outer size that agrees */
            fitting.at[0] = (uint8_t)((len - 2) >> 8);
            fitting.at[1] = (uint8_t)(len - 2);
            assert_err(ERR_KEY_SHAPE, tpm_public_read(span_of(fitting.at, len), &pub));
            assert_poisoned(pub);
        }
    }
}

/* ---- moduli ---- */
static enum err read_modulus(const uint8_t modulus[TPM_RSA_LEN])
{
    struct area a = base_area(EK_RSA);
    memcpy(a.at + a.len - TPM_RSA_LEN, modulus, TPM_RSA_LEN);
    struct tpm_public pub;
    return tpm_public_read(area_span(&a), &pub);
}

static void square_of(const uint8_t root[TPM_RSA_LEN / 2], uint8_t ret_square[TPM_RSA_LEN])
{
    uint32_t column[TPM_RSA_LEN + 1] = {0};
    for (size_t i = 0; i < TPM_RSA_LEN / 2; i++)
        for (size_t j = 0; j < TPM_RSA_LEN / 2; j++)
            column[i + j + 1] += (uint32_t)root[i] * root[j];
    uint32_t carry = 0;
    for (size_t i = TPM_RSA_LEN; i-- > 0;) {
        carry += column[i];
        ret_square[i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(0, carry);
}

static void add(uint8_t number[TPM_RSA_LEN], uint32_t v)
{
    uint64_t carry = v;
    for (size_t i = TPM_RSA_LEN; i-- > 0 && carry; carry >>= 8) {
        carry += number[i];
        number[i] = (uint8_t)carry;
    }
}

static void extreme_moduli(void **state)
{
    (void)state;
    uint8_t modulus[TPM_RSA_LEN] = {0};
    assert_err(ERR_KEY_SHAPE, read_modulus(modulus)); /* all zero */
    modulus[TPM_RSA_LEN - 1] = 1;
    assert_err(ERR_KEY_SHAPE, read_modulus(modulus)); /* 1 */
    modulus[0] = 0x80;
    assert_ok(read_modulus(modulus)); /* 2^2047 + 1 */
    modulus[TPM_RSA_LEN - 1] = 0;
    assert_err(ERR_KEY_SHAPE, read_modulus(modulus)); /* 2^2047 */
    vector_fill(modulus, 0xff, sizeof modulus);
    assert_ok(read_modulus(modulus)); /* 2^2048 - 1 */
    modulus[0] = 0x7f;
    assert_err(ERR_KEY_SHAPE, read_modulus(modulus)); /* 2^2047 - 1 */
}

static void squares_are_refused_and_their_neighbours_are_not(void **state)
{
    (void)state;
    uint8_t root[TPM_RSA_LEN / 2], square[TPM_RSA_LEN];
    vector_fill(root, 0xff, sizeof root);
    square_of(root, square);
    assert_err(ERR_KEY_SHAPE, read_modulus(square)); /* the largest there is */
    uint32_t seed = 1;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof root; i++) {
            seed = seed * 1664525 + 1013904223;
            root[i] = (uint8_t)(seed >> 24);
        }
        root[0] = (uint8_t)(0xb6 + root[0] % (0x100 - 0xb6)); /* above 2^1023.5 */
        root[sizeof root - 1] |= 1;
        square_of(root, square);
        assert_err(ERR_KEY_SHAPE, read_modulus(square));
        add(square, 8 * 0xffffff); /* alike in every residue that is looked at first */
        assert_ok(read_modulus(square));
    }
}

/* ---- attributes ---- */
static void every_attribute_bit_flipped(void **state)
{
    (void)state;
    const uint32_t vital = TPM_ATTR_FIXED_TPM | TPM_ATTR_FIXED_PARENT |
                           TPM_ATTR_SENSITIVE_DATA_ORIGIN | TPM_ATTR_RESTRICTED |
                           TPM_ATTR_DECRYPT | TPM_ATTR_SIGN;
    assert_int_equal(0x00070032, vital);
    for (enum base base = EK_RSA; base < BASE_COUNT; base++) {
        enum tpm_key_role role = base == EK_RSA || base == EK_ECC ? TPM_ROLE_EK : TPM_ROLE_SRK;
        struct tpm_public good = read_base(base);
        assert_ok(tpm_public_check_role(&good, role));
        for (unsigned bit = 0; bit < 32; bit++) {
            struct area a = base_area(base);
            a.at[9 - bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct tpm_public pub;
            assert_ok(tpm_public_read(area_span(&a), &pub));
            assert_int_equal(good.attributes ^ 1u << bit, pub.attributes);
            enum err expected = vital >> bit & 1 ? ERR_KEY_ROLE : ERR_OK;
            assert_err(expected, tpm_public_check_role(&pub, role));
        }
    }
}

/* ---- names and hashes ---- */
static void srk_name(void **state)
{
    (void)state;
    struct tpm_public pub = read_base(SRK_RSA);
    uint8_t expected[TPM_NAME_LEN], name[TPM_NAME_LEN];
    assert_ok(tpm_public_name(&pub, name));
    assert_span_equal(UNHEX(VECTOR_SRK_NAME, expected), SPAN_ARRAY(name));
}

static void one_key_has_one_hash(void **state)
{
    (void)state;
    struct deviation spelled = {"65537", EK_RSA, 54, "00010001", 0, ERR_OK};
    struct area a = deviate(&spelled);
    struct tpm_public plain = read_base(EK_RSA), other, as_srk;
    assert_ok(tpm_public_read(area_span(&a), &other));
    assert_ok(tpm_public_from_key(TPM_ROLE_SRK, TPM_KEY_RSA_2048, span_of(plain.key, plain.key_len),
                                  &as_srk));
    uint8_t hash[TPM_KEY_HASH_LEN], again[TPM_KEY_HASH_LEN], name[TPM_NAME_LEN], renamed[TPM_NAME_LEN];
    assert_ok(tpm_public_key_hash(&plain, hash));
    assert_ok(tpm_public_key_hash(&other, again));
    assert_memory_equal(hash, again, sizeof hash);
    assert_ok(tpm_public_key_hash(&as_srk, again));
    assert_memory_equal(hash, again, sizeof hash);
    assert_true(tpm_public_same_key(&plain, &other));
    assert_true(tpm_public_same_key(&plain, &as_srk));
    assert_ok(tpm_public_name(&plain, name));
    assert_ok(tpm_public_name(&other, renamed));
    assert_memory_not_equal(name, renamed, sizeof name); /* the Name tells them apart */
}

static void two_keys_have_two_hashes(void **state)
{
    (void)state;
    for (enum base a = EK_RSA; a < BASE_COUNT; a++) {
        for (enum base b = EK_RSA; b < BASE_COUNT; b++) {
            struct tpm_public one = read_base(a), two = read_base(b);
            uint8_t hash_one[TPM_KEY_HASH_LEN], hash_two[TPM_KEY_HASH_LEN];
            assert_ok(tpm_public_key_hash(&one, hash_one));
            assert_ok(tpm_public_key_hash(&two, hash_two));
            assert_int_equal(a == b, memcmp(hash_one, hash_two, sizeof hash_one) == 0);
            assert_int_equal(a == b, tpm_public_same_key(&one, &two));
        }
    }
}

/* ---- templates ---- */
static void keys_become_the_areas_of_the_default_templates(void **state)
{
    (void)state;
    for (enum base base = EK_RSA; base < BASE_COUNT; base++) {
        struct tpm_public pub = read_base(base), made;
        enum tpm_key_role role = base == EK_RSA || base == EK_ECC ? TPM_ROLE_EK : TPM_ROLE_SRK;
        assert_ok(tpm_public_from_key(role, pub.kind, span_of(pub.key, pub.key_len), &made));
        assert_memory_equal(&pub, &made, sizeof pub);
    }
}

static void keys_that_are_none_make_no_area(void **state)
{
    (void)state;
    uint8_t key[TPM_RSA_LEN + 1];
    vector_fill(key, 0xc3, sizeof key);
    struct tpm_public pub;
    POISON(pub);
    static const struct {
        enum tpm_key_kind kind;
        size_t len;
    } rows[] = {
        {TPM_KEY_RSA_2048, 0},   {TPM_KEY_RSA_2048, 255}, {TPM_KEY_RSA_2048, 257},
        {TPM_KEY_RSA_2048, 64},  {TPM_KEY_ECC_P256, 0},   {TPM_KEY_ECC_P256, 63},
        {TPM_KEY_ECC_P256, 65},  {TPM_KEY_ECC_P256, 256}, {TPM_KEY_ECC_P256, 64}, /* off the curve */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_err(ERR_KEY_SHAPE, tpm_public_from_key(TPM_ROLE_EK, rows[i].kind,
                                                      span_of(key, rows[i].len), &pub));
    assert_poisoned(pub);
}

static void templates(void **state)
{
    (void)state;
    static const struct {
        enum base base;
        enum tpm_key_role role;
        enum tpm_key_kind kind;
        const char *size, *unique; /* NULL: 256 zeros */
    } rows[] = {
        {EK_RSA, TPM_ROLE_EK, TPM_KEY_RSA_2048, "013a", NULL},
        {SRK_RSA, TPM_ROLE_SRK, TPM_KEY_RSA_2048, "001a", "0000"},
        {EK_ECC, TPM_ROLE_EK, TPM_KEY_ECC_P256, "007a", "0020" ZEROS_32 "0020" ZEROS_32},
        {SRK_ECC, TPM_ROLE_SRK, TPM_KEY_ECC_P256, "001a", "0000 0000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct area expected = base_area(rows[i].base);
        bool rsa = rows[i].kind == TPM_KEY_RSA_2048;
        expected.len -= rsa ? 2 + 256 : 2 + 32 + 2 + 32;
        unhex(rows[i].size, expected.at, 2);
        append_hex(&expected, rows[i].unique ? rows[i].unique : "0100");
        if (!rows[i].unique) {
            vector_fill(expected.at + expected.len, 0, TPM_RSA_LEN);
            expected.len += TPM_RSA_LEN;
        }
        uint8_t bytes[TPM_PUBLIC_CAP];
        struct buf out = BUF_OVER(bytes);
        tpm_public_template_write(&out, rows[i].role, rows[i].kind);
        assert_ok(buf_end(&out));
        assert_span_equal(area_span(&expected), buf_span(&out));
    }
    uint8_t small[315];
    struct buf out = BUF_OVER(small);
    tpm_public_template_write(&out, TPM_ROLE_EK, TPM_KEY_RSA_2048);
    assert_err(ERR_FULL, buf_end(&out));
}

/* ---- the same in the words of the TPM software stack ---- */
static void the_stack_reads_the_same(void **state)
{
    (void)state;
    for (enum base base = EK_RSA; base < BASE_COUNT; base++) {
        struct tpm_public pub = read_base(base);
        TPM2B_PUBLIC theirs = {0};
        size_t used = 0;
        assert_int_equal(0, Tss2_MU_TPM2B_PUBLIC_Unmarshal(pub.raw, pub.raw_len, &used, &theirs));
        assert_int_equal(pub.raw_len, used);
        assert_int_equal(pub.attributes, theirs.publicArea.objectAttributes);
        const TPMU_PUBLIC_ID *unique = &theirs.publicArea.unique;
        if (pub.kind == TPM_KEY_RSA_2048) {
            assert_int_equal(TPM2_ALG_RSA, theirs.publicArea.type);
            assert_memory_equal(unique->rsa.buffer, pub.key, unique->rsa.size);
        } else {
            assert_int_equal(TPM2_ALG_ECC, theirs.publicArea.type);
            assert_int_equal(TPM2_ECC_NIST_P256, theirs.publicArea.parameters.eccDetail.curveID);
            assert_memory_equal(unique->ecc.x.buffer, pub.key, 32);
            assert_memory_equal(unique->ecc.y.buffer, pub.key + 32, 32);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_areas_are_read),
        cmocka_unit_test(deviations_are_refused),
        cmocka_unit_test(policies_are_absent_or_of_32_bytes),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(extreme_moduli),
        cmocka_unit_test(squares_are_refused_and_their_neighbours_are_not),
        cmocka_unit_test(every_attribute_bit_flipped),
        cmocka_unit_test(srk_name),
        cmocka_unit_test(one_key_has_one_hash),
        cmocka_unit_test(two_keys_have_two_hashes),
        cmocka_unit_test(keys_become_the_areas_of_the_default_templates),
        cmocka_unit_test(keys_that_are_none_make_no_area),
        cmocka_unit_test(templates),
        cmocka_unit_test(the_stack_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
