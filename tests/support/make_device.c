/* Makes devices straight in the databases of a data directory, without TPM or service, and tokens as
 * they would sign them: for tests of the hub, which sees of a device only its token.
 *
 *   make_device DIR add ID [HOST]       enrolls and registers ID at HOST (default: the first hub)
 *   make_device DIR many COUNT PREFIX   the same for PREFIX0, PREFIX1, …
 *   make_device DIR token ID SECONDS [RESOURCE]
 *                                       a token that expires SECONDS from now; signs RESOURCE as
 *                                       it is given, default {hub}/devices/{id} escaped
 *   make_device DIR tokens COUNT PREFIX SECONDS   "ID token" lines
 *   make_device DIR bump ID             as provisioned once more: the next generation
 *   make_device DIR enable|disable ID
 */
#include <wolfssl/options.h>

#include <attest.h>
#include <config.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <store.h>
#include <string.h>
#include <time.h>
#include <wire/sas.h>
#include <wire/text.h>
#include <wolfssl/wolfcrypt/ecc.h>

static void must(enum err e, const char *what)
{
    if (e == ERR_OK)
        return;
    fprintf(stderr, "make_device: %s: %s\n", what, err_name(e));
    exit(1);
}

static int64_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec;
}

static struct regid regid_of(const char *text)
{
    struct regid id;
    must(regid_read(span_text(text), &id), text);
    return id;
}

static int64_t number_of(const char *text)
{
    int64_t value;
    bool negative = text[0] == '-';
    must(decimal_read(span_text(text + negative), &value), text);
    return negative ? -value : value;
}

static void config_load(const char *dir, struct config *ret_config)
{
    struct config_reason why = {{0}};
    enum err e = config_read(dir, ret_config, &why);
    must(e, why.text);
}

static struct store *store_in(const char *dir, enum store_mode mode)
{
    struct store *s;
    struct store_reason why = {{0}};
    enum err e = store_open(dir, mode, &s, &why);
    must(e, why.text);
    return s;
}

/* ---- rows ---- */
static struct tpm_public ek_make(void)
{
    WC_RNG rng;
    ecc_key key;
    uint8_t point[2 * TPM_ECC_LEN];
    word32 x = TPM_ECC_LEN, y = TPM_ECC_LEN;
    ERR_ASSERT(wc_InitRng(&rng) == 0 && wc_ecc_init(&key) == 0);
    ERR_ASSERT(wc_ecc_make_key_ex(&rng, TPM_ECC_LEN, &key, ECC_SECP256R1) == 0);
    ERR_ASSERT(wc_ecc_export_public_raw(&key, point, &x, point + TPM_ECC_LEN, &y) == 0);
    wc_ecc_free(&key);
    wc_FreeRng(&rng);
    struct tpm_public ek;
    must(tpm_public_from_key(TPM_ROLE_EK, TPM_KEY_ECC_P256, SPAN_ARRAY(point), &ek), "EK");
    return ek;
}

static struct store_enrollment enrollment_of(const struct regid *id)
{
    struct tpm_public ek = ek_make();
    struct store_enrollment row = {
        .id = *id, .device_id = *id, .ek_len = ek.raw_len, .enabled = true,
        .created_s = now_s(), .updated_s = now_s(),
    };
    memcpy(row.ek, ek.raw, ek.raw_len);
    must(tpm_public_key_hash(&ek, row.ek_hash), "hash");
    return row;
}

static void enroll(struct store *s, const struct store_enrollment *rows, int count)
{
    struct store_batch *batch;
    must(store_batch_begin(s, &batch), "begin");
    for (int i = 0; i < count; i++) {
        enum store_put outcome;
        struct regid other;
        must(store_batch_put(batch, &rows[i], &outcome, &other), "put");
        if (outcome != STORE_PUT_NEW)
            must(ERR_DUPLICATE, rows[i].id.text);
    }
    must(store_batch_commit(batch), "commit");
}

