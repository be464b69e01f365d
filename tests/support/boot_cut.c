/* boot_cut SERVICE_HOST ID_SCOPE CA TCTI STATE_DIR REGISTRATION_ID STEP: boots a device on the Linux
 * port, over real TLS, again and again; each time the network goes away after so many bytes on the
 * wire, of either direction, STEP more than the time before, and then is whole again. Each boot has to
 * end at the hub, by itself. First boots, until one is long enough that nothing is cut; then later ones,
 * which go to the hub alone. Linked with --wrap=send, recv and close. */
#include <errno.h>
#include <hal/linux.h>
#include <hubc.h>
#include <slot.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ATTEMPTS 3
#define STEPS_MAX 64

/* ---- the wire ---- */
static struct {
    size_t moved, cut_at; /* bytes, over all connections */
    bool is_cut;
    int broken_fd;        /* the connection that was cut, until it is closed; -1: none */
    unsigned calls;
} wire;

ssize_t __real_send(int fd, const void *at, size_t len, int flags);
ssize_t __real_recv(int fd, void *at, size_t cap, int flags);
ssize_t __wrap_send(int fd, const void *at, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *at, size_t cap, int flags);
int __real_close(int fd);
int __wrap_close(int fd);

/* How much of it the wire still carries; 0: it is cut, here and now. */
static size_t carried(int fd, size_t len)
{
    wire.calls++;
    if (fd == wire.broken_fd)
        return 0;
    if (wire.moved == wire.cut_at && !wire.is_cut) {
        wire.is_cut = true;
        wire.broken_fd = fd;
        (void)shutdown(fd, SHUT_RDWR); /* the other end notices, too */
        return 0;
    }
    size_t left = wire.moved < wire.cut_at ? wire.cut_at - wire.moved : len;
    return len < left ? len : left;
}

static ssize_t counted(ssize_t moved)
{
    if (moved > 0)
        wire.moved += (size_t)moved;
    return moved;
}

ssize_t __wrap_send(int fd, const void *at, size_t len, int flags)
{
    len = carried(fd, len);
    if (len > 0)
        return counted(__real_send(fd, at, len, flags));
    errno = EPIPE;
    return -1;
}

/* Half of the cuts are a reset, half an end like any other. */
ssize_t __wrap_recv(int fd, void *at, size_t cap, int flags)
{
    cap = carried(fd, cap);
    if (cap > 0)
        return counted(__real_recv(fd, at, cap, flags));
    errno = ECONNRESET;
    return wire.cut_at % 2 ? -1 : 0;
}

int __wrap_close(int fd)
{
    if (fd == wire.broken_fd)
        wire.broken_fd = -1;
    return __real_close(fd);
}

/* ---- the device, which has no time to wait ---- */
static struct hal_linux port;
static struct hubc hub;
static struct provision_config config;

static void no_sleep(struct hal_clock *c, uint32_t ms)
{
    (void)c, (void)ms;
}

/* Whether it came to the hub. Its failures go to ret_failures. */
static bool boot(size_t cut_at, unsigned *ret_failures)
{
    static union provision_memory memory;
    wire.moved = 0;
    wire.cut_at = cut_at;
    wire.is_cut = false;
    wire.broken_fd = -1;
    wire.calls = 0;
    struct provision *p = provision_init(&memory, &port.hal, &hub.table, &config);
    enum provision_state at = PROVISION_START;
    *ret_failures = 0;
    for (int steps = 0; steps < STEPS_MAX && at != PROVISION_DONE && at != PROVISION_FAILED; steps++) {
        at = provision_step(p);
        *ret_failures += at == PROVISION_WAIT || at == PROVISION_FAILED;
    }
    if (at != PROVISION_DONE)
        printf("cut after %zu bytes: %s %s\n", cut_at, provision_state_name(at), err_name(provision_last_error(p)));
    provision_end(p);
    return at == PROVISION_DONE;
}

/* All boots of one kind; false: one of them did not end well. */
static bool boots(const char *what, bool first, size_t step)
{
    unsigned count = 0, failures, most_failures = 0, most_calls = 0;
    size_t cut_at = 1;
    for (; wire.is_cut || count == 0; cut_at += step, count++) {
        if (first && port.hal.storage->remove(port.hal.storage, SLOT_NAME) != ERR_OK)
            return false;
        if (!boot(cut_at, &failures))
            return false;
        most_failures = failures > most_failures ? failures : most_failures;
        most_calls = wire.calls > most_calls ? wire.calls : most_calls;
    }
    printf("%s: cut at %u of %zu bytes; at most %u failures and %u calls in one\n", what, count, cut_at, most_failures,
           most_calls);
    return most_failures == 1 && most_calls < 400;
}

int main(int argc, char **argv)
{
    if (argc != 8)
        return 2;
    size_t step = strtoul(argv[7], NULL, 10);
    const struct hal_linux_config paths = {.ca_file = argv[3], .tcti = argv[4], .state_dir = argv[5]};
    if (step == 0 || hal_linux_open(&port, &paths) != ERR_OK)
        return 2;
    port.clock.sleep_ms = no_sleep;
    config = (struct provision_config){.service_host = argv[1], .service_port = 443, .id_scope = argv[2],
                                       .registration_id = argv[6], .hub_port = 8883, .step_timeout_ms = 5000,
                                       .attempts_max = ATTEMPTS};
    hubc_init(&hub, port.hal.transport, port.hal.clock, 5000);
    bool good = boots("first boots", true, step) && boots("later boots", false, step);
    hal_linux_close(&port);
    return good ? 0 : 1;
}
