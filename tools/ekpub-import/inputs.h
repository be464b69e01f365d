/* Purpose: all inputs of one run, each opened and its header read before anything is imported from
 * any, so that a mistake in the last file costs nothing.
 */
#ifndef IMPORT_INPUTS_H
#define IMPORT_INPUTS_H

#include <sys/stat.h>

#include "reader.h"

struct inputs;
/* The options stay the caller's until inputs_close. ERR_IO, ERR_CONFIG, ERR_MEMORY; the reason
 * names the file. */
MUST_USE enum err inputs_open(const char *const *files, size_t count,
                              const struct reader_options *options, struct inputs **ret_inputs,
                              struct import_reason *ret_reason);
/* Whether each can be read once more and is the same then: no pipe, not standard input. ERR_CONFIG
 * names one that is not. */
MUST_USE enum err inputs_repeatable(const char *const *files, size_t count,
                                    struct import_reason *ret_reason);
void inputs_close(struct inputs *in); /* NULL is fine */
/* The rows of one file. Pass it to reader_close. */
MUST_USE enum err inputs_take(struct inputs *in, size_t index, struct reader **ret_reader,
                              struct import_reason *ret_reason);
/* Whether all have one format and, if that is CSV, one header. */
bool inputs_alike(const struct inputs *in, enum import_format *ret_format);
bool inputs_hold(const struct inputs *in, const struct stat *file);
uint64_t inputs_bytes(const struct inputs *in); /* 0: not known */

#endif
