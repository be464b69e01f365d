/* Purpose: a row out of one small file, as a directory, a tar archive or the command line hold it: a
 * key or certificate in one of the forms of keybytes.h, base64 of it, or PEM (a key, a certificate,
 * or both of one device).
 */
#ifndef IMPORT_FILEROW_H
#define IMPORT_FILEROW_H

#include "row.h"

/* The longest such file: a certificate as it lies in NV, with its padding, is far shorter. */
#define FILEROW_CAP 15360

/* The registration id that a file's name stands for: what is behind the last slash, without those
 * endings that only tell the kind of file (.pem, .pub …). A name is never used as a path. */
struct span filerow_id(struct span name);
/* Whether a file is passed over: hidden ones are nobody's key. */
bool filerow_is_hidden(struct span name);
/* Fills in the row's fields, which point into the content, or why it is broken. */
void filerow_read(struct span content, struct import_row *row);

#endif
