/* Purpose: the one error type of service, firmware and tools.
 *
 * Every function that can fail returns enum err, takes its outputs last, names them ret_... and
 * writes them only on success. Wrong input (network, file, database row, TPM reply, configuration)
 * is an error; a broken promise of our own code is ERR_ASSERT, which stays on in every build.
 */
#ifndef WIRE_ERR_H
#define WIRE_ERR_H

#include <stdint.h>

enum err {
#define ERR(name, http, code, action, text) ERR_##name,
#include <wire/err.def>
#undef ERR
    ERR_COUNT
};

enum err_action { ERR_GO_ON, ERR_GIVE_UP, ERR_WAIT, ERR_RECHALLENGE };

#define MUST_USE __attribute__((warn_unused_result))

/* Returns early with the error of x, if it has one. Owners in scope are released by their cleanup
 * attribute, so an early return is always safe. */
#define TRY(x)                                                                                     \
    do {                                                                                           \
        enum err try_err_ = (x);                                                                   \
        if (try_err_ != ERR_OK)                                                                    \
            return try_err_;                                                                       \
    } while (0)

/* All four take any value; one out of range is treated as ERR_INTERNAL. Strings are static. */
const char *err_name(enum err e);          /* "NOT_ENROLLED" */
const char *err_text(enum err e);          /* the protocol's "message" */
int err_http_status(enum err e);           /* 404 */
int32_t err_code(enum err e);              /* 404201 */
enum err_action err_device_action(enum err e);

/* What a device should make of an error answer: the six-digit code decides, where it is not one of
 * ours the HTTP status does. A status below 300 gives ERR_OK. */
MUST_USE enum err err_from_answer(int http_status, int32_t code);

/* A promise of our own code. Prints place and expression, aborts; a supervisor restarts. */
#define ERR_ASSERT(x) ((x) ? (void)0 : err_assert_failed(__FILE__, __LINE__, #x))
_Noreturn void err_assert_failed(const char *file, int line, const char *expression);

#endif
