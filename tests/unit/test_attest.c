#include <wolfssl/options.h>

#include "../vectors/protocol.h"

#include <attest.h>
#include <malloc.h>
#include <mutant_blob.h>
#include <party.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unit.h>
#include <wire/sas.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/random.h>

#define TRAILER SPAN_LITERAL("hub.example")

/* ---- randomness that can fail: the linker sends every call of wolfCrypt's generator here ---- */

static int draws_until_failure = -1; /* negative: never */
static struct attest_draw *recorded; /* takes a copy of the next draw of its size */

int __real_wc_RNG_GenerateBlock(WC_RNG *rng, byte *output, word32 size);
int __wrap_wc_RNG_GenerateBlock(WC_RNG *rng, byte *output, word32 size);
int __wrap_wc_RNG_GenerateBlock(WC_RNG *rng, byte *output, word32 size)
{
    if (draws_until_failure == 0)
        return RNG_FAILURE_E;
    if (draws_until_failure > 0)
        draws_until_failure--;
    int failed = __real_wc_RNG_GenerateBlock(rng, output, size);
    if (recorded != NULL && size == sizeof *recorded) {
        memcpy(recorded, output, size);
        recorded = NULL;
    }
    return failed;
}

static bool seeding_fails;

int __real_wc_InitRng(WC_RNG *rng);
int __wrap_wc_InitRng(WC_RNG *rng);
int __wrap_wc_InitRng(WC_RNG *rng)
{
    return seeding_fails ? RNG_FAILURE_E : __real_wc_InitRng(rng);
}

static struct attest *open_attest(void)
{
    struct attest *a;
    assert_ok(attest_open(&a));
    return a;
}

static void each_pair(void (*test)(struct attest *, const struct party *, const struct party *))
{
    static const enum tpm_key_kind kinds[] = {TPM_KEY_RSA_2048, TPM_KEY_ECC_P256};
    struct attest *a = open_attest();
    for (size_t i = 0; i < 4; i++) {
        struct party ek = party_make(TPM_ROLE_EK, kinds[i / 2]);
        struct party srk = party_make(TPM_ROLE_SRK, kinds[i % 2]);
        test(a, &ek, &srk);
    }
    attest_close(a);
}

static void key_fill(uint8_t key[ATTEST_KEY_LEN])
{
    vector_count(key, VECTOR_KEY_FIRST, ATTEST_KEY_LEN);
}

static struct attest_draw vector_draw(void)
{
    struct attest_draw draw;
    vector_count(draw.inner_key, VECTOR_INNER_KEY_FIRST, sizeof draw.inner_key);
    vector_count(draw.credential_seed, VECTOR_CREDENTIAL_SEED_FIRST, sizeof draw.credential_seed);
    vector_count(draw.duplicate_seed, VECTOR_DUPLICATION_SEED_FIRST, sizeof draw.duplicate_seed);
    vector_count(draw.seed_value, VECTOR_SEED_VALUE_FIRST, sizeof draw.seed_value);
    return draw;
}

/* ---- against fixed vectors ---- */

static struct tpm_public vector_public(const char *prefix, uint8_t byte)
{
    uint8_t bytes[TPM_PUBLIC_CAP];
    struct tpm_public pub;
    struct span head = UNHEX(prefix, bytes);
    vector_fill(bytes + head.len, byte, TPM_RSA_LEN);
    assert_ok(tpm_public_read(span_of(bytes, head.len + TPM_RSA_LEN), &pub));
    return pub;
}

