#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <attest.h>
#include <store.h>

#include "cradled.h"

#include <stdio.h>
#include <sys/stat.h>

/* Each check says what it found and goes on; the number of problems is the outcome. */

static int problem(const char *what) { return complain("%s", what); }

static int check_secrets(const struct config *c)
{
    struct config_reason reason = {.text = ""};
    SECRET master = {.len = 0}, hub = {.len = 0}, derived = {.len = 0};
    int problems = 0;
    if (config_secret_read(c, "master", &master, &reason) != ERR_OK)
        problems += problem(reason.text);
    if (config_secret_read(c, "hub", &hub, &reason) != ERR_OK)
        problems += problem(reason.text);
    if (problems > 0 || attest_root(&master, ATTEST_ROOT_HUB, &derived) != ERR_OK)
        return problems;
    if (!span_equal_constant_time(secret_span(&hub), secret_span(&derived)))
        problems += problem("secrets/hub does not belong to secrets/master");
    return problems;
}

static int check_mode(const struct config *c)
{
    struct stat st;
    if (stat(c->data_dir, &st) == 0 && (st.st_mode & 077) == 0)
        return 0;
    return complain("%s: others than its owner may enter: its mode must be 0700", c->data_dir);
}

/* ---- certificates ---- */
static int check_chain(const char *ca, const char *certificate)
{
    char text[WOLFSSL_MAX_ERROR_SZ];
    int problems = 0;
    WOLFSSL_CERT_MANAGER *manager = wolfSSL_CertManagerNew();
    if (manager == NULL)
        return problem("out of memory");
    int rc = wolfSSL_CertManagerLoadCA(manager, ca, NULL);
    if (rc != WOLFSSL_SUCCESS)
        problems += complain("%s: %s", ca, wolfSSL_ERR_error_string((unsigned long)-rc, text));
    else if ((rc = wolfSSL_CertManagerVerify(manager, certificate, WOLFSSL_FILETYPE_PEM)) !=
             WOLFSSL_SUCCESS)
        problems += complain("%s: does not verify with %s: %s", certificate, ca,
                             wolfSSL_ERR_error_string((unsigned long)-rc, text));
    wolfSSL_CertManagerFree(manager);
    return problems;
}

static int check_pair(const char *certificate, const char *key)
{
    struct config_reason reason = {.text = ""};
    int problems = 0;
    if (config_private_check(key, &reason) != ERR_OK)
        return problem(reason.text);
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLS_server_method());
    if (ctx == NULL)
        return problem("out of memory");
    if (wolfSSL_CTX_use_certificate_chain_file(ctx, certificate) != WOLFSSL_SUCCESS)
        problems += complain("%s: is no certificate chain in PEM", certificate);
    else if (wolfSSL_CTX_use_PrivateKey_file(ctx, key, WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS)
        problems += complain("%s: is no private key in PEM", key);
    else if (wolfSSL_CTX_check_private_key(ctx) != WOLFSSL_SUCCESS)
        problems += complain("%s: does not belong to %s", key, certificate);
    wolfSSL_CTX_free(ctx);
    return problems;
}

static int check_certificates(const struct config *c)
{
    char ca[CONFIG_PATH_CAP + 64], certificate[CONFIG_PATH_CAP + 128], key[CONFIG_PATH_CAP + 128];
    wolfSSL_Init();
    snprintf(ca, sizeof ca, "%s/tls/ca.pem", c->data_dir);
    int problems = check_chain(ca, c->server_certificate);
    problems += check_pair(c->server_certificate, c->server_key);
    for (int i = 0; i < c->hub_count; i++) {
        struct stat st;
        snprintf(certificate, sizeof certificate, "%s/hub/%s.pem", c->data_dir, c->hubs[i].name);
        snprintf(key, sizeof key, "%s/hub/%s.key", c->data_dir, c->hubs[i].name);
        if (stat(certificate, &st) != 0)
            continue; /* a hub on another machine */
        problems += check_chain(ca, certificate) + check_pair(certificate, key);
    }
    wolfSSL_Cleanup();
    return problems;
}

static int check_databases(const struct config *c)
{
    struct store *store = NULL;
    struct store_reason reason = {.text = ""};
    enum err e = store_open(c->data_dir, STORE_READ, &store, &reason);
    if (e == ERR_OK)
        e = store_check(store, &reason);
    store_close(store);
    if (e == ERR_OK)
        return 0;
    return complain("databases: %s", reason.text[0] != '\0' ? reason.text : err_text(e));
}

int command_check(const struct options *o)
{
    struct config c;
    struct config_reason reason = {.text = ""};
    if (config_read(o->data, &c, &reason) != ERR_OK)
        return problem(reason.text);
    int problems = check_mode(&c) + check_secrets(&c) + check_certificates(&c) + check_databases(&c);
    if (c.hub_count == 0)
        fprintf(stderr, "cradled: no hub is configured: devices will be refused with 400208\n");
    if (problems > 0)
        return 1;
    printf("%s: sound\n", c.data_dir);
    return 0;
}
