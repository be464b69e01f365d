/* EK certificates, CRLs and files of trust. The first byte of the input chooses what the rest is. */
#include "fuzz.h"

#include <ekcert.h>

/* Every span of what was read lies in the input. */
static void inside(struct span whole, struct span part)
{
    MUST_HOLD(part.len == 0 ||
              (part.at >= whole.at && part.at + part.len <= whole.at + whole.len));
}

static void certificate(struct span input)
{
    static const struct ekcert_policy policy = {.expired = EKCERT_ACCEPT,
                                                .ca_expired = EKCERT_ACCEPT,
                                                .sha1 = EKCERT_WARN,
                                                .purpose = EKCERT_PURPOSE_IGNORE};
    struct ekcert c;
    struct ekcert_verdict v;
    struct ekcert_trust *t;
    if (ekcert_read(input, &c) != ERR_OK)
        return;
    const struct span parts[] = {c.der,     c.tbs,      c.signature.value, c.serial,
                                 c.issuer,  c.subject,  c.spki,            c.modulus,
                                 c.exponent, c.point,   c.authority_key,   c.subject_key};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        inside(input, parts[i]);
    MUST_HOLD(memchr(c.tpm.vendor, 0, sizeof c.tpm.vendor) != NULL);
    MUST_HOLD(memchr(c.tpm.model, 0, sizeof c.tpm.model) != NULL);
    MUST_HOLD(memchr(c.tpm.firmware, 0, sizeof c.tpm.firmware) != NULL);
    struct tpm_public again;
    MUST_HOLD(!c.challengeable ||
              tpm_public_read(span_of(c.ek.raw, c.ek.raw_len), &again) == ERR_OK);
    ekcert_judge(NULL, &c, NULL, &policy, 0, &v);
    MUST_HOLD(v.grade != EKCERT_CERTIFICATE_TRUSTED);
    /* among its own kind: it may be its own root, but then it is a CA and no EK certificate */
    MUST_HOLD(ekcert_trust_open(&t) == ERR_OK);
    MUST_HOLD(ekcert_trust_add(t, EKCERT_TRUST_ROOTS, c.der) == ERR_OK);
    ekcert_judge(t, &c, NULL, &policy, 0, &v);
    MUST_HOLD(v.grade != EKCERT_CERTIFICATE_TRUSTED);
    MUST_HOLD((v.grade == EKCERT_KEY_ONLY) == v.refused);
    ekcert_trust_close(t);
}

static void key(struct span input)
{
    struct ekcert c;
    ekcert_public_key_read(input, &c);
    inside(input, c.modulus);
    inside(input, c.exponent);
    inside(input, c.point);
    MUST_HOLD(c.key != EKCERT_KEY_BAD || (c.modulus.len == 0 && c.point.len == 0));
    MUST_HOLD(c.challengeable == (c.key == EKCERT_KEY_RSA_2048 || c.key == EKCERT_KEY_ECC_P256));
}

static void file(struct span input)
{
    struct ekcert_trust *t;
    MUST_HOLD(ekcert_trust_open(&t) == ERR_OK);
    enum err e = ekcert_trust_add(t, EKCERT_TRUST_ROOTS, input);
    MUST_HOLD(e == ERR_OK || e == ERR_CERTIFICATE || e == ERR_ENCODING || e == ERR_ABSENT);
    ekcert_trust_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span rest = span_of(data + 1, size - 1);
    if (data[0] == 'c')
        certificate(rest);
    else if (data[0] == 'k')
        key(rest);
    else
        file(rest);
    return 0;
}
