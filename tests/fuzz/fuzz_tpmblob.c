/* A blob that is read, written again, is the same; its six fields and their sizes are all of it. */
#include "fuzz.h"

#include <wire/tpmblob.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[8192];
    if (size > sizeof bytes)
        return 0;
    struct tpmblob blob;
    enum err e = tpmblob_read(span_of(data, size), &blob);
    MUST_HOLD(e == ERR_OK || e == ERR_TRUNCATED || e == ERR_TRAILING || e == ERR_PROTOCOL);
    if (e != ERR_OK)
        return 0;
    size_t sum = blob.credential.len + blob.credential_secret.len + blob.duplicate.len +
                 blob.duplicate_secret.len + blob.public_area.len + blob.trailer.len;
    MUST_HOLD(sum + 12 == size);
    struct buf out = BUF_OVER(bytes);
    tpmblob_write(&out, &blob);
    MUST_HOLD(buf_end(&out) == ERR_OK && span_equal(span_of(data, size), buf_span(&out)));

    if (tpmblob_identity_public_check(blob.public_area) == ERR_OK) {
        uint8_t area[TPMBLOB_IDENTITY_PUBLIC_LEN];
        struct buf again = BUF_OVER(area);
        tpmblob_identity_public_write(&again, blob.public_area.at + 16);
        MUST_HOLD(span_equal(blob.public_area, buf_span(&again)));
    }
    return 0;
}
