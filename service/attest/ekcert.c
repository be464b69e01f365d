#include "ekcert_inner.h"

/* TCG PC Client TPM 1.2 Implementation, 7.3.2: tag, type "full certificate", size, tag; the size
 * counts the second tag. */
static struct span stored_header_skip(struct span bytes, uint32_t *oddities)
{
    static const uint8_t stored_cert[] = {0x10, 0x01, 0x00};
    static const uint8_t full_cert[] = {0x10, 0x02};
    if (!span_starts_with(bytes, SPAN_ARRAY(stored_cert)))
        return bytes;
    struct rd r = rd_over(span_slice(bytes, sizeof stored_cert, bytes.len));
    struct span sized = rd_sized_u16(&r);
    if (r.bad || !span_starts_with(sized, SPAN_ARRAY(full_cert)))
        return bytes;
    *oddities |= EKCERT_ODD_STORED_HEADER | (r.rest.len > 0 ? EKCERT_ODD_PADDING : 0);
    return span_slice(sized, sizeof full_cert, sized.len);
}

static bool is_padding(struct span rest)
{
    for (size_t i = 0; i < rest.len; i++)
        if (rest.at[i] != rest.at[0])
            return false;
    return rest.len == 0 || rest.at[0] == 0x00 || rest.at[0] == 0xff;
}

static void serial_read(struct rd *r, struct ekcert *c)
{
    struct span s = der_take(r, DER_TAG_INTEGER);
    c->serial = s;
    if (s.len == 0) {
        r->bad = true;
        return;
    }
    bool padded = s.len > 1 && ((s.at[0] == 0x00 && s.at[1] < 0x80) ||
                                (s.at[0] == 0xff && s.at[1] >= 0x80));
    if (s.at[0] >= 0x80 || s.len > 20 || padded || (s.len == 1 && s.at[0] == 0))
        c->oddities |= EKCERT_ODD_SERIAL;
}

void ekcert_name_check(struct span name, struct rd *r, uint32_t *oddities)
{
    struct rd all = rd_over(name);
    struct rd sequence = der_open(&all, DER_TAG_SEQUENCE);
    while (sequence.rest.len > 0) {
        struct rd set = der_open(&sequence, DER_TAG_SET);
        struct span before = {0};
        while (set.rest.len > 0) {
            struct span pair = der_take_whole(&set, DER_TAG_SEQUENCE);
            size_t common = pair.len < before.len ? pair.len : before.len;
            for (size_t i = 0; i < common; i++)
                if (pair.at[i] != before.at[i]) {
                    *oddities |= pair.at[i] < before.at[i] ? EKCERT_ODD_SET_ORDER : 0;
                    break;
                }
            before = pair;
        }
        der_close(&sequence, &set);
    }
    der_close(&all, &sequence);
    der_close(r, &all);
}

static struct span name_read(struct rd *r, struct ekcert *c)
{
    struct span name = der_take_whole(r, DER_TAG_SEQUENCE);
    if (!r->bad) {
        struct rd ok = {0};
        ekcert_name_check(name, &ok, &c->oddities);
        r->bad = ok.bad;
    }
    return name;
}

static void validity_read(struct rd *r, struct ekcert *c)
{
    struct rd validity = der_open(r, DER_TAG_SEQUENCE);
    c->not_before_s = der_time(&validity);
    c->not_after_s = der_time(&validity);
    der_close(r, &validity);
}

static uint32_t version_read(struct rd *r, struct ekcert *c)
{
    struct span content;
    if (!der_take_if(r, DER_TAG_CONTEXT(0), &content))
        return 0;
    struct rd inner = rd_over(content);
    uint32_t version = der_small(&inner);
    der_close(r, &inner);
    if (version == 0)
        c->oddities |= EKCERT_ODD_DEFAULT;
    if (version > 2)
        r->bad = true;
    return version;
}

/* RFC 5280, 4.1.2: what is signed. Returns the signature algorithm named in it, whole. */
static struct span tbs_read(struct rd *r, struct ekcert *c)
{
    uint32_t version = version_read(r, c);
    serial_read(r, c);
    struct span algorithm = der_take_whole(r, DER_TAG_SEQUENCE);
    c->issuer = name_read(r, c);
    validity_read(r, c);
    c->subject = name_read(r, c);
    c->spki = der_take_whole(r, DER_TAG_SEQUENCE);
    struct span unique_id, extensions;
    if (version >= 1) {
        der_take_if(r, DER_TAG_CONTEXT_PRIMITIVE(1), &unique_id);
        der_take_if(r, DER_TAG_CONTEXT_PRIMITIVE(2), &unique_id);
    }
    if (version == 2 && der_take_if(r, DER_TAG_CONTEXT(3), &extensions)) {
        struct rd inner = rd_over(extensions);
        ekcert_extensions_read(&inner, c);
        der_close(r, &inner);
    }
    return algorithm;
}

enum err ekcert_read(struct span bytes, struct ekcert *ret_cert)
{
    struct ekcert c = {.path_len = EKCERT_NO_PATH_LEN};
    struct rd all = rd_over(stored_header_skip(bytes, &c.oddities));
    struct span from = all.rest;
    struct rd cert = der_open(&all, DER_TAG_SEQUENCE);
    if (all.bad || from.len - all.rest.len > EKCERT_CAP || !is_padding(all.rest))
        return ERR_CERTIFICATE;
    c.oddities |= all.rest.len > 0 ? EKCERT_ODD_PADDING : 0;
    c.der = span_slice(from, 0, from.len - all.rest.len);

    c.tbs = der_take_whole(&cert, DER_TAG_SEQUENCE);
    struct rd outer = rd_over(c.tbs);
    struct rd tbs = der_open(&outer, DER_TAG_SEQUENCE);
    struct span algorithm = tbs_read(&tbs, &c);
    der_close(&cert, &tbs);
    struct span again = cert.rest;
    ekcert_algorithm_read(&cert, &c.signature, &c.oddities);
    c.algorithms_agree = span_equal(algorithm, span_slice(again, 0, again.len - cert.rest.len));
    c.signature.value = der_bits(&cert);
    if (rd_end(&cert) != ERR_OK)
        return ERR_CERTIFICATE;
    ekcert_key_read(c.spki, &c);
    if (c.tpm.manufacturer == 0 && !c.ca)
        c.oddities |= EKCERT_ODD_MANUFACTURER;
    *ret_cert = c;
    return ERR_OK;
}
