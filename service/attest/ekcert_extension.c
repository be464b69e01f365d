#include "ekcert_inner.h"

/* Which of the known ones were there: each may come once. */
enum known { SEEN_AKI, SEEN_SKI, SEEN_USAGE, SEEN_SAN, SEEN_BASIC, SEEN_PURPOSE, SEEN_CONSTRAINTS };

#define OID_TCG_ATTRIBUTE "\x67\x81\x05\x02"
#define OID_PURPOSE_EK "\x67\x81\x05\x08\x01"

bool ekcert_extension_next(struct rd *list, struct ekcert_extension *ret_extension,
                           uint32_t *oddities)
{
    if (list->bad || list->rest.len == 0)
        return false;
    struct ekcert_extension x = {0};
    struct rd r = der_open(list, DER_TAG_SEQUENCE);
    x.oid = der_take(&r, DER_TAG_OID);
    if (der_peek(&r) == DER_TAG_BOOLEAN) {
        x.critical = der_bool(&r);
        *oddities |= x.critical ? 0 : EKCERT_ODD_DEFAULT;
    }
    x.value = der_take(&r, DER_TAG_OCTETS);
    der_close(list, &r);
    if (list->bad)
        return false;
    *ret_extension = x;
    return true;
}

/* ---- names of the TPM ---- */

static void directory_name_read(struct rd *r, struct ekcert *c)
{
    struct span name = der_take_whole(r, DER_TAG_SEQUENCE);
    struct rd ok = {0};
    ekcert_name_check(name, &ok, &c->oddities);
    if (r->bad || ok.bad) {
        r->bad = true;
        return;
    }
    struct rd all = rd_over(name);
    struct rd sequence = der_open(&all, DER_TAG_SEQUENCE);
    while (sequence.rest.len > 0) {
        struct rd set = der_open(&sequence, DER_TAG_SET);
        while (set.rest.len > 0) {
            struct rd pair = der_open(&set, DER_TAG_SEQUENCE);
            struct span oid = der_take(&pair, DER_TAG_OID);
            struct span text = der_next(&pair).content;
            if (rd_end(&pair) != ERR_OK)
                r->bad = true;
            else if (span_starts_with(oid, SPAN_LITERAL(OID_TCG_ATTRIBUTE)))
                ekcert_tpm_attribute(&c->tpm, oid, text, &c->oddities);
        }
    }
}

static void san_read(struct rd *r, struct ekcert *c)
{
    struct rd names = der_open(r, DER_TAG_SEQUENCE);
    while (names.rest.len > 0) {
        struct der_element name = der_next(&names);
        if (name.tag != DER_TAG_CONTEXT(4))
            continue; /* another kind of name, which says nothing about the TPM */
        struct rd directory = rd_over(name.content);
        directory_name_read(&directory, c);
        der_close(&names, &directory);
    }
    der_close(r, &names);
}

/* ---- the others ---- */

static void usage_read(struct rd *r, struct ekcert *c)
{
    struct span bits = der_take(r, DER_TAG_BITS);
    if (bits.len < 2 || bits.len > 3 || bits.at[0] > 7) {
        r->bad = true;
        return;
    }
    for (size_t i = 0; i < (bits.len - 1) * 8; i++)
        if (bits.at[1 + i / 8] & 0x80 >> i % 8)
            c->key_usage |= 1u << i;
    uint8_t last = bits.at[bits.len - 1];
    if (last & ((1 << bits.at[0]) - 1))
        r->bad = true; /* a bit set where there is none */
    if (!(last & 1 << bits.at[0]))
        c->oddities |= EKCERT_ODD_BITS;
    c->has_key_usage = true;
}

static void basic_read(struct rd *r, struct ekcert *c)
{
    struct rd basic = der_open(r, DER_TAG_SEQUENCE);
    if (der_peek(&basic) == DER_TAG_BOOLEAN) {
        c->ca = der_bool(&basic);
        c->oddities |= c->ca ? 0 : EKCERT_ODD_DEFAULT;
    }
    if (der_peek(&basic) == DER_TAG_INTEGER)
        c->path_len = der_small(&basic);
    der_close(r, &basic);
}

static void purpose_read(struct rd *r, struct ekcert *c)
{
    struct rd list = der_open(r, DER_TAG_SEQUENCE);
    c->has_purpose = true;
    while (list.rest.len > 0)
        if (OID_IS(der_take(&list, DER_TAG_OID), OID_PURPOSE_EK))
            c->purpose_ek = true;
    der_close(r, &list);
}

struct span ekcert_authority_read(struct rd *r)
{
    struct rd authority = der_open(r, DER_TAG_SEQUENCE);
    struct span key = {0};
    der_take_if(&authority, DER_TAG_CONTEXT_PRIMITIVE(0), &key);
    while (authority.rest.len > 0)
        der_next(&authority); /* the issuer's name and serial: a hint that vendors got wrong */
    der_close(r, &authority);
    return key;
}

static bool once(struct rd *r, uint32_t *seen, enum known which)
{
    if (*seen & 1u << which)
        r->bad = true;
    *seen |= 1u << which;
    return true;
}

/* id-ce is 2.5.29; its last arc tells. False: not known. */
static bool known_read(struct span oid, bool critical, struct rd *r, struct ekcert *c,
                       uint32_t *seen)
{
    if (oid.len != 3 || oid.at[0] != 0x55 || oid.at[1] != 0x1d)
        return false;
    switch (oid.at[2]) {
    case 14:
        c->subject_key = der_take(r, DER_TAG_OCTETS);
        return once(r, seen, SEEN_SKI);
    case 15:
        usage_read(r, c);
        return once(r, seen, SEEN_USAGE);
    case 17:
        c->san_critical = critical;
        san_read(r, c);
        return once(r, seen, SEEN_SAN);
    case 19:
        basic_read(r, c);
        return once(r, seen, SEEN_BASIC);
    case 30:
        c->name_constraints = critical;
        c->oddities |= critical ? 0 : EKCERT_ODD_NAME_CONSTRAINTS;
        der_next(r);
        return once(r, seen, SEEN_CONSTRAINTS);
    case 32: /* any policy will do, so nothing can follow from it */
        der_next(r);
        return true;
    case 35:
        c->authority_key = ekcert_authority_read(r);
        return once(r, seen, SEEN_AKI);
    case 37:
        purpose_read(r, c);
        return once(r, seen, SEEN_PURPOSE);
    default:
        return false;
    }
}

void ekcert_extensions_read(struct rd *r, struct ekcert *c)
{
    struct rd list = der_open(r, DER_TAG_SEQUENCE);
    struct ekcert_extension x;
    uint32_t seen = 0;
    while (ekcert_extension_next(&list, &x, &c->oddities)) {
        struct rd value = rd_over(x.value);
        if (!known_read(x.oid, x.critical, &value, c, &seen))
            c->unknown_critical |= x.critical;
        else if (rd_end(&value) != ERR_OK)
            list.bad = true;
    }
    der_close(r, &list);
}
