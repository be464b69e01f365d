#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

/* Pages are handed out in extents, so that each tree writes long stretches; small ones at first, since
 * what is left of the last one lies idle. */
#define EXTENT_PAGES_MAX 64u
#define EXTENT_PAGES_MIN 4u
/* The page on which SQLite's locks lie: the format leaves it out. It is the first of its 64. */
#define LOCK_PAGE (0x40000000u / PAGE_SIZE + 1)
#define FREE_MAX 1000u /* one trunk page lists them */

#define PAYLOAD_CAP (PAGE_SIZE - 35)                       /* of a row, on its leaf */
#define PAYLOAD_MIN ((PAGE_SIZE - 12) * 32 / 255 - 23)     /* where the rest is elsewhere */
#define OVERFLOW_CAP (PAGE_SIZE - 4)

enum { INTERIOR_INDEX = 2, INTERIOR_TABLE = 5, LEAF_INDEX = 10, LEAF_TABLE = 13 };
#define LEAF_HEAD 8u
#define INTERIOR_HEAD 12u /* the rightmost child in the end */

struct pages {
    int fd;
    pthread_mutex_t lock;
    uint32_t next; /* number of the first page that nobody has */
    uint32_t free[FREE_MAX];
    uint32_t free_count;
};

/* A page that is being filled: pointers grow from its head, cells from its end. */
struct page {
    uint8_t bytes[PAGE_SIZE];
    size_t head, cells;
    size_t content;  /* where the last cell begins */
    size_t last_len; /* its length */
};

#define LEVELS 20 /* of three children and more: as much as any file can hold */
struct tree {
    struct pages *pages;
    enum tree_kind kind;
    uint32_t root;
    uint64_t last_number;
    unsigned levels;
    struct page *level[LEVELS]; /* the leaf first */
    uint32_t first, count, used; /* of the extent */
    uint8_t extent[EXTENT_PAGES_MAX * PAGE_SIZE];
};

static void put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value >> 16);
    put_u16(at + 2, value & 0xffff);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- the file ---- */

static enum err failed(void)
{
    return errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
}

static enum err write_at(int fd, uint32_t number, const uint8_t *bytes, size_t len)
{
    off_t at = (off_t)(number - 1) * PAGE_SIZE;

    while (len > 0) {
        ssize_t done = pwrite(fd, bytes, len, at);
        if (done < 0 && errno != EINTR)
            return failed();
        if (done > 0) {
            bytes += done;
            at += done;
            len -= (size_t)done;
        }
    }
    return ERR_OK;
}

#define HEADER_LEN 100
#define HEADER_COUNTER 24
#define HEADER_PAGES 28
#define HEADER_FREE_TRUNK 32
#define HEADER_FREE_PAGES 36
#define HEADER_COUNTER_OF_PAGES 92 /* the counter that the number of pages goes with */

static enum err read_header(int fd, uint8_t header[HEADER_LEN])
{
    struct stat st;

    if (pread(fd, header, HEADER_LEN, 0) != HEADER_LEN || fstat(fd, &st) != 0)
        return ERR_STORE;
    bool ours = header[16] == PAGE_SIZE >> 8 && header[17] == 0 && header[20] == 0 &&
                get_u32(header + 52) == 0 && get_u32(header + HEADER_FREE_PAGES) == 0 &&
                st.st_size == (off_t)get_u32(header + HEADER_PAGES) * PAGE_SIZE;
    errno = EINVAL;
    return ours ? ERR_OK : ERR_STORE;
}

enum err pages_open(const char *path, struct pages **ret_pages)
{
    uint8_t header[HEADER_LEN];
    struct pages *p = calloc(1, sizeof *p);

    if (p == NULL)
        return ERR_MEMORY;
    pthread_mutex_init(&p->lock, NULL);
    p->fd = open(path, O_RDWR | O_CLOEXEC);
    enum err e = p->fd < 0 ? failed() : read_header(p->fd, header);
    if (e != ERR_OK) {
        int why = errno;
        pages_close(p);
        errno = why;
        return e;
    }
    p->next = get_u32(header + HEADER_PAGES) + 1;
    *ret_pages = p;
    return ERR_OK;
}

