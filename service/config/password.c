#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/pwdbased.h>

#include <config.h>
#include <wire/text.h>

#define SCHEME "pbkdf2-sha256"
#define SALT_LEN 16
#define HASH_LEN 32
#define ITERATIONS 20000
#define ITERATIONS_MAX 1000000 /* a stored number cannot hang the check */
#define PASSWORD_MAX 256

static enum err derive(struct span password, const uint8_t salt[SALT_LEN], int iterations,
                       uint8_t ret_hash[HASH_LEN])
{
    if (password.len > PASSWORD_MAX)
        return ERR_UNAUTHORIZED;
    int rc = wc_PBKDF2(ret_hash, password.at, (int)password.len, salt, SALT_LEN, iterations,
                       HASH_LEN, WC_SHA256);
    return rc == 0 ? ERR_OK : ERR_CRYPTO;
}

static enum err read_exactly(struct span base64, uint8_t *ret_bytes, size_t len)
{
    struct buf b = buf_over(ret_bytes, len);
    TRY(base64_read(base64, &b));
    return b.len == len ? ERR_OK : ERR_ENCODING;
}

struct stored {
    uint8_t salt[SALT_LEN], hash[HASH_LEN];
    int64_t iterations;
};

static enum err read_stored(const char *text, struct stored *ret_stored)
{
    struct span rest = span_text(text);
    struct span scheme = span_cut(&rest, '$');
    struct span iterations = span_cut(&rest, '$');
    struct span salt = span_cut(&rest, '$');
    if (!span_equal(scheme, SPAN_LITERAL(SCHEME)))
        return ERR_ENCODING;
    TRY(decimal_read(iterations, &ret_stored->iterations));
    if (ret_stored->iterations < 1 || ret_stored->iterations > ITERATIONS_MAX)
        return ERR_ENCODING;
    TRY(read_exactly(salt, ret_stored->salt, SALT_LEN));
    return read_exactly(rest, ret_stored->hash, HASH_LEN);
}

enum err config_password_check(const char *stored, struct span password)
{
    struct stored s;
    uint8_t hash[HASH_LEN];
    if (read_stored(stored, &s) != ERR_OK)
        return ERR_UNAUTHORIZED;
    TRY(derive(password, s.salt, (int)s.iterations, hash));
    bool same = span_equal_constant_time(SPAN_ARRAY(hash), SPAN_ARRAY(s.hash));
    bytes_wipe(hash, sizeof hash);
    return same ? ERR_OK : ERR_UNAUTHORIZED;
}

enum err config_password_hash(struct span password, const uint8_t salt[16], struct buf *ret_stored)
{
    uint8_t hash[HASH_LEN];
    TRY(derive(password, salt, ITERATIONS, hash));
    buf_put_text(ret_stored, SCHEME "$");
    buf_put_decimal(ret_stored, ITERATIONS);
    buf_put_u8(ret_stored, '$');
    base64_write(ret_stored, span_of(salt, SALT_LEN));
    buf_put_u8(ret_stored, '$');
    base64_write(ret_stored, SPAN_ARRAY(hash));
    return buf_end_text(ret_stored);
}
