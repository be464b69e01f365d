#include <wolfssl/options.h>

#include "../vectors/rsa.h"

#include <unit.h>

#include <mutant_blob.h>
#include <party.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/integer.h>
#include <wolfssl/wolfcrypt/random.h>

struct party party_make(enum tpm_key_role role, enum tpm_key_kind kind)
{
    uint8_t key[TPM_RSA_LEN];
    bool ek = role == TPM_ROLE_EK;
    struct party p = {.label = ek ? span_of("IDENTITY", 9) : span_of("DUPLICATE", 10)};
    const char *public_hex;
    if (kind == TPM_KEY_RSA_2048) {
        public_hex = ek ? VECTOR_RSA_EK_N : VECTOR_RSA_SRK_N;
        p.private_hex = ek ? VECTOR_RSA_EK_D : VECTOR_RSA_SRK_D;
    } else {
        public_hex = ek ? VECTOR_ECC_EK_XY : VECTOR_ECC_SRK_XY;
        p.private_hex = ek ? VECTOR_ECC_EK_D : VECTOR_ECC_SRK_D;
    }
    assert_ok(tpm_public_from_key(role, kind, UNHEX(public_hex, key), &p.pub));
    return p;
}

void rsa_open(const struct party *p, struct span secret, uint8_t block[TPM_RSA_LEN])
{
    uint8_t exponent[TPM_RSA_LEN];
    struct span d = UNHEX(p->private_hex, exponent);
    mp_int n, e, x;
    assert_int_equal(mp_init_multi(&n, &e, &x, NULL, NULL, NULL), 0);
    assert_int_equal(mp_read_unsigned_bin(&n, p->pub.key, TPM_RSA_LEN), 0);
    assert_int_equal(mp_read_unsigned_bin(&e, d.at, (word32)d.len), 0);
    assert_int_equal(mp_read_unsigned_bin(&x, secret.at, (word32)secret.len), 0);
    assert_int_equal(mp_exptmod(&x, &e, &n, &x), 0);
    assert_int_equal(mp_to_unsigned_bin_len(&x, block, TPM_RSA_LEN), 0);
}

void oaep_open(uint8_t block[TPM_RSA_LEN], uint8_t label_hash[32], uint8_t seed[SEED_LEN])
{
    uint8_t *mask = block + 1, *db = block + 33;
    const size_t db_len = TPM_RSA_LEN - 33, one = db_len - SEED_LEN - 1;
    mutant_oaep_mask(span_of(db, db_len), mask, 32);
    mutant_oaep_mask(span_of(mask, 32), db, db_len);
    assert_int_equal(block[0], 0);
    for (size_t i = 32; i < one; i++)
        assert_int_equal(db[i], 0);
    assert_int_equal(db[one], 1);
    memcpy(label_hash, db, 32);
    memcpy(seed, db + one + 1, SEED_LEN);
}

static void ecc_open(const struct party *p, struct span secret, uint8_t seed[SEED_LEN])
{
    uint8_t d[32], z[32];
    word32 z_len = sizeof z;
    ecc_key ours, theirs;
    WC_RNG rng;
    struct rd r = rd_over(secret);
    struct span x = rd_sized_u16(&r);
    struct span y = rd_sized_u16(&r);
    assert_ok(rd_end(&r));
    assert_int_equal(x.len, 32);
    assert_int_equal(y.len, 32);
    UNHEX(p->private_hex, d);
    assert_int_equal(wc_InitRng(&rng), 0);
    assert_int_equal(wc_ecc_init(&ours), 0);
    assert_int_equal(wc_ecc_init(&theirs), 0);
    assert_int_equal(wc_ecc_import_unsigned(&ours, p->pub.key, p->pub.key + 32, d, ECC_SECP256R1),
                     0);
    assert_int_equal(wc_ecc_import_unsigned(&theirs, x.at, y.at, NULL, ECC_SECP256R1), 0);
    assert_int_equal(wc_ecc_check_key(&theirs), 0);
    assert_int_equal(wc_ecc_set_rng(&ours, &rng), 0);
    assert_int_equal(wc_ecc_shared_secret(&ours, &theirs, z, &z_len), 0);
    assert_int_equal(z_len, 32);
    mutant_kdfe(z, p->label, x.at, p->pub.key, seed);
    wc_ecc_free(&ours);
    wc_ecc_free(&theirs);
    wc_FreeRng(&rng);
}

void seed_open(const struct party *p, struct span secret, uint8_t seed[SEED_LEN])
{
    uint8_t block[TPM_RSA_LEN], label_hash[32], wanted_hash[32];
    if (p->pub.kind == TPM_KEY_ECC_P256) {
        ecc_open(p, secret, seed);
        return;
    }
    assert_int_equal(secret.len, TPM_RSA_LEN);
    rsa_open(p, secret, block);
    oaep_open(block, label_hash, seed);
    mutant_sha256(p->label, span_of("", 0), wanted_hash);
    assert_memory_equal(label_hash, wanted_hash, 32);
}
