/* Purpose: measures the peak heap and the peak stack of a program that is not made for it, loaded
 * before the C library (LD_PRELOAD). At the program's end it appends one line to FOOTPRINT_LOG:
 *
 *   heap BYTES blocks N stack BYTES left BYTES
 *
 * heap: the most that was allocated at one time, by anyone, libc included; each block counted as
 * what the allocator takes for it, its header too. left: what was still allocated at the end.
 * stack: how deep the main thread's stack was ever written to, counted from where the process
 * began. The stack is painted before main, and the end looks how far the paint has gone; what the
 * dynamic loader used before that is painted over, so not counted. A program with more threads is
 * beyond this.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAINT_BYTES (256 * 1024)
#define PAINT UINT64_C(0x7061696e74656421)
#define HEADER sizeof(size_t)

/* glibc's own, which the ones below stand before */
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t len);
void *__libc_realloc(void *at, size_t len);
void *__libc_memalign(size_t align, size_t len);
void __libc_free(void *at);
extern void *__libc_stack_end;

static size_t live, peak, blocks, blocks_at_peak;
static uintptr_t paint_from, paint_to; /* what is there now is nobody's */

static void *took(void *at)
{
    if (!at)
        return NULL;
    live += malloc_usable_size(at) + HEADER;
    blocks++;
    if (live > peak) {
        peak = live;
        blocks_at_peak = blocks;
    }
    return at;
}

static void gives(void *at)
{
    if (!at)
        return;
    live -= malloc_usable_size(at) + HEADER;
    blocks--;
}

void *malloc(size_t len)
{
    return took(__libc_malloc(len));
}

void *calloc(size_t n, size_t len)
{
    return took(__libc_calloc(n, len));
}

void *realloc(void *at, size_t len)
{
    size_t before = at ? malloc_usable_size(at) + HEADER : 0;
    void *moved = __libc_realloc(at, len);
    if (!moved && len > 0)
        return NULL;
    live -= before;
    blocks -= before > 0;
    return took(moved);
}

void *memalign(size_t align, size_t len)
{
    return took(__libc_memalign(align, len));
}

void *aligned_alloc(size_t align, size_t len)
{
    return took(__libc_memalign(align, len));
}

int posix_memalign(void **ret_at, size_t align, size_t len)
{
    void *at = took(__libc_memalign(align, len));
    if (!at)
        return ENOMEM;
    *ret_at = at;
    return 0;
}

void free(void *at)
{
    gives(at);
    __libc_free(at);
}

/* ---- the stack ---- */
__attribute__((noinline)) static void paint_stack(void)
{
    volatile uint64_t area[PAINT_BYTES / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof area / sizeof *area; i++)
        area[i] = PAINT;
    paint_from = (uintptr_t)area;
    paint_to = paint_from + sizeof area;
}

static size_t stack_depth(void)
{
    uintptr_t at = paint_from;
    while (at < paint_to && *(const volatile uint64_t *)at == PAINT)
        at += sizeof(uint64_t);
    return (uintptr_t)__libc_stack_end - at;
}

__attribute__((constructor)) static void begin(void)
{
    paint_stack();
}

__attribute__((destructor)) static void end(void)
{
    size_t stack = stack_depth(), heap = peak, left = live;
    const char *log = getenv("FOOTPRINT_LOG");
    int fd = log ? open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    (void)dprintf(fd, "heap %zu blocks %zu stack %zu left %zu\n", heap, blocks_at_peak, stack, left);
    (void)close(fd);
}
