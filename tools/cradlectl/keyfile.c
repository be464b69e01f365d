#include "keyfile.h"

#include <ekcert.h>
#include <stdio.h>
#include <string.h>
#include <wire/text.h>

static enum err file_read(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return ERR_IO;
    size_t got = fread(out->at, 1, out->cap, f);
    bool whole = got < out->cap && ferror(f) == 0;
    bool failed = ferror(f) != 0;
    (void)fclose(f);
    out->len = got;
    return whole ? ERR_OK : failed ? ERR_IO : ERR_FULL;
}

enum err keyfile_text(const char *path, char *ret_text, size_t cap)
{
    struct buf b = buf_over(ret_text, cap);
    TRY(file_read(path, &b));
    return buf_end_text(&b);
}

/* The challengeable key of a certificate or of a public key by itself. */
static enum err from_der(struct span der, struct tpm_public *ret_pub)
{
    struct ekcert cert;
    if (ekcert_read(der, &cert) != ERR_OK)
        ekcert_public_key_read(der, &cert);
    if (!cert.challengeable)
        return ERR_KEY_SHAPE;
    *ret_pub = cert.ek;
    return ERR_OK;
}

static struct span trimmed(struct span s)
{
    while (s.len > 0 && (s.at[s.len - 1] == '\n' || s.at[s.len - 1] == '\r' || s.at[s.len - 1] == ' '))
        s.len--;
    return s;
}

static enum err any_read(struct span file, struct tpm_public *ret_pub)
{
    uint8_t bytes[EKCERT_CAP];
    struct buf der = BUF_OVER(bytes), decoded = BUF_OVER(bytes);
    enum ekcert_pem kind;
    struct span text = file;
    if (tpm_public_read(file, ret_pub) == ERR_OK)
        return ERR_OK;
    if (ekcert_pem_next(&text, &der, &kind) == ERR_OK)
        return from_der(buf_span(&der), ret_pub);
    if (base64_read(trimmed(file), &decoded) == ERR_OK &&
        tpm_public_read(buf_span(&decoded), ret_pub) == ERR_OK)
        return ERR_OK;
    return from_der(file, ret_pub);
}

enum err keyfile_read(const char *path, enum tpm_key_role role, char ret_base64[KEYFILE_TEXT_CAP])
{
    uint8_t bytes[EKCERT_CAP];
    struct buf file = BUF_OVER(bytes), out = buf_over(ret_base64, KEYFILE_TEXT_CAP);
    struct tpm_public pub;
    TRY(file_read(path, &file));
    TRY(any_read(buf_span(&file), &pub));
    TRY(tpm_public_check_role(&pub, role));
    base64_write(&out, span_of(pub.raw, pub.raw_len));
    return buf_end_text(&out);
}
