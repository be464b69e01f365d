/* Purpose: endorsement key certificates, as TPM vendors really ship them: reads one, builds its
 * chain to given roots, and judges both by a policy. Knows no network, no file, no clock.
 *
 * TCG EK Credential Profile for TPM 2.0; RFC 5280. A certificate that is trusted says: this key is
 * in a genuine TPM of that vendor. It says nothing of the device around it.
 */
#ifndef EKCERT_H
#define EKCERT_H

#include <wire/bytes.h>
#include <wire/tpmpub.h>

#define EKCERT_CAP 16384 /* no certificate is longer, nor an NV index that holds one */

/* ---- what is odd without being wrong ----
 * Bits. Those up to EKCERT_ODD_LEAF are found in reading, the others in judging. */
enum ekcert_oddity {
    EKCERT_ODD_PADDING = 1 << 0,        /* bytes 00 or ff after it, as left in an NV index */
    EKCERT_ODD_STORED_HEADER = 1 << 1,  /* TCG_PCCLIENT_STORED_CERT before it, of TPM 1.2 */
    EKCERT_ODD_BITS = 1 << 2,           /* key usage with trailing zero bits: not DER */
    EKCERT_ODD_SET_ORDER = 1 << 3,      /* a name with its SET unsorted: not DER */
    EKCERT_ODD_DEFAULT = 1 << 4,        /* a default value written out: not DER */
    EKCERT_ODD_OAEP_KEY = 1 << 5,       /* the key's algorithm is id-RSAES-OAEP */
    EKCERT_ODD_SERIAL = 1 << 6,         /* negative, zero, over 20 bytes or not minimal */
    EKCERT_ODD_NULL = 1 << 7,           /* an RSA signature algorithm without its NULL */
    EKCERT_ODD_MANUFACTURER = 1 << 8,   /* none, or not "id:" and eight hexadecimal digits */
    EKCERT_ODD_NAME_CONSTRAINTS = 1 << 9, /* not critical, not followed */
    EKCERT_ODD_LEAF = (1 << 10) - 1,
    EKCERT_ODD_EXPIRED = 1 << 10,
    EKCERT_ODD_CA_EXPIRED = 1 << 11,
    EKCERT_ODD_SHA1 = 1 << 12,          /* a signature on the chain uses SHA-1 */
    EKCERT_ODD_AUTHORITY = 1 << 13,     /* names another key than the one that signed it */
    EKCERT_ODD_CRL_STALE = 1 << 14,
};
const char *ekcert_oddity_text(enum ekcert_oddity one); /* of one bit, for people */

/* ---- a certificate ---- */
enum ekcert_key { /* from EKCERT_KEY_RSA_3072 on: recognised, but the challenge cannot serve it */
    EKCERT_KEY_RSA_2048,
    EKCERT_KEY_ECC_P256,
    EKCERT_KEY_RSA_3072,
    EKCERT_KEY_RSA_4096,
    EKCERT_KEY_RSA_OTHER, /* another size, or an exponent that is not 65537 */
    EKCERT_KEY_ECC_P384,
    EKCERT_KEY_ECC_P521,
    EKCERT_KEY_OTHER,
    EKCERT_KEY_BAD,       /* no sound key of its kind: even modulus, point not on the curve … */
};
const char *ekcert_key_text(enum ekcert_key key); /* "RSA-3072", "malformed" */

enum ekcert_scheme { EKCERT_SCHEME_UNKNOWN, EKCERT_RSA_PKCS1, EKCERT_RSA_PSS, EKCERT_ECDSA };
enum ekcert_digest {
    EKCERT_DIGEST_UNKNOWN,
    EKCERT_MD5, /* recognised to be refused */
    EKCERT_SHA1,
    EKCERT_SHA256,
    EKCERT_SHA384,
    EKCERT_SHA512,
};

struct ekcert_signature {
    enum ekcert_scheme scheme;
    enum ekcert_digest digest;
    uint32_t salt_len;     /* PSS */
    struct span value;
};

