/* activate TCTI rsa|ecc rsa|ecc: proves attest_wrap against a TPM with an EK and an SRK of these
 * kinds. What attest_wrap makes must open; every deliberate mistake must fail, at the command it
 * should fail at; what is merely odd must pass. The TPM must be fresh: one case looks at the first
 * use of a key after start-up. */
#include <attest.h>
#include <mutant_blob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tpm_walk.h>
#include <wire/sas.h>

#define ROUNDS 100 /* enough to meet a coordinate with a leading zero, almost surely */
#define ANY 0xffffffffu
#define FINE "no command"

static int failures;

static void report(const char *what, const char *detail, const char *wanted_at, TPM2_RC wanted_code,
                   const struct tpm_outcome *got)
{
    const char *got_at = got->failed_at != NULL ? got->failed_at : FINE;
    bool ok = strcmp(wanted_at, got_at) == 0 &&
              (wanted_code == got->code || (wanted_code == ANY && got->code != TPM2_RC_SUCCESS));
    if (!ok)
        failures++;
    printf("%s %-33s %-22s fails at %s", ok ? "ok  " : "FAIL", what, detail, got_at);
    if (got->code != TPM2_RC_SUCCESS)
        printf(" 0x%x", got->code);
    if (!ok)
        printf(", expected %s 0x%x", wanted_at, wanted_code);
    printf("\n");
}

static void must(const char *what, enum err e)
{
    if (e == ERR_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err_name(e));
    exit(2);
}

/* The TPM signs as the service would: else the walk ends at "comparison". */
static struct tpm_outcome walk(struct tpm_walk *w, const struct tpmblob *blob, struct span key,
                               bool repeat_hmac)
{
    const struct span message = SPAN_LITERAL("0ne00000001%2Fregistrations%2Fdev-1\n1700000000");
    uint8_t mac[SAS_SIGNATURE_LEN];
    struct tpm_outcome end = tpm_walk_blob(w, blob, message, repeat_hmac);
    must("sas_sign", sas_sign(key, message, mac));
    if (end.failed_at == NULL && memcmp(mac, end.mac, sizeof mac) != 0)
        end.failed_at = "comparison";
    return end;
}

/* ---- what the service makes ---- */

static struct tpm_outcome wrapped(struct attest *a, struct tpm_walk *w, const struct tpm_public *ek,
                                  const struct tpm_public *srk, size_t trailer_len)
{
    uint8_t bytes[TPMBLOB_CAP];
    uint8_t key[ATTEST_KEY_LEN];
    static const uint8_t trailer[TPMBLOB_TRAILER_MAX] = "hub.example";
    struct buf out = BUF_OVER(bytes);
    struct tpmblob blob;
    must("attest_random", attest_random(a, key, sizeof key));
    must("attest_wrap",
         attest_wrap(a, ek, srk, SPAN_ARRAY(key), span_of(trailer, trailer_len), &out));
    must("tpmblob_read", tpmblob_read(buf_span(&out), &blob));
    must("public area", tpmblob_identity_public_check(blob.public_area));
    return walk(w, &blob, SPAN_ARRAY(key), false);
}

static void service_cases(struct attest *a, struct tpm_walk *w)
{
    static const size_t trailers[] = {1, 2, 3, 11, 16, 108, TPMBLOB_TRAILER_MAX};
    for (size_t i = 0; i < sizeof trailers / sizeof *trailers; i++) {
        char detail[16];
        snprintf(detail, sizeof detail, "n=%zu", trailers[i]);
        struct tpm_outcome end = wrapped(a, w, &w->ek_public, &w->srk_public, trailers[i]);
        report("attest_wrap", detail, FINE, TPM2_RC_SUCCESS, &end);
    }
    struct tpm_outcome end = {0};
    for (int i = 0; i < ROUNDS && end.failed_at == NULL; i++)
        end = wrapped(a, w, &w->ek_public, &w->srk_public, 11);
    report("attest_wrap, again and again", "", FINE, TPM2_RC_SUCCESS, &end);
}

