/* How fast registrations become durable, and what that costs: assignments a second, latency and CPU
 * at 1, 8 and 32 in flight, and look-ups. One line a measurement, name=value.
 *
 *   bench_store [ENROLLMENTS [SECONDS [DIRECTORY]]]
 */
#include "store_rows.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define IN_FLIGHT_MAX 256
#define SAMPLES_MAX 2000000

struct flight {
    struct store_waiter waiter;
    struct flight *next;
    unsigned number;
    int64_t begun_ns;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t landed;
    struct flight *list;
    uint64_t failed;
} arrivals = {.lock = PTHREAD_MUTEX_INITIALIZER, .landed = PTHREAD_COND_INITIALIZER};

static unsigned enrollments = 20000;
static double seconds = 3;
static char dir[256];
static uint64_t *generations;
static struct flight flights[IN_FLIGHT_MAX];
static int64_t *samples;
static size_t sample_count;

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void flight_done(struct store_waiter *waiter, enum err outcome)
{
    struct flight *f = (struct flight *)waiter;

    (void)pthread_mutex_lock(&arrivals.lock);
    arrivals.failed += outcome != ERR_OK;
    f->next = arrivals.list;
    arrivals.list = f;
    (void)pthread_cond_signal(&arrivals.landed);
    (void)pthread_mutex_unlock(&arrivals.lock);
}

static struct flight *flights_landed(void)
{
    (void)pthread_mutex_lock(&arrivals.lock);
    while (arrivals.list == NULL)
        (void)pthread_cond_wait(&arrivals.landed, &arrivals.lock);
    struct flight *list = arrivals.list;
    arrivals.list = NULL;
    (void)pthread_mutex_unlock(&arrivals.lock);
    return list;
}

/* Numbers in flight differ: each flight has its own residue. */
static void flight_start(struct store *s, struct flight *f, unsigned in_flight)
{
    unsigned residue = (unsigned)(f - flights);
    unsigned pick = (unsigned)rand() % (enrollments / in_flight);

    f->number = pick * in_flight + residue;
    struct store_registration row = rows_registration(f->number, ++generations[f->number]);
    f->begun_ns = now_ns(CLOCK_MONOTONIC);
    ERR_ASSERT(store_registration_assign(s, &row, &f->waiter) == ERR_OK);
}

