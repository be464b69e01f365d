#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define TERMINAL_EVERY_MS 100
#define LINE_EVERY_MS 60000
#define BAR_WIDTH 30

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, uint64_t total_bytes)
{
    *p = (struct progress){.terminal = isatty(STDERR_FILENO) == 1, .total_bytes = total_bytes};
    p->begun_ms = now_ms();
    p->last_ms = p->terminal ? p->begun_ms - TERMINAL_EVERY_MS : p->begun_ms;
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        (void)fputs("\r\033[K", stderr);
    p->drawn = false;
}

static void draw(struct progress *p, uint64_t bytes, uint64_t rows, int64_t ran_ms)
{
    char bar[BAR_WIDTH + 1];
    uint64_t done = bytes < p->total_bytes ? bytes : p->total_bytes;
    uint64_t whole = p->total_bytes > 0 ? p->total_bytes : 1;
    uint64_t rate = rows * 1000 / (uint64_t)(ran_ms > 0 ? ran_ms : 1);
    for (uint64_t i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < done * BAR_WIDTH / whole ? '#' : '.';
    bar[BAR_WIDTH] = 0;
    progress_clear(p);
    if (p->total_bytes == 0)
        (void)fprintf(stderr, "%llu rows, %llu a second", (unsigned long long)rows,
                      (unsigned long long)rate);
    else
        (void)fprintf(
            stderr, "[%s] %3llu %%  %llu rows, %llu a second, %llu s left", bar,
            (unsigned long long)(done * 100 / whole), (unsigned long long)rows,
            (unsigned long long)rate,
            (unsigned long long)(done > 0 ? (uint64_t)ran_ms * (whole - done) / done / 1000 : 0));
    (void)fflush(stderr);
    p->drawn = true;
}

void progress_show(struct progress *p, uint64_t bytes, uint64_t rows, uint64_t refused)
{
    int64_t now = now_ms();
    if (now - p->last_ms < (p->terminal ? TERMINAL_EVERY_MS : LINE_EVERY_MS))
        return;
    p->last_ms = now;
    if (p->terminal)
        draw(p, bytes, rows, now - p->begun_ms);
    else
        (void)fprintf(stderr, "ekpub-import: %llu rows read, %llu refused\n",
                      (unsigned long long)rows, (unsigned long long)refused);
}