/* Key usage, RFC 5280 4.2.1.3: bit 0 is the lowest. */
#define EKCERT_USE_SIGNATURE (1u << 0)
#define EKCERT_USE_KEY_ENCIPHERMENT (1u << 2)
#define EKCERT_USE_KEY_AGREEMENT (1u << 4)
#define EKCERT_USE_CERT_SIGN (1u << 5)
#define EKCERT_USE_CRL_SIGN (1u << 6)

#define EKCERT_NO_PATH_LEN UINT32_MAX

/* The TPM as the subject alternative name describes it: TCG attributes 2.23.133.2.1 to .3. Texts
 * hold printable ASCII only ('?' for anything else) and are cut to fit. */
struct ekcert_tpm {
    bool present;             /* any of the three */
    uint32_t manufacturer;    /* the TCG vendor id, 0x49465800; 0: none or not readable */
    char vendor[16];          /* "IFX"; eight digits if the id is no text; "" with manufacturer 0 */
    char model[64];
    char firmware[32];        /* as it stands there, mostly "id:" and hexadecimal digits */
};
/* "Infineon" for 0x49465800; NULL for one not in the TCG's registry. */
const char *ekcert_vendor_name(uint32_t manufacturer);

/* Spans point into what was read. */
struct ekcert {
    struct span der;          /* the certificate alone */
    struct span tbs;
    struct ekcert_signature signature;
    bool algorithms_agree;    /* the signed and the unsigned AlgorithmIdentifier are the same */
    struct span serial;       /* content of the INTEGER */
    struct span issuer, subject; /* whole Name */
    int64_t not_before_s, not_after_s;
    struct span spki;         /* whole SubjectPublicKeyInfo */

    enum ekcert_key key;
    struct span modulus, exponent; /* RSA, without sign bytes */
    struct span point;        /* ECC, 04 x y */
    bool challengeable;       /* then ek is set */
    struct tpm_public ek;     /* with the default template, tpm_public_from_key */

    struct span authority_key, subject_key; /* key identifiers; empty if none */
    bool has_key_usage;
    uint32_t key_usage;
    bool ca;
    uint32_t path_len;        /* EKCERT_NO_PATH_LEN: no limit */
    bool has_purpose;         /* extended key usage */
    bool purpose_ek;          /* it has 2.23.133.8.1 */
    bool san_critical;
    bool unknown_critical;    /* a critical extension not known here */
    bool name_constraints;    /* critical ones */
    struct ekcert_tpm tpm;
    uint32_t oddities;
};

/* One certificate, DER or as it lies in an NV index. Oddities above are tolerated, any other
 * breach of DER or of the certificate's grammar is ERR_CERTIFICATE. A key that cannot be used is no
 * error, see `key`. */
MUST_USE enum err ekcert_read(struct span bytes, struct ekcert *ret_cert);

/* A public key by itself, SubjectPublicKeyInfo or PKCS#1 RSAPublicKey: sets key, modulus, exponent,
 * point, challengeable, ek and oddities; all else is empty. */
void ekcert_public_key_read(struct span der, struct ekcert *ret_key);

/* ---- PEM ----
 * Takes the next block of a text, decodes it into der (cap: 3/4 of the text is always enough), and
 * leaves in *text what follows. What stands between blocks is skipped. ERR_ABSENT: no further block;
 * ERR_ENCODING: damaged. */
enum ekcert_pem {
    EKCERT_PEM_CERTIFICATE,
    EKCERT_PEM_CRL,
    EKCERT_PEM_PUBLIC_KEY, /* SubjectPublicKeyInfo or PKCS#1 */
    EKCERT_PEM_OTHER,      /* not decoded: der stays as it is */
};
MUST_USE enum err ekcert_pem_next(struct span *text, struct buf *der, enum ekcert_pem *ret_kind);

/* ---- what is trusted ----
 * First everything is added, then any number of threads may judge with it. */
