#include "crypto.h"

/* version, nonce, ciphertext, tag. Random nonces of 96 bits: good for far more values than a database
 * holds (NIST SP 800-38D, 8.3: 2^32). */
#define SEAL_VERSION 1
#define NONCE_LEN 12
#define TAG_LEN 16
_Static_assert(ATTEST_SEAL_OVERHEAD == 1 + NONCE_LEN + TAG_LEN, "the overhead is what is added");

static void aes_drop(Aes *aes)
{
    wc_AesFree(aes);
    bytes_wipe(aes, sizeof *aes);
}

enum err attest_seal(struct attest *a, const struct secret *key, struct span place,
                     struct span plain, struct buf *out)
{
    __attribute__((cleanup(aes_drop))) Aes aes;
    uint8_t nonce[NONCE_LEN];
    size_t len = out->len;
    ERR_ASSERT(key->len == ATTEST_KEY_LEN && plain.len <= ATTEST_SEAL_PLAIN_CAP);
    TRY(attest_random(a, nonce, sizeof nonce));
    buf_put_u8(out, SEAL_VERSION);
    buf_put(out, SPAN_ARRAY(nonce));
    uint8_t *cipher = buf_reserve(out, plain.len + TAG_LEN);
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0)
        return ERR_CRYPTO;
    if (cipher == NULL)
        return ERR_FULL;
    if (wc_AesGcmSetKey(&aes, key->at, (word32)key->len) != 0 ||
        wc_AesGcmEncrypt(&aes, cipher, plain.at, (word32)plain.len, nonce, sizeof nonce,
                         cipher + plain.len, TAG_LEN, place.at, (word32)place.len) != 0) {
        out->len = len;
        return ERR_CRYPTO;
    }
    return ERR_OK;
}

static enum err open_into(Aes *aes, const struct secret *key, struct span place,
                          struct span nonce, struct span cipher, struct span tag, uint8_t *ret_plain)
{
    if (wc_AesGcmSetKey(aes, key->at, (word32)key->len) != 0 ||
        wc_AesGcmDecrypt(aes, ret_plain, cipher.at, (word32)cipher.len, nonce.at, (word32)nonce.len,
                         tag.at, (word32)tag.len, place.at, (word32)place.len) != 0)
        return ERR_CRYPTO;
    return ERR_OK;
}

enum err attest_unseal(const struct secret *key, struct span place, struct span sealed,
                       struct buf *out)
{
    __attribute__((cleanup(aes_drop))) Aes aes;
    uint8_t plain[ATTEST_SEAL_PLAIN_CAP];
    struct rd r = rd_over(sealed);
    if (sealed.len < ATTEST_SEAL_OVERHEAD ||
        sealed.len > ATTEST_SEAL_PLAIN_CAP + ATTEST_SEAL_OVERHEAD || rd_u8(&r) != SEAL_VERSION)
        return ERR_CRYPTO;
    struct span nonce = rd_take(&r, NONCE_LEN);
    struct span cipher = rd_take(&r, r.rest.len - TAG_LEN);
    struct span tag = rd_take(&r, TAG_LEN);
    ERR_ASSERT(key->len == ATTEST_KEY_LEN);
    TRY(rd_end(&r));
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0)
        return ERR_CRYPTO;
    enum err e = open_into(&aes, key, place, nonce, cipher, tag, plain);
    if (e == ERR_OK)
        buf_put(out, span_of(plain, cipher.len));
    bytes_wipe(plain, sizeof plain);
    return e == ERR_OK && out->full ? ERR_FULL : e;
}