void pages_close(struct pages *p)
{
    if (p == NULL)
        return;
    if (p->fd >= 0)
        (void)close(p->fd);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* Those at the end of the file it can do without. */
static void drop_last_free(struct pages *p)
{
    for (uint32_t i = 0; i < p->free_count; i++)
        if (p->free[i] == p->next - 1) {
            p->free[i] = p->free[--p->free_count];
            p->next--;
            i = UINT32_MAX; /* from the beginning */
        }
}

/* The first free page lists the others. */
static enum err write_free(struct pages *p)
{
    uint8_t trunk[PAGE_SIZE] = {0};

    if (p->free_count == 0)
        return ERR_OK;
    put_u32(trunk + 4, p->free_count - 1);
    for (uint32_t i = 1; i < p->free_count; i++)
        put_u32(trunk + 4 + (size_t)4 * i, p->free[i]);
    return write_at(p->fd, p->free[0], trunk, sizeof trunk);
}

enum err pages_finish(struct pages *p)
{
    uint8_t header[HEADER_LEN];

    drop_last_free(p);
    TRY(write_free(p));
    if (pread(p->fd, header, sizeof header, 0) != HEADER_LEN)
        return ERR_STORE;
    uint32_t counter = get_u32(header + HEADER_COUNTER) + 1;
    put_u32(header + HEADER_COUNTER, counter);
    put_u32(header + HEADER_COUNTER_OF_PAGES, counter);
    put_u32(header + HEADER_PAGES, p->next - 1);
    put_u32(header + HEADER_FREE_TRUNK, p->free_count > 0 ? p->free[0] : 0);
    put_u32(header + HEADER_FREE_PAGES, p->free_count);
    if (ftruncate(p->fd, (off_t)(p->next - 1) * PAGE_SIZE) != 0)
        return failed();
    return write_at(p->fd, 1, header, sizeof header);
}

/* ---- extents ---- */

static enum err extent_write(struct tree *t)
{
    size_t len = (size_t)t->used * PAGE_SIZE;

    if (len == 0)
        return ERR_OK;
    TRY(write_at(t->pages->fd, t->first, t->extent, len));
    /* The disk begins at once, not in the end when all wait for it. Only a hint. */
    (void)sync_file_range(t->pages->fd, (off_t)(t->first - 1) * PAGE_SIZE, (off_t)len,
                          SYNC_FILE_RANGE_WRITE);
    return ERR_OK;
}

/* Up to the end of its 64 pages, in which the one for locks is the first. */
static void extent_take(struct tree *t)
{
    struct pages *p = t->pages;
    uint32_t want = t->count * 2;

    want = want < EXTENT_PAGES_MIN ? EXTENT_PAGES_MIN : want;
    pthread_mutex_lock(&p->lock);
    if (p->next == LOCK_PAGE)
        p->next++;
    uint32_t left = EXTENT_PAGES_MAX - (p->next - 1) % EXTENT_PAGES_MAX;
    t->first = p->next;
    t->count = want < left ? want : left;
    t->used = 0;
    p->next += t->count;
    pthread_mutex_unlock(&p->lock);
}

static void extent_give_back(struct tree *t)
{
    struct pages *p = t->pages;

    pthread_mutex_lock(&p->lock);
    for (; t->used < t->count; t->count--) {
        ERR_ASSERT(p->free_count < FREE_MAX);
        p->free[p->free_count++] = t->first + t->count - 1;
    }
    pthread_mutex_unlock(&p->lock);
}

/* The next page of the file: to be filled before another is asked for. */
static enum err page_next(struct tree *t, uint8_t **ret_bytes, uint32_t *ret_number)
{
    if (t->used == t->count) {
        TRY(extent_write(t));
        extent_take(t);
    }
    *ret_number = t->first + t->used;
    *ret_bytes = t->extent + (size_t)t->used * PAGE_SIZE;
    t->used++;
    return ERR_OK;
}

/* ---- one page ---- */

static void page_clear(struct page *p, bool leaf, enum tree_kind kind)
{
    memset(p, 0, sizeof *p);
    p->bytes[0] = kind == TREE_TABLE ? (leaf ? LEAF_TABLE : INTERIOR_TABLE)
                                     : (leaf ? LEAF_INDEX : INTERIOR_INDEX);
    p->head = leaf ? LEAF_HEAD : INTERIOR_HEAD;
    p->content = PAGE_SIZE;
}

static bool page_fits(const struct page *p, size_t len)
{
    return p->head + 2 * (p->cells + 1) + len <= p->content;
}

static uint8_t *page_put(struct page *p, size_t len)
{
    p->content -= len;
    p->last_len = len;
    put_u16(p->bytes + p->head + 2 * p->cells, p->content);
    p->cells++;
    return p->bytes + p->content;
}

static void page_take_last_away(struct page *p)
{
    p->cells--;
    put_u16(p->bytes + p->head + 2 * p->cells, 0);
    memset(p->bytes + p->content, 0, p->last_len);
    p->content += p->last_len;
}

static void page_seal(struct page *p)
{
    put_u16(p->bytes + 3, p->cells);
    put_u16(p->bytes + 5, p->content);
}

static enum err page_write(struct tree *t, struct page *p, uint32_t *ret_number)
{
    uint8_t *bytes;

    TRY(page_next(t, &bytes, ret_number));
    page_seal(p);
    memcpy(bytes, p->bytes, PAGE_SIZE);
    return ERR_OK;
}

/* ---- the tree ---- */

static enum err level_new(struct tree *t)
{
    ERR_ASSERT(t->levels < LEVELS);
    struct page *p = malloc(sizeof *p);
    if (p == NULL)
        return ERR_MEMORY;
    page_clear(p, t->levels == 0, t->kind);
    t->level[t->levels++] = p;
    return ERR_OK;
}

enum err tree_open(struct pages *p, enum tree_kind kind, uint32_t root, struct tree **ret_tree)
{
    struct tree *t = calloc(1, sizeof *t);

    if (t == NULL)
        return ERR_MEMORY;
    t->pages = p;
    t->kind = kind;
    t->root = root;
    enum err e = level_new(t);
    if (e != ERR_OK) {
        tree_close(t);
        return e;
    }
    *ret_tree = t;
    return ERR_OK;
}

void tree_close(struct tree *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->levels; i++)
        free(t->level[i]);
    free(t);
}

