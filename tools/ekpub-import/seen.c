#include "seen.h"

#include <stdlib.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/sha256.h>

/* Each row takes three entries: its id, its key and its device id. What they stand for is known by
 * 64 bits of a hash: enough to tell the rows of one list apart. */
enum part { PART_ID, PART_KEY, PART_DEVICE, PART_COUNT };

struct entry {
    uint64_t part; /* 0: free */
    uint64_t row;  /* the whole row, to tell a repetition from a collision */
    struct seen_place place;
};

#define SLOTS_FIRST 4096u

struct seen {
    struct entry *slots;
    size_t cap; /* a power of two */
    size_t used;
    size_t rows;
    bool full;
};

struct prints {
    uint64_t parts[PART_COUNT];
    uint64_t row;
};

static enum err print_of(uint8_t kind, struct span s, uint64_t *ret_print)
{
    uint8_t hash[WC_SHA256_DIGEST_SIZE];
    wc_Sha256 sha;
    if (wc_InitSha256(&sha) != 0)
        return ERR_CRYPTO;
    bool ok = wc_Sha256Update(&sha, &kind, 1) == 0 &&
              wc_Sha256Update(&sha, s.at, (word32)s.len) == 0 && wc_Sha256Final(&sha, hash) == 0;
    wc_Sha256Free(&sha);
    if (!ok)
        return ERR_CRYPTO;
    memcpy(ret_print, hash, sizeof *ret_print);
    *ret_print |= 1; /* 0 marks a free slot */
    return ERR_OK;
}

static enum err prints_of(const struct store_enrollment *row, struct prints *ret_prints)
{
    struct prints p;
    TRY(print_of(PART_ID, regid_span(&row->id), &p.parts[PART_ID]));
    TRY(print_of(PART_KEY, SPAN_ARRAY(row->ek_hash), &p.parts[PART_KEY]));
    TRY(print_of(PART_DEVICE, regid_span(&row->device_id), &p.parts[PART_DEVICE]));
    uint8_t bytes[24 + 2 * TPM_PUBLIC_CAP + 1];
    struct buf whole = BUF_OVER(bytes);
    for (int i = 0; i < PART_COUNT; i++)
        buf_put_u64(&whole, p.parts[i]);
    buf_put(&whole, span_of(row->ek, row->ek_len));
    buf_put(&whole, span_of(row->srk, row->srk_len));
    buf_put_u8(&whole, row->pin_srk);
    TRY(print_of(PART_COUNT, buf_span(&whole), &p.row));
    *ret_prints = p;
    return ERR_OK;
}

/* Where the entry is, or where it would go. */
static struct entry *slot_of(const struct seen *s, uint64_t part)
{
    size_t i = part >> 1;
    for (;; i++) {
        struct entry *e = &s->slots[i & (s->cap - 1)];
        if (e->part == 0 || e->part == part)
            return e;
    }
}

static void put(struct seen *s, uint64_t part, uint64_t row, struct seen_place place)
{
    struct entry *e = slot_of(s, part);
    if (e->part != 0)
        return;
    *e = (struct entry){.part = part, .row = row, .place = place};
    s->used++;
}

static bool grow(struct seen *s)
{
    struct seen bigger = {.cap = s->cap * 2, .rows = s->rows};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i].part != 0)
            put(&bigger, s->slots[i].part, s->slots[i].row, s->slots[i].place);
    free(s->slots);
    *s = bigger;
    return true;
}

/* Keeps a third of the slots free. When there is no memory it simply learns no more. */
static bool has_room(struct seen *s)
{
    if (s->rows >= SEEN_ROWS_MAX)
        s->full = true;
    else if ((s->used + PART_COUNT) * 3 > s->cap * 2)
        s->full = s->full || !grow(s);
    return !s->full;
}

enum err seen_open(struct seen **ret_seen)
{
    struct seen *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_MEMORY;
    s->cap = SLOTS_FIRST;
    s->slots = calloc(s->cap, sizeof *s->slots);
    if (s->slots == NULL) {
        free(s);
        return ERR_MEMORY;
    }
    *ret_seen = s;
    return ERR_OK;
}

void seen_close(struct seen *s)
{
    if (s == NULL)
        return;
    free(s->slots);
    free(s);
}

enum err seen_find(const struct seen *s, const struct store_enrollment *row,
                   enum seen_what *ret_what, struct seen_place *ret_place)
{
    static const enum seen_what collision[PART_COUNT] = {SEEN_ID, SEEN_KEY, SEEN_DEVICE};
    struct prints p;
    TRY(prints_of(row, &p));
    *ret_what = SEEN_NOTHING;
    for (int i = 0; i < PART_COUNT; i++) {
        const struct entry *e = slot_of(s, p.parts[i]);
        if (e->part == 0)
            continue;
        *ret_what = e->row == p.row ? SEEN_SAME : collision[i];
        *ret_place = e->place;
        return ERR_OK;
    }
    return ERR_OK;
}

enum err seen_add(struct seen *s, const struct store_enrollment *row, struct seen_place place)
{
    struct prints p;
    TRY(prints_of(row, &p));
    if (!has_room(s))
        return ERR_OK;
    s->rows++;
    for (int i = 0; i < PART_COUNT; i++)
        put(s, p.parts[i], p.row, place);
    return ERR_OK;
}

bool seen_is_full(const struct seen *s)
{
    return s->full;
}
