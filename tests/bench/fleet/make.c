#include "fleet.h"
#include "tpmdev.h"

#include <hal/linux.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The length of the EK comes last: until then the record counts as not made. */
static enum err make_one(struct hal_clock *clock, struct fleet_record *r)
{
    struct simtpm tpm;
    struct tpmdev device;
    memset(r, 0, sizeof *r);
    simtpm_init(&tpm, &r->tpm);
    tpmdev_init(&device, &tpm.table, clock);
    enum err e = tpmdev_keys(&device);
    simtpm_power_off(&tpm);
    if (e == ERR_OK) {
        memcpy(r->ek, device.ek.raw, device.ek.raw_len);
        r->ek_len = (uint32_t)device.ek.raw_len;
    }
    tpmdev_end(&device);
    return e;
}

static enum err make_share(struct fleet *f, unsigned first, unsigned stride)
{
    struct hal_linux port;
    const struct hal_linux_config nothing = {0};
    TRY(hal_linux_open(&port, &nothing));
    enum err e = ERR_OK;
    for (unsigned i = first; e == ERR_OK && i < f->count; i += stride)
        if (f->records[i].ek_len == 0)
            e = make_one(port.hal.clock, &f->records[i]);
    hal_linux_close(&port);
    return e;
}

enum err fleet_make(struct fleet *f, unsigned processes)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(make_share(f, i, processes) == ERR_OK ? 0 : 1);
        if (pid < 0)
            e = ERR_MEMORY;
    }
    for (int status; wait(&status) > 0;)
        if (status != 0)
            e = ERR_TPM;
    return e;
}
