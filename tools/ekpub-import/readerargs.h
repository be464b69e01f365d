/* Purpose: the part of the command line that tells how files are to be read.
 */
#ifndef IMPORT_READERARGS_H
#define IMPORT_READERARGS_H

#include <argp.h>

#include "reader.h"

#define READERARGS_SIGNERS_MAX 16
struct readerargs {
    struct reader_options options;
    const char *signers[READERARGS_SIGNERS_MAX];
};
/* A child parser; its input is a struct readerargs, zero before. */
extern const struct argp readerargs_parser;

#endif
