/* The threads behind check.h. One block at a time: all of them take rows from it until none is
 * left. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"

#define CHECKERS_MAX 16

struct checkers {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a block is there, or it is time to end */
    pthread_cond_t idle; /* nobody works on the block any more */
    struct import_block *block;
    int64_t now_s;
    uint64_t round; /* of the block */
    int busy;
    bool end;
    atomic_size_t next;
    int count;
    pthread_t threads[CHECKERS_MAX];
};

static void check_item(struct import_item *item, enum check_care care, int64_t now_s)
{
    enum err e = check_row(&item->row, care, now_s, &item->enrollment, &item->reason);
    item->outcome = e == ERR_OK ? IMPORT_NEW : IMPORT_REFUSED;
    import_text_safe(e == ERR_OK ? regid_span(&item->enrollment.id)
                                 : item->row.fields[COLUMN_REGISTRATION_ID],
                     item->id, sizeof item->id);
}

static void work(struct checkers *c)
{
    enum check_care care = c->block->rows_before < CHECK_THOROUGH_ROWS ? CHECK_EACH : CHECK_SOME;
    for (;;) {
        size_t i = atomic_fetch_add(&c->next, 1);
        if (i >= c->block->count)
            return;
        check_item(&c->block->items[i], care, c->now_s);
    }
}

static void *thread_run(void *context)
{
    struct checkers *c = context;
    uint64_t done = 0;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->end && c->round == done)
            pthread_cond_wait(&c->wake, &c->lock);
        if (c->end)
            break;
        done = c->round;
        pthread_mutex_unlock(&c->lock);
        work(c);
        pthread_mutex_lock(&c->lock);
        if (--c->busy == 0)
            pthread_cond_signal(&c->idle);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

enum err checkers_open(struct checkers **ret_checkers)
{
    struct checkers *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ERR_MEMORY;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    pthread_cond_init(&c->idle, NULL);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    /* The caller works too; without any thread it works alone. */
    while (c->count < CHECKERS_MAX && c->count + 1 < processors &&
           pthread_create(&c->threads[c->count], NULL, thread_run, c) == 0)
        c->count++;
    *ret_checkers = c;
    return ERR_OK;
}

void checkers_close(struct checkers *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->end = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->count; i++)
        pthread_join(c->threads[i], NULL);
    pthread_cond_destroy(&c->idle);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void checkers_run(struct checkers *c, struct import_block *b, int64_t now_s)
{
    pthread_mutex_lock(&c->lock);
    c->block = b;
    c->now_s = now_s;
    atomic_store(&c->next, 0);
    c->busy = c->count;
    c->round++;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    work(c);
    pthread_mutex_lock(&c->lock);
    while (c->busy > 0)
        pthread_cond_wait(&c->idle, &c->lock);
    pthread_mutex_unlock(&c->lock);
}
