/* The first program of a guest: makes of a bare kernel what cradle-device needs, runs it, and turns
 * the machine off. Every line it or cradle-device prints begins with the seconds since the kernel
 * started.
 *
 *   /lib/modules/order           modules to load, in this order
 *   /etc/cradle/arguments        cradle-device's arguments, one a line
 *   /dev/vda                     an ext4 file system for the state, mounted at /state
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* QEMU's user-mode network, the same for every guest. */
#define GUEST_ADDRESS 0x0A00020Fu /* 10.0.2.15 */
#define GUEST_NETMASK 0xFFFFFF00u
#define GATEWAY 0x0A000202u       /* 10.0.2.2, behind it the host's loopback */
#define ARGUMENTS_MAX 32
#define SEED_LEN 32

static void stamp(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    printf("%3lld.%03ld ", (long long)now.tv_sec, now.tv_nsec / 1000000);
}

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    stamp();
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

_Noreturn static void power_off(void)
{
    (void)fflush(stdout);
    sync();
    (void)reboot(RB_POWER_OFF);
    for (;;)
        (void)pause();
}

static void require(bool good, const char *what)
{
    if (good)
        return;
    tell("Guest: %s: %s", what, strerror(errno));
    power_off();
}

/* ---- the bare kernel ---- */
static void mount_at(const char *what, const char *where, const char *type)
{
    (void)mkdir(where, S_IRWXU);
    require(mount(what, where, type, 0, NULL) == 0, where);
}

static void module_load(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/lib/modules/%s.ko", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    require(fd >= 0, path);
    require(syscall(SYS_finit_module, fd, "", 0) == 0, path);
    (void)close(fd);
}

static unsigned modules_load(void)
{
    FILE *order = fopen("/lib/modules/order", "r");
    require(order != NULL, "/lib/modules/order");
    unsigned count = 0;
    for (char name[64]; fgets(name, sizeof name, order); count++) {
        name[strcspn(name, "\n")] = '\0';
        module_load(name);
    }
    (void)fclose(order);
    return count;
}

/* ---- randomness ---- */

static void tpm_random(unsigned char ret_bytes[SEED_LEN])
{
    static const unsigned char get_random[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, SEED_LEN};
    unsigned char reply[12 + SEED_LEN] = {0};
    int tpm = open("/dev/tpm0", O_RDWR | O_CLOEXEC);
    require(tpm >= 0, "/dev/tpm0");
    require(write(tpm, get_random, sizeof get_random) == sizeof get_random, "/dev/tpm0");
    require(read(tpm, reply, sizeof reply) == sizeof reply, "GetRandom"); /* an error is shorter */
    memcpy(ret_bytes, reply + 12, SEED_LEN);
    (void)close(tpm);
}

/* A kernel that got no seed from its firmware or processor collects timing noise when it is first
 * asked, for seconds. The TPM, which this machine trusts anyway, has randomness at once. */
static void randomness_seed(void)
{
    struct { /* struct rand_pool_info and what follows it */
        int entropy_bits, len;
        unsigned char bytes[SEED_LEN];
    } seed = {.entropy_bits = 8 * SEED_LEN, .len = SEED_LEN};
    if (getrandom(seed.bytes, 1, GRND_NONBLOCK) == 1)
        return;
    tpm_random(seed.bytes);
    int to = open("/dev/random", O_WRONLY | O_CLOEXEC);
    require(to >= 0 && ioctl(to, RNDADDENTROPY, &seed) == 0, "/dev/random");
    (void)close(to);
    tell("Guest: the kernel had no randomness; the TPM's is taken");
}

/* ---- the network ---- */
static struct sockaddr address(in_addr_t host_order)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host_order)};
    struct sockaddr any;
    memcpy(&any, &in, sizeof any);
    return any;
}

static void interface_up(int fd, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    require(ioctl(fd, SIOCSIFFLAGS, &request) == 0, name);
}

static void network_set(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    require(fd >= 0, "socket");
    struct ifreq request = {.ifr_name = "eth0", .ifr_addr = address(GUEST_ADDRESS)};
    require(ioctl(fd, SIOCSIFADDR, &request) == 0, "eth0");
    request.ifr_netmask = address(GUEST_NETMASK);
    require(ioctl(fd, SIOCSIFNETMASK, &request) == 0, "eth0");
    interface_up(fd, "lo");
    interface_up(fd, "eth0");
    struct rtentry route = {.rt_dst = address(INADDR_ANY),
                            .rt_genmask = address(INADDR_ANY),
                            .rt_gateway = address(GATEWAY),
                            .rt_flags = RTF_UP | RTF_GATEWAY};
    require(ioctl(fd, SIOCADDRT, &route) == 0, "route");
    (void)close(fd);
}

/* ---- the payload ---- */
static char **arguments_read(void)
{
    static char text[4096], program[] = "/bin/cradle-device";
    static char *arguments[ARGUMENTS_MAX + 2] = {program};
    int fd = open("/etc/cradle/arguments", O_RDONLY | O_CLOEXEC);
    require(fd >= 0, "/etc/cradle/arguments");
    ssize_t len = read(fd, text, sizeof text - 1);
    require(len > 0, "/etc/cradle/arguments");
    (void)close(fd);
    size_t count = 1;
    for (char *line = text, *end; count <= ARGUMENTS_MAX && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        arguments[count++] = line;
    }
    return arguments;
}

static pid_t payload_start(int *ret_output)
{
    char **arguments = arguments_read();
    int ends[2];
    require(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        if (dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(ends[1], STDERR_FILENO) >= 0)
            (void)execv(arguments[0], arguments);
        _exit(127);
    }
    (void)close(ends[1]);
    *ret_output = ends[0];
    return child;
}

static int payload_run(void)
{
    int fd = -1, status = 0;
    pid_t child = payload_start(&fd);
    FILE *output = fdopen(fd, "r");
    require(output != NULL, "pipe");
    for (char line[512]; fgets(line, sizeof line, output);) {
        stamp();
        (void)fputs(line, stdout);
    }
    (void)fclose(output);
    require(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(void)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    mount_at("devtmpfs", "/dev", "devtmpfs");
    tell("Guest: the kernel has started its first program");
    tell("Guest: %u modules loaded", modules_load());
    randomness_seed();
    network_set();
    mount_at("/dev/vda", "/state", "ext4");
    tell("Guest: network and state are there");
    int status = payload_run();
    require(umount("/state") == 0, "/state");
    tell("Guest: cradle-device ended with status %d; power off", status);
    power_off();
}
