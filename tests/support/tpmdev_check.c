/* tpmdev_check TCTI rsa|ecc new|there: the firmware's TPM work against a real TPM implementation.
 * Ends with 0 if all of it was as it should be, else says where it was not. */
#include <attest.h>
#include <hal/fake.h>
#include <hal/linux.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tpmdev.h>
#include <tpmhandles.h>
#include <wire/names.h>
#include <wire/sas.h>

#define ROUNDS 50
#define CC_FLUSH_CONTEXT 0x165

static struct hal_linux port;
static struct fake_tpm between; /* passes everything on, until a plan says otherwise */
static struct attest *attest;
static struct tpmdev dev;

#define EXPECT(what)                                                                               \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #what);                    \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
static void expect_err(int line, enum err expected, enum err actual)
{
    if (expected == actual)
        return;
    fprintf(stderr, "%s:%d: %s, not %s (TPM 0x%x)\n", __FILE__, line, err_name(actual),
            err_name(expected), dev.last_rc);
    exit(1);
}
#define EXPECT_ERR(expected, actual) expect_err(__LINE__, (expected), (actual))
#define EXPECT_OK(actual) expect_err(__LINE__, ERR_OK, (actual))

/* ---- what is in the TPM ---- */
static struct tpm_handles handles_of(uint32_t first)
{
    return tpm_handles(port.hal.tpm, first);
}

static void expect_nothing_loaded(void)
{
    EXPECT(handles_of(HANDLES_TRANSIENT).count == 0);
    EXPECT(handles_of(HANDLES_SESSION).count == 0);
}

/* ---- keys ---- */
static void check_keys(enum tpm_key_kind kind, bool there)
{
    struct tpm_handles before = handles_of(HANDLES_PERSISTENT);
    EXPECT_OK(tpmdev_keys(&dev));
    EXPECT(dev.created_ek == !there && dev.created_srk == !there);
    EXPECT(dev.ek.kind == kind && dev.srk.kind == kind);
    struct tpm_handles after = handles_of(HANDLES_PERSISTENT);
    EXPECT(after.count == before.count + (there ? 0 : 2));
    expect_nothing_loaded();
    unsigned commands = between.commands;
    EXPECT_OK(tpmdev_keys(&dev));
    EXPECT(between.commands == commands);

    struct tpm_public ek = dev.ek, srk = dev.srk; /* another boot finds the same */
    tpmdev_init(&dev, &between.table, port.hal.clock);
    EXPECT_OK(tpmdev_keys(&dev));
    EXPECT(!dev.created_ek && !dev.created_srk);
    EXPECT(tpm_public_same_key(&ek, &dev.ek) && tpm_public_same_key(&srk, &dev.srk));
}

/* ---- activation and signing ---- */
static void wrap(const struct tpm_public *ek, const struct tpm_public *srk, const uint8_t key[32],
                 uint8_t *at, size_t cap, struct span *ret_blob)
{
    struct buf out = buf_over(at, cap);
    EXPECT_OK(attest_wrap(attest, ek, srk, span_of(key, 32), SPAN_LITERAL("hub.example"), &out));
    *ret_blob = buf_span(&out);
}

static void expect_signs_with(const uint8_t key[32], size_t message_len)
{
    uint8_t message[4000], expected[32], actual[32];
    EXPECT(message_len <= sizeof message);
    for (size_t i = 0; i < message_len; i++)
        message[i] = (uint8_t)(i * 13);
    EXPECT_OK(sas_sign(span_of(key, 32), span_of(message, message_len), expected));
    EXPECT_OK(tpmdev_sign(&dev, span_of(message, message_len), actual));
    EXPECT(memcmp(expected, actual, 32) == 0);
}

static void check_rounds(uint8_t key[32])
{
    uint8_t blob_bytes[TPMBLOB_CAP];
    struct span blob;
    static const size_t lengths[] = {0, 1, 1023, 1024, 1025, 2048, 3000};
    uint8_t signature[32], expected[32];
    EXPECT_ERR(ERR_ABSENT, tpmdev_sign(&dev, SPAN_LITERAL("x"), signature));
    uint32_t persistent = handles_of(HANDLES_PERSISTENT).count + 1;
    for (int round = 0; round < ROUNDS; round++) {
        EXPECT_OK(attest_random(attest, key, 32));
        wrap(&dev.ek, &dev.srk, key, blob_bytes, sizeof blob_bytes, &blob);
        EXPECT_OK(tpmdev_prove(&dev, blob, SPAN_LITERAL("x"), signature));
        EXPECT_OK(sas_sign(span_of(key, 32), SPAN_LITERAL("x"), expected));
        EXPECT(memcmp(expected, signature, 32) == 0);
        EXPECT(handles_of(HANDLES_PERSISTENT).count == persistent - (round == 0));
        EXPECT_OK(tpmdev_activate(&dev, blob));
        expect_signs_with(key, lengths[round % 7]);
        EXPECT(handles_of(HANDLES_PERSISTENT).count == persistent);
        expect_nothing_loaded();
    }
    tpmdev_init(&dev, &between.table, port.hal.clock); /* a boot that does not know what is there */
    EXPECT_OK(tpmdev_keys(&dev));
    expect_signs_with(key, 100);
    EXPECT_OK(tpmdev_activate(&dev, blob));
    EXPECT(handles_of(HANDLES_PERSISTENT).count == persistent);
}