static void vectors(void **state)
{
    (void)state;
    struct tpm_public ek = vector_public(VECTOR_EK_RSA_PREFIX, VECTOR_EK_MODULUS_BYTE);
    struct tpm_public srk = vector_public(VECTOR_SRK_RSA_PREFIX, VECTOR_SRK_MODULUS_BYTE);
    struct attest_draw draw = vector_draw();
    uint8_t key[ATTEST_KEY_LEN], bytes[TPMBLOB_CAP], wanted[256];
    struct buf out = BUF_OVER(bytes);
    struct tpmblob blob;
    struct attest *a = open_attest();
    key_fill(key);
    assert_ok(attest_wrap_drawn(a, &ek, &srk, SPAN_ARRAY(key), span_text(VECTOR_TRAILER_TEXT),
                                &draw, &out));
    assert_ok(tpmblob_read(buf_span(&out), &blob));
    assert_span_equal(UNHEX(VECTOR_CREDENTIAL, wanted), blob.credential);
    assert_span_equal(UNHEX(VECTOR_DUPLICATE, wanted), blob.duplicate);
    assert_span_equal(UNHEX(VECTOR_PUBLIC_AREA, wanted), blob.public_area);
    assert_span_equal(UNHEX(VECTOR_TRAILER, wanted), blob.trailer);

    uint8_t whole[VECTOR_BLOB_LEN], digest[32];
    static const uint8_t zeros[TPM_RSA_LEN];
    struct buf masked = BUF_OVER(whole);
    blob.credential_secret = blob.duplicate_secret = SPAN_ARRAY(zeros);
    blob.trailer = span_of("", 0);
    tpmblob_write(&masked, &blob);
    assert_int_equal(masked.len, VECTOR_BLOB_LEN);
    mutant_sha256(buf_span(&masked), span_of("", 0), digest);
    assert_span_equal(UNHEX(VECTOR_BLOB_SHA256, wanted), SPAN_ARRAY(digest));
    attest_close(a);
}

static void oaep_labels(void **state)
{
    (void)state;
    struct party ek = party_make(TPM_ROLE_EK, TPM_KEY_RSA_2048);
    struct party srk = party_make(TPM_ROLE_SRK, TPM_KEY_RSA_2048);
    struct attest_draw draw = vector_draw();
    uint8_t key[ATTEST_KEY_LEN] = {0}, bytes[TPMBLOB_CAP];
    uint8_t block[TPM_RSA_LEN], hash[32], seed[SEED_LEN], wanted[32];
    struct buf out = BUF_OVER(bytes);
    struct tpmblob blob;
    struct attest *a = open_attest();
    assert_ok(attest_wrap_drawn(a, &ek.pub, &srk.pub, SPAN_ARRAY(key), TRAILER, &draw, &out));
    assert_ok(tpmblob_read(buf_span(&out), &blob));
    rsa_open(&ek, blob.credential_secret, block);
    oaep_open(block, hash, seed);
    assert_span_equal(
        UNHEX("d3120540c033c72e8725f574f7607cb749f13f8c97cbcb469e3cdf07a0808899", wanted),
        SPAN_ARRAY(hash));
    assert_memory_equal(seed, draw.credential_seed, SEED_LEN);
    rsa_open(&srk, blob.duplicate_secret, block);
    oaep_open(block, hash, seed);
    assert_span_equal(
        UNHEX("b72fb63f25ea5239677870a0a3e1572e9cc190899efada9349ff1a7f6018c294", wanted),
        SPAN_ARRAY(hash));
    assert_memory_equal(seed, draw.duplicate_seed, SEED_LEN);
    attest_close(a);
}

/* ---- against the second builder ---- */

static void same_as_the_other_builder(struct attest *a, const struct party *ek,
                                      const struct party *srk)
{
    static const uint8_t trailer[TPMBLOB_TRAILER_MAX] = {'h', 'u', 'b'};
    static const size_t lengths[] = {1, 11, 16, 17, TPMBLOB_TRAILER_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t key[ATTEST_KEY_LEN], bytes[TPMBLOB_CAP], other_bytes[TPMBLOB_CAP];
        struct attest_draw draw;
        struct buf out = BUF_OVER(bytes), other_out = BUF_OVER(other_bytes);
        struct tpmblob blob;
        struct mutant_blob other;
        struct mutant m = {.ek = &ek->pub,
                           .srk = &srk->pub,
                           .key = SPAN_ARRAY(key),
                           .trailer = span_of(trailer, lengths[i])};
        assert_ok(attest_random(a, key, sizeof key));
        assert_ok(attest_random(a, (uint8_t *)&draw, sizeof draw));
        assert_ok(attest_wrap_drawn(a, &ek->pub, &srk->pub, m.key, m.trailer, &draw, &out));
        assert_ok(tpmblob_read(buf_span(&out), &blob));
        memcpy(m.inner_key, draw.inner_key, sizeof draw.inner_key);
        memcpy(m.seed_value, draw.seed_value, sizeof m.seed_value);
        seed_open(ek, blob.credential_secret, m.credential_seed);
        seed_open(srk, blob.duplicate_secret, m.duplicate_seed);
        m.credential_secret = blob.credential_secret;
        m.duplicate_secret = blob.duplicate_secret;
        mutant_build(&m, &other);
        mutant_write(&other_out, &other);
        assert_span_equal(buf_span(&other_out), buf_span(&out));
    }
}

