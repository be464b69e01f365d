#include "chain.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>
#include <wolfssl/wolfcrypt/asn.h>

#define CHAIN_MAX 10
#define RSA_2048_PUBLIC_MIN 264 /* bytes of an RSAPublicKey with a modulus of 2048 bits */

static void decoded_free(DecodedCert *c)
{
    wc_FreeDecodedCert(c);
}
#define DECODED __attribute__((cleanup(decoded_free))) DecodedCert

static void stack_free(WOLFSSL_STACK **s)
{
    if (*s)
        wolfSSL_sk_X509_pop_free(*s, NULL);
}
#define OWNED_STACK __attribute__((cleanup(stack_free))) WOLFSSL_STACK *

/* The decoded certificate points into der. It is to be freed whatever comes back. */
static enum err decode(struct span der, DecodedCert *ret_cert)
{
    wc_InitDecodedCert(ret_cert, der.at, (word32)der.len, NULL);
    return wc_ParseCert(ret_cert, CERT_TYPE, NO_VERIFY, NULL) == 0 ? ERR_OK : ERR_TLS_TRUST;
}

/* ---- names ---- */
static bool dns_matches(struct span pattern, struct span host)
{
    if (!span_starts_with(pattern, SPAN_LITERAL("*.")))
        return span_equal_ignoring_case(pattern, host);
    struct span zone = span_slice(pattern, 2, pattern.len);
    struct span label = span_cut(&host, '.');
    return label.len > 0 && memchr(zone.at, '.', zone.len) && span_equal_ignoring_case(zone, host);
}

static bool name_matches(const DecodedCert *cert, int type, struct span want)
{
    for (const DNS_entry *n = cert->altNames; n; n = n->next) {
        if (n->type != type || n->len < 0)
            continue;
        struct span name = span_of(n->name, (size_t)n->len);
        if (type == ASN_IP_TYPE ? span_equal(name, want) : dns_matches(name, want))
            return true;
    }
    return false;
}

static enum err check_name(const DecodedCert *leaf, const char *host)
{
    uint8_t address[16];
    bool good;
    if (inet_pton(AF_INET, host, address) == 1)
        good = name_matches(leaf, ASN_IP_TYPE, span_of(address, 4));
    else if (inet_pton(AF_INET6, host, address) == 1)
        good = name_matches(leaf, ASN_IP_TYPE, span_of(address, 16));
    else
        good = name_matches(leaf, ASN_DNS_TYPE, span_text(host));
    return good ? ERR_OK : ERR_TLS_NAME;
}

/* ---- dates ---- */
static enum err date_read(const byte *at, int len, int64_t *ret_s)
{
    const byte *digits;
    byte format;
    int digits_len;
    struct tm calendar = {0};
    if (wc_GetDateInfo(at, len, &digits, &format, &digits_len) != 0 ||
        wc_GetDateAsCalendarTime(digits, digits_len, format, &calendar) != 0)
        return ERR_TLS_TRUST;
    *ret_s = timegm(&calendar);
    return ERR_OK;
}

static enum err validity_read(const DecodedCert *cert, struct hal_peer *ret_validity)
{
    struct hal_peer v;
    TRY(date_read(cert->beforeDate, cert->beforeDateLen, &v.not_before_s));
    TRY(date_read(cert->afterDate, cert->afterDateLen, &v.not_after_s));
    *ret_validity = v;
    return ERR_OK;
}

static void narrow(struct hal_peer *chain, const struct hal_peer *one)
{
    if (one->not_before_s > chain->not_before_s)
        chain->not_before_s = one->not_before_s;
    if (one->not_after_s < chain->not_after_s)
        chain->not_after_s = one->not_after_s;
}

/* ---- the way from the leaf to the anchor ---- */
static bool is_weak(const DecodedCert *cert)
{
    switch (cert->signatureOID) {
    case CTC_MD2wRSA:
    case CTC_MD5wRSA:
    case CTC_SHAwRSA:
    case CTC_SHAwDSA:
    case CTC_SHAwECDSA:
        return true;
    default:
        return cert->keyOID == RSAk && cert->pubKeySize < RSA_2048_PUBLIC_MIN;
    }
}

