/* How fast the search for shared primes is: bench_shared COUNT [DIR]. */
#include <coprime.h>
#include <primetree.h>
#include <sharedprimes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool go_on(void *context, size_t done, size_t steps)
{
    const double *begun = context;
    (void)fprintf(stderr, "%7.0f s: step %zu of %zu\n", now_s() - *begun, done + 1, steps);
    return true;
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    struct sharedprimes *keys;
    struct import_reason why;
    struct sharedprimes_place place = {0};
    if (sharedprimes_open(argc > 2 ? argv[2] : ".", PRIMETREE_MAX, SHAREDPRIMES_FOUND_MAX, &keys,
                          &why) != ERR_OK)
        return 1;
    struct coprime *source = coprime_open();
    for (unsigned long i = 0; i < count; i++) {
        uint8_t modulus[COPRIME_LEN];
        coprime_next(source, modulus);
        if (sharedprimes_add(keys, modulus, &place) != ERR_OK)
            return 1;
    }
    coprime_close(source);
    double begun = now_s();
    enum err e = sharedprimes_search(keys, go_on, &begun);
    double took = now_s() - begun;
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    (void)printf("%s: %lu keys in %.1f s, %.0f keys/s, %.1f s of processor, peak %ld MiB\n",
                 err_name(e), count, took, (double)count / took,
                 (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec, use.ru_maxrss >> 10);
    sharedprimes_close(keys);
    return e != ERR_OK;
}
