#include "tls.h"
#include "chain.h"
#include "parts.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#ifdef WOLFSSL_NO_TLS12 /* the minimal build's library, and all that it can do */
#define VERSION_MIN WOLFSSL_TLSV1_3
#define SUITES "TLS13-AES128-GCM-SHA256"
#define SIGNATURES "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256"
#define GROUPS WOLFSSL_ECC_SECP256R1
#else
#define VERSION_MIN WOLFSSL_TLSV1_2
#define SUITES                                                                                     \
    "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"   \
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"
#define SIGNATURES                                                                                 \
    "ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA+SHA256:RSA+SHA384"
#define GROUPS WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_X25519
#endif
#define RSA_BITS_MIN 2048
#define ECC_BITS_MIN 256
#define CHAIN_DEPTH_MAX 5

/* ---- the time wolfSSL goes by: the caller's, never the system's, which may say 1970 ---- */
static int64_t check_time_s;

static time_t check_time(time_t *at)
{
    if (at)
        *at = (time_t)check_time_s;
    return (time_t)check_time_s;
}

/* ---- the context ---- */
static void ctx_free(WOLFSSL_CTX **ctx)
{
    wolfSSL_CTX_free(*ctx);
}

static bool restrict_context(WOLFSSL_CTX *ctx)
{
    int groups[] = {GROUPS};
    return wolfSSL_CTX_SetMinVersion(ctx, VERSION_MIN) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_cipher_list(ctx, SUITES) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set1_sigalgs_list(ctx, SIGNATURES) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_groups(ctx, groups, sizeof groups / sizeof *groups) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_SetMinRsaKey_Sz(ctx, RSA_BITS_MIN) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_SetMinEccKey_Sz(ctx, ECC_BITS_MIN) == WOLFSSL_SUCCESS;
}

/* The minimal build's library has neither. */
#ifndef WOLFSSL_TRUST_PEER_CERT
#define wolfSSL_CTX_Unload_trust_peers(ctx) WOLFSSL_SUCCESS
#endif
#ifdef NO_SESSION_CACHE
#define wolfSSL_CTX_set_session_cache_mode(ctx, mode) WOLFSSL_SUCCESS
#endif

/* The anchors' dates are looked at with the rest of the chain's. Loading also makes every anchor a
 * trusted peer, whose chain, dates and name nobody would check: that is undone. (And it checks the
 * dates for that after all, unless verification is still off.) */
static bool load_anchors(WOLFSSL_CTX *ctx, const char *ca_file)
{
    return wolfSSL_CTX_load_verify_locations_ex(ctx, ca_file, NULL,
                                                WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_Unload_trust_peers(ctx) == WOLFSSL_SUCCESS;
}

static int refuse_or_defer(int good, WOLFSSL_X509_STORE_CTX *store);

enum err tls_context_open(const char *ca_file, WOLFSSL_CTX **ret_ctx)
{
    if (wolfSSL_Init() != WOLFSSL_SUCCESS || wc_SetTimeCb(check_time) != 0)
        return ERR_CRYPTO;
    __attribute__((cleanup(ctx_free))) WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLS_client_method());
    if (!ctx)
        return ERR_MEMORY;
    if (!restrict_context(ctx))
        return ERR_CRYPTO;
    if (!load_anchors(ctx, ca_file))
        return ERR_CONFIG;
    wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, refuse_or_defer);
    wolfSSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH_MAX);
    (void)wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    *ret_ctx = ctx;
    ctx = NULL;
    return ERR_OK;
}

/* ---- the handshake ---- */
struct deferral {
    WOLFSSL_CERT_MANAGER *manager;
    bool dates_later;
    bool date_wrong; /* a certificate was refused for its date alone */
};

/* As wolfSSL's own codes, or as the OpenSSL ones it is configured to translate them to. */
static bool is_date_error(int code)
{
    return code == ASN_BEFORE_DATE_E || code == ASN_AFTER_DATE_E ||
           code == X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD ||
           code == X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD ||
           code == X509_V_ERR_CERT_NOT_YET_VALID || code == X509_V_ERR_CERT_HAS_EXPIRED;
}

/* wolfSSL reports a date before it looks at a certificate's other faults, and a date that is
 * overridden hides them. So the certificate is verified once more, at a time at which its date
 * cannot be the fault: what remains is. (Its uses and its key's size are left to chain_check.) An
 * intermediate CA that was overridden wolfSSL does not use: it has to be given to it. */
