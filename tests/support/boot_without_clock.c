/* boot_without_clock SERVICE_HOST ID_SCOPE CA TCTI STATE_DIR REGISTRATION_ID [WALL_S]: cradle-device
 * on the Linux port, but on a machine whose clock says 1970 (or WALL_S, a clock that is wrong).
 * Prints each state, the error it met, and the exit status is 0 if it published. */
#include <hal/linux.h>
#include <hubc.h>
#include <stdio.h>
#include <stdlib.h>

static struct hal_linux port;
static int64_t wrong_s;

static int64_t wall_s(struct hal_clock *c)
{
    (void)c;
    return wrong_s;
}

int main(int argc, char **argv)
{
    if (argc < 7)
        return 2;
    if (argc > 7)
        wrong_s = strtoll(argv[7], NULL, 10);
    const struct hal_linux_config config = {.ca_file = argv[3], .tcti = argv[4], .state_dir = argv[5]};
    if (hal_linux_open(&port, &config) != ERR_OK)
        return 2;
    port.clock.wall_s = wall_s;
    static struct hubc hub;
    static union provision_memory memory;
    const struct provision_config boot = {.service_host = argv[1], .service_port = 443,
                                          .id_scope = argv[2], .registration_id = argv[6],
                                          .hub_port = 8883, .payload = "{\"clock\":0}",
                                          .attempts_max = 1};
    hubc_init(&hub, port.hal.transport, port.hal.clock, 5000);
    struct provision *p = provision_init(&memory, &port.hal, &hub.table, &boot);
    enum provision_state at = PROVISION_START;
    while (at != PROVISION_DONE && at != PROVISION_FAILED) {
        at = provision_step(p);
        printf("%s %s\n", provision_state_name(at), err_name(provision_last_error(p)));
    }
    provision_end(p);
    hal_linux_close(&port);
    return at == PROVISION_DONE ? 0 : 1;
}
