#include "pair.h"

#include <string.h>

#include "keytext.h"

static struct span keep(struct pair_half *h, struct span s)
{
    uint8_t *at = h->bytes + h->len;
    ERR_ASSERT(s.len <= sizeof h->bytes - h->len);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    h->len += s.len;
    return span_of(at, s.len);
}

static enum err fetch(struct pair_half *h, enum err (*next)(void *, struct import_row *),
                      void *context)
{
    TRY(next(context, &h->row));
    h->len = 0;
    for (unsigned c = 0; c < COLUMN_COUNT; c++)
        h->row.fields[c] = keep(h, h->row.fields[c]);
    h->row.origin = keep(h, h->row.origin);
    return ERR_OK;
}

static bool is_certificate(const struct pair_half *h)
{
    uint8_t scratch[KEYTEXT_BYTES_CAP];
    struct import_reason why;
    struct span bytes;
    return keytext_column_bytes(&h->row, COLUMN_ENDORSEMENT_KEY, scratch, &bytes, &why) == ERR_OK &&
           keybytes_guess(bytes) == KEYBYTES_CERTIFICATE;
}

static bool can_pair(const struct pair_half *h)
{
    return h->row.broken.text[0] == 0 && h->row.fields[COLUMN_ENDORSEMENT_KEY].len > 0 &&
           h->row.fields[COLUMN_EK_CERTIFICATE].len == 0;
}

static bool same_key(const struct pair_half *a, const struct pair_half *b)
{
    struct tpm_public x, y;
    struct import_reason why;
    return keytext_column_read(&a->row, COLUMN_ENDORSEMENT_KEY, TPM_ROLE_EK, &x, &why) == ERR_OK &&
           keytext_column_read(&b->row, COLUMN_ENDORSEMENT_KEY, TPM_ROLE_EK, &y, &why) == ERR_OK &&
           tpm_public_same_key(&x, &y);
}

/* Lays the row as the input has it, of one half behind the other. Without room for both there is
 * none: half of it would mislead. */
static void join_origins(struct pair_half *first, const struct pair_half *second)
{
    struct span a = first->row.origin, b = second->row.origin;
    if (a.len == 0 || b.len == 0 || a.len + b.len > IMPORT_ROW_CAP) {
        first->row.origin = span_of(NULL, 0);
        return;
    }
    ERR_ASSERT(a.at + a.len == first->bytes + first->len); /* kept last */
    (void)keep(first, b);
    first->row.origin = span_of(a.at, a.len + b.len);
}

/* Whether the second half went into the first. */
static bool join(struct pair_half *first, struct pair_half *second)
{
    struct import_row *a = &first->row, *b = &second->row;
    size_t both = a->fields[COLUMN_ENDORSEMENT_KEY].len + b->fields[COLUMN_ENDORSEMENT_KEY].len;
    if (!can_pair(first) || !can_pair(second) || both > IMPORT_ROW_CAP - REGID_MAX ||
        !span_equal(a->fields[COLUMN_REGISTRATION_ID], b->fields[COLUMN_REGISTRATION_ID]))
        return false;
    bool certificate_first = is_certificate(first);
    if (certificate_first == is_certificate(second) || !same_key(first, second))
        return false;
    const struct import_row *key = certificate_first ? b : a;
    const struct import_row *certificate = certificate_first ? a : b;
    uint32_t raw = (key->raw & 1u << COLUMN_ENDORSEMENT_KEY) |
                   (certificate->raw >> COLUMN_ENDORSEMENT_KEY & 1u) << COLUMN_EK_CERTIFICATE;
    struct span key_text = key->fields[COLUMN_ENDORSEMENT_KEY];
    struct span certificate_text = certificate->fields[COLUMN_ENDORSEMENT_KEY];
    join_origins(first, second);
    a->fields[COLUMN_ENDORSEMENT_KEY] = key_text;
    a->fields[COLUMN_EK_CERTIFICATE] = certificate_text;
    a->raw = raw;
    return true;
}

enum err pair_next(struct pair *p, enum err (*next)(void *, struct import_row *), void *context,
                   struct import_row *ret_row)
{
    TRY(p->ended);
    if (p->waiting)
        p->current ^= 1;
    else
        TRY(fetch(&p->half[p->current], next, context));
    struct pair_half *first = &p->half[p->current], *second = &p->half[p->current ^ 1];
    p->waiting = false;
    if (can_pair(first)) {
        p->ended = fetch(second, next, context);
        p->waiting = p->ended == ERR_OK && !join(first, second);
    }
    *ret_row = first->row;
    return ERR_OK;
}