struct waiting {
    struct store_waiter waiter; /* first: the store hands this back */
    sem_t done;
    enum err outcome;
};

static void assigned(struct store_waiter *w, enum err outcome)
{
    struct waiting *waiting = (struct waiting *)w;
    waiting->outcome = outcome;
    sem_post(&waiting->done);
}

static void assign(struct store *s, struct store_registration *row)
{
    struct waiting w = {.waiter = {.done = assigned}};
    sem_init(&w.done, 0, 0);
    must(store_registration_assign(s, row, &w.waiter), "assign");
    while (sem_wait(&w.done) != 0 && errno == EINTR)
        ;
    must(w.outcome, row->id.text);
}

static struct store_registration registration_of(const struct store_enrollment *e, const char *host)
{
    struct store_registration row = {
        .id = e->id, .device_id = e->device_id, .generation = 1, .srk_len = e->ek_len,
        .created_s = now_s(), .updated_s = now_s(),
    };
    memcpy(row.ek_hash, e->ek_hash, sizeof row.ek_hash);
    memcpy(row.srk, e->ek, e->ek_len);
    must(span_to_text(span_text(host), row.hub, sizeof row.hub), "hub");
    snprintf(row.operation_id, sizeof row.operation_id, "op");
    snprintf(row.etag, sizeof row.etag, "etag");
    return row;
}

static void add(const char *dir, struct regid *ids, int count, const char *host)
{
    struct store_enrollment *rows = calloc((size_t)count, sizeof *rows);
    ERR_ASSERT(rows != NULL);
    for (int i = 0; i < count; i++)
        rows[i] = enrollment_of(&ids[i]);
    struct store *s = store_in(dir, STORE_IMPORT);
    for (int i = 0; i < count; i += STORE_BATCH_MAX)
        enroll(s, rows + i, count - i < STORE_BATCH_MAX ? count - i : STORE_BATCH_MAX);
    store_close(s);
    s = store_in(dir, STORE_SERVE);
    for (int i = 0; i < count; i++) {
        struct store_registration row = registration_of(&rows[i], host);
        assign(s, &row);
    }
    store_close(s);
    free(rows);
}

static struct regid numbered(const char *prefix, int i)
{
    char text[REGID_MAX + 1];
    snprintf(text, sizeof text, "%s%d", prefix, i);
    return regid_of(text);
}

static void add_many(const char *dir, int count, const char *prefix, const char *host)
{
    struct regid *ids = calloc((size_t)count, sizeof *ids);
    ERR_ASSERT(ids != NULL);
    for (int i = 0; i < count; i++)
        ids[i] = numbered(prefix, i);
    add(dir, ids, count, host);
    free(ids);
}

static void bump(const char *dir, const struct regid *id)
{
    struct store *s = store_in(dir, STORE_SERVE);
    struct store_reader *r;
    must(store_reader_open(s, &r), "reader");
    struct store_registration row;
    must(store_registration_find(r, id, &row), id->text);
    store_reader_close(r);
    row.generation++;
    assign(s, &row);
    store_close(s);
}

static void set_enabled(const char *dir, const struct regid *id, bool enabled)
{
    struct store *s = store_in(dir, STORE_IMPORT);
    must(store_enrollment_set_enabled(s, id, enabled, now_s()), id->text);
    store_close(s);
}

/* ---- tokens ---- */
struct signer {
    struct config config;
    struct secret root;
    struct store *store;
    struct store_reader *reader;
};

static void signer_open(const char *dir, struct signer *ret_signer)
{
    struct config_reason why = {{0}};
    config_load(dir, &ret_signer->config);
    enum err e = config_secret_read(&ret_signer->config, "hub", &ret_signer->root, &why);
    must(e, why.text);
    ret_signer->store = store_in(dir, STORE_READ);
    must(store_reader_open(ret_signer->store, &ret_signer->reader), "reader");
}

