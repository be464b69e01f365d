/* What a reader of the importer makes of an input, as a table: the input, its rows, how it ends. */
#ifndef SUPPORT_IMPORTROWS_H
#define SUPPORT_IMPORTROWS_H

#include <reader.h>

/* Texts with marks in them are what inputs are made of:
 *   $e $f $r    base64 of the TPM2B_PUBLIC of two P-256 keys and of an RSA-2048 key
 *   $E $F       the two P-256 keys as PEM
 *   $c $C       a certificate of $e, in base64 and as PEM
 *   $x $X       the second P-256 key as hexadecimal DER, and its certificate of $e likewise
 *   $$          a dollar */
struct span importrows_text(const char *text, struct buf *out);
/* The bytes of a mark: 'e', 'f', 'r' a TPM2B_PUBLIC; 'E', 'F', 'R' a SubjectPublicKeyInfo; 'c' the
 * certificate. */
struct span importrows_bytes(char mark);

struct importrow {
    uint64_t line;      /* 0 ends a list of them */
    const char *id;     /* NULL: none */
    char key;           /* e, f, r: this key; 0: none; '?': anything; '!': something that is no key */
    char certificate;   /* c, 0 */
    const char *broken; /* NULL: it is not; else a part of why */
    const char *origin; /* NULL: not looked at; else with marks */
};
struct importrows_case {
    const char *what;
    const char *text;         /* with marks; or NULL, and */
    struct span bytes;
    enum import_format format;
    struct importrow rows[8];
    const char *end; /* NULL: as it should; else a part of why, ERR_IO */
};
/* Fails the test that it is called from. */
void importrows_expect(const struct importrows_case *c, const struct reader_options *options);
void importrows_expect_path(const struct importrows_case *c, const char *path,
                            const struct reader_options *options);

#endif