/* Whatever is wrong with a blob: it is refused, and the key that was there signs on. */
static void check_wrong_blobs(const uint8_t key[32], const struct tpm_public *other_ek,
                              const struct tpm_public *other_srk)
{
    uint8_t at[TPMBLOB_CAP], wrong[TPMBLOB_CAP], fresh[32] = {1};
    struct span blob;
    wrap(other_ek, &dev.srk, fresh, at, sizeof at, &blob);
    EXPECT_ERR(ERR_TPM_ACTIVATE, tpmdev_activate(&dev, blob));
    wrap(&dev.ek, other_srk, fresh, at, sizeof at, &blob);
    EXPECT_ERR(ERR_TPM_ACTIVATE, tpmdev_activate(&dev, blob));

    wrap(&dev.ek, &dev.srk, fresh, at, sizeof at, &blob);
    size_t trailer = sizeof "hub.example" - 1;
    size_t step = dev.ek.kind == TPM_KEY_ECC_P256 ? 1 : 7;
    for (size_t i = 0; i < blob.len - trailer; i += step) {
        memcpy(wrong, blob.at, blob.len);
        wrong[i] ^= 0x10;
        enum err e = tpmdev_activate(&dev, span_of(wrong, blob.len));
        if (e != ERR_TPM_ACTIVATE && e != ERR_TRUNCATED && e != ERR_TRAILING && e != ERR_PROTOCOL &&
            e != ERR_KEY_ROLE) {
            fprintf(stderr, "byte %zu: %s\n", i, err_name(e));
            exit(1);
        }
    }
    for (size_t len = 0; len < blob.len; len += 3)
        EXPECT(tpmdev_activate(&dev, span_of(blob.at, len)) != ERR_OK);
    expect_signs_with(key, 100);
    expect_nothing_loaded();
}

/* ---- a TPM, or a bus, that lies ---- */
static void restore(uint8_t key[32], const struct span *blob)
{
    between.plan = (struct fake_tpm_plan){0};
    tpm_handles_flush(port.hal.tpm, HANDLES_TRANSIENT);
    tpm_handles_flush(port.hal.tpm, HANDLES_SESSION);
    tpmdev_init(&dev, &between.table, port.hal.clock);
    EXPECT_OK(tpmdev_keys(&dev));
    EXPECT_OK(tpmdev_activate(&dev, *blob));
    expect_signs_with(key, 10);
    expect_nothing_loaded();
}

static void check_replies_altered(uint8_t key[32])
{
    uint8_t at[TPMBLOB_CAP], signature[32];
    struct span blob;
    wrap(&dev.ek, &dev.srk, key, at, sizeof at, &blob);
    static const enum fake_tpm_fault faults[] = {FAKE_TPM_FLIP, FAKE_TPM_TRUNCATE,
                                                 FAKE_TPM_TRUNCATE_FIXED, FAKE_TPM_GARBAGE};
    unsigned step = dev.ek.kind == TPM_KEY_ECC_P256 ? 1 : 4; /* a recovery with RSA keys takes ten times as long */
    for (unsigned command = 1; command <= 22; command += step)
        for (size_t f = 0; f < sizeof faults / sizeof *faults; f++)
            for (uint32_t value = 0; value < 64; value += 13) {
                tpmdev_init(&dev, &between.table, port.hal.clock);
                between.commands = 0;
                between.plan =
                    (struct fake_tpm_plan){.at = command, .fault = faults[f], .value = value};
                /* any outcome is right but a crash, a hang, or a sanitizer's complaint */
                if (tpmdev_keys(&dev) == ERR_OK &&
                    tpmdev_prove(&dev, blob, SPAN_LITERAL("message"), signature) == ERR_OK &&
                    tpmdev_activate(&dev, blob) == ERR_OK)
                    (void)!tpmdev_sign(&dev, SPAN_LITERAL("message"), signature);
                restore(key, &blob);
            }
}

static void check_refusals_leak_nothing(uint8_t key[32])
{
    uint8_t at[TPMBLOB_CAP];
    struct span blob;
    wrap(&dev.ek, &dev.srk, key, at, sizeof at, &blob);
    bool untouched = false;
    for (unsigned command = 1; !untouched; command++) {
        between.commands = 0;
        between.plan = (struct fake_tpm_plan){
            .at = command, .fault = FAKE_TPM_RESPONSE_CODE, .value = 0x101};
        between.hit_code = 0;
        untouched = tpmdev_activate(&dev, blob) == ERR_OK && between.hit_code == 0;
        between.plan = (struct fake_tpm_plan){0};
        if (between.hit_code != CC_FLUSH_CONTEXT)
            expect_nothing_loaded();
        restore(key, &blob);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    enum tpm_key_kind kind = strcmp(argv[2], "ecc") == 0 ? TPM_KEY_ECC_P256 : TPM_KEY_RSA_2048;
    setenv("TSS2_LOG", "all+NONE", 1);
    EXPECT_OK(hal_linux_open(&port, &(struct hal_linux_config){.tcti = argv[1]}));
    EXPECT_OK(attest_open(&attest));
    fake_tpm_init(&between, port.hal.tpm);
    tpmdev_init(&dev, &between.table, port.hal.clock);

    if (strcmp(argv[3], "not-started") == 0) {
        EXPECT_OK(tpmdev_keys(&dev));
        puts("ok  a TPM that nobody has started is started");
        return 0;
    }
    uint8_t key[32];
    check_keys(kind, strcmp(argv[3], "there") == 0);
    puts("ok  keys are made once, persisted, and found again");
    check_rounds(key);
    puts("ok  50 times a challenge and a key: each signs, nothing is left behind");
    check_wrong_blobs(key, &dev.srk, &dev.ek); /* each other's: wrong, and well-formed */
    puts("ok  wrong blobs are refused and change nothing");
    check_refusals_leak_nothing(key);
    puts("ok  a refusal of any command leaves nothing loaded");
    check_replies_altered(key);
    puts("ok  altered replies do no harm");
    tpmdev_end(&dev);
    attest_close(attest);
    hal_linux_close(&port);
    return 0;
}
