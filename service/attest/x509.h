/* Purpose: what the service API tells of a certificate that devices prove themselves with: the
 * members of its X509CertificateInfo, as text. RFC 5280.
 */
#ifndef X509_H
#define X509_H

#include <wire/bytes.h>

#define X509_NAME_CAP 1024
struct x509_info {
    char subject[X509_NAME_CAP], issuer[X509_NAME_CAP]; /* "CN=device, O=Maker": printable ASCII, '?'
                                                           for all else, cut where too long */
    char common_name[X509_NAME_CAP];                    /* the subject's last CN; "" if none */
    char sha1_thumbprint[41], sha256_thumbprint[65];    /* of the whole DER, upper-case hex */
    char serial[41];                                    /* upper-case hex */
    int64_t not_before_s, not_after_s;
    int version;                                        /* 1 to 3 */
    bool ca;
};
/* One certificate, DER, nothing after it. ERR_CERTIFICATE, ERR_CRYPTO. */
MUST_USE enum err x509_info_read(struct span der, struct x509_info *ret_info);

/* The certificate of a text: PEM (the first block, which must be one and the only one), base64 of
 * PEM, or base64 of DER. DER goes into out. ERR_CERTIFICATE, ERR_FULL. */
MUST_USE enum err x509_text_read(struct span text, struct buf *out);

#endif
