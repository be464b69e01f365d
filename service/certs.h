/* Purpose: the CA and server certificates that `cradled init` makes: P-256, ECDSA with SHA-256,
 * RFC 5280. wolfCrypt supplies keys and signatures; the certificate is written here, since its own
 * writer cannot mark basicConstraints critical, which strict verifiers demand of a CA.
 */
#ifndef CERTS_H
#define CERTS_H

#include <wire/bytes.h>

#define CERTS_DAYS 3653       /* ten years, CA and servers alike */
#define CERTS_PEM_CAP 16384

struct certs_authority;
/* Makes the CA's key and its self-signed certificate. ERR_CRYPTO, ERR_ENTROPY, ERR_MEMORY. */
MUST_USE enum err certs_authority_make(const char *name, int64_t now_s,
                                       struct certs_authority **ret_ca);
void certs_authority_close(struct certs_authority *ca); /* NULL is fine */

/* PEM of its certificate and of its key. */
MUST_USE enum err certs_authority_write(struct certs_authority *ca, struct buf *ret_certificate,
                                        struct buf *ret_key);
/* Makes a key and a server certificate for these names, DNS names or addresses. ERR_CONFIG: a name is
 * neither, or they do not fit. */
MUST_USE enum err certs_server_make(struct certs_authority *ca, const char *const *names,
                                    int count, int64_t now_s, struct buf *ret_certificate,
                                    struct buf *ret_key);

#endif
