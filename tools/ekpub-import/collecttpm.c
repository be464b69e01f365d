#include "collect.h"

#include <hal/linux.h>
#include <string.h>
#include <tpmdev.h>

_Static_assert(COLLECT_CERTIFICATE_CAP == TPMDEV_CERTIFICATE_CAP, "the same certificate");

static void port_release(struct hal_linux *port)
{
    hal_linux_close(port);
}

static enum err read_all(struct tpmdev *d, struct collected *c)
{
    struct tpmdev_certificate found = {0};
    TRY(tpmdev_keys(d));
    c->ek = d->ek;
    c->srk = d->srk;
    c->certificate_why = tpmdev_ek_certificate_read(d, c->certificate, &found);
    if (c->certificate_why == ERR_TPM_TRANSPORT)
        return ERR_TPM_TRANSPORT;
    c->certificate_other = c->certificate_why == ERR_OK && !found.is_of_ek;
    c->certificate_len = c->certificate_why == ERR_OK && found.is_of_ek ? found.len : 0;
    return ERR_OK;
}

enum err collect_tpm(const char *tcti, struct collected *ret_collected)
{
    static struct tpmdev device;
    struct collected c = {0};
    const struct hal_linux_config config = {.tcti = tcti};
    __attribute__((cleanup(port_release))) struct hal_linux port;
    memset(&port, 0, sizeof port);
    TRY(hal_linux_open(&port, &config));
    tpmdev_init(&device, port.hal.tpm, port.hal.clock);
    enum err e = read_all(&device, &c);
    tpmdev_end(&device);
    if (e == ERR_OK)
        *ret_collected = c;
    return e;
}
