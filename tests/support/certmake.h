/* Purpose: makes certificates and CRLs for tests, right ones and every wrong one a test wants. What
 * fails here ends the program: a test that cannot make its input proves nothing.
 */
#ifndef SUPPORT_CERTMAKE_H
#define SUPPORT_CERTMAKE_H

#include <wolfssl/options.h>

#include <wire/bytes.h>
#include <wire/tpmpub.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>

#define CERTMAKE_CAP 4096

/* ---- keys ---- */
enum certkey_kind { CERTKEY_RSA, CERTKEY_ECC };
struct certkey {
    enum certkey_kind kind;
    int len; /* bytes of modulus or coordinate */
    RsaKey rsa;
    ecc_key ecc;
    uint8_t id[20]; /* its key identifier */
};
void certkey_rsa_make(struct certkey *k, int bits);
void certkey_ecc_make(struct certkey *k, int len); /* 32, 48 or 66 */
void certkey_free(struct certkey *k);
/* The endorsement key with this key in it. */
void certkey_ek(const struct certkey *k, struct tpm_public *ret_ek);

/* ---- how something is signed ---- */
enum certalg {
    CERTALG_SHA256, /* with the signer's kind of key: PKCS#1 or ECDSA */
    CERTALG_SHA1,
    CERTALG_SHA384,
    CERTALG_SHA512,
    CERTALG_PSS_SHA256,
    CERTALG_PSS_SHA384,
    CERTALG_PSS_SHA512,
};
enum certflaw {
    CERTFLAW_NONE,
    CERTFLAW_FLIPPED,       /* one bit of the signature is another */
    CERTFLAW_SHORT_DIGEST,  /* a SHA-1 digest signed where the algorithm says SHA-256 */
    CERTFLAW_NO_INFO,       /* PKCS#1 without DigestInfo */
    CERTFLAW_INFO_TRAILING, /* bytes behind the DigestInfo */
    CERTFLAW_LONG,          /* 300 bytes behind the signature */
};

/* ---- certificates ---- */
enum cert_basic { BASIC_NONE, BASIC_CA, BASIC_EMPTY, BASIC_FALSE };
enum cert_purpose { PURPOSE_NONE, PURPOSE_EK, PURPOSE_SERVER, PURPOSE_SERVER_AND_EK };
enum cert_san { SAN_NONE, SAN_TPM, SAN_TPM_IN_ONE_SET, SAN_DNS, SAN_DNS_AND_TPM, SAN_EMPTY };
#define NO_PATH_LEN (-1)
#define NO_USAGE (-1)

struct certspec {
    const char *subject, *issuer; /* common names; "": an empty Name */
    const struct certkey *key, *signer;
    int64_t not_before_s, not_after_s;
    struct span serial;
    enum certalg algorithm;
    enum certflaw flaw;
    struct span inner, outer; /* AlgorithmIdentifiers that stand there instead of the true one */
    struct span spki;         /* likewise */
    enum cert_basic basic;
    int path_len;
    int usage;                /* the bits of a KeyUsage of one byte, highest first */
    bool usage_not_der;       /* with trailing zero bits */
    enum cert_purpose purpose;
    enum cert_san san;
    bool san_not_critical;
    const char *manufacturer; /* NULL: "id:49465800" */
    bool set_unsorted;        /* of the issuer's name: two attributes in one SET */
    const struct certkey *authority, *own; /* key identifiers; NULL: none */
    struct span extensions;   /* more of them, encoded */
    bool version_1;
};
struct span certmake(const struct certspec *s, uint8_t ret_der[CERTMAKE_CAP]);

struct crlspec {
    const char *issuer;
    const struct certkey *signer, *authority;
    int64_t this_update_s, next_update_s; /* 0: none */
    const struct span *revoked;
    size_t revoked_count;
    enum certalg algorithm;
    enum certflaw flaw;
    struct span extensions;
};
struct span crlmake(const struct crlspec *s, uint8_t ret_der[CERTMAKE_CAP]);

struct span pemmake(const char *label, struct span der, uint8_t *ret_pem, size_t cap);

#endif
