/* Purpose: ekpub-import collect, on the manufacturing line: one unit's TPM read, one row appended.
 */
#ifndef IMPORT_COLLECT_H
#define IMPORT_COLLECT_H

#include <wire/bytes.h>
#include <wire/tpmpub.h>

/* What a TPM says of itself. */
#define COLLECT_CERTIFICATE_CAP 3072
struct collected {
    struct tpm_public ek, srk;
    size_t certificate_len;   /* 0: none that could be read */
    enum err certificate_why; /* then */
    bool certificate_other;   /* it is another key's: for people, it is not kept */
    uint8_t certificate[COLLECT_CERTIFICATE_CAP];
};
/* tcti: NAME[:CONF]. EK and SRK are made and persisted where the TPM has none, as the device would
 * do at its first boot. ERR_TPM_TRANSPORT, ERR_TPM, ERR_KEY_SHAPE, ERR_KEY_ROLE, ERR_CONFIG. */
MUST_USE enum err collect_tpm(const char *tcti, struct collected *ret_collected);

int collect_main(int argc, char **argv); /* the exit status */

#endif
