/* Purpose: a fleet of software devices that drives a service over TLS, for the benchmark and the
 * durability tests. tls_client.c speaks HTTPS, load.c is the program. */
#ifndef LOAD_H
#define LOAD_H

#include <wire/bytes.h>

/* ---- one HTTPS connection, blocking ---- */
struct tls_client;
enum tls_group { TLS_GROUP_X25519, TLS_GROUP_P256 };
/* The context is made once: CA, TLS 1.3 only, one key share of the given group. */
MUST_USE enum err tls_client_open(const char *ca_file, enum tls_group group,
                                  struct tls_client **ret_client);
void tls_client_close(struct tls_client *c);
MUST_USE enum err tls_client_connect(struct tls_client *c, const char *address, uint16_t port,
                                     const char *name);
void tls_client_disconnect(struct tls_client *c);
int tls_client_fd(const struct tls_client *c);

struct http_answer {
    int status;
    char bytes[16384];
    size_t len;
    struct span body; /* into bytes */
};
/* Sends one request as it is, reads one answer with a Content-Length. ERR_NETWORK, ERR_PROTOCOL. */
MUST_USE enum err tls_client_exchange(struct tls_client *c, struct span request,
                                      struct http_answer *ret_answer);

#endif
