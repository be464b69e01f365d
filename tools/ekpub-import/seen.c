#include "seen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Each row takes two entries, its id and its key, and a third for a device id that is another one. A
 * device id that is the id is found by the row that the id leads to. */
enum part { PART_ID, PART_KEY, PART_DEVICE, PART_SRK };

struct entry {
    uint32_t high, low; /* of the hash; both 0: free */
    uint32_t row;       /* from 1 */
};

struct row_seen {
    uint64_t whole; /* to tell a repetition from a collision */
    uint32_t line;
    uint32_t file_index : 31;
    uint32_t own_device : 1; /* the device id is not the id */
};

#define SLOTS_FIRST_BITS 12
#define SLOTS_FIRST ((size_t)1 << SLOTS_FIRST_BITS)
#define ROWS_FIRST 1024u

struct seen {
    struct entry *slots;
    size_t cap;     /* a power of two: */
    unsigned shift; /* what is left of a hash by it is a slot */
    size_t used;
    struct row_seen *rows;
    size_t row_count, row_cap, rows_max;
    uint64_t key[2];
    bool has_devices;
    bool full;
};

__extension__ typedef unsigned __int128 u128;

static uint64_t fold(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t print_of(const struct seen *s, enum part part, struct span text)
{
    /* folded by itself: else a text's first bytes could make one part look like another */
    uint64_t h = fold(s->key[0] ^ part ^ (uint64_t)text.len << 8, s->key[1]) ^ s->key[0], word = 0;
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        memcpy(&word, text.at + i, 8);
        h = fold(h ^ word, s->key[1]) ^ s->key[0];
    }
    word = 0;
    if (i < text.len)
        memcpy(&word, text.at + i, text.len - i);
    h = fold(h ^ word, s->key[1]) ^ s->key[0];
    return fold(h, s->key[1]) | 1;
}

/* Of prints, another that tells as much. */
static uint64_t mix(const struct seen *s, uint64_t a, uint64_t b)
{
    return fold(fold(a ^ s->key[1], s->key[0] | 1) ^ b, s->key[1]) | 1;
}

static uint64_t whole_of(const struct seen *s, const struct seen_print *p,
                         const struct store_enrollment *row)
{
    uint64_t whole = mix(s, mix(s, p->id, p->key), p->device);
    if (row->srk_len > 0)
        whole = mix(s, whole, print_of(s, PART_SRK, span_of(row->srk, row->srk_len)));
    return mix(s, whole, (uint64_t)row->profile << 1 | row->pin_srk);
}

/* Growing, a table by the hash's highest bits is copied from front to back. */
static size_t first_slot(const struct seen *s, uint64_t print)
{
    return (size_t)(print >> s->shift);
}

struct seen_print seen_print(const struct seen *s, const struct store_enrollment *row)
{
    struct seen_print p = {
        .id = print_of(s, PART_ID, regid_span(&row->id)),
        .key = print_of(s, PART_KEY, SPAN_ARRAY(row->ek_hash)),
    };
    bool same = span_equal(regid_span(&row->id), regid_span(&row->device_id));
    p.device_as_id = same ? p.id : print_of(s, PART_ID, regid_span(&row->device_id));
    p.device = mix(s, p.device_as_id, PART_DEVICE);
    p.whole = whole_of(s, &p, row);
    __builtin_prefetch(&s->slots[first_slot(s, p.id)]);
    __builtin_prefetch(&s->slots[first_slot(s, p.key)]);
    return p;
}

/* Where the entry is, or where it would go. */
static struct entry *slot_of(const struct seen *s, uint64_t print)
{
    uint32_t high = (uint32_t)(print >> 32), low = (uint32_t)print;
    for (size_t i = first_slot(s, print);; i++) {
        struct entry *e = &s->slots[i & (s->cap - 1)];
        if (e->row == 0 || (e->high == high && e->low == low))
            return e;
    }
}

static void put(struct seen *s, uint64_t print, uint32_t row)
{
    struct entry *e = slot_of(s, print);
    if (e->row != 0)
        return;
    *e = (struct entry){(uint32_t)(print >> 32), (uint32_t)print, row};
    s->used++;
}

