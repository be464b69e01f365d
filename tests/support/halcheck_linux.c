/* halcheck_linux CA TCTI STATE_DIR HOST OTHER_HOST PORT: holds the Linux port to the contract of hal.h
 * (halcheck.h), with the peers of tls_echo.py at PORT and the three ports after it. Prints a line an
 * interface; exit status 1: a promise is broken. */
#include <hal/linux.h>
#include <halcheck.h>
#include <stdio.h>
#include <stdlib.h>

static int tell(const char *what, const char *broken)
{
    printf("%s%s\n", broken ? "BROKEN " : "kept ", broken ? broken : what);
    return broken != NULL;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    static struct hal_linux port;
    const struct hal_linux_config config = {.ca_file = argv[1], .tcti = argv[2], .state_dir = argv[3]};
    uint16_t first = (uint16_t)strtoul(argv[6], NULL, 10);
    enum err e = hal_linux_open(&port, &config);
    if (e != ERR_OK) {
        fprintf(stderr, "halcheck_linux: %s\n", err_name(e));
        return 2;
    }
    const struct hal *hal = &port.hal;
    const struct halcheck_peers peers = {.host = argv[4],
                                         .other_host = argv[5],
                                         .now_s = hal->clock->wall_s(hal->clock),
                                         .echo_port = first,
                                         .stranger_port = (uint16_t)(first + 1),
                                         .silent_port = (uint16_t)(first + 2),
                                         .closed_port = (uint16_t)(first + 3)};
    int broken = tell("entropy", halcheck_entropy(hal->entropy));
    broken |= tell("clock", halcheck_clock(hal->clock));
    broken |= tell("storage", halcheck_storage(hal->storage));
    broken |= tell("tpm", halcheck_tpm(hal->tpm));
    broken |= tell("transport", halcheck_transport(hal->transport, &peers));
    hal_linux_close(&port);
    return broken;
}