/* Another key of the same kind and role: for RSA any odd number of full length will do. */
static struct tpm_public foreign(struct attest *a, const struct tpm_public *like,
                                 enum tpm_key_role role)
{
    static const uint8_t generator[] = {
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63,
        0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1,
        0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f,
        0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57,
        0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    uint8_t key[TPM_RSA_LEN];
    struct tpm_public other;
    must("attest_random", attest_random(a, key, sizeof key));
    key[0] = 0xc0;
    key[TPM_RSA_LEN - 1] = 3; /* no square ends so */
    struct span material = like->kind == TPM_KEY_RSA_2048 ? SPAN_ARRAY(key) : SPAN_ARRAY(generator);
    must("foreign key", tpm_public_from_key(role, like->kind, material, &other));
    return other;
}

/* Attack cases T1 and T3: an EK, or an SRK, that is not in this TPM. */
static void foreign_cases(struct attest *a, struct tpm_walk *w)
{
    struct tpm_public ek = foreign(a, &w->ek_public, TPM_ROLE_EK);
    struct tpm_public srk = foreign(a, &w->srk_public, TPM_ROLE_SRK);
    struct tpm_outcome end = wrapped(a, w, &ek, &w->srk_public, 11);
    report("EK of another TPM", "", "ActivateCredential", ANY, &end);
    end = wrapped(a, w, &w->ek_public, &srk, 11);
    report("SRK of another TPM", "", "ActivateCredential", 0x1df, &end);
}

/* ---- mistakes ---- */

struct expected {
    const char *row; /* of the protocol's table of rejected blobs; "-" for the tolerated ones */
    enum mistake mistake;
    size_t key_len;
    size_t trailer_len;
    const char *fails_at;
    TPM2_RC rsa; /* the code, where the seed in question goes to an RSA key */
    TPM2_RC ecc; /* and to an ECC key */
};
#define NOT_THERE 0xfffffffeu /* the case does not exist for keys of this kind */

/* The integrity check of parameter 1 or 3, TPM_RC_INTEGRITY; the decryption itself, TPM_RC_FAILURE:
 * with ECC there is no padding to be wrong, so a bad label shows as a bad seed. */
static const struct expected credential_rows[] = {
    {"1", MISTAKE_NAME_OF_EK, 32, 11, "ActivateCredential", 0x1df, 0x1df},
    {"2", MISTAKE_NAME_WITH_SIZE, 32, 11, "ActivateCredential", 0x1df, 0x1df},
    {"3", MISTAKE_NAME_WITHOUT_ALGORITHM, 32, 11, "ActivateCredential", 0x1df, 0x1df},
    {"4", MISTAKE_IDENTITY_LABEL_STORAGE, 32, 11, "ActivateCredential", 0x101, 0x1df},
    {"5", MISTAKE_IDENTITY_LABEL_WITHOUT_NUL, 32, 11, "ActivateCredential", 0x101, 0x1df},
    {"6", MISTAKE_CREDENTIAL_HMAC_WITHOUT_NAME, 32, 11, "ActivateCredential", 0x1df, 0x1df},
    {"7", MISTAKE_KDFA_LABEL_WITHOUT_NUL, 32, 11, "ActivateCredential", 0x1df, 0x1df},
    {"ecc", MISTAKE_IDENTITY_PARTIES_SWAPPED, 32, 11, "ActivateCredential", NOT_THERE, 0x1df},
    {"ecc", MISTAKE_IDENTITY_Z_IS_Y, 32, 11, "ActivateCredential", NOT_THERE, 0x1df},
    {"-", VARIANT_CREDENTIAL_SEED_16, 32, 11, FINE, TPM2_RC_SUCCESS, NOT_THERE},
};
static const struct expected duplicate_rows[] = {
    {"8", MISTAKE_INNER_HASH_WITHOUT_SIZE, 32, 11, "Import", 0x3df, 0x3df},
    {"9", MISTAKE_INNER_HASH_WITHOUT_NAME, 32, 11, "Import", 0x3df, 0x3df},
    {"10", MISTAKE_INNER_HASH_SWAPPED, 32, 11, "Import", 0x3df, 0x3df},
    {"11", MISTAKE_OUTER_HMAC_SRK_NAME, 32, 11, "Import", 0x3df, 0x3df},
    {"12", MISTAKE_OUTER_HMAC_WITHOUT_NAME, 32, 11, "Import", 0x3df, 0x3df},
    {"13", MISTAKE_OUTER_HMAC_OVER_INNER, 32, 11, "Import", 0x3df, 0x3df},
    {"14", MISTAKE_OUTER_HMAC_ALTERED, 32, 11, "Import", 0x3df, 0x3df},
    {"15", MISTAKE_DUPLICATE_LABEL_IDENTITY, 32, 11, "Import", 0x101, 0x3df},
    {"16", MISTAKE_DUPLICATE_LABEL_WITHOUT_NUL, 32, 11, "Import", 0x101, 0x3df},
    {"ecc", MISTAKE_DUPLICATE_PARTIES_SWAPPED, 32, 11, "Import", NOT_THERE, 0x3df},
    {"17", MISTAKE_DUPLICATE_TO_EK, 32, 11, "Import", ANY, ANY},
    {"18", MISTAKE_UNIQUE_SWAPPED, 32, 11, "Import", 0x0a5, 0x0a5},
    {"19", MISTAKE_SCHEME_NULL, 32, 11, "Import", 0x2d2, 0x2d2},
    {"20", MISTAKE_SIGN_AND_DECRYPT, 32, 11, "Import", 0x2d2, 0x2d2},
    {"21", MISTAKE_FIXED_TPM, 32, 11, "Import", 0x2c2, 0x2c2},
    {"22", MISTAKE_FIXED_PARENT, 32, 11, "Import", 0x2c2, 0x2c2},
    {"23", MISTAKE_INNER_ONLY_ENCRYPTED_DUPLICATION, 32, 11, "Import", 0x4c2, 0x4c2},
    {"24", MISTAKE_NONE, 65, 11, "Import", 0x3c7, 0x3c7},
    {"24", MISTAKE_NONE, 128, 11, "Import", 0x3c7, 0x3c7},
    {"25", MISTAKE_RESTRICTED, 32, 11, "HMAC", 0x182, 0x182},
    {"26", MISTAKE_NO_USER_WITH_AUTH, 32, 11, "HMAC", 0x12f, 0x12f},
    {"28", MISTAKE_INNER_KEY_32, 32, 11, "Import", 0x1d5, 0x1d5},
    {"29", MISTAKE_OTHER_KEY, 32, 11, "comparison", TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", MISTAKE_NONE, 32, 0, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", MISTAKE_NONE, 32, 16, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", MISTAKE_NONE, 32, 108, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", MISTAKE_NONE, 32, 154, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", MISTAKE_NONE, 1, 11, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", MISTAKE_NONE, 16, 11, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", MISTAKE_NONE, 64, 11, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", VARIANT_INNER_ONLY, 32, 11, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", VARIANT_ENCRYPTED_DUPLICATION, 32, 11, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
    {"-", VARIANT_SENSITIVE_DATA_ORIGIN, 32, 11, FINE, TPM2_RC_SUCCESS, TPM2_RC_SUCCESS},
};

static void mutant_make(struct attest *a, const struct tpm_walk *w, enum mistake mistake,
                        struct span key, struct span trailer, struct mutant_blob *ret_blob)
{
    struct mutant m = {.mistake = mistake,
                       .ek = &w->ek_public,
                       .srk = &w->srk_public,
                       .key = key,
                       .trailer = trailer};
    must("attest_random", attest_random(a, m.inner_key, sizeof m.inner_key));
    must("attest_random", attest_random(a, m.credential_seed, sizeof m.credential_seed));
    must("attest_random", attest_random(a, m.duplicate_seed, sizeof m.duplicate_seed));
    must("attest_random", attest_random(a, m.seed_value, sizeof m.seed_value));
    mutant_build(&m, ret_blob);
}

static struct tpm_outcome mutant_walk(struct attest *a, struct tpm_walk *w,
                                      const struct expected *row, bool repeat_hmac)
{
    static const uint8_t trailer[TPMBLOB_TRAILER_MAX] = "hub.example";
    uint8_t key_at[128];
    struct mutant_blob blob;
    must("attest_random", attest_random(a, key_at, sizeof key_at));
    struct span key = span_of(key_at, row->key_len);
    mutant_make(a, w, row->mistake, key, span_of(trailer, row->trailer_len), &blob);
    struct tpmblob fields = mutant_fields(&blob);
    return walk(w, &fields, key, repeat_hmac);
}

static void mistake_cases(struct attest *a, struct tpm_walk *w, const struct expected *rows,
                          size_t count, enum tpm_key_kind receiver)
{
    for (size_t i = 0; i < count; i++) {
        TPM2_RC code = receiver == TPM_KEY_RSA_2048 ? rows[i].rsa : rows[i].ecc;
        if (code == NOT_THERE)
            continue;
        char detail[40];
        snprintf(detail, sizeof detail, "%s key=%zu trailer=%zu", rows[i].row, rows[i].key_len,
                 rows[i].trailer_len);
        struct tpm_outcome end = mutant_walk(a, w, &rows[i], true);
        report(mistake_name(rows[i].mistake), detail, rows[i].fails_at, code, &end);
    }
}

/* Row 27: the first use of a key under dictionary attack protection since start-up is to be
 * repeated, which one client does and one does not. */
static void first_use_case(struct attest *a, struct tpm_walk *w)
{
    const struct expected row = {"27",   MISTAKE_NO_NO_DA, 32,           11,
                                 "HMAC", TPM2_RC_RETRY,    TPM2_RC_RETRY};
    struct tpm_outcome end = mutant_walk(a, w, &row, false);
    report(mistake_name(row.mistake), "row 27", row.fails_at, row.rsa, &end);
    end = mutant_walk(a, w, &row, true);
    report(mistake_name(row.mistake), "repeated", FINE, TPM2_RC_SUCCESS, &end);
}

/* Row 30 and its opposite: no TPM sees these, our own reader refuses them. */
static void frame_case(struct attest *a, struct tpm_walk *w, enum mistake mistake, enum err wanted)
{
    static const uint8_t key[ATTEST_KEY_LEN] = {1};
    uint8_t bytes[2048];
    struct buf out = BUF_OVER(bytes);
    struct mutant_blob blob;
    struct tpmblob fields;
    mutant_make(a, w, mistake, SPAN_ARRAY(key), SPAN_LITERAL("hub.example"), &blob);
    mutant_write(&out, &blob);
    enum err got = tpmblob_read(buf_span(&out), &fields);
    if (got != wanted)
        failures++;
    printf("%s %-33s %-22s the reader says %s\n", got == wanted ? "ok  " : "FAIL",
           mistake_name(mistake), "frame", err_name(got));
}

static enum tpm_key_kind kind_of(const char *text)
{
    if (strcmp(text, "rsa") == 0)
        return TPM_KEY_RSA_2048;
    if (strcmp(text, "ecc") == 0)
        return TPM_KEY_ECC_P256;
    fprintf(stderr, "rsa or ecc, not %s\n", text);
    exit(2);
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: activate TCTI rsa|ecc rsa|ecc (of EK and SRK)\n");
        return 2;
    }
    struct tpm_walk w;
    struct attest *a;
    setvbuf(stdout, NULL, _IOLBF, 0);
    must("attest_open", attest_open(&a));
    tpm_walk_open(&w, argv[1], kind_of(argv[2]), kind_of(argv[3]));
    first_use_case(a, &w);
    service_cases(a, &w);
    foreign_cases(a, &w);
    mistake_cases(a, &w, credential_rows, COUNT(credential_rows), w.ek_public.kind);
    mistake_cases(a, &w, duplicate_rows, COUNT(duplicate_rows), w.srk_public.kind);
    frame_case(a, &w, MISTAKE_NONE, ERR_OK);
    frame_case(a, &w, MISTAKE_TRAILER_SIZE_MISSING, ERR_TRUNCATED);
    frame_case(a, &w, VARIANT_TRAILING_BYTES, ERR_TRAILING);
    tpm_walk_close(&w);
    attest_close(a);
    printf("%d cases went wrong\n", failures);
    return failures == 0 ? 0 : 1;
}