/* Where wolfSSL was made to overlook a date it has not always looked at the rest. */
static bool is_for_servers(const DecodedCert *leaf)
{
    bool signs = !leaf->extKeyUsageSet || (leaf->extKeyUsage & KEYUSE_DIGITAL_SIG);
    bool serves = !leaf->extExtKeyUsageSet ||
                  (leaf->extExtKeyUsage & (EXTKEYUSE_ANY | EXTKEYUSE_SERVER_AUTH));
    return signs && serves;
}

static bool issued(const DecodedCert *issuer, const DecodedCert *cert)
{
    if (memcmp(issuer->subjectHash, cert->issuerHash, KEYID_SIZE) != 0)
        return false;
    return !cert->extAuthKeyIdSet || !issuer->extSubjKeyIdSet ||
           memcmp(issuer->extSubjKeyId, cert->extAuthKeyId, KEYID_SIZE) == 0;
}

static struct span der_of(WOLFSSL_X509 *x509)
{
    int len = 0;
    const byte *der = wolfSSL_X509_get_der(x509, &len);
    return der && len > 0 ? span_of(der, (size_t)len) : span_of(NULL, 0);
}

/* Of several certificates of one issuer (an anchor that was renewed) the one that lasts longest. */
static struct span find_issuer(WOLFSSL_STACK *trusted, const DecodedCert *cert)
{
    struct span best = {0};
    int64_t best_end_s = INT64_MIN;
    for (int i = 0; i < wolfSSL_sk_X509_num(trusted); i++) {
        struct span der = der_of(wolfSSL_sk_X509_value(trusted, i));
        DECODED candidate;
        struct hal_peer validity;
        if (decode(der, &candidate) == ERR_OK && issued(&candidate, cert) &&
            validity_read(&candidate, &validity) == ERR_OK && validity.not_after_s > best_end_s) {
            best = der;
            best_end_s = validity.not_after_s;
        }
    }
    return best;
}

/* One certificate of the way: takes its dates in, returns its issuer's (empty at the anchor). */
static enum err walk_one(WOLFSSL_STACK *trusted, struct span der, bool is_leaf,
                         struct hal_peer *chain, struct span *ret_issuer)
{
    DECODED cert;
    TRY(decode(der, &cert));
    struct hal_peer validity;
    TRY(validity_read(&cert, &validity));
    narrow(chain, &validity);
    *ret_issuer = span_of(NULL, 0);
    if (!is_leaf && memcmp(cert.subjectHash, cert.issuerHash, KEYID_SIZE) == 0)
        return ERR_OK;
    struct span issuer = find_issuer(trusted, &cert);
    if (issuer.len == 0)
        return is_leaf ? ERR_TLS_TRUST : ERR_OK;
    if (is_weak(&cert) || (!is_leaf && !cert.isCA))
        return ERR_TLS_TRUST;
    *ret_issuer = issuer;
    return ERR_OK;
}

/* The manager holds the anchors and what the handshake verified below them. */
static enum err chain_validity(WOLFSSL_CERT_MANAGER *manager, struct span leaf,
                               struct hal_peer *ret_peer)
{
    OWNED_STACK trusted = wolfSSL_CertManagerGetCerts(manager);
    if (!trusted)
        return ERR_TLS_TRUST;
    struct hal_peer chain = {.not_before_s = INT64_MIN, .not_after_s = INT64_MAX};
    struct span at = leaf;
    for (int i = 0; i < CHAIN_MAX; i++) {
        TRY(walk_one(trusted, at, i == 0, &chain, &at));
        if (at.len == 0) {
            *ret_peer = chain;
            return ERR_OK;
        }
    }
    return ERR_TLS_TRUST;
}

enum err chain_check(WOLFSSL *ssl, WOLFSSL_CERT_MANAGER *manager, const char *host,
                     struct hal_peer *ret_peer)
{
    WOLFSSL_X509_CHAIN *sent = wolfSSL_get_peer_chain(ssl);
    if (!sent || wolfSSL_get_chain_count(sent) < 1)
        return ERR_TLS_TRUST;
    struct span leaf = span_of(wolfSSL_get_chain_cert(sent, 0), (size_t)wolfSSL_get_chain_length(sent, 0));
    {
        DECODED cert;
        TRY(decode(leaf, &cert));
        TRY(check_name(&cert, host));
        if (!is_for_servers(&cert))
            return ERR_TLS_TRUST;
    }
    return chain_validity(manager, leaf, ret_peer);
}
