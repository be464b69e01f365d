#include "fleet.h"
#include "hubc.h"

#include <hal/linux.h>
#include <stdlib.h>
#include <string.h>

struct device {
    const struct storm_options *options;
    struct storm *storm;
    struct storm_result *result;
    struct fleet_record *record;
    char id[FLEET_ID_CAP];
    struct provision *machine; /* NULL: switched off */
    enum provision_state at;
    uint64_t on_us, wakes_us;

    struct hal_linux port; /* for its transport and its clocks */
    struct hal hal;
    struct simtpm tpm;
    struct hal_storage storage;
    struct hal_clock clock;
    struct hubc hub;
    struct provision_hub no_hub;
    union provision_memory memory;
};

/* ---- its hal: Linux's, but for the TPM, and where one process must be many devices ---- */
#define DEVICE_OF(member, at) ((struct device *)(void *)((char *)(at)-offsetof(struct device, member)))

static enum err slot_read(struct hal_storage *s, const char *slot, uint8_t *ret_bytes, size_t cap,
                          size_t *ret_len)
{
    (void)slot;
    const struct fleet_record *r = DEVICE_OF(storage, s)->record;
    if (r->slot_len == 0)
        return ERR_ABSENT;
    if (r->slot_len > cap)
        return ERR_FULL;
    memcpy(ret_bytes, r->slot, r->slot_len);
    *ret_len = r->slot_len;
    return ERR_OK;
}

static enum err slot_write(struct hal_storage *s, const char *slot, struct span bytes)
{
    (void)slot;
    struct fleet_record *r = DEVICE_OF(storage, s)->record;
    if (bytes.len > sizeof r->slot)
        return ERR_FULL;
    memcpy(r->slot, bytes.at, bytes.len);
    r->slot_len = (uint32_t)bytes.len;
    return ERR_OK;
}

static enum err slot_remove(struct hal_storage *s, const char *slot)
{
    (void)slot;
    DEVICE_OF(storage, s)->record->slot_len = 0;
    return ERR_OK;
}

static int64_t wall_s(struct hal_clock *c)
{
    struct hal_clock *real = DEVICE_OF(clock, c)->port.hal.clock;
    return real->wall_s(real);
}

static uint64_t monotonic_ms(struct hal_clock *c)
{
    struct hal_clock *real = DEVICE_OF(clock, c)->port.hal.clock;
    return real->monotonic_ms(real);
}

/* In WAIT the others were served meanwhile: when the step is made the time is over. */
static void sleep_ms(struct hal_clock *c, uint32_t ms)
{
    struct device *d = DEVICE_OF(clock, c);
    if (d->at != PROVISION_WAIT)
        d->port.hal.clock->sleep_ms(d->port.hal.clock, ms);
}

static enum err refuse(struct provision_hub *h, const char *host, uint16_t port,
                       const char *device_id, const char *sas_token, int64_t now_s)
{
    (void)h, (void)host, (void)port, (void)device_id, (void)sas_token, (void)now_s;
    return ERR_HUB_REFUSED;
}

/* ---- switching on and off ---- */
struct device *device_new(const struct storm_options *options)
{
    struct device *d = calloc(1, sizeof *d);
    const struct hal_linux_config config = {.ca_file = options->ca_file};
    if (!d || hal_linux_open(&d->port, &config) != ERR_OK) {
        free(d);
        return NULL;
    }
    d->options = options;
    d->storage = (struct hal_storage){.read = slot_read, .write = slot_write, .remove = slot_remove};
    d->clock = (struct hal_clock){.wall_s = wall_s, .monotonic_ms = monotonic_ms, .sleep_ms = sleep_ms};
    d->no_hub.connect = refuse;
    d->hal = d->port.hal;
    d->hal.storage = &d->storage;
    d->hal.clock = &d->clock;
    d->hal.tpm = &d->tpm.table;
    hubc_init(&d->hub, d->hal.transport, &d->clock, options->step_timeout_ms);
    return d;
}

void device_free(struct device *d)
{
    if (d)
        hal_linux_close(&d->port);
    free(d);
}

void device_power_on(struct device *d, struct storm *storm, unsigned number)
{
    const struct storm_options *o = d->options;
    d->storm = storm;
    d->result = &storm->results[number];
    d->record = &storm->fleet.records[number];
    d->at = PROVISION_START;
    d->on_us = fleet_now_us();
    d->wakes_us = 0;
    fleet_id(number, d->id);
    simtpm_init(&d->tpm, &d->record->tpm);
    const struct provision_config config = {.service_host = o->host,
                                            .service_port = o->port,
                                            .id_scope = o->id_scope,
                                            .registration_id = d->id,
                                            .hub_port = o->hub_port,
                                            .step_timeout_ms = o->step_timeout_ms,
                                            .attempts_max = o->attempts};
    d->machine = provision_init(&d->memory, &d->hal, o->hub_port ? &d->hub.table : &d->no_hub, &config);
}

static void power_off(struct device *d, enum err outcome)
{
    d->result->outcome = outcome;
    d->result->boot_us = (uint32_t)(fleet_now_us() - d->on_us);
    d->result->off_us = fleet_now_us() - d->storm->start_us;
    provision_end(d->machine);
    simtpm_power_off(&d->tpm);
    d->machine = NULL;
    d->storm->ended++;
    d->storm->provisioned += outcome == ERR_OK;
}

bool device_is_on(const struct device *d)
{
    return d->machine != NULL;
}

uint64_t device_wakes_us(const struct device *d)
{
    return d->wakes_us;
}

/* ---- stepping ---- */
static void note_duration(struct storm_result *r, enum provision_state of, uint32_t us)
{
    if (of == PROVISION_REQUEST)
        r->challenge_us = us;
    if (of == PROVISION_PROVE)
        r->assigned_us = us;
    if (of == PROVISION_HUB)
        r->hub_us = us;
}

static void note(struct device *d, enum provision_state from, uint32_t us)
{
    enum err e = provision_last_error(d->machine);
    bool failed = from != PROVISION_WAIT && (d->at == PROVISION_WAIT || d->at == PROVISION_FAILED);
    if (failed && e != ERR_OK)
        d->storm->failures[e]++;
    else if (from == PROVISION_HUB && d->at == PROVISION_TPM)
        d->result->hub_refused = true;
    else
        note_duration(d->result, from, us);
    d->wakes_us = d->at == PROVISION_WAIT
                      ? fleet_now_us() + (uint64_t)provision_wait_ms(d->machine) * 1000
                      : 0;
}

static bool is_done(const struct device *d, enum provision_state from)
{
    if (d->options->hub_port == 0)
        return from == PROVISION_ADOPT && d->at == PROVISION_HUB;
    return d->at == PROVISION_DONE;
}

bool device_step(struct device *d)
{
    uint64_t begun_us = fleet_now_us();
    if (begun_us < d->wakes_us)
        return true;
    enum provision_state from = d->at;
    enum provision_state to = provision_step(d->machine);
    d->at = to;
    note(d, from, (uint32_t)(fleet_now_us() - begun_us));
    if (is_done(d, from))
        power_off(d, ERR_OK);
    else if (to == PROVISION_FAILED)
        power_off(d, provision_last_error(d->machine));
    return d->machine != NULL;
}
