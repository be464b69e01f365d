#include "ekargs.h"

#include <string.h>

enum {
    OPTION_USE = 640,
    OPTION_TRUST,
    OPTION_CRL,
    OPTION_EXPIRED,
    OPTION_CA_EXPIRED,
    OPTION_SHA1,
    OPTION_CRL_STALE,
    OPTION_PURPOSE,
};

static const struct argp_option options[] = {
    {"ek-cert", OPTION_USE, "require|if-present|ignore", 0,
     "EK certificates (default: if-present, then it must be in order)", 0},
    {"trust", OPTION_TRUST, "FILE", 0,
     "roots and intermediates of TPM vendors, PEM or DER (repeatable)", 0},
    {"crl", OPTION_CRL, "FILE", 0, "their revocation lists (repeatable)", 0},
    {"ek-cert-expired", OPTION_EXPIRED, "refuse|warn|accept", 0,
     "an EK certificate past its date (default: refuse)", 0},
    {"ca-expired", OPTION_CA_EXPIRED, "refuse|warn|accept", 0,
     "a root or intermediate past its date (default: refuse)", 0},
    {"sha1", OPTION_SHA1, "refuse|warn|accept", 0,
     "signatures with RSA and SHA-1 (default: refuse)", 0},
    {"crl-stale", OPTION_CRL_STALE, "refuse|warn|accept", 0,
     "a revocation list past its next update (default: refuse)", 0},
    {"ek-purpose", OPTION_PURPOSE, "require|if-present|ignore", 0,
     "the extended key usage 2.23.133.8.1 (default: require)", 0},
    {0},
};

static int find_word(const char *text, const char *const words[3], const char *option,
                     struct argp_state *state)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    argp_error(state, "--%s: %s, %s or %s", option, words[0], words[1], words[2]);
    return 0;
}

static enum ekcert_rule find_rule(const char *text, const char *option, struct argp_state *state)
{
    static const char *const words[] = {"refuse", "warn", "accept"};
    return (enum ekcert_rule)find_word(text, words, option, state);
}

static void take_file(struct ekargs *a, const char *file, struct argp_state *state)
{
    if (a->file_count < EKARGS_FILES_MAX)
        a->files[a->file_count++] = file;
    else
        argp_error(state, "--trust and --crl: at most %d files", EKARGS_FILES_MAX);
}

static error_t take(int key, char *text, struct argp_state *state)
{
    static const char *const uses[] = {"if-present", "require", "ignore"};
    static const char *const purposes[] = {"require", "if-present", "ignore"};
    struct ekargs *a = state->input;
    struct ekcert_policy *rules = &a->policy.rules;
    switch (key) {
    case OPTION_USE:
        a->policy.use = (enum ekpolicy_use)find_word(text, uses, "ek-cert", state);
        return 0;
    case OPTION_TRUST:
    case OPTION_CRL:
        take_file(a, text, state);
        return 0;
    case OPTION_EXPIRED:
        rules->expired = find_rule(text, "ek-cert-expired", state);
        return 0;
    case OPTION_CA_EXPIRED:
        rules->ca_expired = find_rule(text, "ca-expired", state);
        return 0;
    case OPTION_SHA1:
        rules->sha1 = find_rule(text, "sha1", state);
        return 0;
    case OPTION_CRL_STALE:
        rules->crl_stale = find_rule(text, "crl-stale", state);
        return 0;
    case OPTION_PURPOSE:
        rules->purpose = (enum ekcert_purpose_rule)find_word(text, purposes, "ek-purpose", state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp ekargs_parser = {options, take, NULL, NULL, NULL, NULL, NULL};

enum err ekargs_load(struct ekargs *a, struct import_reason *ret_reason)
{
    for (size_t i = 0; i < a->file_count; i++)
        TRY(ekpolicy_trust_add(&a->policy, a->files[i], ret_reason));
    return ERR_OK;
}
