#include "pending.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/sas.h>

#define LOCKS 64
#define TAG_LEN 16
static const char magic[16] = "cradle-pending1";

/* In the byte order of the machine: the file never leaves it. */
struct place {
    uint8_t tag[TAG_LEN]; /* of the registration id */
    uint64_t source;
    uint64_t order;       /* grows within a set: which entry is older */
    int64_t expiry_s;     /* 0: free */
    uint32_t srk_len;
    uint8_t srk[TPM_PUBLIC_CAP];
};

struct head {
    char magic[16];
    uint32_t sets, ways, place_size;
};

struct table {
    struct head head;
    struct place places[PENDING_SETS][PENDING_WAYS];
};

struct pending {
    struct table *table;
    struct secret key;
    pthread_mutex_t locks[LOCKS];
};

static enum err say(struct store_reason *reason, enum err e, const char *what, const char *path)
{
    if (reason != NULL)
        snprintf(reason->text, sizeof reason->text, "%s: %s: %s", path, what, strerror(errno));
    return e;
}

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define FD __attribute__((cleanup(fd_close))) int

static struct head head_now(void)
{
    struct head h = {.sets = PENDING_SETS, .ways = PENDING_WAYS, .place_size = sizeof(struct place)};
    _Static_assert(sizeof h.magic == sizeof magic, "the magic fills its field");
    for (size_t i = 0; i < sizeof magic; i++)
        h.magic[i] = magic[i];
    return h;
}

static bool sound(int fd)
{
    struct head want = head_now(), have;
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == sizeof(struct table) &&
           pread(fd, &have, sizeof have, 0) == sizeof have &&
           span_equal(span_of(&have, sizeof have), span_of(&want, sizeof want));
}

/* All of its blocks are allocated now: a full disk is an error here, not a SIGBUS later. */
static enum err make_file(int fd, const char *path, struct store_reason *reason)
{
    struct head h = head_now();
    if (ftruncate(fd, 0) != 0)
        return say(reason, ERR_IO, "cannot be emptied", path);
    errno = posix_fallocate(fd, 0, sizeof(struct table));
    if (errno != 0) {
        enum err e = errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_IO;
        say(reason, e, "cannot be made", path);
        unlink(path);
        return e;
    }
    if (pwrite(fd, &h, sizeof h, 0) != sizeof h)
        return say(reason, ERR_IO, "cannot be written", path);
    return ERR_OK;
}

static enum err map_file(const char *path, struct table **ret_table, struct store_reason *reason)
{
    FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return say(reason, ERR_IO, "cannot be opened", path);
    if (!sound(fd))
        TRY(make_file(fd, path, reason));
    void *at = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return say(reason, ERR_IO, "cannot be mapped", path);
    *ret_table = at;
    return ERR_OK;
}

enum err pending_open(const char *path, struct span key, struct pending **ret_pending,
                      struct store_reason *ret_reason)
{
    struct table *table = NULL;
    TRY(map_file(path, &table, ret_reason));
    struct pending *p = calloc(1, sizeof *p);
    if (p == NULL || secret_set(&p->key, key) != ERR_OK) {
        munmap(table, sizeof *table);
        free(p);
        return ERR_MEMORY;
    }
    p->table = table;
    for (int i = 0; i < LOCKS; i++)
        pthread_mutex_init(&p->locks[i], NULL);
    *ret_pending = p;
    return ERR_OK;
}

void pending_close(struct pending *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&p->locks[i]);
    munmap(p->table, sizeof *p->table);
    secret_wipe(&p->key);
    free(p);
}

/* ---- where an id belongs, and who asks ---- */
struct key {
    uint8_t tag[TAG_LEN];
    uint32_t set;
};

static enum err key_of(const struct pending *p, const struct regid *id, struct key *ret_key)
{
    uint8_t digest[SAS_SIGNATURE_LEN];
    TRY(sas_sign(secret_span(&p->key), regid_span(id), digest));
    struct rd r = rd_over(SPAN_ARRAY(digest));
    struct span tag = rd_take(&r, TAG_LEN);
    for (size_t i = 0; i < TAG_LEN; i++)
        ret_key->tag[i] = tag.at[i];
    ret_key->set = rd_u32(&r) % PENDING_SETS;
    return ERR_OK;
}

static uint64_t hash_of(struct span s)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.at[i]) * 0x100000001b3u;
    return h;
}

static uint64_t source_of(const char *address)
{
    struct in6_addr six;
    if (inet_pton(AF_INET6, address, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six))
        return hash_of(span_of(&six, 8));
    const char *last = strrchr(address, ':'); /* "::ffff:192.0.2.1" is 192.0.2.1 */
    return hash_of(span_text(last == NULL ? address : last + 1));
}

static bool live(const struct place *e, int64_t now_s)
{
    return e->expiry_s > now_s && e->expiry_s <= now_s + PENDING_LIFE_S && e->srk_len > 0 &&
           e->srk_len <= TPM_PUBLIC_CAP;
}