static void signer_close(struct signer *s)
{
    store_reader_close(s->reader);
    store_close(s->store);
    secret_wipe(&s->root);
}

static void device_key(const struct signer *s, const struct store_registration *r,
                       const struct store_enrollment *e, struct secret *ret_key)
{
    struct tpm_public ek;
    uint8_t name[TPM_NAME_LEN];
    must(tpm_public_read(span_of(e->ek, e->ek_len), &ek), "EK");
    must(tpm_public_name(&ek, name), "name");
    struct attest_binding binding = {
        .id_scope = span_text(s->config.id_scope), .registration_id = &r->id, .ek_name = name,
        .generation = r->generation,
    };
    must(attest_hub_key(&s->root, &binding, ret_key), "hub key");
}

static void token_print(const struct signer *s, const struct regid *id, int64_t expiry_s,
                        const char *resource)
{
    struct store_registration r;
    struct store_enrollment e;
    must(store_device_find(s->reader, id, &r, &e), id->text);
    SECRET key = {.len = 0};
    device_key(s, &r, &e, &key);

    uint8_t sr_bytes[512], message_bytes[600], token_bytes[SAS_TOKEN_CAP];
    struct buf sr = BUF_OVER(sr_bytes), message = BUF_OVER(message_bytes);
    struct buf token = BUF_OVER(token_bytes);
    if (resource != NULL) {
        buf_put_text(&sr, resource);
    } else {
        buf_put_text(&sr, r.hub);
        buf_put_text(&sr, "%2Fdevices%2F");
        percent_write(&sr, regid_span(id));
    }
    sas_message_write(&message, buf_span(&sr), expiry_s);
    uint8_t signature[SAS_SIGNATURE_LEN];
    must(sas_sign(secret_span(&key), buf_span(&message), signature), "sign");
    sas_token_write(&token, buf_span(&sr), signature, expiry_s, span_text(NULL));
    must(buf_end(&token), "token");
    printf("%.*s\n", (int)token.len, (const char *)token.at);
}

static void tokens_print(const char *dir, int count, const char *prefix, int64_t seconds)
{
    struct signer s;
    signer_open(dir, &s);
    for (int i = 0; i < count; i++) {
        struct regid id = numbered(prefix, i);
        printf("%s ", id.text);
        token_print(&s, &id, now_s() + seconds, NULL);
    }
    signer_close(&s);
}

/* ---- the command line ---- */
static const char *first_hub(const char *dir)
{
    static struct config c;
    config_load(dir, &c);
    if (c.hub_count == 0)
        must(ERR_CONFIG, "no hub");
    return c.hubs[0].host;
}

static int usage(void)
{
    fputs("usage: make_device DIR add|many|token|tokens|bump|enable|disable ARGUMENTS\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return usage();
    const char *dir = argv[1], *verb = argv[2];
    if (strcmp(verb, "many") == 0 && argc == 5) {
        add_many(dir, (int)number_of(argv[3]), argv[4], first_hub(dir));
        return 0;
    }
    if (strcmp(verb, "tokens") == 0 && argc == 6) {
        tokens_print(dir, (int)number_of(argv[3]), argv[4], number_of(argv[5]));
        return 0;
    }
    struct regid id = regid_of(argv[3]);
    if (strcmp(verb, "add") == 0) {
        add(dir, &id, 1, argc > 4 ? argv[4] : first_hub(dir));
    } else if (strcmp(verb, "token") == 0 && argc > 4) {
        struct signer s;
        signer_open(dir, &s);
        token_print(&s, &id, now_s() + number_of(argv[4]), argc > 5 ? argv[5] : NULL);
        signer_close(&s);
    } else if (strcmp(verb, "bump") == 0) {
        bump(dir, &id);
    } else if (strcmp(verb, "enable") == 0 || strcmp(verb, "disable") == 0) {
        set_enabled(dir, &id, verb[0] == 'e');
    } else {
        return usage();
    }
    return 0;
}
