/* What is signed: manifests of devices (JWS), and manifests of files. */
#include <wolfssl/options.h>

#include <importrows.h>
#include <jwskey.h>
#include <manifest.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wire/text.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/hash.h>

#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
enum { LINE, OTHER, EDWARDS, SIGNERS };
static char folder[] = "/tmp/import_signed.XXXXXX";
static char private_file[SIGNERS][60], public_file[SIGNERS][60];

static void put_file(const char *path, struct span text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(text.len, fwrite(text.at, 1, text.len, f));
    assert_int_equal(0, fclose(f));
}

static void put_pem(const char *path, const char *label, struct span der)
{
    char text[1000];
    struct buf out = BUF_OVER(text);
    buf_put_text(&out, "-----BEGIN ");
    buf_put_text(&out, label);
    buf_put_text(&out, "-----\n");
    base64_write(&out, der);
    buf_put_text(&out, "\n-----END ");
    buf_put_text(&out, label);
    buf_put_text(&out, "-----\n");
    put_file(path, buf_span(&out));
}

static void make_signer(int which, WC_RNG *rng)
{
    uint8_t secret[400], open[400];
    int secret_len, open_len;
    (void)snprintf(private_file[which], sizeof private_file[0], "%s/%d.key", folder, which);
    (void)snprintf(public_file[which], sizeof public_file[0], "%s/%d.pub", folder, which);
    if (which == EDWARDS) {
        ed25519_key key;
        assert_int_equal(0, wc_ed25519_init(&key));
        assert_int_equal(0, wc_ed25519_make_key(rng, 32, &key));
        secret_len = wc_Ed25519PrivateKeyToDer(&key, secret, sizeof secret);
        open_len = wc_Ed25519PublicKeyToDer(&key, open, sizeof open, 1);
        wc_ed25519_free(&key);
    } else {
        ecc_key key;
        assert_int_equal(0, wc_ecc_init(&key));
        assert_int_equal(0, wc_ecc_make_key_ex(rng, 32, &key, ECC_SECP256R1));
        secret_len = wc_EccKeyToDer(&key, secret, sizeof secret);
        open_len = wc_EccPublicKeyToDer(&key, open, sizeof open, 1);
        wc_ecc_free(&key);
    }
    assert_true(secret_len > 0 && open_len > 0);
    put_pem(private_file[which], which == EDWARDS ? "PRIVATE KEY" : "EC PRIVATE KEY", span_of(secret, (size_t)secret_len));
    put_pem(public_file[which], "PUBLIC KEY", span_of(open, (size_t)open_len));
}

static int make_signers(void **state)
{
    (void)state;
    WC_RNG rng;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(0, wc_InitRng(&rng));
    for (int i = 0; i < SIGNERS; i++)
        make_signer(i, &rng);
    (void)wc_FreeRng(&rng);
    return 0;
}

