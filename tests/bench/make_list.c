/* A manufacturing list of any length, quickly: make_list COUNT [FIRST] writes a CSV of RSA-2048
 * endorsement keys that no test of one key by itself objects to. They are products of two from a
 * pool, so that they do share factors. The ids are in no order, as ids derived from keys are. */
#include <attest.h>
#include <modulus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire/text.h>

#define WORDS 16
#define POOL 8000 /* pairs for 31,996,000 rows */

__extension__ typedef unsigned __int128 u128;
static uint64_t pool[POOL][WORDS];
static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static bool is_rough(const uint64_t *a)
{
    struct modulus n = {{0}};
    memcpy(n.word, a, WORDS * sizeof *a);
    if (modulus_has_small_factor(&n))
        return false;
    for (uint64_t p = 753; p < 2000; p += 2) {
        uint64_t rest = 0;
        for (size_t i = WORDS; i-- > 0;)
            rest = (uint64_t)(((u128)rest << 64 | a[i]) % p);
        if (rest == 0)
            return false;
    }
    return true;
}

static void fill_pool(void)
{
    uint8_t once[TPM_RSA_LEN] = {0x80};
    (void)modulus_of(once); /* makes the tables */
    for (size_t i = 0; i < POOL; i++)
        do {
            for (int k = 0; k < WORDS; k++)
                pool[i][k] = draw();
            pool[i][0] |= 1;
            pool[i][WORDS - 1] |= 0xc000000000000000u;
        } while (!is_rough(pool[i]));
}

static void multiply(const uint64_t *a, const uint64_t *b, uint8_t ret_bytes[TPM_RSA_LEN])
{
    uint64_t product[2 * WORDS] = {0};
    for (int i = 0; i < WORDS; i++) {
        uint64_t carry = 0;
        for (int k = 0; k < WORDS; k++) {
            u128 sum = (u128)a[i] * b[k] + product[i + k] + carry;
            product[i + k] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        product[i + WORDS] = carry;
    }
    for (int i = 0; i < TPM_RSA_LEN; i++)
        ret_bytes[i] = (uint8_t)(product[31 - i / 8] >> (56 - 8 * (i % 8)));
}

/* The n-th pair of the pool. */
static void key_of(unsigned long n, uint8_t ret_bytes[TPM_RSA_LEN])
{
    unsigned long row = 1, above = POOL;
    n *= 7919; /* neighbours have nothing in common */
    n %= (unsigned long)POOL * (POOL - 1) / 2;
    while (above - row > 1) { /* before the pairs of `row` come row * (row - 1) / 2 others */
        unsigned long middle = (row + above) / 2;
        if (middle * (middle - 1) / 2 <= n)
            row = middle;
        else
            above = middle;
    }
    multiply(pool[row], pool[n - row * (row - 1) / 2], ret_bytes);
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long first = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    struct tpm_public area;
    fill_pool();
    (void)puts("registrationId,endorsementKey");
    for (unsigned long i = first; i < first + count; i++) {
        uint8_t key[TPM_RSA_LEN];
        char text[600];
        struct buf out = BUF_OVER(text);
        key_of(i, key);
        if (tpm_public_from_key(TPM_ROLE_EK, TPM_KEY_RSA_2048, SPAN_ARRAY(key), &area) != ERR_OK)
            return 1;
        base64_write(&out, span_of(area.raw, area.raw_len));
        if (buf_end_text(&out) != ERR_OK || printf("unit-%016llx,%s\n", (unsigned long long)((i + 1) * 0x9e3779b97f4a7c15u), text) < 0)
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