/* What tells a page's content from that of the next: the last number on a leaf of rows; else the last
 * cell, which leaves the page for good, and whose child becomes the rightmost. */
static size_t page_divide(struct tree *t, unsigned level, uint8_t *ret_divider)
{
    struct page *p = t->level[level];
    const uint8_t *cell = p->bytes + p->content;
    size_t len = p->last_len;

    if (level == 0 && t->kind == TREE_TABLE)
        return varint_write(t->last_number, ret_divider);
    if (level > 0) {
        memcpy(p->bytes + LEAF_HEAD, cell, 4);
        cell += 4;
        len -= 4;
    }
    memcpy(ret_divider, cell, len);
    page_take_last_away(p);
    return len;
}

static enum err level_put(struct tree *t, unsigned level, uint32_t child, struct span divider);

/* Writes a full page, and makes it empty. */
static enum err level_close(struct tree *t, unsigned level)
{
    uint8_t divider[TREE_INDEX_RECORD_MAX + VARINT_CAP];
    size_t len = page_divide(t, level, divider);
    uint32_t number;

    TRY(page_write(t, t->level[level], &number));
    page_clear(t->level[level], level == 0, t->kind);
    return level_put(t, level + 1, number, span_of(divider, len));
}

static enum err level_put(struct tree *t, unsigned level, uint32_t child, struct span divider)
{
    if (level == t->levels)
        TRY(level_new(t));
    if (!page_fits(t->level[level], 4 + divider.len))
        TRY(level_close(t, level));
    uint8_t *at = page_put(t->level[level], 4 + divider.len);
    put_u32(at, child);
    memcpy(at + 4, divider.at, divider.len);
    return ERR_OK;
}

/* What does not fit on the leaf, the last page first: each names the next. */
static enum err overflow_write(struct tree *t, struct span rest, uint32_t *ret_first)
{
    uint32_t next = 0;

    while (rest.len > 0) {
        size_t len = rest.len % OVERFLOW_CAP != 0 ? rest.len % OVERFLOW_CAP : OVERFLOW_CAP;
        uint8_t *bytes;
        uint32_t number;
        TRY(page_next(t, &bytes, &number));
        rest.len -= len;
        memset(bytes, 0, PAGE_SIZE);
        put_u32(bytes, next);
        memcpy(bytes + 4, rest.at + rest.len, len);
        next = number;
    }
    *ret_first = next;
    return ERR_OK;
}

static size_t local_len(size_t len)
{
    if (len <= PAYLOAD_CAP)
        return len;
    size_t local = PAYLOAD_MIN + (len - PAYLOAD_MIN) % OVERFLOW_CAP;
    return local <= PAYLOAD_CAP ? local : PAYLOAD_MIN;
}

enum err tree_put(struct tree *t, uint64_t number, struct span record)
{
    uint8_t head[2 * VARINT_CAP];
    size_t head_len = varint_write(record.len, head);
    size_t local = t->kind == TREE_TABLE ? local_len(record.len) : record.len;
    size_t link = local < record.len ? 4 : 0;
    uint32_t overflow = 0;

    ERR_ASSERT(t->kind == TREE_TABLE ? number > t->last_number
                                     : record.len <= TREE_INDEX_RECORD_MAX);
    if (t->kind == TREE_TABLE)
        head_len += varint_write(number, head + head_len);
    TRY(overflow_write(t, span_slice(record, local, record.len), &overflow));
    if (!page_fits(t->level[0], head_len + local + link))
        TRY(level_close(t, 0));
    t->last_number = number;
    uint8_t *at = page_put(t->level[0], head_len + local + link);
    memcpy(at, head, head_len);
    memcpy(at + head_len, record.at, local);
    if (link > 0)
        put_u32(at + head_len + local, overflow);
    return ERR_OK;
}

/* The topmost page goes to where the schema expects it. */
enum err tree_finish(struct tree *t)
{
    uint32_t child = 0;

    for (unsigned i = 0; i < t->levels; i++) {
        struct page *p = t->level[i];
        if (i > 0)
            put_u32(p->bytes + LEAF_HEAD, child);
        if (i + 1 < t->levels)
            TRY(page_write(t, p, &child));
    }
    struct page *top = t->level[t->levels - 1];
    page_seal(top);
    TRY(extent_write(t));
    extent_give_back(t);
    return write_at(t->pages->fd, t->root, top->bytes, PAGE_SIZE);
}
