/* Purpose: the doors between the port's own files. */
#ifndef HAL_LINUX_PARTS_H
#define HAL_LINUX_PARTS_H

#include <hal/linux.h>

MUST_USE enum err linux_transport_init(struct linux_transport *t, const char *ca_file);
void linux_tpm_init(struct linux_tpm *t, const char *tcti);
void linux_tpm_close(struct linux_tpm *t);
MUST_USE enum err linux_storage_open(struct linux_storage *s, const char *dir);
void linux_storage_close(struct linux_storage *s);
extern const struct hal_clock linux_clock;
extern const struct hal_entropy linux_entropy;

uint64_t linux_now_ms(void);

#endif
