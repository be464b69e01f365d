#include "ekpolicy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire/text.h>

#include "keytext.h"

#define TRUST_FILE_CAP (64 * 1024 * 1024) /* CRLs grow */

_Static_assert((int)EKCERT_CERTIFICATE == (int)STORE_EK_CERTIFICATE &&
                   (int)EKCERT_CERTIFICATE_TRUSTED == (int)STORE_EK_CERTIFICATE_TRUSTED,
               "the store keeps these grades");

static enum err refuse(enum err e, struct import_reason *reason, const char *why)
{
    import_reason_set(reason, "%s: %s", import_column_name(COLUMN_EK_CERTIFICATE), why);
    return e;
}

/* ---- rows ---- */

static void move_field(struct import_row *row, enum import_column from, enum import_column to)
{
    uint32_t raw = row->raw >> from & 1u;
    row->fields[to] = row->fields[from];
    row->fields[from] = span_of(NULL, 0);
    row->raw = (row->raw & ~(1u << from) & ~(1u << to)) | raw << to;
}

void ekpolicy_prepare(struct import_row *row)
{
    if (row->fields[COLUMN_ENDORSEMENT_KEY].len == 0 && row->fields[COLUMN_EK_CERTIFICATE].len > 0)
        move_field(row, COLUMN_EK_CERTIFICATE, COLUMN_ENDORSEMENT_KEY);
}

/* The bytes of the row's certificate, if it has one; else none. */
static enum err find_certificate(const struct import_item *item, uint8_t *scratch,
                                 struct span *ret_bytes, enum import_column *ret_column,
                                 struct import_reason *reason)
{
    const struct import_row *row = &item->row;
    *ret_bytes = span_of(NULL, 0);
    *ret_column = COLUMN_EK_CERTIFICATE;
    if (row->fields[COLUMN_EK_CERTIFICATE].len > 0)
        return keytext_column_bytes(row, COLUMN_EK_CERTIFICATE, scratch, ret_bytes, reason);
    *ret_column = COLUMN_ENDORSEMENT_KEY;
    if (row->fields[COLUMN_ENDORSEMENT_KEY].len <= BASE64_LEN(TPM_PUBLIC_CAP))
        return ERR_OK; /* no certificate is as short: spares most keys being decoded again */
    TRY(keytext_column_bytes(row, COLUMN_ENDORSEMENT_KEY, scratch, ret_bytes, reason));
    if (keybytes_guess(*ret_bytes) != KEYBYTES_CERTIFICATE)
        *ret_bytes = span_of(NULL, 0);
    return ERR_OK;
}

/* Into the block, over the text it was decoded from, which is longer and not needed any more. */
static struct span keep(struct span der, struct span field)
{
    uint8_t *at = (uint8_t *)(uintptr_t)field.at; /* the block's memory, this row's part of it */
    ERR_ASSERT(der.len <= field.len);
    memmove(at, der.at, der.len);
    return span_of(at, der.len);
}

static void take_vendor(struct import_item *item, const struct ekcert_tpm *tpm)
{
    const char *name = ekcert_vendor_name(tpm->manufacturer);
    (void)snprintf(item->vendor, sizeof item->vendor, "%s", name != NULL ? name : tpm->vendor);
}

static void note_oddities(struct import_reason *reason, uint32_t oddities)
{
    struct buf text = buf_over(reason->text, sizeof reason->text);
    for (unsigned bit = 0; bit < 32; bit++) {
        if ((oddities & 1u << bit) == 0)
            continue;
        buf_put_text(&text, text.len == 0 ? "ekCertificate: " : "; ");
        buf_put_text(&text, ekcert_oddity_text((enum ekcert_oddity)(1u << bit)));
    }
    reason->text[text.len < sizeof reason->text ? text.len : sizeof reason->text - 1] = 0;
}

