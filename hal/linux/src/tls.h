/* Purpose: one TLS client handshake, with every setting made explicit: a wolfSSL configured for
 * OpenSSL's defaults begins with verification off and anonymous suites on. */
#ifndef HAL_LINUX_TLS_H
#define HAL_LINUX_TLS_H

#include <hal/hal.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

/* A fresh context trusts the certificates of ca_file and nothing else. ERR_CONFIG: there is none in
 * it; ERR_MEMORY. */
MUST_USE enum err tls_context_open(const char *ca_file, WOLFSSL_CTX **ret_ctx);

/* Whether the peer proved itself. now_s 0: dates are left to the caller. fd is non-blocking; gives
 * up at deadline_ms. ret_ssl is the caller's to free. */
MUST_USE enum err tls_handshake(WOLFSSL_CTX *ctx, int fd, const char *host, int64_t now_s,
                                uint64_t deadline_ms, WOLFSSL **ret_ssl, struct hal_peer *ret_peer);

/* Waits until the connection can go on as wolfSSL's last call asked; false when the time is over. */
bool tls_wait(WOLFSSL *ssl, int fd, uint64_t deadline_ms);

#endif