struct ekcert_trust;
MUST_USE enum err ekcert_trust_open(struct ekcert_trust **ret_trust); /* ERR_MEMORY */
void ekcert_trust_close(struct ekcert_trust *t);

enum ekcert_trust_as {
    EKCERT_TRUST_ROOTS,         /* self-signed certificates become roots, others intermediates */
    EKCERT_TRUST_INTERMEDIATES, /* nothing in it is a root */
};
struct ekcert_trust_count {
    unsigned roots, intermediates, crls;
};
/* A file of certificates and CRLs: PEM with any number of blocks, or one in DER. A certificate that
 * is already there is not added again. ERR_CERTIFICATE, ERR_ENCODING, ERR_ABSENT (nothing in it),
 * ERR_MEMORY: close the store then, since a part may be in it; ekcert_trust_blocks tells the block.
 * A CRL with a critical extension (delta, indirect, partial) is ERR_CERTIFICATE: it could not be
 * followed. */
MUST_USE enum err ekcert_trust_add(struct ekcert_trust *t, enum ekcert_trust_as as,
                                   struct span file);
struct ekcert_trust_count ekcert_trust_count(const struct ekcert_trust *t);
unsigned ekcert_trust_blocks(const struct ekcert_trust *t); /* begun in the last file */

/* ---- judging ---- */
enum ekcert_rule { EKCERT_REFUSE, EKCERT_WARN, EKCERT_ACCEPT };
enum ekcert_purpose_rule {
    EKCERT_PURPOSE_REQUIRE,    /* extended key usage with 2.23.133.8.1 */
    EKCERT_PURPOSE_IF_PRESENT, /* or none at all, as TPM 1.2 has it */
    EKCERT_PURPOSE_IGNORE,
};
struct ekcert_policy {         /* zero is the strictest */
    enum ekcert_rule expired;    /* the EK certificate itself */
    enum ekcert_rule ca_expired; /* intermediates and roots */
    enum ekcert_rule sha1;       /* RSA with SHA-1; never with ECDSA, never MD5 */
    enum ekcert_rule crl_stale;  /* a CRL past its next update; what it lists stays revoked */
    enum ekcert_purpose_rule purpose;
};

enum ekcert_grade { EKCERT_KEY_ONLY, EKCERT_CERTIFICATE, EKCERT_CERTIFICATE_TRUSTED };
const char *ekcert_grade_text(enum ekcert_grade g); /* "key", "certificate", "certificate-trusted" */

enum ekcert_reason {
    EKCERT_GOOD,
#define EKCERT_REASON(name, text) EKCERT_##name,
#include "ekcert_reason.def"
#undef EKCERT_REASON
    EKCERT_REASON_COUNT
};
const char *ekcert_reason_name(enum ekcert_reason r); /* "CA_EXPIRED", stable */
const char *ekcert_reason_text(enum ekcert_reason r); /* for people */

/* Reason and grade:
 *   EKCERT_GOOD        CERTIFICATE_TRUSTED, a chain to a given root
 *   EKCERT_NO_ISSUER   CERTIFICATE, in itself in order but no chain to a given root is known
 *   any other          KEY_ONLY and refused: the certificate is wrong, forged or revoked */
struct ekcert_verdict {
    enum ekcert_grade grade;
    enum ekcert_reason reason;
    bool refused;
    unsigned depth;    /* CA certificates above the leaf when trusted, at most EKCERT_DEPTH_MAX */
    uint32_t oddities; /* of the certificate and of its judging */
};
#define EKCERT_DEPTH_MAX 6

/* ek: the key that the row or the device claims, which must be the certified one (NULL: the
 * certificate is where the key comes from). trust: NULL for none. A chain is tried over every
 * fitting issuer, within bounds; where none succeeds the verdict is of the one that came furthest. */
void ekcert_judge(struct ekcert_trust *trust, const struct ekcert *cert,
                  const struct tpm_public *ek, const struct ekcert_policy *policy, int64_t now_s,
                  struct ekcert_verdict *ret_verdict);

#endif
