/* CPU time of one activation blob, for each combination of EK and SRK, and of the smaller parts.
 * Many keys take turns, as devices do: where wolfCrypt is built with a cache for points seen before,
 * one repeated ECC key would look cheaper than it is. */
#include <wolfssl/options.h>

#include <attest.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#define KEYS 64
#define ROUNDS 2000

static void must(enum err e)
{
    if (e == ERR_OK)
        return;
    fprintf(stderr, "bench_wrap: %s\n", err_name(e));
    exit(1);
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* An odd number with the top bit set: for encrypting it is as good as a product of primes. */
static void modulus_draw(struct attest *a, uint8_t key[TPM_RSA_LEN])
{
    must(attest_random(a, key, TPM_RSA_LEN));
    key[0] |= 0x80;
    key[TPM_RSA_LEN - 1] |= 1;
}

static void point_draw(WC_RNG *rng, uint8_t key[2 * TPM_ECC_LEN])
{
    ecc_key k;
    word32 x_len = TPM_ECC_LEN;
    word32 y_len = TPM_ECC_LEN;
    if (wc_ecc_init(&k) != 0 || wc_ecc_make_key_ex(rng, TPM_ECC_LEN, &k, ECC_SECP256R1) != 0 ||
        wc_ecc_export_public_raw(&k, key, &x_len, key + TPM_ECC_LEN, &y_len) != 0)
        must(ERR_CRYPTO);
    wc_ecc_free(&k);
}

static void keys_draw(struct attest *a, WC_RNG *rng, enum tpm_key_role role, enum tpm_key_kind kind,
                      struct tpm_public keys[KEYS])
{
    uint8_t key[TPM_RSA_LEN];
    for (int i = 0; i < KEYS; i++) {
        if (kind == TPM_KEY_RSA_2048)
            modulus_draw(a, key);
        else
            point_draw(rng, key);
        size_t len = kind == TPM_KEY_RSA_2048 ? TPM_RSA_LEN : 2 * TPM_ECC_LEN;
        must(tpm_public_from_key(role, kind, span_of(key, len), &keys[i]));
    }
}

static double wrap_us(struct attest *a, const struct tpm_public eks[KEYS],
                      const struct tpm_public srks[KEYS])
{
    static const uint8_t key[ATTEST_KEY_LEN] = {1};
    double start = cpu_us();
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t bytes[TPMBLOB_CAP];
        struct buf out = BUF_OVER(bytes);
        must(attest_wrap(a, &eks[i % KEYS], &srks[i * 7 % KEYS], SPAN_ARRAY(key),
                         SPAN_LITERAL("hub.example"), &out));
    }
    return (cpu_us() - start) / ROUNDS;
}

static double nonce_key_us(void)
{
    static const uint8_t name[TPM_NAME_LEN] = {0, 0x0b};
    struct secret root = {.len = ATTEST_KEY_LEN};
    struct regid id = {.text = "dev-1"};
    struct attest_binding b = {.id_scope = SPAN_LITERAL("0ne00000001"),
                               .registration_id = &id,
                               .ek_name = name,
                               .srk_name = name};
    double start = cpu_us();
    for (int i = 0; i < ROUNDS; i++) {
        SECRET key;
        b.window = i;
        must(attest_nonce_key(&root, &b, &key));
    }
    return (cpu_us() - start) / ROUNDS;
}

static double judge_us(const struct tpm_public keys[KEYS])
{
    double start = cpu_us();
    for (int i = 0; i < KEYS; i++) {
        enum attest_weakness w;
        must(attest_key_judge(&keys[i], &w));
    }
    return (cpu_us() - start) / KEYS;
}

int main(void)
{
    static struct tpm_public keys[2][2][KEYS];
    static const char *const kinds[] = {"RSA-2048", "P-256"};
    struct attest *a;
    WC_RNG rng;
    must(attest_open(&a));
    if (wc_InitRng(&rng) != 0)
        must(ERR_ENTROPY);
    for (int kind = 0; kind < 2; kind++) {
        keys_draw(a, &rng, TPM_ROLE_EK, kind == 0 ? TPM_KEY_RSA_2048 : TPM_KEY_ECC_P256,
                  keys[0][kind]);
        keys_draw(a, &rng, TPM_ROLE_SRK, kind == 0 ? TPM_KEY_RSA_2048 : TPM_KEY_ECC_P256,
                  keys[1][kind]);
    }
    for (int ek = 0; ek < 2; ek++)
        for (int srk = 0; srk < 2; srk++)
            printf("wrap, EK %-8s SRK %-8s  %7.1f us CPU\n", kinds[ek], kinds[srk],
                   wrap_us(a, keys[0][ek], keys[1][srk]));
    printf("nonce key derived               %7.1f us CPU\n", nonce_key_us());
    printf("random odd modulus judged       %7.1f us CPU\n", judge_us(keys[0][0]));
    wc_FreeRng(&rng);
    attest_close(a);
    return 0;
}
