/* Purpose: what Windows PowerShell's Get-TpmEndorsementKeyInfo prints, one record or many, as
 * "Name : value" lines. The key is read where PublicKey is shown as bytes (hexadecimal, base64 or
 * PEM); the cmdlet by itself prints only the name of a .NET type there, which is refused with the
 * way to have it shown. Extra names are columns, as --map says.
 */
#ifndef IMPORT_WINDOWS_H
#define IMPORT_WINDOWS_H

#include "map.h"
#include "source.h"

struct windows {
    const struct import_map *map;
    uint8_t scratch[IMPORT_ROW_CAP];
};
bool windows_is_output(struct span text);
/* The row in one record. Its fields point into the record or scratch. */
void windows_record_read(struct windows *w, struct span record, struct import_row *row);
/* ERR_ABSENT at the end. ERR_IO. */
MUST_USE enum err windows_next(struct windows *w, struct source *s, struct import_row *ret_row);

#endif
