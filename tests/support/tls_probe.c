/* tls_probe CA HOST PORT NOW_S [TIMEOUT_MS]: opens the Linux port's transport once and says what came
 * of it: "ERROR_NAME", or "OK not_before not_after" and, of what the peer sends then, "received N". */
#include <hal/linux.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    static struct hal_linux port;
    enum err e = hal_linux_open(&port, &(struct hal_linux_config){.ca_file = argv[1]});
    if (e != ERR_OK) {
        printf("%s\n", err_name(e));
        return 0;
    }
    uint32_t timeout_ms = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 5000;
    struct hal_transport *t = port.hal.transport;
    struct hal_peer peer = {0};
    e = t->open(t, argv[2], (uint16_t)strtoul(argv[3], NULL, 10), strtoll(argv[4], NULL, 10),
                timeout_ms, &peer);
    printf("%s", err_name(e));
    if (e == ERR_OK) {
        uint8_t at[64];
        (void)t->send(t, SPAN_LITERAL("hello\n"), timeout_ms);
        int got = t->receive(t, at, sizeof at, 200);
        printf(" %" PRId64 " %" PRId64 " received %d", peer.not_before_s, peer.not_after_s, got);
    }
    printf("\n");
    hal_linux_close(&port);
    return 0;
}
