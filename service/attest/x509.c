#include <wolfssl/options.h>

#include "der_read.h"

#include <ekcert.h>
#include <string.h>
#include <wire/text.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <x509.h>

/* ---- names ---- */
static const struct {
    uint8_t last; /* of 2.5.4.x */
    const char *text;
} attributes[] = {
    {3, "CN"}, {6, "C"}, {7, "L"}, {8, "ST"}, {10, "O"}, {11, "OU"}, {5, "SERIALNUMBER"},
};

static const char *attribute_text(struct span oid)
{
    if (oid.len != 3 || oid.at[0] != 0x55 || oid.at[1] != 4)
        return NULL;
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (attributes[i].last == oid.at[2])
            return attributes[i].text;
    return NULL;
}

static void safe_put(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        buf_put_u8(out, text.at[i] >= 0x20 && text.at[i] < 0x7f ? text.at[i] : '?');
}

static void attribute_put(struct buf *out, struct span oid, struct span value)
{
    const char *text = attribute_text(oid);
    if (out->len > 0)
        buf_put_text(out, ", ");
    if (text == NULL) {
        buf_put_text(out, "OID.");
        hex_write(out, oid);
    } else {
        buf_put_text(out, text);
    }
    buf_put_u8(out, '=');
    safe_put(out, value);
}

static bool is_common_name(struct span oid)
{
    const char *text = attribute_text(oid);
    return text != NULL && span_equal(span_text(text), SPAN_LITERAL("CN"));
}

/* One that does not fit is cut: a sticky buf keeps what went in before. */
static void text_end(struct buf *b)
{
    size_t end = b->len < b->cap ? b->len : b->cap - 1;
    b->at[end] = 0;
}

/* Name ::= SEQUENCE OF SET OF SEQUENCE { type, value }. common_name may be NULL. */
static enum err name_write(struct span name, char ret_text[X509_NAME_CAP], char *common_name)
{
    struct rd whole = rd_over(name);
    struct rd sets = der_open(&whole, DER_TAG_SEQUENCE);
    struct buf out = buf_over(ret_text, X509_NAME_CAP);
    while (der_peek(&sets) >= 0 && !sets.bad) {
        struct rd set = der_open(&sets, DER_TAG_SET);
        while (der_peek(&set) >= 0 && !set.bad) {
            struct rd pair = der_open(&set, DER_TAG_SEQUENCE);
            struct span oid = der_take(&pair, DER_TAG_OID);
            struct span value = der_next(&pair).content;
            der_close(&set, &pair);
            attribute_put(&out, oid, value);
            if (common_name == NULL || !is_common_name(oid))
                continue;
            struct buf cn = buf_over(common_name, X509_NAME_CAP);
            safe_put(&cn, value);
            text_end(&cn);
        }
        der_close(&sets, &set);
    }
    der_close(&whole, &sets);
    text_end(&out);
    return rd_end(&whole) == ERR_OK ? ERR_OK : ERR_CERTIFICATE;
}

/* ---- the rest ---- */
static void upper_hex(struct span bytes, char *ret_text, size_t cap)
{
    struct buf out = buf_over(ret_text, cap);
    hex_write(&out, bytes);
    text_end(&out);
    for (char *c = ret_text; *c != 0; c++)
        if (*c >= 'a' && *c <= 'f')
            *c = (char)(*c - 'a' + 'A');
}

static enum err thumbprints(struct span der, struct x509_info *info)
{
    uint8_t sha1[20], sha256[32];
    if (wc_ShaHash(der.at, (word32)der.len, sha1) != 0 ||
        wc_Sha256Hash(der.at, (word32)der.len, sha256) != 0)
        return ERR_CRYPTO;
    upper_hex(SPAN_ARRAY(sha1), info->sha1_thumbprint, sizeof info->sha1_thumbprint);
    upper_hex(SPAN_ARRAY(sha256), info->sha256_thumbprint, sizeof info->sha256_thumbprint);
    return ERR_OK;
}

/* [0] EXPLICIT INTEGER at the head of the signed part; absent means 1. */
static int version_of(struct span tbs)
{
    struct rd whole = rd_over(tbs);
    struct rd r = der_open(&whole, DER_TAG_SEQUENCE);
    struct span version;
    if (!der_take_if(&r, DER_TAG_CONTEXT(0), &version))
        return 1;
    struct rd inner = rd_over(version);
    return (int)der_small(&inner) + 1;
}

enum err x509_info_read(struct span der, struct x509_info *ret_info)
{
    struct ekcert cert;
    struct x509_info info = {.common_name = ""};
    TRY(ekcert_read(der, &cert));
    if (cert.der.len != der.len)
        return ERR_CERTIFICATE;
    TRY(name_write(cert.subject, info.subject, info.common_name));
    TRY(name_write(cert.issuer, info.issuer, NULL));
    TRY(thumbprints(der, &info));
    upper_hex(cert.serial, info.serial, sizeof info.serial);
    info.not_before_s = cert.not_before_s;
    info.not_after_s = cert.not_after_s;
    info.version = version_of(cert.tbs);
    info.ca = cert.ca;
    *ret_info = info;
    return ERR_OK;
}

/* ---- as text ---- */
static enum err pem_read(struct span text, struct buf *out)
{
    enum ekcert_pem kind;
    uint8_t more[EKCERT_CAP];
    struct buf next = BUF_OVER(more);
    if (ekcert_pem_next(&text, out, &kind) != ERR_OK || kind != EKCERT_PEM_CERTIFICATE)
        return ERR_CERTIFICATE;
    return ekcert_pem_next(&text, &next, &kind) == ERR_ABSENT ? ERR_OK : ERR_CERTIFICATE;
}

static bool looks_like_pem(struct span s)
{
    for (size_t i = 0; i + 10 < s.len; i++)
        if (span_starts_with(span_slice(s, i, 10), SPAN_LITERAL("-----BEGIN")))
            return true;
    return false;
}

enum err x509_text_read(struct span text, struct buf *out)
{
    uint8_t raw[EKCERT_CAP];
    struct buf decoded = BUF_OVER(raw);
    if (looks_like_pem(text))
        return pem_read(text, out);
    if (base64_read(text, &decoded) != ERR_OK)
        return ERR_CERTIFICATE;
    if (looks_like_pem(buf_span(&decoded)))
        return pem_read(buf_span(&decoded), out);
    buf_put(out, buf_span(&decoded));
    return out->full ? ERR_FULL : ERR_OK;
}
