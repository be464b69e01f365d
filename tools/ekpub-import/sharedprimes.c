#include "sharedprimes.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "primetree.h"

#define PRINTS_FIRST 4096u
/* How many other keys are tried to name the one a prime is shared with; most have just one prime in
 * common with others, and are found by it at once. */
#define PARTNERS_TRIED 1000

__extension__ typedef unsigned __int128 u128;

struct record {
    uint8_t modulus[TPM_RSA_LEN];
    struct sharedprimes_place place;
};

struct found {
    struct record key;
    struct sharedprimes_place other;
    mpz_t common;
};

struct sharedprimes {
    FILE *records, *products; /* products: of the parts, if there are several */
    size_t part_max;
    uint64_t count;
    uint64_t *prints; /* of the moduli, by a key drawn at random; 0: free */
    size_t print_cap; /* a power of two */
    uint64_t key[2];
    struct found *found;
    size_t found_count, found_cap, found_max;
};

/* ---- which keys there are ---- */

static uint64_t fold(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t print_of(const struct sharedprimes *s, const uint8_t modulus[TPM_RSA_LEN])
{
    uint64_t h = s->key[0], word;
    for (size_t i = 0; i < TPM_RSA_LEN; i += sizeof word) {
        memcpy(&word, modulus + i, sizeof word);
        h = fold(h ^ word, s->key[1]) ^ s->key[0];
    }
    return fold(h, s->key[1]) | 1;
}

/* Where it is, or would go. */
static uint64_t *slot_of(uint64_t *prints, size_t cap, uint64_t print)
{
    size_t i = print >> 1 & (cap - 1);
    while (prints[i] != 0 && prints[i] != print)
        i = (i + 1) & (cap - 1);
    return &prints[i];
}

static enum err grow_prints(struct sharedprimes *s)
{
    size_t cap = 2 * s->print_cap;
    uint64_t *bigger = calloc(cap, sizeof *bigger);
    if (bigger == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < s->print_cap; i++)
        if (s->prints[i] != 0)
            *slot_of(bigger, cap, s->prints[i]) = s->prints[i];
    free(s->prints);
    s->prints = bigger;
    s->print_cap = cap;
    return ERR_OK;
}

enum err sharedprimes_add(struct sharedprimes *s, const uint8_t modulus[TPM_RSA_LEN],
                          const struct sharedprimes_place *place)
{
    struct record r = {.place = *place};
    uint64_t print = print_of(s, modulus);
    if (2 * (s->count + 1) > s->print_cap)
        TRY(grow_prints(s));
    uint64_t *slot = slot_of(s->prints, s->print_cap, print);
    if (*slot == print)
        return ERR_OK;
    memcpy(r.modulus, modulus, TPM_RSA_LEN);
    if (fwrite(&r, sizeof r, 1, s->records) != 1)
        return ERR_IO;
    *slot = print;
    s->count++;
    return ERR_OK;
}

uint64_t sharedprimes_count(const struct sharedprimes *s)
{
    return s->count;
}

/* ---- opening and closing ---- */

static FILE *nameless_file(const char *dir)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/import-keys-XXXXXX", dir);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    int fd = mkostemp(path, 0);
    if (fd < 0)
        return NULL;
    (void)unlink(path);
    FILE *f = fdopen(fd, "w+");
    if (f == NULL)
        (void)close(fd);
    return f;
}

enum err sharedprimes_open(const char *dir, size_t part_max, size_t found_max,
                           struct sharedprimes **ret_keys, struct import_reason *ret_reason)
{
    ERR_ASSERT(part_max >= 1 && part_max <= PRIMETREE_MAX);
    struct sharedprimes *s = calloc(1, sizeof *s);
    import_reason_set(ret_reason, "%s", err_text(ERR_MEMORY));
    if (s == NULL)
        return ERR_MEMORY;
    s->part_max = part_max;
    s->found_max = found_max;
    s->print_cap = PRINTS_FIRST;
    s->prints = calloc(s->print_cap, sizeof *s->prints);
    s->records = nameless_file(dir);
    s->products = s->records == NULL ? NULL : nameless_file(dir);
    bool filed = s->products != NULL;
    if (!filed)
        import_reason_set(ret_reason, "%s", strerror(errno));
    if (!filed || s->prints == NULL ||
        getrandom(s->key, sizeof s->key, 0) != (ssize_t)sizeof s->key) {
        sharedprimes_close(s);
        return filed ? ERR_MEMORY : ERR_IO;
    }
    s->key[1] |= 1;
    *ret_keys = s;
    return ERR_OK;
}

