/* Purpose: a device without a TPM, for tests and load: holds the private keys of an EK and an SRK,
 * opens activation blobs with the checks a TPM makes, and speaks the device's part of the protocol.
 *
 * RSA keys take some 50 ms each to make; a fleet is made once, written, and read again.
 */
#ifndef SUPPORT_SOFTDEVICE_H
#define SUPPORT_SOFTDEVICE_H

#include <wire/bytes.h>
#include <wire/tpmpub.h>

struct softdevice;
/* Fresh keys. ERR_CRYPTO, ERR_ENTROPY, ERR_MEMORY for all that make or read keys. */
MUST_USE enum err softdevice_open(enum tpm_key_kind ek, enum tpm_key_kind srk,
                                  struct softdevice **ret_device);
void softdevice_close(struct softdevice *d); /* NULL is fine */
#define SOFTDEVICE_CAP 4096
void softdevice_write(struct softdevice *d, struct buf *out);
MUST_USE enum err softdevice_read(struct span written, struct softdevice **ret_device);

/* Another SRK, as a new owner makes it; or that of another device, to save the making. */
MUST_USE enum err softdevice_renew_srk(struct softdevice *d, enum tpm_key_kind kind);
MUST_USE enum err softdevice_share_srk(struct softdevice *d, struct softdevice *other);

const struct tpm_public *softdevice_ek(const struct softdevice *d);
const struct tpm_public *softdevice_srk(const struct softdevice *d);

/* ActivateCredential and Import: the HMAC key in the blob. ERR_TPM_ACTIVATE if it is for other keys or
 * wrong in any way. */
MUST_USE enum err softdevice_activate(struct softdevice *d, struct span blob,
                                      struct secret *ret_key);
MUST_USE enum err softdevice_activate_base64(struct softdevice *d, struct span base64,
                                             struct secret *ret_key);

/* The JSON body of a register request, with its keys or without. */
void softdevice_put_body(const struct softdevice *d, const char *registration_id, bool with_keys,
                         struct buf *out);
/* "SharedAccessSignature …" over `resource`, which is escaped here. */
MUST_USE enum err softdevice_put_token(const struct secret *key, const char *resource,
                                       int64_t expiry_s, struct buf *out);

#endif
