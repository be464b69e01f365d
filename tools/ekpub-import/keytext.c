#include "keytext.h"

#include <string.h>
#include <wire/text.h>

#define PEM_BEGIN "-----BEGIN "
#define PEM_END "-----END "
#define PEM_DASHES "-----"

static enum err refuse(enum err e, struct import_reason *ret_reason, const char *why)
{
    import_reason_set(ret_reason, "%s", why);
    return e;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span s)
{
    while (s.len > 0 && is_space(s.at[0]))
        s = span_slice(s, 1, s.len);
    while (s.len > 0 && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

static bool take_start(struct span *s, struct span start)
{
    if (!span_starts_with(*s, start))
        return false;
    *s = span_slice(*s, start.len, s->len);
    return true;
}

static bool take_end(struct span *s, struct span end)
{
    if (s->len < end.len || !span_equal(span_slice(*s, s->len - end.len, end.len), end))
        return false;
    s->len -= end.len;
    return true;
}

/* The base64 between the two lines of one block, trimmed at both ends of the text. */
static enum err pem_body(struct span text, struct span *ret_body, struct import_reason *ret_reason)
{
    static const char *const labels[] = {"PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE",
                                         "X509 CERTIFICATE", "TRUSTED CERTIFICATE"};
    (void)take_start(&text, SPAN_LITERAL(PEM_BEGIN));
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        struct span rest = text, label = span_text(labels[i]);
        if (!take_start(&rest, label) || !take_start(&rest, SPAN_LITERAL(PEM_DASHES)))
            continue;
        if (!take_end(&rest, SPAN_LITERAL(PEM_DASHES)) || !take_end(&rest, label) ||
            !take_end(&rest, SPAN_LITERAL(PEM_END)))
            return refuse(ERR_ENCODING, ret_reason, "the PEM has no end line");
        *ret_body = rest;
        return ERR_OK;
    }
    return refuse(ERR_ENCODING, ret_reason,
                  "the PEM is not a PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE");
}

static enum err pem_bytes(struct span text, struct buf *out, struct import_reason *ret_reason)
{
    uint8_t base64[IMPORT_ROW_CAP];
    struct buf joined = BUF_OVER(base64);
    struct span body;
    TRY(pem_body(text, &body, ret_reason));
    for (size_t i = 0; i < body.len; i++)
        if (!is_space(body.at[i]))
            buf_put_u8(&joined, body.at[i]);
    if (joined.full || base64_read(buf_span(&joined), out) != ERR_OK)
        return refuse(ERR_ENCODING, ret_reason, "the PEM is not canonical base64");
    return ERR_OK;
}

enum err keytext_bytes(struct span text, struct buf *out, struct import_reason *ret_reason)
{
    struct span trimmed = trim(text);
    if (span_starts_with(trimmed, SPAN_LITERAL(PEM_BEGIN)))
        return pem_bytes(trimmed, out, ret_reason);
    if (base64_read(text, out) != ERR_OK)
        return refuse(ERR_ENCODING, ret_reason, "neither canonical base64 nor PEM");
    return ERR_OK;
}

enum err keytext_read(struct span text, enum tpm_key_role role, struct tpm_public *ret_pub,
                      struct import_reason *ret_reason)
{
    uint8_t bytes[KEYTEXT_BYTES_CAP];
    struct buf out = BUF_OVER(bytes);
    TRY(keytext_bytes(text, &out, ret_reason));
    return keybytes_read(buf_span(&out), role, ret_pub, ret_reason);
}

enum err keytext_column_bytes(const struct import_row *row, enum import_column column,
                              uint8_t *scratch, struct span *ret_bytes,
                              struct import_reason *ret_reason)
{
    struct buf out = buf_over(scratch, KEYTEXT_BYTES_CAP);
    struct span field = row->fields[column];
    if ((row->raw & 1u << column) == 0) {
        TRY(keytext_bytes(field, &out, ret_reason));
        field = buf_span(&out);
    }
    *ret_bytes = field;
    return ERR_OK;
}

enum err keytext_column_read(const struct import_row *row, enum import_column column,
                             enum tpm_key_role role, struct tpm_public *ret_pub,
                             struct import_reason *ret_reason)
{
    uint8_t scratch[KEYTEXT_BYTES_CAP];
    struct span bytes;
    TRY(keytext_column_bytes(row, column, scratch, &bytes, ret_reason));
    return keybytes_read(bytes, role, ret_pub, ret_reason);
}
