/* Purpose: the registration id, by which a device and its enrollment find each other.
 *
 * One canonical form: lower case, [a-z0-9] and - . _ :, 1 to 128 characters, the last one
 * alphanumeric or a dash. Azure's protocol compares ids without regard to case, so upper-case ASCII
 * letters are folded on reading; everything else outside the set is refused.
 */
#ifndef WIRE_REGID_H
#define WIRE_REGID_H

#include <wire/bytes.h>

#define REGID_MAX 128
struct regid {
    char text[REGID_MAX + 1]; /* NUL-terminated, canonical */
};

/* ERR_REG_ID. Takes the decoded id: percent escapes are the caller's to undo, once. */
MUST_USE enum err regid_read(struct span text, struct regid *ret_id);

/* The default id: base32 of SHA-256 over the whole TPM2B_PUBLIC, size bytes included; 52 characters.
 * ERR_CRYPTO. */
MUST_USE enum err regid_from_ek(struct span ek_tpm2b_public, struct regid *ret_id);

struct span regid_span(const struct regid *id);

#endif