static void two_builders_agree(void **state)
{
    (void)state;
    each_pair(same_as_the_other_builder);
}

/* Every mistake the second builder can make must show in the bytes: else a proof that a TPM refuses
 * it proves nothing. */
static void mistake_shows(enum mistake mistake, const struct party *ek, const struct party *srk)
{
    uint8_t key[ATTEST_KEY_LEN] = {1}, right_bytes[2048], wrong_bytes[2048];
    static const uint8_t secret[TPM_RSA_LEN];
    struct mutant m = {.ek = &ek->pub,
                       .srk = &srk->pub,
                       .key = SPAN_ARRAY(key),
                       .trailer = TRAILER,
                       .credential_secret = SPAN_ARRAY(secret),
                       .duplicate_secret = SPAN_ARRAY(secret)};
    struct mutant_blob right, wrong;
    struct buf right_out = BUF_OVER(right_bytes), wrong_out = BUF_OVER(wrong_bytes);
    for (size_t i = 0; i < SEED_LEN; i++) {
        m.credential_seed[i] = (uint8_t)(1 + i);
        m.duplicate_seed[i] = (uint8_t)(2 * i);
        m.seed_value[i] = (uint8_t)(3 * i);
    }
    mutant_build(&m, &right);
    m.mistake = mistake;
    mutant_build(&m, &wrong);
    mutant_write(&right_out, &right);
    mutant_write(&wrong_out, &wrong);
    if (span_equal(buf_span(&right_out), buf_span(&wrong_out)))
        fail_msg("%s changes nothing", mistake_name(mistake));
}

static bool is_in_the_seed(enum mistake m)
{
    return m == MISTAKE_IDENTITY_LABEL_STORAGE || m == MISTAKE_IDENTITY_LABEL_WITHOUT_NUL ||
           m == MISTAKE_IDENTITY_PARTIES_SWAPPED || m == MISTAKE_IDENTITY_Z_IS_Y ||
           m == MISTAKE_DUPLICATE_LABEL_IDENTITY || m == MISTAKE_DUPLICATE_LABEL_WITHOUT_NUL ||
           m == MISTAKE_DUPLICATE_TO_EK || m == MISTAKE_DUPLICATE_PARTIES_SWAPPED;
}

static void every_mistake_shows(void **state)
{
    (void)state;
    struct party ek = party_make(TPM_ROLE_EK, TPM_KEY_RSA_2048);
    struct party srk = party_make(TPM_ROLE_SRK, TPM_KEY_RSA_2048);
    for (enum mistake m = MISTAKE_NONE + 1; m < MISTAKE_COUNT; m++)
        if (!is_in_the_seed(m)) /* those the two secrets hide, which are always fresh */
            mistake_shows(m, &ek, &srk);
}

/* ---- what must hold for every blob ---- */

struct opened {
    uint8_t bytes[TPMBLOB_CAP];
    size_t len;
    struct tpmblob blob;
    uint8_t credential_seed[SEED_LEN], duplicate_seed[SEED_LEN];
};

static void wrap_and_open(struct attest *a, const struct party *ek, const struct party *srk,
                          struct opened *o)
{
    uint8_t key[ATTEST_KEY_LEN];
    struct buf out = BUF_OVER(o->bytes);
    key_fill(key);
    assert_ok(attest_wrap(a, &ek->pub, &srk->pub, SPAN_ARRAY(key), TRAILER, &out));
    o->len = out.len;
    assert_ok(tpmblob_read(buf_span(&out), &o->blob));
    seed_open(ek, o->blob.credential_secret, o->credential_seed);
    seed_open(srk, o->blob.duplicate_secret, o->duplicate_seed);
}

static bool share_a_run(struct span a, struct span b, size_t run)
{
    for (size_t i = 0; i + run <= a.len; i++)
        for (size_t j = 0; j + run <= b.len; j++)
            if (memcmp(a.at + i, b.at + j, run) == 0)
                return true;
    return false;
}

