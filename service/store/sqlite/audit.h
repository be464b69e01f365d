/* Purpose: the chain of the audit log. Private to the store.
 *
 *   hash of an entry  HMAC(key, hash of the one before | number | at_s | each text, sized)
 *   before the first  HMAC(key, "cradle audit v1 " and the database's file)
 *   the end           number and hash of the last chained entry, with HMAC(key, "end" | both)
 *
 * Without a key entries are written unchained; whoever has the key chains them in his next transaction.
 * A chain that does not fit its end any more is never mended: it goes on behind a number that is left
 * out, so that it stays broken for everybody to see.
 */
#ifndef STORE_SQLITE_AUDIT_H
#define STORE_SQLITE_AUDIT_H

#include "db.h"

#define AUDIT_HASH_LEN STORE_AUDIT_HASH_LEN

/* One a transaction, which is open: set the key, add any number of entries, end, commit. */
struct audit_chain {
    const struct secret *key; /* NULL: none */
    bool loaded;              /* what follows is of this transaction */
    uint64_t number;          /* of the last chained entry */
    uint8_t hash[AUDIT_HASH_LEN];
};
MUST_USE enum err audit_add(struct db *db, struct audit_chain *chain,
                            const struct store_audit *entry);
/* Chains what others have left. */
MUST_USE enum err audit_catch_up(struct db *db, struct audit_chain *chain);
MUST_USE enum err audit_end(struct db *db, struct audit_chain *chain);

MUST_USE enum err audit_find_next(struct db *db, uint64_t after, uint64_t *ret_number,
                                  struct store_audit *ret_entry,
                                  uint8_t ret_hash[AUDIT_HASH_LEN]);
MUST_USE enum err audit_verify(struct db *db, const struct secret *key,
                               struct store_audit_verdict *ret_verdict);

#endif
