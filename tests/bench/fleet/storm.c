#include "fleet.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 1024
#define PROGRESS_US 1000000

static void rest(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    (void)nanosleep(&t, NULL);
}

/* Every device in turn makes a step. Returns how many are on; ret_idle_us: until the first wakes. */
static unsigned step_all(struct device **devices, unsigned count, uint64_t *ret_idle_us)
{
    unsigned on = 0;
    uint64_t first = UINT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        if (!device_is_on(devices[i]) || !device_step(devices[i]))
            continue;
        on++;
        if (device_wakes_us(devices[i]) < first)
            first = device_wakes_us(devices[i]);
    }
    uint64_t now_us = fleet_now_us();
    *ret_idle_us = on > 0 && first > now_us ? first - now_us : 0;
    return on;
}

/* One process's share: every stride-th device, at most in_flight of them switched on at a time. */
static void run_share(struct storm *s, struct device **devices, unsigned first)
{
    const struct storm_options *o = s->options;
    unsigned next = first, on;
    do {
        uint64_t idle_us;
        for (unsigned i = 0; i < o->in_flight && next < s->fleet.count; i++)
            if (!device_is_on(devices[i])) {
                device_power_on(devices[i], s, next);
                next += o->processes;
            }
        on = step_all(devices, o->in_flight, &idle_us);
        if (idle_us > 0)
            rest(idle_us);
    } while (on > 0 || next < s->fleet.count);
}

_Noreturn static void worker(struct storm *s, unsigned first)
{
    static struct device *devices[IN_FLIGHT_MAX];
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    for (unsigned i = 0; i < s->options->in_flight; i++)
        if (!(devices[i] = device_new(s->options)))
            _exit(1);
    run_share(s, devices, first);
    for (unsigned i = 0; i < s->options->in_flight; i++)
        device_free(devices[i]);
    exit(0);
}

static enum err watch(const struct storm *s)
{
    enum err e = ERR_OK;
    uint64_t told_us = fleet_now_us();
    for (int status;;) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0)
            return e;
        if (pid > 0 && status != 0)
            e = ERR_INTERNAL;
        if (pid == 0)
            rest(20000);
        if (fleet_now_us() - told_us > PROGRESS_US) {
            told_us = fleet_now_us();
            fprintf(stderr, "fleet: %u of %u provisioned\n", s->provisioned, s->fleet.count);
        }
    }
}

static uint64_t children_cpu_us(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_CHILDREN, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static enum err run(struct storm *s)
{
    enum err e = ERR_OK;
    fflush(NULL);
    for (unsigned i = 0; i < s->options->processes; i++) {
        pid_t pid = fork();
        if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) /* none outlives the storm */
            worker(s, i);
        if (pid == 0)
            _exit(1);
        if (pid < 0)
            e = ERR_MEMORY;
    }
    enum err died = watch(s);
    if (e == ERR_OK)
        e = died;
    storm_report(s, fleet_now_us() - s->start_us, children_cpu_us(), stdout);
    return e;
}

enum err storm_run(struct fleet fleet, const struct storm_options *options)
{
    size_t len = sizeof(struct storm) + fleet.count * sizeof(struct storm_result);
    if (options->in_flight < 1 || options->in_flight > IN_FLIGHT_MAX)
        return ERR_CONFIG;
    struct storm *s = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return ERR_MEMORY;
    s->options = options;
    s->fleet = fleet;
    s->start_us = fleet_now_us();
    for (unsigned i = 0; i < fleet.count; i++)
        s->results[i].outcome = ERR_INTERNAL; /* until it has ended */
    enum err e = run(s);
    (void)munmap(s, len);
    return e;
}