static void share_nothing(struct attest *a, const struct party *ek, const struct party *srk)
{
    struct opened one, two;
    wrap_and_open(a, ek, srk, &one);
    wrap_and_open(a, ek, srk, &two);
    const struct span ones[] = {one.blob.credential,
                                one.blob.credential_secret,
                                one.blob.duplicate,
                                one.blob.duplicate_secret,
                                one.blob.trailer,
                                span_slice(one.blob.public_area, 16, 32),
                                SPAN_ARRAY(one.credential_seed),
                                SPAN_ARRAY(one.duplicate_seed)};
    const struct span twos[] = {two.blob.credential,
                                two.blob.credential_secret,
                                two.blob.duplicate,
                                two.blob.duplicate_secret,
                                two.blob.trailer,
                                span_slice(two.blob.public_area, 16, 32),
                                SPAN_ARRAY(two.credential_seed),
                                SPAN_ARRAY(two.duplicate_seed)};
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        for (size_t j = 0; j < sizeof twos / sizeof *twos; j++)
            assert_false(share_a_run(ones[i], twos[j], 8));
    assert_memory_not_equal(one.credential_seed, one.duplicate_seed, SEED_LEN);
}

/* One constant inner key or seed was all it took in a comparable tool: CVE-2021-3565. */
static void two_blobs_share_nothing(void **state)
{
    (void)state;
    each_pair(share_nothing);
}

static void fits(struct attest *a, const struct party *ek, const struct party *srk)
{
    static const uint8_t key[ATTEST_KEY_LEN], trailer[TPMBLOB_TRAILER_MAX];
    const size_t secret = 2 + TPM_RSA_LEN, saved = TPM_RSA_LEN - 68;
    size_t wanted = 54 + 144 + 50 + 2 + 2 * secret + sizeof trailer;
    wanted -= ek->pub.kind == TPM_KEY_ECC_P256 ? saved : 0;
    wanted -= srk->pub.kind == TPM_KEY_ECC_P256 ? saved : 0;
    uint8_t bytes[TPMBLOB_CAP];
    struct buf out = BUF_OVER(bytes);
    assert_ok(attest_wrap(a, &ek->pub, &srk->pub, SPAN_ARRAY(key), SPAN_ARRAY(trailer), &out));
    assert_int_equal(out.len, wanted);
    assert_true(out.len <= TPMBLOB_CAP);
    /* One byte less than needed: nothing at all is written. */
    POISON(bytes);
    out = buf_over(bytes, wanted - 1);
    assert_err(ERR_FULL,
               attest_wrap(a, &ek->pub, &srk->pub, SPAN_ARRAY(key), SPAN_ARRAY(trailer), &out));
    assert_int_equal(out.len, 0);
    assert_poisoned(bytes);
    /* What stood in the buffer before stays in front. */
    out = BUF_OVER(bytes);
    buf_put_text(&out, "front");
    assert_ok(attest_wrap(a, &ek->pub, &srk->pub, SPAN_ARRAY(key), TRAILER, &out));
    assert_true(span_starts_with(buf_span(&out), SPAN_LITERAL("front\0\x34")));
}

static void sizes(void **state)
{
    (void)state;
    each_pair(fits);
}

/* A point off the curve would draw the ephemeral key out of us: refused here too, whoever read it.
 */
static void off_the_curve(void **state)
{
    (void)state;
    static const uint8_t key[ATTEST_KEY_LEN];
    struct attest *a = open_attest();
    struct party good_ek = party_make(TPM_ROLE_EK, TPM_KEY_ECC_P256);
    struct party good_srk = party_make(TPM_ROLE_SRK, TPM_KEY_ECC_P256);
    for (int wrong = 0; wrong < 4; wrong++) {
        struct tpm_public ek = good_ek.pub, srk = good_srk.pub;
        struct tpm_public *bad = wrong % 2 ? &srk : &ek;
        uint8_t bytes[TPMBLOB_CAP];
        struct buf out = BUF_OVER(bytes);
        if (wrong < 2)
            bad->key[63] ^= 1;
        else
            memset(bad->key, 0, 64);
        POISON(bytes);
        assert_err(ERR_CRYPTO, attest_wrap(a, &ek, &srk, SPAN_ARRAY(key), TRAILER, &out));
        assert_int_equal(out.len, 0);
        assert_poisoned(bytes);
    }
    attest_close(a);
}

/* ---- when randomness fails ---- */

