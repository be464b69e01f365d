#include "importrows.h"

#include <keytext.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wire/text.h>

#include "../vectors/protocol.h"
#include "../vectors/rsa.h"
#include "unit.h"

#define SPKI_P256 "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
#define SPKI_RSA_BEFORE "30820122300d06092a864886f70d01010105000382010f003082010a0282010100"
#define SPKI_RSA_AFTER "0203010001"
/* A certificate for the curve's generator, that is key e, by a key that is gone. */
static const char certificate_text[] =
    "MIIBfzCCASagAwIBAgIBBzAKBggqhkjOPQQDAjARMQ8wDQYDVQQDDAZWZW5kb3IwIBcNMj"
    "YxMTIyMDA1NDAxWhgPMjEyNTA2MTYwMDU0MDFaMAwxCjAIBgNVBAMMAXgwWTATBgcqhkjO"
    "PQIBBggqhkjOPQMBBwNCAARrF9Hy4SxCR/i85uVjpEDydwN9gS3rM6D0oTlF2JjClk/jQu"
    "L+Gn+bjufrSnwPnhYrzjNXazFezsu2QGg3v1H1o3IwcDAMBgNVHRMBAf8EAjAAMA4GA1Ud"
    "DwEB/wQEAwIDCDAQBgNVHSUECTAHBgVngQUIATAdBgNVHQ4EFgQUtGejmZ6176Zx3gAy8I"
    "qcnl79oOEwHwYDVR0jBBgwFoAUzuKop7YCcsSVoN6uPjcrCE+QickwCgYIKoZIzj0EAwID"
    "RwAwRAIgMp2wNwYzb0iju3ZfCl3gEXKxgaCen7jzIDStPi/G62ICIF0hj3p8gmVNHiJEQs"
    "yodzU2FM/ESND9WDzPwrsgCnr2";

static struct tpm_public key_of(char mark)
{
    uint8_t key[TPM_RSA_LEN];
    struct tpm_public pub;
    struct span k = mark == 'r'   ? UNHEX(VECTOR_RSA_EK_N, key)
                    : mark == 'e' ? UNHEX(VECTOR_P256_GX VECTOR_P256_GY, key)
                                  : UNHEX(VECTOR_P256_2GX VECTOR_P256_2GY, key);
    assert_ok(tpm_public_from_key(TPM_ROLE_EK, mark == 'r' ? TPM_KEY_RSA_2048 : TPM_KEY_ECC_P256, k,
                                  &pub));
    return pub;
}

struct span importrows_bytes(char mark)
{
    static uint8_t bytes[7][1024];
    static const char marks[] = "efrEFRc";
    const char *at = strchr(marks, mark);
    assert_non_null(at);
    uint8_t *room = bytes[at - marks];
    struct buf out = buf_over(room, sizeof bytes[0]);
    if (strchr("efr", mark) != NULL) {
        struct tpm_public pub = key_of(mark);
        buf_put(&out, span_of(pub.raw, pub.raw_len));
        return buf_span(&out);
    }
    if (mark == 'c') {
        assert_ok(base64_read(span_text(certificate_text), &out));
        return buf_span(&out);
    }
    const char *hex = mark == 'E'   ? SPKI_P256 VECTOR_P256_GX VECTOR_P256_GY
                      : mark == 'F' ? SPKI_P256 VECTOR_P256_2GX VECTOR_P256_2GY
                                    : SPKI_RSA_BEFORE VECTOR_RSA_EK_N SPKI_RSA_AFTER;
    return unhex(hex, room, sizeof bytes[0]);
}

static void put_pem(struct buf *out, const char *label, struct span der)
{
    char text[2000];
    struct buf body = BUF_OVER(text);
    base64_write(&body, der);
    buf_put_text(out, "-----BEGIN ");
    buf_put_text(out, label);
    buf_put_text(out, "-----\n");
    for (struct span rest = buf_span(&body); rest.len > 0; rest = span_slice(rest, 64, rest.len)) {
        buf_put(out, span_slice(rest, 0, 64));
        buf_put_text(out, "\n");
    }
    buf_put_text(out, "-----END ");
    buf_put_text(out, label);
    buf_put_text(out, "-----\n");
}

static void put_mark(struct buf *out, char mark)
{
    if (mark == '$')
        buf_put_u8(out, '$');
    else if (mark == 'E' || mark == 'F')
        put_pem(out, "PUBLIC KEY", importrows_bytes(mark));
    else if (mark == 'C')
        put_pem(out, "CERTIFICATE", importrows_bytes('c'));
    else if (mark == 'x' || mark == 'X')
        hex_write(out, importrows_bytes(mark == 'x' ? 'F' : 'c'));
    else
        base64_write(out, importrows_bytes(mark));
}

struct span importrows_text(const char *text, struct buf *out)
{
    size_t from = out->len;
    for (; *text != 0; text++)
        if (*text != '$')
            buf_put_u8(out, (uint8_t)*text);
        else
            put_mark(out, *++text);
    assert_false(out->full);
    return span_of(out->at + from, out->len - from);
}

