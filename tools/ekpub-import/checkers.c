/* The threads behind check.h. One block at a time: all of them take rows from it until none is
 * left. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "ekpolicy.h"
#include "options.h"
#include "sharedscan.h"

#define CHECKERS_MAX 16
#define TAKEN_AT_ONCE 8 /* rows */

struct checkers {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a block is there, or it is time to end */
    pthread_cond_t idle; /* nobody works on the block any more */
    struct import_block *block;
    struct check_terms terms;
    uint64_t round; /* of the block */
    int busy;
    bool end;
    atomic_size_t next;
    int count;
    pthread_t threads[CHECKERS_MAX];
};

static void check_item(struct import_item *item, enum check_care care,
                       const struct check_terms *terms)
{
    ekpolicy_prepare(&item->row);
    enum err e = check_row(&item->row, care, terms->now_s, &item->enrollment, &item->reason);
    if (e == ERR_OK && terms->shared != NULL)
        e = sharedscan_judge(terms->shared, &item->enrollment, &item->reason);
    if (e == ERR_OK && terms->ek != NULL)
        e = ekpolicy_apply(terms->ek, terms->now_s, item);
    item->outcome = e == ERR_OK ? IMPORT_NEW : IMPORT_REFUSED;
    item->has_profile = options_has_profile(&item->row);
    if (terms->disabled && item->row.fields[COLUMN_STATUS].len == 0)
        item->enrollment.enabled = false;
    import_text_safe(e == ERR_OK ? regid_span(&item->enrollment.id)
                                 : item->row.fields[COLUMN_REGISTRATION_ID],
                     item->id, sizeof item->id);
}

static void work(struct checkers *c)
{
    for (;;) {
        size_t from = atomic_fetch_add(&c->next, TAKEN_AT_ONCE);
        if (from >= c->block->count)
            return;
        for (size_t i = from; i < from + TAKEN_AT_ONCE && i < c->block->count; i++) {
            bool first = c->block->rows_before + i < CHECK_FIRST_ROWS;
            check_item(&c->block->items[i], first ? CHECK_THOROUGH : c->terms.care, &c->terms);
        }
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

void checkers_start(struct checkers *c, struct import_block *b, const struct check_terms *terms)
{
    pthread_mutex_lock(&c->lock);
    c->block = b;
    c->terms = *terms;
    atomic_store(&c->next, 0);
    c->busy = c->count;
    c->round++;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

void checkers_wait(struct checkers *c)
{
    work(c);
    pthread_mutex_lock(&c->lock);
    while (c->busy > 0)
        pthread_cond_wait(&c->idle, &c->lock);
    pthread_mutex_unlock(&c->lock);
}
