/* Purpose: trust in the file. A manifest names files by SHA-256 and says how many rows each holds; it
 * is a compact JWS (RFC 7515) over {"files":[{"name","sha256","rows"}]}, signed on the line with
 * ES256 or Ed25519 (RFC 8037).
 */
#ifndef IMPORT_MANIFEST_H
#define IMPORT_MANIFEST_H

#include "run.h"

/* Whether the manifest of the run, if it has one, is signed by the signer and lists each input as it
 * lies there. Says on standard error what is not right. */
MUST_USE enum err manifest_check(const struct import_args *args);
/* The same once more after the rows were read, and whether they were as many as it says. */
MUST_USE enum err manifest_settle(const struct import_args *args, uint64_t rows);

/* ekpub-import sign: writes the manifest of the files to standard output. Returns the exit status. */
struct manifest_args {
    const char *key; /* PEM: P-256 or Ed25519 */
    const struct reader_options *reading;
    const char *const *files;
    size_t file_count;
};
int manifest_sign(const struct manifest_args *args);

#endif