static int remove_signers(void **state)
{
    (void)state;
    char command[80];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* ---- one JWS ---- */

static struct span jws_of(int signer, const char *payload, char *room, size_t cap)
{
    static uint8_t text[8192];
    struct buf in = BUF_OVER(text), out = buf_over(room, cap);
    struct import_reason why;
    assert_ok(jwskey_sign(private_file[signer], importrows_text(payload, &in), &out, &why));
    return buf_span(&out);
}

static void signed_and_opened(void **state)
{
    static const struct {
        int signer, opener;
        int damage; /* 0: none; else the part whose first character is changed; 4: cut; 5: more */
        bool good;
    } table[] = {
        {LINE, LINE, 0, true},    {EDWARDS, EDWARDS, 0, true}, {LINE, OTHER, 0, false},
        {LINE, EDWARDS, 0, false}, {EDWARDS, LINE, 0, false},  {LINE, LINE, 1, false},
        {LINE, LINE, 2, false},   {LINE, LINE, 3, false},      {EDWARDS, EDWARDS, 2, false},
        {EDWARDS, EDWARDS, 3, false}, {LINE, LINE, 4, false},  {LINE, LINE, 5, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        char jws[1000];
        uint8_t payload[500];
        struct buf out = BUF_OVER(payload);
        struct import_reason why = {""};
        struct span text = jws_of(table[i].signer, "{\"x\":\"some text, long enough\"}", jws, sizeof jws);
        char *part = jws;
        for (int k = 1; k < table[i].damage && table[i].damage <= 3; k++)
            part = strchr(part, '.') + 1;
        if (table[i].damage >= 1 && table[i].damage <= 3)
            part[3] = part[3] == 'A' ? 'B' : 'A';
        text.len -= table[i].damage == 4;
        if (table[i].damage == 5)
            memcpy(jws + text.len++, "A", 1);
        enum err e = jwskey_open(text, public_file[table[i].opener], &out, &why);
        if ((e == ERR_OK) != table[i].good || (!table[i].good && why.text[0] == 0))
            fail_msg("row %zu: %s, %s", i, err_name(e), why.text);
        if (table[i].good)
            assert_text("{\"x\":\"some text, long enough\"}", buf_span(&out));
    }
    struct buf out = BUF_OVER(folder);
    struct import_reason why;
    out.cap = 0;
    assert_err(ERR_CONFIG, jwskey_sign(public_file[LINE], span_text("x"), &out, &why));
    assert_err(ERR_CONFIG, jwskey_sign("/nonexistent", span_text("x"), &out, &why));
}

/* ---- manifests of devices ---- */

#define KEYS(jwk) "{\"uniqueId\":\"a\",\"publicKeySet\":{\"keys\":[" jwk "]}}"
#define G_X "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY"
#define G_Y "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
#define JWK "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" G_X "\",\"y\":\"" G_Y "\""

static void payloads(void **state)
{
    static const struct {
        const char *payload;
        struct importrow row;
    } table[] = {
        {"{\"registrationId\":\"a\",\"endorsementKey\":\"$e\"}", {.line = 1, .id = "a", .key = 'e'}},
        {"{\"endorsementKey\":\"$e\",\"ekCertificate\":\"$c\",\"model\":\"x\"}", {.line = 1, .id = NULL, .key = 'e', .certificate = 'c'}},
        {KEYS("{" JWK "}"), {.line = 1, .id = "a", .key = 'e'}},
        {KEYS("{" JWK ",\"x5c\":[\"$c\"]}"), {.line = 1, .id = "a", .key = 'e', .certificate = 'c'}},
        {KEYS("{\"kty\":\"EC\"},{" JWK ",\"use\":\"enc\"}"), {.line = 1, .id = "a", .key = 'e'}},
        {KEYS("{" JWK "},{" JWK "}"), {.line = 1, .broken = "more than one"}},
        {KEYS("{" JWK ",\"use\":\"enc\"},{" JWK ",\"use\":\"enc\"}"), {.line = 1, .broken = "more than one"}},
        {KEYS(""), {.line = 1, .broken = "no key"}},
        {KEYS("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" G_X "\",\"y\":\"" G_Y "\"}"), {.line = 1, .broken = "neither RSA-2048"}},
        {KEYS("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" G_Y "\",\"y\":\"" G_X "\"}"), {.line = 1, .broken = "the key is malformed"}},
        {KEYS("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" G_X "\"}"), {.line = 1, .broken = "the JWK is malformed"}},
        {KEYS("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"+" G_X "\",\"y\":\"" G_Y "\"}"), {.line = 1, .broken = "the JWK is malformed"}},
        {KEYS("{\"kty\":\"RSA\",\"n\":\"" G_X "\",\"e\":\"AQAB\"}"), {.line = 1, .broken = "neither RSA-2048"}},
        {KEYS("{\"kty\":\"RSA\",\"n\":\"" G_X "\"}"), {.line = 1, .broken = "the JWK is malformed"}},
        {"{\"uniqueId\":\"a\",\"registrationId\":\"b\"}", {.line = 1, .broken = "a field twice"}},
        {"{\"registrationId\":7}", {.line = 1, .broken = "neither text nor boolean"}},
        {"[]", {.line = 1, .broken = "not a JSON object"}},
        {"{\"a\":1,\"a\":2}", {.line = 1, .broken = "not a JSON object"}},
    };
    const char *signers[] = {public_file[OTHER], public_file[LINE]};
    (void)state;
    struct reader_options options = {.signers = signers, .signer_count = 2};
    for (size_t i = 0; i < COUNT(table); i++) {
        static char jws[12000], array[13000];
        struct span one = jws_of(LINE, table[i].payload, jws, sizeof jws);
        (void)snprintf(array, sizeof array, "[\"%.*s\"]", (int)one.len, (const char *)one.at);
        struct importrows_case c = {table[i].payload, .bytes = span_text(array), .format = FORMAT_JWS, .rows = {table[i].row}};
        importrows_expect(&c, &options);
    }
}

/* The ways a JWS may be written down, and every way to be none. P, H, S: payload, header, signature. */
static void forms(void **state)
{
    static const struct {
        const char *format;
        bool good;
    } table[] = {
        {"\"H.P.S\"", true},
        {"{\"payload\":\"P\",\"protected\":\"H\",\"signature\":\"S\"}", true},
        {"{\"payload\":\"P\",\"signatures\":[{\"protected\":\"H\",\"signature\":\"S\"}]}", true},
        {"{\"payload\":\"P\",\"signatures\":[{\"protected\":\"H\",\"signature\":\"P\"},{\"protected\":\"H\",\"signature\":\"S\"}]}", true},
        {"{\"payload\":\"P\",\"signatures\":[]}", false},
        {"{\"payload\":\"P\",\"signatures\":[],\"protected\":\"H\",\"signature\":\"S\"}", false},
        {"{\"protected\":\"H\",\"signature\":\"S\"}", false},
        {"{\"payload\":\"P\",\"header\":\"H\",\"signature\":\"S\"}", false},
        {"\"H.P\"", false},
        {"\"H.P.\"", false},
        {"\"H.P.S.\"", false},
        {"\"H.P.S.S\"", false},
        {"\".P.S\"", false},
        {"\"H.H.S\"", false},
        {"\"H.P.SA\"", false},
        {"\"eyJhbGciOiJub25lIn0.P.\"", false},  /* {"alg":"none"} */
        {"\"eyJhbGciOiJFUzM4NCJ9.P.S\"", false}, /* {"alg":"ES384"} */
        {"7", false},
        {"{\"payload\":\"P\",\"payload\":\"P\",\"protected\":\"H\",\"signature\":\"S\"}", false},
    };
    const char *signers[] = {public_file[LINE]};
    (void)state;
    struct reader_options options = {.signers = signers, .signer_count = 1};
    char jws[3000];
    struct span h = jws_of(LINE, "{\"registrationId\":\"a\",\"endorsementKey\":\"$e\"}", jws, sizeof jws), p = h, s = h;
    h = span_cut(&p, '.');
    s = p;
    p = span_cut(&s, '.');
    for (size_t i = 0; i < COUNT(table); i++) {
        char text[3000];
        struct buf out = BUF_OVER(text);
        buf_put_text(&out, "[");
        for (const char *c = table[i].format; *c != 0; c++)
            if (strchr("HPS", *c) != NULL && strchr("\".SA", c[1]) != NULL)
                buf_put(&out, *c == 'H' ? h : *c == 'P' ? p : s);
            else
                buf_put_u8(&out, (uint8_t)*c);
        buf_put_text(&out, "]");
        struct importrows_case c = {table[i].format, .bytes = buf_span(&out), .format = FORMAT_JWS, .rows = {{1, "a", 'e'}}};
        if (!table[i].good)
            c.rows[0] = (struct importrow){.line = 1, .broken = i == COUNT(table) - 1 ? "not a JWS" : "no good ES256 signature"};
        importrows_expect(&c, &options);
    }
    const char *stranger[] = {public_file[OTHER]};
    options.signers = stranger;
    char text[3100];
    (void)snprintf(text, sizeof text, "[\"%.*s\"]", (int)(h.len + p.len + s.len + 2), jws);
    struct importrows_case c = {"a stranger", .bytes = span_text(text), .format = FORMAT_JWS, .rows = {{1, .broken = "no good ES256"}}};
    importrows_expect(&c, &options);
    c = (struct importrows_case){"nobody", .bytes = span_text(text), .format = FORMAT_AUTO, .end = "--signer must say"};
    importrows_expect(&c, NULL);
    const char *wrong[] = {public_file[EDWARDS]};
    options.signers = wrong;
    c.end = "P-256 signer";
    importrows_expect(&c, &options);
}

static void put_url(struct buf *out, struct span bytes)
{
    size_t from = out->len;
    base64_write(out, bytes);
    while (out->len > from && out->at[out->len - 1] == '=')
        out->len--;
    for (size_t i = from; i < out->len; i++)
        out->at[i] = out->at[i] == '+' ? '-' : out->at[i] == '/' ? '_' : out->at[i];
}

/* Signed as it should be, but under a header that says something else. */
static void put_jws(struct buf *out, const char *header, ecc_key *key, WC_RNG *rng)
{
    uint8_t hash[32], der[100], signature[64] = {0};
    word32 der_len = sizeof der, r_len = 32, s_len = 32;
    uint8_t r[32], s[32];
    size_t from = out->len;
    put_url(out, span_text(header));
    buf_put_text(out, ".");
    put_url(out, span_text("{\"registrationId\":\"a\",\"endorsementKey\":\"x\"}"));
    assert_int_equal(0, wc_Sha256Hash(out->at + from, (word32)(out->len - from), hash));
    assert_int_equal(0, wc_ecc_sign_hash(hash, sizeof hash, der, &der_len, rng, key));
    assert_int_equal(0, wc_ecc_sig_to_rs(der, der_len, r, &r_len, s, &s_len));
    memcpy(signature + 32 - r_len, r, r_len);
    memcpy(signature + 64 - s_len, s, s_len);
    buf_put_text(out, ".");
    put_url(out, SPAN_ARRAY(signature));
}

static void headers(void **state)
{
    static const struct {
        const char *header;
        bool good;
    } table[] = {
        {"{\"alg\":\"ES256\"}", true},
        {"{\"alg\":\"ES256\",\"kid\":\"x\",\"jwk\":{}}", true},
        {"{\"alg\":\"none\"}", false},
        {"{\"alg\":\"ES256K\"}", false},
        {"{\"alg\":\"es256\"}", false},
        {"{\"alg\":256}", false},
        {"{}", false},
        {"{\"alg\":\"ES256\",\"crit\":[\"b64\"]}", false},
        {"{\"alg\":\"none\",\"alg\":\"ES256\"}", false},
        {"\"ES256\"", false},
    };
    (void)state;
    WC_RNG rng;
    ecc_key key;
    uint8_t der[200];
    char path[60];
    assert_int_equal(0, wc_InitRng(&rng));
    assert_int_equal(0, wc_ecc_init(&key));
    assert_int_equal(0, wc_ecc_make_key_ex(&rng, 32, &key, ECC_SECP256R1));
    int len = wc_EccPublicKeyToDer(&key, der, sizeof der, 1);
    assert_true(len > 0);
    (void)snprintf(path, sizeof path, "%s/header.pub", folder);
    put_pem(path, "PUBLIC KEY", span_of(der, (size_t)len));
    const char *signers[] = {path};
    struct reader_options options = {.signers = signers, .signer_count = 1};
    for (size_t i = 0; i < COUNT(table); i++) {
        char text[2000];
        struct buf out = BUF_OVER(text), jws = buf_over(text + 2, sizeof text - 10);
        buf_put_text(&out, "[\"");
        put_jws(&jws, table[i].header, &key, &rng);
        memcpy(text + 2 + jws.len, "\"]", 2);
        struct importrows_case c = {table[i].header, .bytes = span_of(text, jws.len + 4), .format = FORMAT_JWS,
                                    .rows = {{.line = 1, .id = "a", .key = '!'}}};
        if (!table[i].good)
            c.rows[0] = (struct importrow){.line = 1, .broken = "no good ES256 signature"};
        importrows_expect(&c, &options);
    }
    wc_ecc_free(&key);
    (void)wc_FreeRng(&rng);
}

/* ---- manifests of files ---- */

static enum err check(const char *manifest, const char *const *files, size_t count, int signer, uint64_t rows)
{
    const char *signers[] = {public_file[signer]};
    struct reader_options reading = {.signers = signers, .signer_count = 1};
    struct import_args args = {.manifest = manifest, .reading = &reading, .files = files, .file_count = count};
    enum err e = manifest_check(&args);
    return e == ERR_OK ? manifest_settle(&args, rows) : e;
}

/* Signed by the tool's own half into a file, then held against files. */
static void manifests(void **state)
{
    (void)state;
    char one[60], two[60], manifest[60];
    (void)snprintf(one, sizeof one, "%s/one.csv", folder);
    (void)snprintf(two, sizeof two, "%s/two.csv", folder);
    (void)snprintf(manifest, sizeof manifest, "%s/manifest", folder);
    put_file(one, span_text("endorsementKey\nx\ny\n"));
    put_file(two, span_text("endorsementKey\nz\n"));
    const char *files[] = {one, two}, *again[] = {two}, *missing[] = {one, folder};
    struct reader_options reading = {0};
    struct manifest_args sign = {.key = private_file[EDWARDS], .reading = &reading, .files = files, .file_count = 2};
    (void)fflush(stdout);
    int before = dup(1);
    assert_non_null(freopen(manifest, "w", stdout));
    int status = manifest_sign(&sign);
    (void)fflush(stdout);
    assert_int_equal(1, dup2(before, 1));
    (void)close(before);
    assert_int_equal(0, status);
    assert_ok(check(manifest, files, 2, EDWARDS, 3));
    assert_err(ERR_CONFIG, check(manifest, files, 2, EDWARDS, 2));
    assert_err(ERR_CONFIG, check(manifest, files, 2, EDWARDS, 4));
    assert_err(ERR_CONFIG, check(manifest, files, 2, LINE, 3));
    assert_ok(check(manifest, again, 1, EDWARDS, 1));
    assert_err(ERR_CONFIG, check(manifest, missing, 2, EDWARDS, 3));
    assert_err(ERR_CONFIG, check(one, files, 2, EDWARDS, 3));
    assert_err(ERR_CONFIG, check("/nonexistent", files, 2, EDWARDS, 3));
    put_file(two, span_text("endorsementKey\nw\n"));
    assert_err(ERR_CONFIG, check(manifest, files, 2, EDWARDS, 3));
    struct import_args none = {.manifest = manifest, .reading = &reading, .files = files, .file_count = 2};
    assert_err(ERR_CONFIG, manifest_check(&none));
    none.manifest = NULL;
    assert_ok(manifest_check(&none));
    assert_ok(manifest_settle(&none, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_and_opened),
        cmocka_unit_test(payloads),
        cmocka_unit_test(forms),
        cmocka_unit_test(headers),
        cmocka_unit_test(manifests),
    };
    return cmocka_run_group_tests(tests, make_signers, remove_signers);
}