void sharedprimes_close(struct sharedprimes *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->found_count; i++)
        mpz_clear(s->found[i].common);
    free(s->found);
    free(s->prints);
    if (s->records != NULL)
        (void)fclose(s->records);
    if (s->products != NULL)
        (void)fclose(s->products);
    free(s);
}

/* ---- parts ---- */

struct part {
    size_t count;
    struct record *records;
};

static void part_release(struct part *p)
{
    free(p->records);
}
#define PART __attribute__((cleanup(part_release))) struct part

static size_t part_count(const struct sharedprimes *s)
{
    return (size_t)((s->count + s->part_max - 1) / s->part_max);
}

static enum err part_read(struct sharedprimes *s, size_t index, struct part *p)
{
    uint64_t first = (uint64_t)index * s->part_max, left = s->count - first;
    p->count = left < s->part_max ? (size_t)left : s->part_max;
    p->records = malloc(p->count * sizeof *p->records);
    if (p->records == NULL)
        return ERR_MEMORY;
    bool good = fseeko(s->records, (off_t)(first * sizeof *p->records), SEEK_SET) == 0 &&
                fread(p->records, sizeof *p->records, p->count, s->records) == p->count;
    return good ? ERR_OK : ERR_IO;
}

static void number_release(mpz_t *n)
{
    mpz_clear(*n);
}
#define NUMBER(name)                                                                               \
    __attribute__((cleanup(number_release))) mpz_t name;                                           \
    mpz_init(name)

static enum err product_write(struct sharedprimes *s, size_t index)
{
    PART p = {0};
    NUMBER(product);
    TRY(part_read(s, index, &p));
    TRY(primetree_product(p.records->modulus, TPM_RSA_LEN, sizeof *p.records, p.count, product));
    return mpz_out_raw(s->products, product) != 0 ? ERR_OK : ERR_IO;
}

/* All other parts' products, modulo this one's. */
struct others {
    struct sharedprimes *s;
    size_t own, parts;
    pthread_mutex_t reading;
    mpz_t modulo, so_far[PRIMETREE_THREADS];
    bool bad[PRIMETREE_THREADS];
};

