#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "tls.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* AEAD only, ephemeral keys only, an ECDSA certificate. */
#define SUITES                                                                                     \
    "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
/* Both cost the service the same. The order decides in TLS 1.3 for clients that send both key shares;
 * in TLS 1.2 the client's does. */
#define GROUPS "X25519:P-256"
#define SIGNATURES "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512"

struct http_tls {
    WOLFSSL_CTX *ctx;
};

static enum err say(struct http_reason *reason, enum err e, const char *what, const char *file)
{
    (void)snprintf(reason->text, sizeof reason->text, "%s%s%s", what, file[0] != '\0' ? ": " : "",
                   file);
    return e;
}

/* ---- the socket, as the library sees it ---- */

/* Bytes from the socket; 0: end of stream; a WOLFSSL_CBIO_ERR_… otherwise. */
static int socket_take(struct http_session *s, void *at, size_t cap)
{
    if (s->turn_bytes >= HTTP_SESSION_TURN_BYTES)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    ssize_t n = recv(s->fd, at, cap, 0);
    if (n > 0) {
        s->turn_bytes += (size_t)n;
        return (int)n;
    }
    if (n == 0)
        return WOLFSSL_CBIO_ERR_CONN_CLOSE;
    if (errno == EAGAIN || errno == EINTR)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    return errno == ECONNRESET ? WOLFSSL_CBIO_ERR_CONN_RST : WOLFSSL_CBIO_ERR_GENERAL;
}

static int ahead_take(struct http_session *s, char *at, size_t cap)
{
    size_t len = (size_t)s->ahead_to - s->ahead_from;
    if (len > cap)
        len = cap;
    memcpy(at, s->ahead + s->ahead_from, len);
    s->ahead_from = (uint16_t)(s->ahead_from + len);
    return (int)len;
}

static int on_receive(WOLFSSL *ssl, char *at, int cap, void *arg)
{
    (void)ssl;
    struct http_session *s = arg;
    if (s->ahead_from < s->ahead_to)
        return ahead_take(s, at, (size_t)cap);
    if ((size_t)cap >= sizeof s->ahead)
        return socket_take(s, at, (size_t)cap);
    int n = socket_take(s, s->ahead, sizeof s->ahead);
    if (n <= 0)
        return n;
    s->ahead_from = 0;
    s->ahead_to = (uint16_t)n;
    return ahead_take(s, at, (size_t)cap);
}

static int on_send(WOLFSSL *ssl, char *at, int len, void *arg)
{
    (void)ssl;
    struct http_session *s = arg;
    ssize_t n = send(s->fd, at, (size_t)len, MSG_NOSIGNAL);
    if (n >= 0)
        return (int)n;
    if (errno == EAGAIN || errno == EINTR)
        return WOLFSSL_CBIO_ERR_WANT_WRITE;
    return errno == ECONNRESET || errno == EPIPE ? WOLFSSL_CBIO_ERR_CONN_RST
                                                 : WOLFSSL_CBIO_ERR_GENERAL;
}

/* ---- policy ---- */

static enum err policy_set(WOLFSSL_CTX *ctx)
{
    /* No client certificates: devices prove themselves by their TPM. */
    wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
    if (wolfSSL_CTX_SetMinVersion(ctx, WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_cipher_list(ctx, SUITES) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set1_curves_list(ctx, GROUPS) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set1_sigalgs_list(ctx, SIGNATURES) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_SetTmpEC_DHE_Sz(ctx, 32) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_no_ticket_TLSv13(ctx) != 0 ||
        wolfSSL_CTX_NoTicketTLSv12(ctx) != WOLFSSL_SUCCESS)
        return ERR_TLS;
    wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    (void)wolfSSL_CTX_set_options(ctx, WOLFSSL_OP_CIPHER_SERVER_PREFERENCE |
                                           WOLFSSL_OP_NO_COMPRESSION | WOLFSSL_OP_NO_TICKET);
    (void)wolfSSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY); /* ten vain reads before it gives up */
    (void)wolfSSL_CTX_set_group_messages(ctx); /* the server's flight leaves in one write */
    return ERR_OK;
}

/* ECDSA with P-256: anything else would need other suites, or three times the work. */
static bool key_is_p256(WOLFSSL_CTX *ctx)
{
    WOLFSSL *ssl = wolfSSL_new(ctx);
    WOLFSSL_X509 *own = ssl != NULL ? wolfSSL_get_certificate(ssl) : NULL;
    WOLFSSL_EVP_PKEY *key = own != NULL ? wolfSSL_X509_get_pubkey(own) : NULL;
    bool is_ec = key != NULL && wolfSSL_EVP_PKEY_id(key) == EVP_PKEY_EC;
    bool ok = is_ec && wolfSSL_EVP_PKEY_bits(key) == 256;
    wolfSSL_EVP_PKEY_free(key);
    wolfSSL_free(ssl);
    return ok;
}