static void no_blob_without_randomness(struct attest *a, const struct party *ek,
                                       const struct party *srk)
{
    static const uint8_t key[ATTEST_KEY_LEN];
    enum err e = ERR_ENTROPY;
    int n = 0;
    for (; e != ERR_OK; n++) {
        uint8_t bytes[TPMBLOB_CAP];
        struct buf out = BUF_OVER(bytes);
        POISON(bytes);
        assert_true(n < 50);
        draws_until_failure = n;
        e = attest_wrap(a, &ek->pub, &srk->pub, SPAN_ARRAY(key), TRAILER, &out);
        bool untouched = draws_until_failure > 0;
        draws_until_failure = -1;
        if (e == ERR_OK) {
            assert_true(untouched || out.len > 0);
            break;
        }
        assert_true(e == ERR_ENTROPY || e == ERR_CRYPTO);
        assert_int_equal(out.len, 0);
        assert_false(out.full);
        assert_poisoned(bytes);
    }
    assert_true(n >= 3); /* the draw itself and one for each of the two secrets */
}

static void failing_randomness(void **state)
{
    (void)state;
    uint8_t bytes[16];
    static const uint8_t zeros[sizeof bytes];
    each_pair(no_blob_without_randomness);
    struct attest *a = open_attest();
    draws_until_failure = 0;
    POISON(bytes);
    assert_err(ERR_ENTROPY, attest_random(a, bytes, sizeof bytes));
    draws_until_failure = -1;
    assert_memory_equal(bytes, zeros, sizeof bytes); /* not what was there, which could be used */
    seeding_fails = true; /* the generator failed: it is seeded anew before it is used again */
    assert_err(ERR_ENTROPY, attest_random(a, bytes, sizeof bytes));
    seeding_fails = false;
    assert_ok(attest_random(a, bytes, sizeof bytes));
    attest_close(a);
}

static void opening_fails(void **state)
{
    (void)state;
    struct attest *a;
    POISON(a);
    seeding_fails = true;
    assert_err(ERR_ENTROPY, attest_open(&a));
    seeding_fails = false;
    assert_poisoned(a);
    attest_close(NULL);
}

/* ---- T30: children of a fork draw differently, from each other and from the parent ---- */

struct drawn {
    uint8_t random[32];
    uint8_t blob[TPMBLOB_CAP];
};

static void draw_both(struct attest *a, struct drawn *d, bool wrap_first)
{
    struct party ek = party_make(TPM_ROLE_EK, TPM_KEY_ECC_P256);
    struct party srk = party_make(TPM_ROLE_SRK, TPM_KEY_ECC_P256);
    struct attest_draw draw = vector_draw(); /* then only the ephemeral keys are drawn */
    static const uint8_t key[ATTEST_KEY_LEN];
    struct buf out = BUF_OVER(d->blob);
    if (!wrap_first)
        assert_ok(attest_random(a, d->random, sizeof d->random));
    assert_ok(attest_wrap_drawn(a, &ek.pub, &srk.pub, SPAN_ARRAY(key), TRAILER, &draw, &out));
    if (wrap_first)
        assert_ok(attest_random(a, d->random, sizeof d->random));
}

