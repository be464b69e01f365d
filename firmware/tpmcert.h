/* Purpose: the EK certificates that a TPM's vendor leaves in NV, read as far as is wanted. */
#ifndef FIRMWARE_TPMCERT_H
#define FIRMWARE_TPMCERT_H

#include "tpmdev.h"

struct tpmcert {
    enum err why;          /* ERR_OK: it is there and can be read; ERR_ABSENT, ERR_PROTOCOL, ERR_TPM_… */
    uint32_t nv_index;
    uint16_t len;          /* the certificate's own */
    uint8_t key[TPM_RSA_LEN]; /* as in struct tpm_public */
    size_t key_len;        /* 0: it holds no key of the kind */
};

/* The certificate for keys of that kind, read up to its key and no further (usually two commands, one
 * where there is none). An error only if the TPM has gone; all else is told in why. */
MUST_USE enum err tpmcert_read(struct tpmdev *d, enum tpm_key_kind kind, struct tpmcert *ret);
bool tpmcert_is_of(const struct tpmcert *c, const struct tpm_public *key);

#endif