static int compare_samples(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double sample_us(double part)
{
    size_t at = (size_t)((double)(sample_count - 1) * part);

    return sample_count != 0 ? (double)samples[at] / 1000 : 0;
}

/* CPU time of the threads of that name, "" for all. */
static int64_t thread_cpu_ns(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    int64_t sum = 0;

    for (struct dirent *d; tasks != NULL && (d = readdir(tasks)) != NULL;) {
        char path[400], comm[64] = "";
        long long ns = 0;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", d->d_name);
        FILE *f = fopen(path, "r");
        bool named = f != NULL && fgets(comm, sizeof comm, f) != NULL;
        if (f != NULL)
            (void)fclose(f);
        if (!named || (name[0] != '\0' && strncmp(comm, name, strlen(name)) != 0))
            continue;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", d->d_name);
        f = fopen(path, "r");
        if (f != NULL && fscanf(f, "%lld", &ns) == 1)
            sum += ns;
        if (f != NULL)
            (void)fclose(f);
    }
    if (tasks != NULL)
        (void)closedir(tasks);
    return sum;
}

static long long log_size(void)
{
    char path[400];
    struct stat info;

    (void)snprintf(path, sizeof path, "%s/db/registrations.db-wal", dir);
    return stat(path, &info) == 0 ? (long long)info.st_size : -1;
}

static void bench_assign(struct store *s, unsigned in_flight)
{
    uint64_t done = 0;
    unsigned up = 0;

    sample_count = 0;
    int64_t begun = now_ns(CLOCK_MONOTONIC), until = begun + (int64_t)(seconds * 1e9);
    int64_t all = thread_cpu_ns(""), writer = thread_cpu_ns("store-writer"),
            checkpointer = thread_cpu_ns("checkpointer");
    for (; up < in_flight; up++)
        flight_start(s, &flights[up], in_flight);
    while (up > 0) {
        struct flight *next;
        int64_t now;
        for (struct flight *f = flights_landed(); f != NULL; f = next) {
            next = f->next;
            now = now_ns(CLOCK_MONOTONIC);
            done++;
            if (sample_count < SAMPLES_MAX)
                samples[sample_count++] = now - f->begun_ns;
            if (now < until)
                flight_start(s, f, in_flight);
            else
                up--;
        }
    }
    double took = (double)(now_ns(CLOCK_MONOTONIC) - begun) / 1e9, n = (double)done * 1000;
    qsort(samples, sample_count, sizeof *samples, compare_samples);
    printf("store_assign in_flight=%u per_s=%.0f cpu_us=%.1f writer_us=%.1f checkpointer_us=%.1f "
           "p50_us=%.0f p99_us=%.0f max_us=%.0f log_bytes=%lld failed=%llu\n",
           in_flight, (double)done / took, (double)(thread_cpu_ns("") - all) / n,
           (double)(thread_cpu_ns("store-writer") - writer) / n,
           (double)(thread_cpu_ns("checkpointer") - checkpointer) / n, sample_us(0.5),
           sample_us(0.99), sample_us(1), log_size(), (unsigned long long)arrivals.failed);
}

enum look { LOOK_ENROLLMENT, LOOK_KEY, LOOK_REGISTRATION, LOOK_DEVICE, LOOK_VERSION, LOOK_PAGE,
            LOOK_COUNT };
static const char *const look_names[LOOK_COUNT] = {"enrollment", "enrollment_by_key",
                                                   "registration", "device", "version",
                                                   "page_of_100"};

/* At random places: a client that goes from page to page finds more of it in memory. */
static enum err look_at_page(struct store_reader *r)
{
    struct store_enrollment row = {.number = (uint64_t)rand() % enrollments};

    TRY(store_reader_hold(r));
    for (int i = 0; i < 100; i++)
        if (store_enrollment_next(r, row.number, &row) != ERR_OK)
            break; /* the last page */
    store_reader_release(r);
    return ERR_OK;
}

static enum err look_once(struct store_reader *r, enum look look, const struct store_enrollment *of)
{
    struct store_enrollment enrollment;
    struct store_registration registration;
    uint64_t version;

    switch (look) {
    case LOOK_ENROLLMENT:
        return store_enrollment_find(r, &of->id, &enrollment);
    case LOOK_KEY:
        return store_enrollment_find_by_key(r, of->ek_hash, &enrollment);
    case LOOK_REGISTRATION:
        return store_registration_find(r, &of->id, &registration);
    case LOOK_DEVICE:
        return store_device_find(r, &of->id, &registration, &enrollment);
    case LOOK_PAGE:
        return look_at_page(r);
    default:
        return store_reader_version(r, &version);
    }
}

#define LOOKED_AT 1000
static void bench_look(struct store_reader *r, enum look look)
{
    static struct store_enrollment of[LOOKED_AT];
    uint64_t done = 0, found = 0;

    for (int i = 0; i < LOOKED_AT; i++)
        of[i] = rows_enrollment((unsigned)rand() % enrollments);
    int64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID), begun = now_ns(CLOCK_MONOTONIC),
            until = begun + (int64_t)(seconds * 0.3e9);
    while (now_ns(CLOCK_MONOTONIC) < until) {
        for (int i = 0; i < LOOKED_AT; i++)
            found += look_once(r, look, &of[i]) == ERR_OK;
        done += LOOKED_AT;
    }
    printf("store_find what=%s per_s=%.0f cpu_us=%.2f found=%.2f\n", look_names[look],
           (double)done / ((double)(now_ns(CLOCK_MONOTONIC) - begun) / 1e9),
           (double)(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1e3 / (double)done,
           (double)found / (double)done);
}

int main(int argc, char **argv)
{
    static const unsigned widths[] = {1, 8, 32};
    struct store *s = NULL;
    struct store_reader *r = NULL;

    if (argc > 1)
        enrollments = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        seconds = strtod(argv[2], NULL);
    if (enrollments < IN_FLIGHT_MAX || seconds <= 0) {
        (void)fprintf(stderr, "usage: bench_store [ENROLLMENTS [SECONDS [DIRECTORY]]]\n");
        return 2;
    }
    if (argc > 3)
        (void)setenv("TMPDIR", argv[3], 1);
    rows_directory_make(dir, sizeof dir);
    generations = calloc(enrollments, sizeof *generations);
    samples = calloc(SAMPLES_MAX, sizeof *samples);
    ERR_ASSERT(generations != NULL && samples != NULL);
    int64_t begun = now_ns(CLOCK_MONOTONIC);
    rows_create(dir, enrollments);
    printf("store_import rows=%u per_s=%.0f\n", enrollments,
           enrollments / ((double)(now_ns(CLOCK_MONOTONIC) - begun) / 1e9));
    ERR_ASSERT(store_open(dir, STORE_SERVE, &s, NULL) == ERR_OK);
    for (int i = 0; i < IN_FLIGHT_MAX; i++)
        flights[i].waiter.done = flight_done;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        bench_assign(s, widths[i]);
    ERR_ASSERT(store_reader_open(s, &r) == ERR_OK);
    for (int look = 0; look < LOOK_COUNT; look++)
        bench_look(r, (enum look)look);
    store_reader_close(r);
    store_close(s);
    rows_directory_remove(dir);
    free(generations);
    free(samples);
    return arrivals.failed == 0 ? 0 : 1;
}
