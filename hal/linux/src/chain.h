/* Purpose: what wolfSSL's own verification leaves open: the host name by the rules of RFC 6125
 * (wolfSSL compares any kind of alternative name, falls back to the common name, and lets a
 * wildcard stand anywhere), the validity of the whole chain with its anchor, weak signatures. */
#ifndef HAL_LINUX_CHAIN_H
#define HAL_LINUX_CHAIN_H

#include <hal/hal.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

/* After a verified handshake, with the certificate manager that verified it. host is a DNS name or
 * an address. ERR_TLS_NAME; ERR_TLS_TRUST: a weak or unfinished chain. */
MUST_USE enum err chain_check(WOLFSSL *ssl, WOLFSSL_CERT_MANAGER *manager, const char *host,
                              struct hal_peer *ret_peer);

#endif