static enum err judge(const struct ekpolicy *p, const struct ekcert *c, int64_t now_s,
                      struct import_item *item)
{
    struct ekcert_verdict v;
    struct tpm_public ek;
    TRY(tpm_public_read(span_of(item->enrollment.ek, item->enrollment.ek_len), &ek));
    ekcert_judge(p->trust, c, &ek, &p->rules, now_s, &v);
    bool wanting =
        p->use == EKPOLICY_REQUIRE && p->trust != NULL && v.grade != EKCERT_CERTIFICATE_TRUSTED;
    if (v.refused || wanting)
        return refuse(ERR_CERTIFICATE, &item->reason, ekcert_reason_text(v.reason));
    item->enrollment.ek_grade = (enum store_ek_grade)v.grade;
    note_oddities(&item->reason, v.oddities);
    return ERR_OK;
}

enum err ekpolicy_apply(const struct ekpolicy *p, int64_t now_s, struct import_item *item)
{
    uint8_t scratch[KEYTEXT_BYTES_CAP];
    struct import_reason why = {""};
    struct span bytes;
    enum import_column column;
    struct ekcert c;
    if (p->use == EKPOLICY_IGNORE)
        return ERR_OK;
    enum err e = find_certificate(item, scratch, &bytes, &column, &why);
    if (e != ERR_OK)
        return refuse(e, &item->reason, why.text);
    if (bytes.len == 0)
        return p->use == EKPOLICY_REQUIRE ? refuse(ERR_CERTIFICATE, &item->reason, "there is none")
                                          : ERR_OK;
    e = ekcert_read(bytes, &c);
    if (e != ERR_OK)
        return refuse(e, &item->reason, err_text(e));
    TRY(judge(p, &c, now_s, item));
    take_vendor(item, &c.tpm);
    item->ek_certificate = keep(c.der, item->row.fields[column]);
    return ERR_OK;
}

/* ---- trust ---- */

static void file_release(FILE **f)
{
    if (*f != NULL)
        (void)fclose(*f);
}

static void bytes_release(uint8_t **bytes)
{
    free(*bytes);
}

/* All of it, however long, up to the cap. */
static enum err read_file(const char *file, uint8_t **ret_bytes, size_t *ret_len)
{
    __attribute__((cleanup(file_release))) FILE *f = fopen(file, "rbe");
    __attribute__((cleanup(bytes_release))) uint8_t *bytes = NULL;
    size_t len = 0, cap = 0;
    while (f != NULL && feof(f) == 0 && ferror(f) == 0) {
        if (len == cap) {
            cap = cap > 0 ? 2 * cap : 65536;
            uint8_t *more = cap <= TRUST_FILE_CAP ? realloc(bytes, cap) : NULL;
            if (more == NULL)
                return ERR_MEMORY;
            bytes = more;
        }
        len += fread(bytes + len, 1, cap - len, f);
    }
    if (f == NULL || ferror(f) != 0)
        return ERR_IO;
    *ret_bytes = bytes;
    *ret_len = len;
    bytes = NULL;
    return ERR_OK;
}

enum err ekpolicy_trust_add(struct ekpolicy *p, const char *file, struct import_reason *ret_reason)
{
    __attribute__((cleanup(bytes_release))) uint8_t *bytes = NULL;
    size_t len = 0;
    char safe[120];
    import_text_safe(span_text(file), safe, sizeof safe);
    enum err e = p->trust == NULL ? ekcert_trust_open(&p->trust) : ERR_OK;
    if (e == ERR_OK)
        e = read_file(file, &bytes, &len);
    if (e != ERR_OK) {
        import_reason_set(ret_reason, "%s: %s", safe, e == ERR_IO ? strerror(errno) : err_text(e));
        return e;
    }
    e = ekcert_trust_add(p->trust, EKCERT_TRUST_ROOTS, span_of(bytes, len));
    if (e == ERR_OK)
        return ERR_OK;
    import_reason_set(ret_reason, "%s: block %u: %s", safe, ekcert_trust_blocks(p->trust),
                      e == ERR_ABSENT ? "no certificate and no CRL" : err_text(e));
    return e == ERR_MEMORY ? e : ERR_CONFIG;
}

void ekpolicy_close(struct ekpolicy *p)
{
    ekcert_trust_close(p->trust);
    p->trust = NULL;
}
