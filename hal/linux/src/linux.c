#include "parts.h"

#include <string.h>

enum err hal_linux_open(struct hal_linux *port, const struct hal_linux_config *config)
{
    memset(port, 0, sizeof *port);
    port->storage.dir_fd = -1;
    port->tpm.fd = -1;
    port->clock = linux_clock;
    port->entropy = linux_entropy;
    port->hal.clock = &port->clock;
    port->hal.entropy = &port->entropy;
    if (config->ca_file) {
        TRY(linux_transport_init(&port->transport, config->ca_file));
        port->hal.transport = &port->transport.table;
    }
    if (config->tcti) {
        linux_tpm_init(&port->tpm, config->tcti);
        port->hal.tpm = &port->tpm.table;
    }
    if (config->state_dir) {
        TRY(linux_storage_open(&port->storage, config->state_dir));
        port->hal.storage = &port->storage.table;
    }
    return ERR_OK;
}

void hal_linux_close(struct hal_linux *port)
{
    if (!port)
        return;
    if (port->hal.transport)
        port->transport.table.close(&port->transport.table);
    linux_tpm_close(&port->tpm);
    linux_storage_close(&port->storage);
    memset(&port->hal, 0, sizeof port->hal);
}
