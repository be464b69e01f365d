/* Purpose: one chain in order, root, intermediate and EK certificate, for a test to spoil one thing
 * of and to have judged. */
#ifndef SUPPORT_EKSCENE_H
#define SUPPORT_EKSCENE_H

#include <certmake.h>
#include <ekcert.h>

#define DAY_S 86400
#define NOW_S ((int64_t)1767225600) /* 2026-01-01 */
#define SERIAL(text) SPAN_LITERAL(text)
#define ENCIPHERS 0x20
#define AGREES 0x08
#define SIGNS 0x80
#define SIGNS_CERTS 0x04
#define SIGNS_CRLS 0x02

/* Made once a program: setup and teardown of a cmocka group. */
extern struct scene_keys {
    struct certkey ek, ek_ecc, rsa_ca, root, middle, other, p384, p521, weak;
} keys;
int keys_make(void **state);
int keys_free(void **state);

struct scene {
    struct certspec root, middle, leaf, extra; /* extra: given if it has a subject */
    struct crlspec crl;                        /* given if it has an issuer */
    struct crlspec crl_2;
    struct ekcert_policy policy;
    int64_t now_s;
    bool no_root, no_middle, wrong_ek;
};
struct scene scene_plain(void);
void scene_give(struct ekcert_trust *t, enum ekcert_trust_as as, const struct certspec *spec);
/* Judges the leaf twice, since the store remembers; both times must agree. */
void scene_play(const struct scene *s, struct ekcert_verdict *ret_verdict);

#endif
