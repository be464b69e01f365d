/* Purpose: the credential of an enrollment or a group without an endorsement key, as the store keeps it:
 * symmetric keys, sealed, or X.509 certificates. Whoever writes it and whoever checks devices against it
 * read it here.
 */
#ifndef CREDENTIAL_H
#define CREDENTIAL_H

#include <attest.h>
#include <wire/sas.h>

enum credential_kind {
    CREDENTIAL_NONE,
    CREDENTIAL_KEYS,       /* sealed, in the first part */
    CREDENTIAL_CLIENT,     /* a device's certificates, DER; the second may be empty */
    CREDENTIAL_SIGNING,    /* those of a group's CA, likewise */
    CREDENTIAL_REFERENCES, /* names of CA certificates that are stored by themselves */
};
struct credential {
    enum credential_kind kind;
    struct span at[2]; /* into what was read */
};
void credential_write(struct buf *out, enum credential_kind kind, struct span first,
                      struct span second);
/* Empty bytes are CREDENTIAL_NONE. ERR_STORE: not written by credential_write. */
MUST_USE enum err credential_read(struct span bytes, struct credential *ret_credential);

/* Two symmetric keys, both valid, for rolling. */
#define CREDENTIAL_KEY_MIN 16
#define CREDENTIAL_KEY_MAX 64
struct credential_keys {
    uint8_t at[2][CREDENTIAL_KEY_MAX];
    size_t len[2]; /* 0: none */
};
void credential_keys_wipe(struct credential_keys *k);
#define CREDENTIAL_KEYS_OWNED __attribute__((cleanup(credential_keys_wipe))) struct credential_keys

/* What sealed keys belong to: they open for this alone. */
enum credential_owner { CREDENTIAL_OF_ENROLLMENT, CREDENTIAL_OF_GROUP, CREDENTIAL_OF_DEVICE };
#define CREDENTIAL_SEALED_CAP (2 * (CREDENTIAL_KEY_MAX + 2) + ATTEST_SEAL_OVERHEAD)
MUST_USE enum err credential_keys_seal(struct attest *a, const struct secret *seal_key,
                                       enum credential_owner owner, const struct regid *id,
                                       const struct credential_keys *k, struct buf *out);
/* ERR_CRYPTO: altered, of another owner or under another key. */
MUST_USE enum err credential_keys_open(const struct secret *seal_key, enum credential_owner owner,
                                       const struct regid *id, struct span sealed,
                                       struct credential_keys *ret_keys);

/* The keys of a device of a group: HMAC-SHA-256 under the group's over the registration id. */
MUST_USE enum err credential_keys_derive(const struct credential_keys *group,
                                         const struct regid *id,
                                         struct credential_keys *ret_keys);
/* Whether a token was signed with either. Takes as long for the one as for the other. ERR_UNAUTHORIZED. */
MUST_USE enum err credential_keys_check(const struct credential_keys *k,
                                        const struct sas_token *token);

#endif
