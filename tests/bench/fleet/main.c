/* fleet make  --devices N --file FILE [--processes N]    makes those that the file does not have yet
 * fleet list  --devices N --file FILE                    prints the factory's list, as CSV
 * fleet storm --devices N --file FILE --name HOST [--port N] --ca FILE --id-scope S
 *             [--hub-port N] [--processes N] [--in-flight N] [--attempts N]
 *     switches all of them on, each until it is provisioned (with a hub: has published), and off;
 *     prints JSON. The file keeps what their TPMs and storage hold.
 */
#include "fleet.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
    const char *command, *file;
    unsigned devices;
    struct storm_options storm;
};

static const struct argp_option option_list[] = {
    {"devices", 'd', "N", 0, "the first N devices", 0},
    {"file", 'f', "FILE", 0, "where they live", 0},
    {"name", 'n', "HOST", 0, "the service", 0},
    {"port", 'p', "N", 0, "its port (443)", 0},
    {"ca", 'c', "FILE", 0, "the CA of service and hub", 0},
    {"id-scope", 's', "S", 0, "the service's scope", 0},
    {"hub-port", 'H', "N", 0, "the hub's port; 0: no hub (0)", 0},
    {"processes", 'P', "N", 0, "one TPM each (as many as there are processors)", 0},
    {"in-flight", 'i', "N", 0, "devices switched on at a time, in each process (32)", 0},
    {"attempts", 'a', "N", 0, "after so many failures a device gives up (20)", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 'd': o->devices = (unsigned)strtoul(arg, NULL, 10); return 0;
    case 'f': o->file = arg; return 0;
    case 'n': o->storm.host = arg; return 0;
    case 'p': o->storm.port = (uint16_t)strtoul(arg, NULL, 10); return 0;
    case 'c': o->storm.ca_file = arg; return 0;
    case 's': o->storm.id_scope = arg; return 0;
    case 'H': o->storm.hub_port = (uint16_t)strtoul(arg, NULL, 10); return 0;
    case 'P': o->storm.processes = (unsigned)strtoul(arg, NULL, 10); return 0;
    case 'i': o->storm.in_flight = (unsigned)strtoul(arg, NULL, 10); return 0;
    case 'a': o->storm.attempts = (unsigned)strtoul(arg, NULL, 10); return 0;
    case ARGP_KEY_ARG: o->command = arg; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static enum err run(struct options *o, struct fleet *f)
{
    if (strcmp(o->command, "make") == 0)
        return fleet_make(f, o->storm.processes);
    if (strcmp(o->command, "list") == 0)
        return fleet_list(f, o->devices, stdout);
    if (strcmp(o->command, "storm") == 0 && o->storm.host && o->storm.ca_file && o->storm.id_scope)
        return storm_run(*f, &o->storm);
    return ERR_CONFIG;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {option_list, parse_option, "make|list|storm", NULL, 0, 0, 0};
    struct options o = {.command = "",
                        .devices = 1,
                        .storm = {.port = 443, .in_flight = 32, .attempts = 20,
                                  .step_timeout_ms = 15000,
                                  .processes = (unsigned)sysconf(_SC_NPROCESSORS_ONLN)}};
    struct fleet fleet;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (!o.file || o.devices == 0 || o.storm.processes == 0)
        return 2;
    enum err e = fleet_open(o.file, o.devices, &fleet);
    if (e == ERR_OK) {
        e = run(&o, &fleet);
        fleet_close(&fleet);
    }
    if (e != ERR_OK)
        fprintf(stderr, "fleet: %s: %s%s\n", o.command, err_name(e),
                e == ERR_CONFIG ? " (an option is missing, or the file is another build's: remove it)" : "");
    return e == ERR_OK ? 0 : 1;
}
