/* Fixed values of the protocol, computed twice by independent implementations (one with wolfCrypt
 * and Tss2_MU, one in Python). Runs of equal or consecutive bytes are made by vector_fill and
 * vector_count. All hexadecimal, unless it is text. */
#ifndef VECTORS_PROTOCOL_H
#define VECTORS_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* An RSA-2048 EK and SRK as made from the TCG default templates: these bytes, then the modulus. */
#define VECTOR_EK_RSA_PREFIX                                                                       \
    "013a 0001 000b 000300b2 0020"                                                                 \
    "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"                             \
    "0006 0080 0043 0010 0800 00000000 0100"
#define VECTOR_SRK_RSA_PREFIX "011a 0001 000b 00030472 0000 0006 0080 0043 0010 0800 00000000 0100"
#define VECTOR_EK_RSA_LEN 316
#define VECTOR_SRK_RSA_LEN 284
#define VECTOR_EK_MODULUS_BYTE 0xc3  /* 256 of them: not the modulus of any key */
#define VECTOR_SRK_MODULUS_BYTE 0xa5

/* The same of P-256; then two sized coordinates. */
#define VECTOR_EK_ECC_PREFIX                                                                       \
    "007a 0023 000b 000300b2 0020"                                                                 \
    "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"                             \
    "0006 0080 0043 0010 0003 0010"
#define VECTOR_SRK_ECC_PREFIX "005a 0023 000b 00030472 0000 0006 0080 0043 0010 0003 0010"
#define VECTOR_EK_ECC_LEN 124
#define VECTOR_SRK_ECC_LEN 92
/* The curve's generator, and twice it. */
#define VECTOR_P256_GX "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
#define VECTOR_P256_GY "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
#define VECTOR_P256_2GX "7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978"
#define VECTOR_P256_2GY "07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1"

/* What is derived from the RSA keys above. */
#define VECTOR_EK_SHA256 "71af36fe2abf650d30c0753939ba24b924af77d8ec26bdc27ef5982b42df7ec9"
#define VECTOR_REGISTRATION_ID "ogxtn7rkx5sq2mgaou4ttorexesk656y5qtl3qt66wmcwqw7p3eq"
#define VECTOR_SRK_NAME "000bf36fb0c7953ba6762ff500f38e4c4a4dccf8b8796ba21547529a0aea84f9907f"

/* The challenge's inputs: runs of consecutive bytes beginning with these. */
#define VECTOR_INNER_KEY_FIRST 0x00       /* 16 */
#define VECTOR_CREDENTIAL_SEED_FIRST 0x10 /* 32 */
#define VECTOR_DUPLICATION_SEED_FIRST 0x30
#define VECTOR_SEED_VALUE_FIRST 0x50
#define VECTOR_KEY_FIRST 0x70

/* Its outputs. */
#define VECTOR_UNIQUE "da6f6aea176c9ea711a3d3eb8ffd5a7ba24cd9eb5daf8bf4d7e533929c91f206"
#define VECTOR_PUBLIC_AREA "0008000b0004044000000005000b0020" VECTOR_UNIQUE
#define VECTOR_IDENTITY_NAME "000baeb3ce60c168ec061330b613b19aba5321916fbf76df36dfc1d896982da5b162"
#define VECTOR_DUPLICATE                                                                           \
    "0020 9287dc76ebd9f3ec23f82f91723ce86fd569efc886e7abcb5faecf8b1de8d6b0"                        \
    "fdaa3ff6e61c4a9a4f728539c1e9137d05fc9584fc45a4966993ed66a68877f7c2aae56074f366ea9701b0cf553d" \
    "adb97c6a8ff97af2d73f100c82b5770e73d5969e07374090c356b81f023e209caaed44d1e3e987cf7b412acdc1d4" \
    "a9ba0dede72c00f92dd7e35d00755bc9"
#define VECTOR_CREDENTIAL                                                                          \
    "0020 243c792d99346d6705e96f64eac0f2e0525a79bdcce0fcfb94cf7db2a42bace3"                        \
    "6b95153507acb5115fc27ebe217ad796d00b"
#define VECTOR_TRAILER_TEXT "hub.example"
#define VECTOR_TRAILER "aed45919e2f73aef1f23e4"
/* The whole blob with an empty trailer, both encrypted secrets 256 zeros. */
#define VECTOR_BLOB_LEN 766
#define VECTOR_BLOB_SHA256 "573078d00340d422cf8f3495ca152047fa2a47f9c1b708d157ebe9defb360d8e"

/* Tokens of the key above that expire at VECTOR_SAS_EXPIRY_S: what is signed, and the signature. */
#define VECTOR_SAS_EXPIRY_S 1700000000
#define VECTOR_SAS_RESOURCE "0ne00000001/registrations/dev-1"
#define VECTOR_SAS_UPPER_SR "0ne00000001%2Fregistrations%2Fdev-1"
#define VECTOR_SAS_UPPER_SIG "3WCEezACo6mZpK2m9+O2cZBc/nqzVGm8ZLv0TlOJDIM="
#define VECTOR_SAS_LOWER_SR "0ne00000001%2fregistrations%2fdev-1"
#define VECTOR_SAS_LOWER_SIG "WjCsxtYM0RvfNkKRA5CJJ30bO5LoAqNnWNCuecFJ3is="
#define VECTOR_SAS_PLAIN_SR "0ne00000001/registrations/dev-1"
#define VECTOR_SAS_PLAIN_SIG "xTutV3wOOWEiCwJyjW8+w47my59tXte3I7oxQ5ZViRc="

static inline void vector_fill(uint8_t *at, uint8_t byte, size_t len) { memset(at, byte, len); }

static inline void vector_count(uint8_t *at, uint8_t first, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(first + i);
}

#endif
