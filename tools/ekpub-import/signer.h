/* Purpose: those whose signature on a manifest counts: P-256 keys, given by certificate or public
 * key. They are trusted because they were given; no chain, no date is looked at.
 */
#ifndef IMPORT_SIGNER_H
#define IMPORT_SIGNER_H

#include "jws.h"

#define SIGNERS_MAX 16
#define SIGNER_SIGNATURE_LEN 64 /* r then s, RFC 7518 3.4 */

/* Whether one of them made this signature over "PROTECTED.PAYLOAD". */
bool signers_verify(const struct jws_signers *s, struct span protected_text,
                    struct span payload_text, const uint8_t signature[SIGNER_SIGNATURE_LEN]);

#endif
