/* What the plugin costs the broker's one thread: CPU time of a CONNECT with a device's token, of a
 * tick with nothing to do, and of a look at every session, with COUNT devices.
 *
 *   make_device DIR many COUNT bench-; make_device DIR tokens COUNT bench- 3600 | bench_hub DIR HUB
 */
#include <hub.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLIENTS_MAX 20000
#define ROUNDS 20

static char handles[CLIENTS_MAX];

static int64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, int64_t *ns, int count)
{
    int64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += ns[i];
    qsort(ns, (size_t)count, sizeof *ns, by_size);
    printf("%-28s %6d times  mean %8.1f us  p50 %8.1f us  p99 %8.1f us\n", what, count,
           (double)sum / count / 1e3, (double)ns[count / 2] / 1e3, (double)ns[count * 99 / 100] / 1e3);
}

static void ended(void *context, const struct session *row, enum hub_verdict why)
{
    (void)context;
    fprintf(stderr, "bench_hub: %s: %s\n", row->device_id.text, hub_verdict_text(why));
    exit(1);
}

static void connect_one(struct hub *h, int i, char *line)
{
    struct span token = span_text(line);
    struct span id = span_cut(&token, ' ');
    struct hub_connect c = {
        .client = &handles[i], .client_id = id, .username = id, .password = token,
        .address = SPAN_LITERAL("192.0.2.1"), .wall_s = clock_ns(CLOCK_REALTIME) / 1000000000,
    };
    enum hub_verdict v = hub_connect(h, &c);
    if (v == HUB_WELCOME)
        return;
    fprintf(stderr, "bench_hub: %s\n", hub_verdict_text(v));
    exit(1);
}

static int connect_all(struct hub *h, int64_t *ns)
{
    char line[1500];
    int count = 0;
    while (count < CLIENTS_MAX && fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        int64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        connect_one(h, count, line);
        ns[count++] = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    }
    return count;
}

static void tick_often(struct hub *h, int64_t *mono_ms, int64_t *ns, int count)
{
    for (int i = 0; i < count; i++) {
        int64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        *mono_ms += HUB_TICK_MS;
        hub_tick(h, clock_ns(CLOCK_REALTIME) / 1000000000, *mono_ms, ended, NULL);
        ns[i] = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    }
}

int main(int argc, char **argv)
{
    static int64_t ns[CLIENTS_MAX];
    struct hub *h;
    struct config_reason why = {{0}};
    int64_t mono_ms = 1000000;
    if (argc != 3 || hub_open(argv[1], argv[2], &h, &why) != ERR_OK) {
        fprintf(stderr, "usage: bench_hub DIR HUB <TOKENS: %s\n", why.text);
        return 2;
    }
    int count = connect_all(h, ns);
    if (count == 0)
        return 1;
    report("CONNECT", ns, count);
    tick_often(h, &mono_ms, ns, 1000);
    report("tick, nothing changed", ns, 1000);
    for (int round = 0; round < ROUNDS; round++) {
        if (hub_reload(h, &why) != ERR_OK) /* which makes it look at every session */
            return 1;
        tick_often(h, &mono_ms, ns + round * HUB_ROUND_TICKS, HUB_ROUND_TICKS);
    }
    report("tick, looking at a slice", ns, ROUNDS * HUB_ROUND_TICKS);
    hub_close(h);
    return 0;
}