/* They lie one behind the other; only the last may be shorter. */
static bool product_read(struct others *o, size_t index, mpz_t product)
{
    FILE *f = o->s->products;
    pthread_mutex_lock(&o->reading);
    bool good = fseeko(f, 0, SEEK_SET) == 0;
    for (size_t i = 0; good && i <= index; i++) {
        uint8_t size[4];
        good = fread(size, 1, sizeof size, f) == sizeof size;
        uint32_t len = (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 |
                       (uint32_t)size[2] << 8 | size[3];
        good = good && fseeko(f, i < index ? (off_t)len : -(off_t)sizeof size, SEEK_CUR) == 0;
    }
    good = good && mpz_inp_raw(product, f) != 0;
    pthread_mutex_unlock(&o->reading);
    return good;
}

static void others_multiply(void *context, size_t lane)
{
    struct others *o = context;
    NUMBER(product);
    for (size_t i = lane; i < o->parts && !o->bad[lane]; i += PRIMETREE_THREADS) {
        if (i == o->own)
            continue;
        o->bad[lane] = !product_read(o, i, product);
        mpz_mul(o->so_far[lane], o->so_far[lane], product);
        mpz_mod(o->so_far[lane], o->so_far[lane], o->modulo);
    }
}

static enum err others_of(struct sharedprimes *s, size_t own, mpz_t ret_others)
{
    struct others o = {.s = s, .own = own, .parts = part_count(s)};
    mpz_init(o.modulo);
    pthread_mutex_init(&o.reading, NULL);
    for (size_t i = 0; i < PRIMETREE_THREADS; i++)
        mpz_init_set_ui(o.so_far[i], 1);
    bool good = product_read(&o, own, o.modulo);
    if (good)
        primetree_each(others_multiply, &o, PRIMETREE_THREADS);
    mpz_set_ui(ret_others, 1);
    for (size_t i = 0; i < PRIMETREE_THREADS; i++) {
        good = good && !o.bad[i];
        if (good) {
            mpz_mul(ret_others, ret_others, o.so_far[i]);
            mpz_mod(ret_others, ret_others, o.modulo);
        }
        mpz_clear(o.so_far[i]);
    }
    mpz_clear(o.modulo);
    pthread_mutex_destroy(&o.reading);
    return good ? ERR_OK : ERR_IO;
}

/* ---- what is found ---- */

static enum err keep(struct sharedprimes *s, const struct record *r, const mpz_t common)
{
    if (s->found_count == s->found_max)
        return ERR_KEY_WEAK;
    if (s->found_count == s->found_cap) {
        size_t cap = s->found_cap > 0 ? 2 * s->found_cap : 16;
        struct found *bigger = reallocarray(s->found, cap, sizeof *bigger);
        if (bigger == NULL)
            return ERR_MEMORY;
        s->found = bigger;
        s->found_cap = cap;
    }
    struct found *f = &s->found[s->found_count++];
    *f = (struct found){.key = *r, .other = {.column = COLUMN_COUNT}};
    mpz_init_set(f->common, common);
    return ERR_OK;
}

static enum err search_tree(struct sharedprimes *s, const struct part *p, const mpz_t others,
                            struct primetree *t)
{
    mpz_t *common = malloc(p->count * sizeof *common);
    if (common == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < p->count; i++)
        mpz_init(common[i]);
    enum err e = primetree_common(t, others, common);
    for (size_t i = 0; i < p->count; i++) {
        if (e == ERR_OK && mpz_cmp_ui(common[i], 1) != 0)
            e = keep(s, &p->records[i], common[i]);
        mpz_clear(common[i]);
    }
    free(common);
    return e;
}

static enum err search_part(struct sharedprimes *s, size_t index)
{
    PART p = {0};
    NUMBER(others);
    struct primetree *t;
    mpz_set_ui(others, 1);
    if (part_count(s) > 1)
        TRY(others_of(s, index, others));
    TRY(part_read(s, index, &p));
    TRY(primetree_open(p.records->modulus, TPM_RSA_LEN, sizeof *p.records, p.count, &t));
    enum err e = search_tree(s, &p, others, t);
    primetree_close(t);
    return e;
}

/* ---- who shares with whom ---- */

static int by_common(const void *a, const void *b)
{
    return mpz_cmp(((const struct found *)a)->common, ((const struct found *)b)->common);
}

static int by_modulus(const void *a, const void *b)
{
    return memcmp(((const struct found *)a)->key.modulus, ((const struct found *)b)->key.modulus,
                  TPM_RSA_LEN);
}

static bool shares(const mpz_t common, const struct record *key)
{
    NUMBER(n);
    mpz_import(n, TPM_RSA_LEN, 1, 1, 1, 0, key->modulus);
    mpz_gcd(n, n, common);
    return mpz_cmp_ui(n, 1) != 0;
}

/* Those with the same in common have it with each other; they lie side by side. */
static void name_other(struct sharedprimes *s, size_t i)
{
    struct found *f = &s->found[i];
    size_t other = i;
    if (i + 1 < s->found_count && mpz_cmp(f->common, f[1].common) == 0)
        other = i + 1;
    else if (i > 0 && mpz_cmp(f->common, f[-1].common) == 0)
        other = i - 1;
    for (size_t k = 1; other == i && k < s->found_count && k <= PARTNERS_TRIED; k++) {
        size_t at = (i + k) % s->found_count;
        other = shares(f->common, &s->found[at].key) ? at : i;
    }
    if (other != i)
        f->other = s->found[other].key.place;
}

static void name_others(struct sharedprimes *s)
{
    if (s->found_count == 0)
        return;
    qsort(s->found, s->found_count, sizeof *s->found, by_common);
    for (size_t i = 0; i < s->found_count; i++)
        name_other(s, i);
    qsort(s->found, s->found_count, sizeof *s->found, by_modulus);
}

enum err sharedprimes_search(struct sharedprimes *s,
                             bool (*go_on)(void *context, size_t done, size_t steps), void *context)
{
    size_t parts = part_count(s), done = 0, steps = parts > 1 ? 2 * parts : parts;
    if (fflush(s->records) != 0)
        return ERR_IO;
    for (size_t i = 0; parts > 1 && i < parts; i++) {
        if (!go_on(context, done++, steps))
            return ERR_UNAVAILABLE;
        TRY(product_write(s, i));
    }
    if (fflush(s->products) != 0)
        return ERR_IO;
    for (size_t i = 0; i < parts; i++) {
        if (!go_on(context, done++, steps))
            return ERR_UNAVAILABLE;
        TRY(search_part(s, i));
    }
    name_others(s);
    return ERR_OK;
}

enum sharedprimes_what sharedprimes_find(const struct sharedprimes *s,
                                         const uint8_t modulus[TPM_RSA_LEN],
                                         struct sharedprimes_place *ret_other)
{
    struct found wanted;
    uint64_t print = print_of(s, modulus);
    if (*slot_of(s->prints, s->print_cap, print) != print)
        return SHAREDPRIMES_UNKNOWN;
    memcpy(wanted.key.modulus, modulus, TPM_RSA_LEN);
    const struct found *f =
        s->found_count == 0
            ? NULL
            : bsearch(&wanted, s->found, s->found_count, sizeof *s->found, by_modulus);
    if (f == NULL)
        return SHAREDPRIMES_NONE;
    *ret_other = f->other;
    return SHAREDPRIMES_SHARED;
}
