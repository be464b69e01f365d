/* CPU time of one EK certificate read and judged, by its issuer's key, and how many a second on one
 * core that makes. Sixteen issuers of the kind take turns, as a vendor's CAs do. */
#include <certmake.h>
#include <ekcert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ISSUERS 16
#define LEAVES 256
#define ROUNDS 40

static void must(enum err e)
{
    if (e == ERR_OK)
        return;
    fprintf(stderr, "bench_ekcert: %s\n", err_name(e));
    exit(1);
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct certkey root, ek, issuers[ISSUERS];
static uint8_t leaves[LEAVES][CERTMAKE_CAP];
static struct span spans[LEAVES];

static void add(struct ekcert_trust *t, const struct certspec *s)
{
    uint8_t der[CERTMAKE_CAP];
    must(ekcert_trust_add(t, EKCERT_TRUST_ROOTS, certmake(s, der)));
}

static struct ekcert_trust *world_make(void)
{
    struct ekcert_trust *t;
    struct certspec ca = {.subject = "Root", .issuer = "Root", .key = &root, .signer = &root,
                          .not_before_s = 1600000000, .not_after_s = 2000000000,
                          .serial = SPAN_LITERAL("\x05"), .basic = BASIC_CA,
                          .path_len = NO_PATH_LEN, .usage = 6, .own = &root};
    must(ekcert_trust_open(&t));
    add(t, &ca);
    char names[ISSUERS][24];
    for (int i = 0; i < ISSUERS; i++) {
        snprintf(names[i], sizeof names[i], "Issuer %02d", i);
        ca.subject = names[i];
        ca.key = ca.own = &issuers[i];
        ca.authority = &root;
        add(t, &ca);
    }
    for (int i = 0; i < LEAVES; i++) {
        const struct certkey *issuer = &issuers[i % ISSUERS];
        uint8_t serial[] = {1, (uint8_t)i};
        struct certspec leaf = {.subject = "", .issuer = names[i % ISSUERS], .key = &ek,
                                .signer = issuer, .authority = issuer,
                                .not_before_s = 1600000000, .not_after_s = 2000000000,
                                .serial = SPAN_ARRAY(serial), .basic = BASIC_EMPTY,
                                .path_len = NO_PATH_LEN, .usage = 0x20, .purpose = PURPOSE_EK,
                                .san = SAN_TPM};
        spans[i] = certmake(&leaf, leaves[i]);
    }
    return t;
}

static void measure(const char *kind)
{
    struct ekcert_trust *t = world_make();
    struct ekcert_policy policy = {0};
    struct ekcert c;
    double read_us = cpu_us();
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LEAVES; i++)
            must(ekcert_read(spans[i], &c));
    read_us = (cpu_us() - read_us) / (ROUNDS * LEAVES);
    double us = cpu_us();
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LEAVES; i++) {
            struct ekcert_verdict v;
            must(ekcert_read(spans[i], &c));
            ekcert_judge(t, &c, &c.ek, &policy, 1700000000, &v);
            must(v.grade == EKCERT_CERTIFICATE_TRUSTED ? ERR_OK : ERR_CERTIFICATE);
        }
    us = (cpu_us() - us) / (ROUNDS * LEAVES);
    printf("EK certificate, issuer %-8s  read %5.1f us, read and judged %6.1f us CPU, %7.0f /s a core\n",
           kind, read_us, us, 1e6 / us);
    ekcert_trust_close(t);
}

static void issuers_free(void)
{
    for (int i = 0; i < ISSUERS; i++)
        certkey_free(&issuers[i]);
}

int main(void)
{
    static const struct {
        const char *name;
        int rsa_bits, ecc_len;
    } kinds[] = {{"RSA-2048", 2048, 0}, {"RSA-4096", 4096, 0}, {"P-256", 0, 32}, {"P-384", 0, 48}};
    certkey_rsa_make(&ek, 2048);
    certkey_ecc_make(&root, 48);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int i = 0; i < ISSUERS; i++)
            if (kinds[k].rsa_bits > 2048 && i > 0)
                issuers[i] = issuers[0]; /* one key under many names: it takes seconds to make */
            else if (kinds[k].rsa_bits > 0)
                certkey_rsa_make(&issuers[i], kinds[k].rsa_bits);
            else
                certkey_ecc_make(&issuers[i], kinds[k].ecc_len);
        measure(kinds[k].name);
        if (kinds[k].rsa_bits > 2048)
            certkey_free(&issuers[0]);
        else
            issuers_free();
    }
    certkey_free(&ek);
    certkey_free(&root);
    return 0;
}
