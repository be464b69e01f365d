/* Purpose: which storage root keys have been challenged lately, by registration id, for clients that
 * do not repeat their keys with the token. A fixed-size memory-mapped file, shared by all threads,
 * that survives a kill and a restart; a power cut may lose it.
 *
 * Nothing in it is trusted: a wrong entry yields a nonce key that verifies nothing. Nothing in it is
 * needed for safety either: it only saves such a client a second challenge.
 *
 * An id belongs to one set of PENDING_WAYS places. A new entry replaces its own duplicate, else a free
 * or expired place, else the oldest entry of the source that holds most of the set: a flooding source
 * displaces only itself.
 */
#ifndef REGISTRAR_PENDING_H
#define REGISTRAR_PENDING_H

#include <store.h>
#include <wire/bytes.h>
#include <wire/regid.h>
#include <wire/tpmpub.h>

#define PENDING_WAYS 8
#define PENDING_SETS 2048
#define PENDING_LIFE_S 360 /* as long as a nonce key may live */

struct pending;
/* key: keeps strangers from choosing which ids share a set. A file of another size or kind is made
 * anew. ERR_IO, ERR_STORE_FULL, ERR_MEMORY. */
MUST_USE enum err pending_open(const char *path, struct span key, struct pending **ret_pending,
                               struct store_reason *ret_reason);
void pending_close(struct pending *p); /* NULL is fine */

/* source: the client's address as text; an IPv6 client is known by its /64. ERR_CRYPTO. */
MUST_USE enum err pending_put(struct pending *p, const struct regid *id, struct span srk,
                              const char *source, int64_t now_s);

struct pending_srk {
    uint8_t at[TPM_PUBLIC_CAP];
    size_t len;
};
/* The SRKs challenged for this id, newest first. */
MUST_USE enum err pending_find(struct pending *p, const struct regid *id, int64_t now_s,
                               struct pending_srk ret_srks[PENDING_WAYS], int *ret_count);

#endif
