/* Purpose: shared access signatures: "SharedAccessSignature sr=…&sig=…&se=…&skn=…".
 *
 * sig is HMAC-SHA-256 over sr exactly as sent, a line feed, and se exactly as sent. The fields come
 * in any order; skn may be absent. Spans of a token point into the text that was read.
 */
#ifndef WIRE_SAS_H
#define WIRE_SAS_H

#include <wire/bytes.h>

#define SAS_SIGNATURE_LEN 32
#define SAS_TOKEN_CAP 1024
#define SAS_SKEW_S 300             /* clocks may differ by this much */
#define SAS_LIFETIME_MAX_S 90000   /* the longest token any SDK makes is a day; an hour over */

struct sas_token {
    struct span sr;
    struct span se;
    struct span skn; /* the policy's name, escaped; empty: none */
    uint8_t signature[SAS_SIGNATURE_LEN];
    int64_t expiry_s; /* se, seconds since 1970 */
};

/* Refuses a missing or repeated field, an unknown one, a signature that is not 32 bytes, an expiry
 * that is not a plain decimal: ERR_UNAUTHORIZED for all. */
MUST_USE enum err sas_token_read(struct span text, struct sas_token *ret_token);

/* Whether the token was signed with key: constant time. ERR_UNAUTHORIZED, ERR_CRYPTO. */
MUST_USE enum err sas_token_check_signature(const struct sas_token *token, struct span key);
/* Whether sr, percent-decoded, is `resource`, ignoring case. ERR_UNAUTHORIZED. */
MUST_USE enum err sas_token_check_resource(const struct sas_token *token, struct span resource);
/* Not expired by more than the skew, not valid for longer than SAS_LIFETIME_MAX_S plus the skew.
 * ERR_UNAUTHORIZED. */
MUST_USE enum err sas_token_check_expiry(const struct sas_token *token, int64_t now_s);

/* What is to be signed, and the token around the signature. sr is written as given: escape first.
 * skn may be empty: then it is left out. */
void sas_message_write(struct buf *out, struct span sr, int64_t expiry_s);
void sas_token_write(struct buf *out, struct span sr, const uint8_t signature[SAS_SIGNATURE_LEN],
                     int64_t expiry_s, struct span skn);

/* HMAC-SHA-256, for both sides of a token. ERR_CRYPTO. */
MUST_USE enum err sas_sign(struct span key, struct span message,
                           uint8_t ret_signature[SAS_SIGNATURE_LEN]);

#endif