static enum err identity_load(WOLFSSL_CTX *ctx, const char *certificate_file, const char *key_file,
                              struct http_reason *reason)
{
    if (wolfSSL_CTX_use_certificate_chain_file(ctx, certificate_file) != WOLFSSL_SUCCESS)
        return say(reason, ERR_CONFIG, "cannot read the certificate chain", certificate_file);
    if (wolfSSL_CTX_use_PrivateKey_file(ctx, key_file, WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS)
        return say(reason, ERR_CONFIG, "cannot read the private key", key_file);
    if (wolfSSL_CTX_check_private_key(ctx) != WOLFSSL_SUCCESS)
        return say(reason, ERR_CONFIG, "the private key is not the certificate's", key_file);
    if (!key_is_p256(ctx))
        return say(reason, ERR_CONFIG, "the certificate's key is not P-256", certificate_file);
    return ERR_OK;
}

static void library_init(void)
{
    (void)wolfSSL_Init(); /* what it can fail at, the first context fails at too */
}

static void http_tls_closep(struct http_tls **t)
{
    http_tls_close(*t);
}

enum err http_tls_open(const char *certificate_file, const char *key_file,
                       struct http_tls **ret_tls, struct http_reason *ret_reason)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, library_init);
    __attribute__((cleanup(http_tls_closep))) struct http_tls *t = calloc(1, sizeof *t);
    if (t != NULL)
        t->ctx = wolfSSL_CTX_new(wolfSSLv23_server_method());
    if (t == NULL || t->ctx == NULL)
        return say(ret_reason, ERR_MEMORY, "out of memory", "");
    if (policy_set(t->ctx) != ERR_OK)
        return say(ret_reason, ERR_TLS, "this wolfSSL lacks what the TLS policy needs", "");
    TRY(identity_load(t->ctx, certificate_file, key_file, ret_reason));
    wolfSSL_CTX_SetIORecv(t->ctx, on_receive);
    wolfSSL_CTX_SetIOSend(t->ctx, on_send);
    *ret_tls = t;
    t = NULL;
    return ERR_OK;
}

void http_tls_close(struct http_tls *t)
{
    if (t == NULL)
        return;
    wolfSSL_CTX_free(t->ctx);
    free(t);
}

/* ---- sessions ---- */

enum err http_session_open(struct http_tls *t, int fd, struct http_session *s)
{
    s->fd = fd;
    s->turn_bytes = 0;
    s->ahead_from = s->ahead_to = 0;
    s->ssl = wolfSSL_new(t->ctx);
    if (s->ssl == NULL)
        return ERR_MEMORY;
    wolfSSL_SetIOReadCtx(s->ssl, s);
    wolfSSL_SetIOWriteCtx(s->ssl, s);
    return ERR_OK;
}

void http_session_close(struct http_session *s)
{
    wolfSSL_free(s->ssl);
    s->ssl = NULL;
}

void http_session_turn(struct http_session *s)
{
    s->turn_bytes = 0;
}

static enum http_io outcome(struct http_session *s, int ret)
{
    switch (wolfSSL_get_error(s->ssl, ret)) {
    case WOLFSSL_ERROR_WANT_READ:
        return HTTP_IO_READ;
    case WOLFSSL_ERROR_WANT_WRITE:
        return HTTP_IO_WRITE;
    case WOLFSSL_ERROR_ZERO_RETURN:
    case SOCKET_PEER_CLOSED_E:
        return HTTP_IO_CLOSED;
    default:
        return HTTP_IO_FAILED;
    }
}

enum http_io http_session_handshake(struct http_session *s)
{
    int ret = wolfSSL_accept(s->ssl);
    if (ret != WOLFSSL_SUCCESS)
        return outcome(s, ret);
    wolfSSL_FreeArrays(s->ssl); /* the handshake's secrets, and the room for its messages */
    return HTTP_IO_DONE;
}

enum http_io http_session_read(struct http_session *s, uint8_t *at, size_t cap, size_t *ret_len)
{
    int n = wolfSSL_read(s->ssl, at, (int)cap);
    if (n <= 0)
        return outcome(s, n);
    *ret_len = (size_t)n;
    return HTTP_IO_DONE;
}

enum http_io http_session_write(struct http_session *s, struct span bytes)
{
    int n = wolfSSL_write(s->ssl, bytes.at, (int)bytes.len);
    return n == (int)bytes.len ? HTTP_IO_DONE : outcome(s, n);
}

static bool is_zero(const uint8_t *at, size_t len)
{
    return at[0] == 0 && memcmp(at, at + 1, len - 1) == 0;
}

/* The library keeps room in every session for the client's certificate chain, twice: 36 KiB of
 * zeros that we never have written. A private page of zeros that is dropped reads as zeros again,
 * so nothing changes but the memory that is resident. */
void http_session_settle(struct http_session *s)
{
    uint8_t *at = (uint8_t *)wolfSSL_get_session(s->ssl);
    if (at == NULL)
        return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t from = (page - (uintptr_t)at % page) % page;
    size_t len = malloc_usable_size(at);
    for (; from + page <= len; from += page)
        if (is_zero(at + from, page))
            (void)madvise(at + from, page, MADV_DONTNEED);
}

void http_session_end(struct http_session *s)
{
    (void)wolfSSL_shutdown(s->ssl);
}

bool http_session_pending(const struct http_session *s)
{
    return s->ahead_from < s->ahead_to || wolfSSL_pending(s->ssl) > 0;
}