static bool grow_slots(struct seen *s)
{
    struct seen bigger = *s;
    bigger.cap = s->cap * 2;
    bigger.shift = s->shift - 1;
    bigger.used = 0;
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < s->cap; i++) {
        const struct entry *e = &s->slots[i];
        if (e->row != 0)
            put(&bigger, (uint64_t)e->high << 32 | e->low, e->row);
    }
    free(s->slots);
    *s = bigger;
    return true;
}

static bool grow_rows(struct seen *s)
{
    struct row_seen *rows = realloc(s->rows, 2 * s->row_cap * sizeof *rows);
    if (rows == NULL)
        return false;
    s->rows = rows;
    s->row_cap *= 2;
    return true;
}

/* Keeps a quarter of the slots free. When there is no memory it simply learns no more. */
static bool has_room(struct seen *s)
{
    if (s->row_count >= s->rows_max)
        s->full = true;
    if (!s->full && (s->used + 3) * 4 > s->cap * 3)
        s->full = !grow_slots(s);
    if (!s->full && s->row_count == s->row_cap)
        s->full = !grow_rows(s);
    return !s->full;
}

enum err seen_open(size_t rows_max, struct seen **ret_seen)
{
    struct seen *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_MEMORY;
    s->rows_max = rows_max;
    s->cap = SLOTS_FIRST;
    s->shift = 64 - SLOTS_FIRST_BITS;
    s->row_cap = ROWS_FIRST;
    s->slots = calloc(s->cap, sizeof *s->slots);
    s->rows = calloc(s->row_cap, sizeof *s->rows);
    if (s->slots == NULL || s->rows == NULL ||
        getrandom(s->key, sizeof s->key, 0) != (ssize_t)sizeof s->key) {
        seen_close(s);
        return ERR_MEMORY;
    }
    s->key[1] |= 1;
    *ret_seen = s;
    return ERR_OK;
}

void seen_close(struct seen *s)
{
    if (s == NULL)
        return;
    free(s->slots);
    free(s->rows);
    free(s);
}

/* NULL: not seen. */
static const struct row_seen *find(const struct seen *s, uint64_t print)
{
    const struct entry *e = slot_of(s, print);
    return e->row == 0 ? NULL : &s->rows[e->row - 1];
}

/* As another row's device id, or as the id of one that has none of its own. */
static const struct row_seen *find_device(const struct seen *s, const struct seen_print *row)
{
    const struct row_seen *there = s->has_devices ? find(s, row->device) : NULL;
    if (there != NULL || row->device_as_id == row->id)
        return there; /* as an id it was not found before */
    there = find(s, row->device_as_id);
    return there != NULL && there->own_device ? NULL : there;
}

void seen_find(const struct seen *s, const struct seen_print *row, enum seen_what *ret_what,
               struct seen_place *ret_place)
{
    const struct row_seen *there = find(s, row->id);
    enum seen_what what = SEEN_ID;
    if (there == NULL) {
        there = find(s, row->key);
        what = SEEN_KEY;
    }
    if (there == NULL) {
        there = find_device(s, row);
        what = SEEN_DEVICE;
    }
    *ret_what = SEEN_NOTHING;
    if (there == NULL)
        return;
    *ret_what = there->whole == row->whole ? SEEN_SAME : what;
    *ret_place = (struct seen_place){there->file_index, there->line};
}

void seen_add(struct seen *s, const struct seen_print *row, struct seen_place place)
{
    bool own_device = row->device_as_id != row->id;
    if (!has_room(s))
        return;
    s->rows[s->row_count++] = (struct row_seen){.whole = row->whole,
                                                .line = place.line,
                                                .file_index = place.file_index & INT32_MAX,
                                                .own_device = own_device};
    uint32_t number = (uint32_t)s->row_count;
    put(s, row->id, number);
    put(s, row->key, number);
    if (own_device)
        put(s, row->device, number);
    s->has_devices = s->has_devices || own_device;
}

void seen_clear(struct seen *s)
{
    memset(s->slots, 0, s->cap * sizeof *s->slots);
    s->used = s->row_count = 0;
    s->has_devices = s->full = false;
}

size_t seen_room(const struct seen *s)
{
    return s->rows_max - s->row_count;
}

bool seen_is_full(const struct seen *s)
{
    return s->full;
}
