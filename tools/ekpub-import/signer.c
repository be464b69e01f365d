#include <wolfssl/options.h>

#include "signer.h"

#include <ekcert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "keytext.h"
#include "pem.h"

#define FILE_CAP 65536

struct jws_signers {
    size_t count;
    ecc_key keys[SIGNERS_MAX];
};

static void file_release(FILE **f)
{
    if (*f != NULL)
        (void)fclose(*f);
}

static enum err refuse(enum err e, const char *file, const char *why,
                       struct import_reason *ret_reason)
{
    char safe[120];
    import_text_safe(span_text(file), safe, sizeof safe);
    import_reason_set(ret_reason, "%s: %.120s", safe, why);
    return e;
}

static enum err add_point(struct jws_signers *s, struct span point)
{
    if (s->count == SIGNERS_MAX)
        return ERR_FULL;
    ecc_key *key = &s->keys[s->count];
    if (wc_ecc_init(key) != 0)
        return ERR_MEMORY;
    s->count++;
    if (wc_ecc_import_x963_ex(point.at, (word32)point.len, key, ECC_SECP256R1) != 0 ||
        wc_ecc_check_key(key) != 0)
        return ERR_KEY_SHAPE;
    return ERR_OK;
}

static enum err add_bytes(struct jws_signers *s, struct span bytes)
{
    struct ekcert c;
    if (keybytes_guess(bytes) == KEYBYTES_CERTIFICATE)
        TRY(ekcert_read(bytes, &c));
    else
        ekcert_public_key_read(bytes, &c);
    return c.key == EKCERT_KEY_ECC_P256 ? add_point(s, c.point) : ERR_KEY_SHAPE;
}

static enum err add_text(struct jws_signers *s, struct span text)
{
    struct span block;
    if (!pem_is_text(text))
        return add_bytes(s, text);
    while (pem_block_take(&text, &block)) {
        uint8_t bytes[KEYTEXT_BYTES_CAP];
        struct buf out = BUF_OVER(bytes);
        struct import_reason why;
        TRY(keytext_bytes(block, &out, &why));
        TRY(add_bytes(s, buf_span(&out)));
    }
    return ERR_OK;
}

static enum err add_file(struct jws_signers *s, const char *file, struct import_reason *ret_reason)
{
    static uint8_t bytes[FILE_CAP];
    __attribute__((cleanup(file_release))) FILE *f = fopen(file, "rbe");
    size_t len = f == NULL ? 0 : fread(bytes, 1, sizeof bytes, f);
    if (f == NULL || ferror(f) != 0)
        return refuse(ERR_IO, file, strerror(errno), ret_reason);
    enum err e = len == sizeof bytes ? ERR_FULL : add_text(s, span_of(bytes, len));
    if (e == ERR_OK)
        return ERR_OK;
    return refuse(e == ERR_MEMORY ? e : ERR_CONFIG, file,
                  "not a certificate or public key of a P-256 signer", ret_reason);
}

enum err jws_signers_open(const char *const *files, size_t count, struct jws_signers **ret_signers,
                          struct import_reason *ret_reason)
{
    struct jws_signers *s = calloc(1, sizeof *s);
    if (s == NULL)
        return refuse(ERR_MEMORY, "", err_text(ERR_MEMORY), ret_reason);
    for (size_t i = 0; i < count; i++) {
        enum err e = add_file(s, files[i], ret_reason);
        if (e != ERR_OK) {
            jws_signers_close(s);
            return e;
        }
    }
    *ret_signers = s;
    return ERR_OK;
}

void jws_signers_close(struct jws_signers *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        (void)wc_ecc_free(&s->keys[i]);
    free(s);
}

static bool hash_input(struct span protected_text, struct span payload_text,
                       uint8_t ret_hash[WC_SHA256_DIGEST_SIZE])
{
    wc_Sha256 sha;
    if (wc_InitSha256(&sha) != 0)
        return false;
    bool good = wc_Sha256Update(&sha, protected_text.at, (word32)protected_text.len) == 0 &&
                wc_Sha256Update(&sha, (const uint8_t *)".", 1) == 0 &&
                wc_Sha256Update(&sha, payload_text.at, (word32)payload_text.len) == 0 &&
                wc_Sha256Final(&sha, ret_hash) == 0;
    wc_Sha256Free(&sha);
    return good;
}

bool signers_verify(const struct jws_signers *s, struct span protected_text,
                    struct span payload_text, const uint8_t signature[SIGNER_SIGNATURE_LEN])
{
    uint8_t hash[WC_SHA256_DIGEST_SIZE], der[ECC_MAX_SIG_SIZE];
    word32 der_len = sizeof der;
    if (!hash_input(protected_text, payload_text, hash) ||
        wc_ecc_rs_raw_to_sig(signature, 32, signature + 32, 32, der, &der_len) != 0)
        return false;
    for (size_t i = 0; i < s->count; i++) {
        int good = 0;
        ecc_key *key = (ecc_key *)(uintptr_t)&s->keys[i]; /* wolfCrypt's argument is not const */
        if (wc_ecc_verify_hash(der, der_len, hash, sizeof hash, &good, key) == 0 && good == 1)
            return true;
    }
    return false;
}
