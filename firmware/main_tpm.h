/* Purpose: cradle-device's options and story, as far as they are about its TPM. */
#ifndef FIRMWARE_MAIN_TPM_H
#define FIRMWARE_MAIN_TPM_H

#include <firmware/provision.h>

typedef void tell_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "auto", "persistent" or "template". */
bool main_ek_read(const char *text, enum tpm_ek_choice *ret_choice);

/* An authorisation value: what is in the file, without a newline at its end, at most 64 bytes. A file
 * that others than its owner may read is refused. Returns what is wrong, or NULL. */
const char *main_auth_read(const char *path, struct secret *ret_auth);

void main_tell_keys(const struct provision_report *r, tell_line *tell);     /* after TPM */
void main_tell_identity(const struct provision_report *r, tell_line *tell); /* after ADOPT */

#endif