static bool belongs(const struct place *e, const struct key *k)
{
    return span_equal(SPAN_ARRAY(e->tag), SPAN_ARRAY(k->tag));
}

/* ---- replacement ---- */
static int held_by(const struct place set[PENDING_WAYS], uint64_t source)
{
    int n = 0;
    for (int i = 0; i < PENDING_WAYS; i++)
        n += set[i].source == source;
    return n;
}

/* All places are taken. The newcomer counts among its source's entries, and where its source holds as
 * much as any other it is that source which gives way. */
static int crowded_out(const struct place set[PENDING_WAYS], uint64_t source)
{
    int own = held_by(set, source) + 1, most = own, victim = -1;
    for (int i = 0; i < PENDING_WAYS; i++)
        if (set[i].source != source && held_by(set, set[i].source) > most)
            most = held_by(set, set[i].source);
    for (int i = 0; i < PENDING_WAYS; i++) {
        bool mine = set[i].source == source;
        int held = held_by(set, set[i].source) + mine;
        if (held != most || (own == most && own > 1 && !mine))
            continue;
        if (victim < 0 || set[i].order < set[victim].order)
            victim = i;
    }
    return victim;
}

static int place_for(const struct place set[PENDING_WAYS], const struct key *k, struct span srk,
                     uint64_t source, int64_t now_s)
{
    int idle = -1;
    for (int i = 0; i < PENDING_WAYS; i++) {
        if (!live(&set[i], now_s))
            idle = i;
        else if (set[i].source == source && belongs(&set[i], k) &&
                 span_equal(span_of(set[i].srk, set[i].srk_len), srk))
            return i;
    }
    return idle >= 0 ? idle : crowded_out(set, source);
}

static void fill(struct place *e, const struct key *k, struct span srk, uint64_t source,
                 int64_t now_s, uint64_t order)
{
    e->expiry_s = 0; /* a thread that dies here leaves a free place */
    for (size_t i = 0; i < TAG_LEN; i++)
        e->tag[i] = k->tag[i];
    struct buf b = BUF_OVER(e->srk);
    buf_put(&b, srk);
    e->srk_len = (uint32_t)srk.len;
    e->source = source;
    e->order = order;
    e->expiry_s = now_s + PENDING_LIFE_S;
}

enum err pending_put(struct pending *p, const struct regid *id, struct span srk, const char *source,
                     int64_t now_s)
{
    struct key k;
    ERR_ASSERT(srk.len > 0 && srk.len <= TPM_PUBLIC_CAP);
    TRY(key_of(p, id, &k));
    uint64_t from = source_of(source), order = 0;
    pthread_mutex_t *lock = &p->locks[k.set % LOCKS];
    pthread_mutex_lock(lock);
    struct place *set = p->table->places[k.set];
    for (int i = 0; i < PENDING_WAYS; i++)
        if (live(&set[i], now_s) && set[i].order >= order)
            order = set[i].order + 1;
    int i = place_for(set, &k, srk, from, now_s);
    ERR_ASSERT(i >= 0 && i < PENDING_WAYS);
    fill(&set[i], &k, srk, from, now_s, order);
    pthread_mutex_unlock(lock);
    return ERR_OK;
}

/* ---- looking up ---- */
static bool listed(const struct pending_srk *srks, int count, struct span srk)
{
    for (int i = 0; i < count; i++)
        if (span_equal(span_of(srks[i].at, srks[i].len), srk))
            return true;
    return false;
}

/* The newest entry of the id older than `below`, or NULL. */
static const struct place *newest(const struct place set[PENDING_WAYS], const struct key *k,
                                  int64_t now_s, const struct place *below)
{
    const struct place *best = NULL;
    for (int i = 0; i < PENDING_WAYS; i++) {
        const struct place *e = &set[i];
        if (live(e, now_s) && belongs(e, k) && (below == NULL || e->order < below->order) &&
            (best == NULL || e->order > best->order))
            best = e;
    }
    return best;
}

enum err pending_find(struct pending *p, const struct regid *id, int64_t now_s,
                      struct pending_srk ret_srks[PENDING_WAYS], int *ret_count)
{
    struct key k;
    int count = 0;
    TRY(key_of(p, id, &k));
    pthread_mutex_t *lock = &p->locks[k.set % LOCKS];
    pthread_mutex_lock(lock);
    const struct place *set = p->table->places[k.set];
    for (const struct place *e = newest(set, &k, now_s, NULL); e != NULL;
         e = newest(set, &k, now_s, e)) {
        struct span srk = span_of(e->srk, e->srk_len);
        if (listed(ret_srks, count, srk))
            continue;
        struct buf b = BUF_OVER(ret_srks[count].at);
        buf_put(&b, srk);
        ret_srks[count++].len = srk.len;
    }
    pthread_mutex_unlock(lock);
    *ret_count = count;
    return ERR_OK;
}
