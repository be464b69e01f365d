/* Purpose: a fleet of devices for measurements: each with a TPM of its own by libtpms (simtpm.h) and
 * the real firmware, stepped, over real TLS. main.c is the program, pool.c the file the fleet lives
 * in, make.c the factory, storm.c boots the devices, device.c is one of them, report.c tells.
 */
#ifndef FLEET_H
#define FLEET_H

#include <simtpm.h>
#include <stdio.h>
#include <wire/tpmpub.h>

/* ---- what a device keeps without power: as in the file, and shared between processes ---- */
struct fleet_record {
    struct simtpm_image tpm;
    uint32_t ek_len; /* 0: not made yet */
    uint8_t ek[TPM_PUBLIC_CAP];
    uint32_t slot_len; /* the one slot of its storage; 0: empty */
    uint8_t slot[HAL_SLOT_CAP];
};

struct fleet {
    struct fleet_record *records;
    unsigned count;
};

#define FLEET_ID_CAP 24
void fleet_id(unsigned number, char ret_id[FLEET_ID_CAP]); /* "fleet-0" … */

/* Maps the first `count` devices of the file, which grows to them if need be. ERR_IO; ERR_CONFIG: it
 * is the file of another build of this program. */
MUST_USE enum err fleet_open(const char *path, unsigned count, struct fleet *ret_fleet);
void fleet_close(struct fleet *f);

/* Makes those that are not made yet, in so many processes: EK and SRK, as the firmware makes them.
 * An interrupted run leaves whole devices. ERR_TPM: a process could not. */
MUST_USE enum err fleet_make(struct fleet *f, unsigned processes);

/* registrationId,endorsementKey: of the first `count`. */
MUST_USE enum err fleet_list(const struct fleet *f, unsigned count, FILE *out);

/* ---- a storm: every device is switched on once ---- */
struct storm_options {
    const char *host, *ca_file, *id_scope;
    uint16_t port, hub_port; /* hub_port 0: there is no broker; whoever asks the hub is refused, and
                              * who has taken a hub key is done */
    unsigned processes;      /* each is one TPM at a time */
    unsigned in_flight;      /* devices that a process has switched on, stepped in turn */
    unsigned attempts;       /* a device gives up after so many failures */
    uint32_t step_timeout_ms;
};

struct storm_result {
    uint64_t off_us;         /* when it was done, since the storm's start */
    uint32_t boot_us;        /* from power on until it is done */
    uint32_t challenge_us;   /* its last request without a token: TCP, TLS, answer */
    uint32_t assigned_us;    /* its last request with one: answered when the row is durable */
    uint32_t hub_us;         /* TCP, TLS, MQTT, publish and its acknowledgement */
    enum err outcome;
    bool hub_refused;        /* in the beginning: it was provisioned before */
};

/* Of all processes, in shared memory. */
struct storm {
    const struct storm_options *options;
    struct fleet fleet;
    uint64_t start_us;
    _Atomic unsigned ended, provisioned;
    _Atomic unsigned failures[ERR_COUNT]; /* attempts that failed, by why */
    struct storm_result results[];
};

/* Runs it, tells of its progress on standard error, prints what came of it as one line of JSON.
 * ERR_INTERNAL: a process died. */
MUST_USE enum err storm_run(struct fleet fleet, const struct storm_options *options);
void storm_report(const struct storm *s, uint64_t took_us, uint64_t cpu_us, FILE *out);
uint64_t fleet_now_us(void);

/* ---- one device, switched on ---- */
struct device;
struct device *device_new(const struct storm_options *options); /* NULL: no memory, no CA */
void device_free(struct device *d);
void device_power_on(struct device *d, struct storm *storm, unsigned number);
/* One step, unless it waits. False: it is done, and switched off. */
bool device_step(struct device *d);
bool device_is_on(const struct device *d);
uint64_t device_wakes_us(const struct device *d); /* 0: it does not wait */

#endif