static bool verify_undated(WOLFSSL_CERT_MANAGER *manager, const WOLFSSL_BUFFER_INFO *der, bool keep)
{
    WOLFSSL_X509 *x509 = wolfSSL_X509_d2i(NULL, der->buffer, (int)der->length);
    const byte *start = x509 ? wolfSSL_X509_notBefore(x509) : NULL;
    struct tm calendar = {0};
    bool good = false;
    if (start && wc_GetDateAsCalendarTime(start + 2, start[1], start[0], &calendar) == 0) {
        int64_t before = check_time_s;
        check_time_s = timegm(&calendar);
        good = wolfSSL_CertManagerVerifyBuffer(manager, der->buffer, der->length,
                                               WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
        if (good && keep)
            good = wolfSSL_CertManagerLoadCABuffer(manager, der->buffer, der->length,
                                                   WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS;
        check_time_s = before;
    }
    wolfSSL_X509_free(x509);
    return good;
}

/* wolfSSL's verify callback: not 0 accepts. The leaf stands at depth 0. */
static int refuse_or_defer(int good, WOLFSSL_X509_STORE_CTX *store)
{
    struct deferral *d = store->userCtx;
    if (good)
        return 1;
    int at = store->error_depth;
    if (!d || !is_date_error(store->error) || at < 0 || at >= store->totalCerts ||
        !verify_undated(d->manager, &store->certs[at], d->dates_later && at > 0))
        return 0;
    d->date_wrong = true;
    return d->dates_later;
}

static enum err err_from_tls(int code)
{
    switch (code) {
    case ASN_BEFORE_DATE_E:
    case ASN_AFTER_DATE_E:
        return ERR_TLS_DATE;
    case DOMAIN_NAME_MISMATCH:
    case IPADDR_MISMATCH:
        return ERR_TLS_NAME;
    case ASN_NO_SIGNER_E:
    case ASN_SELF_SIGNED_E:
    case ASN_SIG_CONFIRM_E:
    case ASN_SIG_HASH_E:
    case ASN_SIG_KEY_E:
    case ASN_SIG_OID_E:
    case ASN_CRIT_EXT_E:
    case ASN_PATHLEN_SIZE_E:
    case ASN_PATHLEN_INV_E:
    case ASN_NAME_INVALID_E:
    case KEYUSAGE_E:
    case KEYUSE_SIGNATURE_E:
    case KEYUSE_ENCIPHER_E:
    case EXTKEYUSAGE_E:
    case EXTKEYUSE_AUTH_E:
    case MAX_CHAIN_ERROR:
    case NOT_CA_ERROR:
    case RSA_KEY_SIZE_E:
    case ECC_KEY_SIZE_E:
    case NO_PEER_CERT:
    case VERIFY_CERT_ERROR:
        return ERR_TLS_TRUST;
    case SOCKET_ERROR_E:
    case SOCKET_PEER_CLOSED_E:
    case WOLFSSL_ERROR_SYSCALL:
    case WOLFSSL_ERROR_ZERO_RETURN:
    case ZERO_RETURN:
        return ERR_NETWORK;
    case MEMORY_E:
        return ERR_MEMORY;
    default:
        return ERR_TLS;
    }
}

bool tls_wait(WOLFSSL *ssl, int fd, uint64_t deadline_ms)
{
    uint64_t now_ms = linux_now_ms();
    uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    struct pollfd p = {.fd = fd, .events = wolfSSL_want_write(ssl) ? POLLOUT : POLLIN};
    return poll(&p, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms) > 0;
}

static enum err shake(WOLFSSL *ssl, int fd, uint64_t deadline_ms)
{
    for (;;) {
        int got = wolfSSL_connect(ssl);
        if (got == WOLFSSL_SUCCESS)
            return ERR_OK;
        int code = wolfSSL_get_error(ssl, got);
        if (code != WOLFSSL_ERROR_WANT_READ && code != WOLFSSL_ERROR_WANT_WRITE)
            return err_from_tls(code);
        if (!tls_wait(ssl, fd, deadline_ms))
            return ERR_TIMEOUT;
    }
}

/* The server name is for DNS names only (RFC 6066, 3). One key share, of the group that costs
 * least, saves the work for the other; a server that wants that one asks again. */
static bool prepare(WOLFSSL *ssl, int fd, const char *host)
{
    uint8_t address[16];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (!is_address &&
        wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, host, (word16)strlen(host)) != WOLFSSL_SUCCESS)
        return false;
    wolfSSL_SetIOWriteFlags(ssl, MSG_NOSIGNAL);
    return wolfSSL_UseKeyShare(ssl, WOLFSSL_ECC_SECP256R1) == WOLFSSL_SUCCESS &&
           wolfSSL_set_fd(ssl, fd) == WOLFSSL_SUCCESS;
}

static enum err verified(WOLFSSL *ssl, WOLFSSL_CERT_MANAGER *manager, const char *host,
                         int64_t now_s, struct hal_peer *ret_peer)
{
    struct hal_peer peer;
    TRY(chain_check(ssl, manager, host, &peer));
    if (now_s != 0 && (now_s < peer.not_before_s || now_s > peer.not_after_s))
        return ERR_TLS_DATE;
    *ret_peer = peer;
    return ERR_OK;
}

static void ssl_free(WOLFSSL **ssl)
{
    wolfSSL_free(*ssl);
}

enum err tls_handshake(WOLFSSL_CTX *ctx, int fd, const char *host, int64_t now_s,
                       uint64_t deadline_ms, WOLFSSL **ret_ssl, struct hal_peer *ret_peer)
{
    check_time_s = now_s;
    __attribute__((cleanup(ssl_free))) WOLFSSL *ssl = wolfSSL_new(ctx);
    if (!ssl)
        return ERR_MEMORY;
    struct deferral d = {.manager = wolfSSL_CTX_GetCertManager(ctx), .dates_later = now_s == 0};
    wolfSSL_SetCertCbCtx(ssl, &d);
    if (!prepare(ssl, fd, host))
        return ERR_TLS;
    enum err e = shake(ssl, fd, deadline_ms);
    wolfSSL_SetCertCbCtx(ssl, NULL);
    if (e == ERR_TLS_TRUST && d.date_wrong) /* wolfSSL tells what followed from the date */
        return ERR_TLS_DATE;
    TRY(e);
    TRY(verified(ssl, d.manager, host, now_s, ret_peer));
    *ret_ssl = ssl;
    ssl = NULL;
    return ERR_OK;
}
