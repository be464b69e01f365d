/* Purpose: the activation blob, the content of "authenticationKey": six sized fields that hand an
 * HMAC key to one TPM and to no other.
 *
 *   1 TPM2B_ID_OBJECT         the credential: opens with the EK, names the SRK
 *   2 TPM2B_ENCRYPTED_SECRET  its seed, to the EK
 *   3 TPM2B_PRIVATE           the duplicate: the HMAC key, inner and outer wrapper
 *   4 TPM2B_ENCRYPTED_SECRET  its seed, to the SRK
 *   5 TPM2B_PUBLIC            public area of the HMAC key (a KEYEDHASH object)
 *   6 UINT16 and bytes        the trailer; no client uses it, all want its size
 *
 * Spans point into the blob that was read.
 */
#ifndef WIRE_TPMBLOB_H
#define WIRE_TPMBLOB_H

#include <wire/bytes.h>

#define TPMBLOB_CAP 930          /* two AMQP SASL segments carry no more */
#define TPMBLOB_TRAILER_MAX 154

struct tpmblob {
    struct span credential; /* contents, without the sizes */
    struct span credential_secret;
    struct span duplicate;
    struct span duplicate_secret;
    struct span public_area;
    struct span trailer;
};

void tpmblob_write(struct buf *out, const struct tpmblob *blob);
/* ERR_TRUNCATED, ERR_TRAILING; ERR_PROTOCOL where a field but the trailer is empty. */
MUST_USE enum err tpmblob_read(struct span bytes, struct tpmblob *ret_blob);

/* The identity key's public area, field 5's content: KEYEDHASH, SHA-256, sign | userWithAuth | noDA,
 * no policy, HMAC with SHA-256, unique. 48 bytes. */
#define TPMBLOB_IDENTITY_PUBLIC_LEN 48
void tpmblob_identity_public_write(struct buf *out, const uint8_t unique[32]);
/* Whether a public area is such a key: what a device checks before it imports one. ERR_KEY_ROLE. */
MUST_USE enum err tpmblob_identity_public_check(struct span public_area);

#endif