static void fork_and_compare(bool wrap_first)
{
    struct attest *a = open_attest();
    const size_t size = 3 * sizeof(struct drawn);
    struct drawn *drawn =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(drawn != MAP_FAILED);
    for (int child = 0; child < 2; child++) {
        pid_t pid = fork();
        if (pid == 0) {
            draw_both(a, &drawn[child], wrap_first);
            _exit(0);
        }
        int status = -1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    draw_both(a, &drawn[2], wrap_first);
    for (int i = 0; i < 3; i++) {
        struct drawn *other = &drawn[(i + 1) % 3];
        assert_memory_not_equal(drawn[i].random, other->random, sizeof other->random);
        assert_memory_not_equal(drawn[i].blob + 56, other->blob + 56, 64); /* field 2: the point */
    }
    munmap(drawn, size);
    attest_close(a);
}

static void fork_reseeds(void **state)
{
    (void)state;
    fork_and_compare(false);
    fork_and_compare(true);
}

/* ---- nothing secret stays behind ---- */

struct wipe_run {
    struct attest *a;
    const struct party *ek, *srk;
    const uint8_t *key;
    uint8_t blob[TPMBLOB_CAP];
    size_t blob_len;
};

static void *wipe_wrap(void *argument)
{
    struct wipe_run *run = argument;
    struct buf out = BUF_OVER(run->blob);
    enum err e = attest_wrap(run->a, &run->ek->pub, &run->srk->pub,
                             span_of(run->key, ATTEST_KEY_LEN), TRAILER, &out);
    run->blob_len = out.len;
    return e == ERR_OK ? run : NULL;
}

/* Runs on a stack of our own, which shows what the wrap, and wolfCrypt below it, left there. */
#define STACK_LEN (16 << 20) /* thread-local storage lies there too, point caches where there are any */
static uint8_t *wipe_on_own_stack(struct wipe_run *run)
{
    uint8_t *stack =
        mmap(NULL, STACK_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    void *result = NULL;
    assert_true(stack != MAP_FAILED);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_LEN), 0);
    assert_int_equal(pthread_create(&thread, &attributes, wipe_wrap, run), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_non_null(result);
    pthread_attr_destroy(&attributes);
    return stack;
}

static void assert_absent(const char *where, struct span memory, const char *what,
                          struct span secret, uint8_t pad)
{
    uint8_t sought[16], swapped[16];
    for (size_t i = 0; i < sizeof sought; i++)
        sought[i] = secret.at[i] ^ pad;
    for (size_t i = 0; i < sizeof sought; i++)
        swapped[i] = sought[i / 4 * 4 + 3 - i % 4]; /* as SHA-256 keeps its words */
    if (memmem(memory.at, memory.len, sought, sizeof sought) != NULL ||
        memmem(memory.at, memory.len, swapped, sizeof swapped) != NULL)
        fail_msg("%s is left in %s (pad %02x)", what, where, pad);
}

struct secrets {
    struct {
        const char *what;
        struct span bytes;
    } of[6];
};

/* HMAC keys also hide behind their two pads. */
static void assert_clean(const char *where, struct span memory, const struct secrets *secrets)
{
    static const uint8_t pads[] = {0x00, 0x36, 0x5c};
    for (size_t i = 0; i < sizeof secrets->of / sizeof *secrets->of; i++)
        for (size_t j = 0; j < sizeof pads; j++)
            assert_absent(where, memory, secrets->of[i].what, secrets->of[i].bytes, pads[j]);
}

static void leaves_nothing(struct attest *a, const struct party *ek, const struct party *srk)
{
    struct attest_draw draw;
    uint8_t key[ATTEST_KEY_LEN], credential_seed[SEED_LEN], duplicate_seed[SEED_LEN], mac_key[32];
    struct wipe_run run = {.a = a, .ek = ek, .srk = srk, .key = key};
    struct tpmblob blob;
    assert_ok(attest_random(a, key, sizeof key));
    recorded = &draw;
    uint8_t *stack = wipe_on_own_stack(&run);
    assert_null(recorded);
    assert_ok(tpmblob_read(span_of(run.blob, run.blob_len), &blob));
    seed_open(ek, blob.credential_secret, credential_seed);
    seed_open(srk, blob.duplicate_secret, duplicate_seed);
    assert_ok(
        sas_sign(SPAN_ARRAY(duplicate_seed), SPAN_LITERAL("\0\0\0\1INTEGRITY\0\0\0\1\0"), mac_key));
    const struct secrets secrets = {.of = {{"the key", SPAN_ARRAY(key)},
                                           {"the inner key", SPAN_ARRAY(draw.inner_key)},
                                           {"the seed value", SPAN_ARRAY(draw.seed_value)},
                                           {"the credential's seed", SPAN_ARRAY(credential_seed)},
                                           {"the duplicate's seed", SPAN_ARRAY(duplicate_seed)},
                                           {"the duplicate's HMAC key", SPAN_ARRAY(mac_key)}}};
    assert_clean("the stack", span_of(stack, STACK_LEN), &secrets);
    assert_clean("struct attest", span_of(a, malloc_usable_size(a)), &secrets);
    munmap(stack, STACK_LEN);
}

static void everything_secret_is_wiped(void **state)
{
    (void)state;
    each_pair(leaves_nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(oaep_labels),
        cmocka_unit_test(two_builders_agree),
        cmocka_unit_test(every_mistake_shows),
        cmocka_unit_test(two_blobs_share_nothing),
        cmocka_unit_test(sizes),
        cmocka_unit_test(off_the_curve),
        cmocka_unit_test(failing_randomness),
        cmocka_unit_test(opening_fails),
        cmocka_unit_test(fork_reseeds),
        cmocka_unit_test(everything_secret_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
