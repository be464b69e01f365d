/* Purpose: the part of the command line that tells what is made of EK certificates.
 */
#ifndef IMPORT_EKARGS_H
#define IMPORT_EKARGS_H

#include <argp.h>

#include "ekpolicy.h"

#define EKARGS_FILES_MAX 64
struct ekargs {
    struct ekpolicy policy;
    size_t file_count;
    const char *files[EKARGS_FILES_MAX]; /* --trust and --crl, to be read once all is known */
};
/* A child parser; its input is a struct ekargs, zero before. */
extern const struct argp ekargs_parser;
/* Reads the files. Errors are ekpolicy_trust_add's. */
MUST_USE enum err ekargs_load(struct ekargs *a, struct import_reason *ret_reason);

#endif
