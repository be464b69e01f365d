#include "main_tpm.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/names.h>

/* ---- options ---- */
bool main_ek_read(const char *text, enum tpm_ek_choice *ret_choice)
{
    static const char *const names[] = {[TPM_EK_AUTO] = "auto",
                                        [TPM_EK_PERSISTENT] = "persistent",
                                        [TPM_EK_TEMPLATE] = "template"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_choice = (enum tpm_ek_choice)i;
            return true;
        }
    return false;
}

static void fd_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

const char *main_auth_read(const char *path, struct secret *ret_auth)
{
    __attribute__((cleanup(fd_close))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat is;
    if (fd < 0 || fstat(fd, &is) != 0 || !S_ISREG(is.st_mode))
        return "is no file that can be read";
    if (is.st_mode & (S_IRWXG | S_IRWXO))
        return "may be read by others than its owner";
    uint8_t bytes[SECRET_CAP + 2];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n > 0 && bytes[n - 1] == '\n')
        n--;
    enum err e = n < 0 ? ERR_IO : secret_set(ret_auth, span_of(bytes, (size_t)n));
    bytes_wipe(bytes, sizeof bytes);
    return e == ERR_OK ? NULL : e == ERR_IO ? "cannot be read" : "is longer than 64 bytes";
}

/* ---- the story ---- */
struct words {
    char text[64];
};

static struct words where(const struct tpm_place *place)
{
    struct words w;
    if (place->handle != 0)
        (void)snprintf(w.text, sizeof w.text, "at 0x%08" PRIx32, place->handle);
    else
        (void)snprintf(w.text, sizeof w.text, "that cannot persist");
    return w;
}

static struct words what(const struct tpm_public *key, const struct tpm_place *place)
{
    struct words w;
    (void)snprintf(w.text, sizeof w.text, "%s%s",
                   key->kind == TPM_KEY_ECC_P256 ? "P-256" : "RSA-2048",
                   place->created ? ", made now" : "");
    return w;
}

static const char *why_ek(enum tpm_ek_why why)
{
    switch (why) {
    case TPM_EK_CERTIFIED:
        return "the certificate in NV is for it";
    case TPM_EK_UNCERTIFIED:
        return "it is persistent, and there is no certificate to compare it with";
    case TPM_EK_OTHER_CERTIFIED:
        return "it is persistent; the certificate in NV is neither for it nor for the template's";
    case TPM_EK_MADE:
        return "it is the default template's; no certificate, no usable persistent key";
    case TPM_EK_CHOSEN:
        return "--ek";
    default:
        return "unknown";
    }
}

static const char *why_unkept(enum tpm_unkept why)
{
    switch (why) {
    case TPM_UNKEPT_OWNER_AUTH:
        return "the owner's authorization is set, and not the one of --owner-auth-file";
    case TPM_UNKEPT_FULL:
        return "there is no room for another persistent object";
    case TPM_UNKEPT_TAKEN:
        return "something of somebody else's is at its handle";
    default:
        return "unknown";
    }
}

static const char *why_passed_over(enum err e)
{
    switch (e) {
    case ERR_KEY_SHAPE:
        return "it is of a kind that the service does not take";
    case ERR_KEY_ROLE:
        return "it is no such key";
    default:
        return "its use wants an authorization";
    }
}

static void tell_place(const char *key, uint32_t first, const struct tpm_place *place,
                       tell_line *tell)
{
    if (place->passed_over != ERR_OK)
        tell("TPM: %s: the object at 0x%08" PRIx32 " is left alone: %s", key, first,
             why_passed_over(place->passed_over));
    if (place->unkept != TPM_KEPT)
        tell("TPM: %s: %s; it is made again for each use", key, why_unkept(place->unkept));
}

static void tell_certificate(const struct provision_report *r, tell_line *tell)
{
    if (r->certificate_error == ERR_ABSENT)
        tell("TPM: no EK certificate in NV");
    else if (r->certificate_error != ERR_OK)
        tell("TPM: the EK certificate in NV cannot be read (%s)", err_name(r->certificate_error));
    else if (r->certificate_nv_index != 0)
        tell("TPM: EK certificate at NV 0x%08" PRIx32 ", %u bytes, %s", r->certificate_nv_index,
             r->certificate_len,
             r->certificate_is_of_ek ? "for this endorsement key" : "for ANOTHER key");
}

void main_tell_keys(const struct provision_report *r, tell_line *tell)
{
    tell("TPM: endorsement key %s (%s), storage root key %s (%s)", where(&r->ek_place).text,
         what(r->ek, &r->ek_place).text, where(&r->srk_place).text,
         what(r->srk, &r->srk_place).text);
    tell("TPM: this endorsement key because: %s%s", why_ek(r->ek_why),
         r->ek_place.handle != HANDLE_EK && r->ek_place.unkept == TPM_KEPT &&
                 r->ek_place.passed_over == ERR_OK
             ? "; the other one, at 0x81010001, would be --ek persistent"
             : "");
    tell_place("endorsement key", HANDLE_EK, &r->ek_place, tell);
    tell_place("storage root key", HANDLE_SRK, &r->srk_place, tell);
    tell_certificate(r, tell);
}

void main_tell_identity(const struct provision_report *r, tell_line *tell)
{
    if (r->identity_replaced)
        tell("TPM: an older identity key at 0x%08x was replaced", HANDLE_IDENTITY_KEY);
    if (r->identity_handle == 0)
        tell("TPM: the hub key is not at 0x%08x: %s; it is stored wrapped, for this TPM alone",
             HANDLE_IDENTITY_KEY, why_unkept(r->identity_unkept));
}
