/* Purpose: the port to Linux: sockets and wolfSSL, the TSS's TCTIs, a directory of files, the
 * system's clocks and randomness.
 *
 * The structs are public only so that the caller can place them; their members are the port's own.
 * The strings of the configuration are borrowed until close.
 */
#ifndef HAL_LINUX_H
#define HAL_LINUX_H

#include <hal/hal.h>

struct hal_linux_config {
    const char *ca_file;   /* PEM: the only certificates that are trusted; NULL: no transport */
    const char *tcti;      /* NAME[:CONF] as tpm2-tools spell it; NULL: no TPM */
    const char *state_dir; /* made with mode 0700 if absent; NULL: no storage */
};

struct linux_transport {
    struct hal_transport table;
    const char *ca_file;
    struct WOLFSSL_CTX *ctx;
    struct WOLFSSL *ssl;
    int fd;
};

struct linux_tpm {
    struct hal_tpm table;
    const char *tcti;
    void *context; /* TSS2_TCTI_CONTEXT, opened by the first command */
    int fd;        /* the same in the minimal build, which has no TCTIs */
};

struct linux_storage {
    struct hal_storage table;
    int dir_fd;
};

struct hal_linux {
    struct hal hal;
    struct linux_transport transport;
    struct linux_tpm tpm;
    struct linux_storage storage;
    struct hal_clock clock;
    struct hal_entropy entropy;
};

/* Checks the CA file and opens the state directory; the TPM and the network wait for their first
 * use. ERR_CONFIG: no usable certificate in ca_file, or a directory that others may write to;
 * ERR_IO: the directory cannot be made or opened. On an error nothing stays open. */
MUST_USE enum err hal_linux_open(struct hal_linux *port, const struct hal_linux_config *config);
void hal_linux_close(struct hal_linux *port);

#endif
