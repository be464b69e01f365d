/* Purpose: what format a file has, by its first bytes.
 */
#ifndef IMPORT_GUESS_H
#define IMPORT_GUESS_H

#include "reader.h"

/* head: the first IMPORT_ROW_CAP bytes, or all there is. CSV is what is nothing else. */
enum import_format import_format_guess(struct span head);

#endif