static void expect_key(const struct importrows_case *c, const struct import_row *row, char key)
{
    struct tpm_public got, want;
    struct import_reason why;
    if (key == '?' || key == '!' || key == 0) {
        bool there = row->fields[COLUMN_ENDORSEMENT_KEY].len > 0;
        if (there != (key != 0) || (key == '!' && keytext_column_read(row, COLUMN_ENDORSEMENT_KEY,
                                                                      TPM_ROLE_EK, &got, &why) == ERR_OK))
            fail_msg("%s: line %d: a key, or none", c->what, (int)row->line);
        return;
    }
    want = key_of(key);
    if (keytext_column_read(row, COLUMN_ENDORSEMENT_KEY, TPM_ROLE_EK, &got, &why) != ERR_OK)
        fail_msg("%s: line %d: key: %s", c->what, (int)row->line, why.text);
    if (!tpm_public_same_key(&want, &got))
        fail_msg("%s: line %d: another key", c->what, (int)row->line);
}

static void expect_certificate(const struct importrows_case *c, const struct import_row *row,
                               char certificate)
{
    static uint8_t scratch[KEYTEXT_BYTES_CAP];
    struct span got = {0};
    struct import_reason why;
    if (certificate == 0 && row->fields[COLUMN_EK_CERTIFICATE].len == 0)
        return;
    if (keytext_column_bytes(row, COLUMN_EK_CERTIFICATE, scratch, &got, &why) != ERR_OK ||
        certificate == 0 || !span_equal(got, importrows_bytes('c')))
        fail_msg("%s: line %d: not this certificate: %s", c->what, (int)row->line, why.text);
    if (keytext_column_bytes(row, COLUMN_ENDORSEMENT_KEY, scratch, &got, &why) == ERR_OK &&
        span_equal(got, importrows_bytes('c')))
        fail_msg("%s: line %d: the certificate in place of the key", c->what, (int)row->line);
}

static void expect_row(const struct importrows_case *c, const struct importrow *want,
                       const struct import_row *row)
{
    static uint8_t room[4 * IMPORT_ROW_CAP];
    struct buf out = BUF_OVER(room);
    const char *broken = want->broken != NULL ? want->broken : "";
    if (row->line != want->line)
        fail_msg("%s: line %d, not %d", c->what, (int)row->line, (int)want->line);
    if ((row->broken.text[0] != 0) != (broken[0] != 0) ||
        strstr(row->broken.text, broken) == NULL)
        fail_msg("%s: line %d: \"%s\", not \"%s\"", c->what, (int)row->line, row->broken.text,
                 broken);
    if (want->origin != NULL && !span_equal(row->origin, importrows_text(want->origin, &out)))
        fail_msg("%s: line %d: origin %.*s", c->what, (int)row->line, (int)row->origin.len,
                 (const char *)row->origin.at);
    if (broken[0] != 0 && want->id == NULL)
        return;
    if (!span_equal(row->fields[COLUMN_REGISTRATION_ID], span_text(want->id)))
        fail_msg("%s: line %d: id %.*s", c->what, (int)row->line,
                 (int)row->fields[COLUMN_REGISTRATION_ID].len,
                 (const char *)row->fields[COLUMN_REGISTRATION_ID].at);
    if (broken[0] != 0)
        return;
    expect_key(c, row, want->key);
    expect_certificate(c, row, want->certificate);
}

void importrows_expect_path(const struct importrows_case *c, const char *path,
                            const struct reader_options *given)
{
    struct reader_options options = {0};
    struct reader *reader = NULL;
    struct import_reason why;
    struct import_row row;
    if (given != NULL)
        options = *given;
    options.format = c->format;
    enum err e = reader_open(path, &options, &reader, &why);
    if (e != ERR_OK) {
        if (c->end == NULL || strstr(why.text, c->end) == NULL)
            fail_msg("%s: cannot be opened: %s", c->what, why.text);
        return;
    }
    for (size_t i = 0; i < 8 && c->rows[i].line > 0; i++) {
        e = reader_next(reader, &row);
        if (e != ERR_OK)
            fail_msg("%s: ends before row %zu: %s", c->what, i, reader_why(reader));
        expect_row(c, &c->rows[i], &row);
    }
    POISON(row);
    e = reader_next(reader, &row);
    assert_err_of(c->what, c->end == NULL ? ERR_ABSENT : ERR_IO, e);
    assert_poisoned(row);
    if (c->end != NULL && strstr(reader_why(reader), c->end) == NULL)
        fail_msg("%s: ends with \"%s\"", c->what, reader_why(reader));
    reader_close(reader);
}

void importrows_expect(const struct importrows_case *c, const struct reader_options *options)
{
    static uint8_t room[1 << 18];
    struct buf out = BUF_OVER(room);
    struct span bytes = c->text != NULL ? importrows_text(c->text, &out) : c->bytes;
    char path[40];
    int fd = memfd_create("input", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(bytes.len, write(fd, bytes.at, bytes.len));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    importrows_expect_path(c, path, options);
    assert_int_equal(0, close(fd));
}
