#include "readerargs.h"

enum { OPTION_FORMAT = 512, OPTION_MAP, OPTION_SIGNER };

static const struct argp_option options[] = {
    {"format", OPTION_FORMAT, "NAME", 0,
     "of all files: csv, jsonl, json, pem, key (der, tpm2b, tpmt), tar, dir, windows or jws "
     "(default: auto, each by its content)",
     0},
    {"map", OPTION_MAP, "COLUMN=FIELD", 0,
     "the list's COLUMN is our FIELD; - as FIELD passes it over (repeatable)", 0},
    {"signer", OPTION_SIGNER, "CERT", 0,
     "who signs: certificate or public key, PEM or DER (repeatable)", 0},
    {0},
};

static void take_map(struct readerargs *a, char *text, struct argp_state *state)
{
    switch (import_map_add(&a->options.map, text)) {
    case ERR_OK:
        return;
    case ERR_DUPLICATE:
        argp_error(state, "--map %s: this column is mapped already", text);
        return;
    case ERR_FULL:
        argp_error(state, "--map: at most %d columns", IMPORT_MAP_MAX);
        return;
    default:
        argp_error(state, "--map %s: COLUMN=FIELD, where FIELD is one of ours or -", text);
    }
}

static void take_signer(struct readerargs *a, const char *file, struct argp_state *state)
{
    if (a->options.signer_count == READERARGS_SIGNERS_MAX) {
        argp_error(state, "--signer: at most %d", READERARGS_SIGNERS_MAX);
        return;
    }
    a->signers[a->options.signer_count++] = file;
    a->options.signers = a->signers;
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct readerargs *a = state->input;
    switch (key) {
    case OPTION_FORMAT:
        a->options.format = import_format_find(text);
        if (a->options.format == FORMAT_COUNT)
            argp_error(state, "--format %s: there is no such format", text);
        return 0;
    case OPTION_MAP:
        take_map(a, text, state);
        return 0;
    case OPTION_SIGNER:
        take_signer(a, text, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp readerargs_parser = {options, take, NULL, NULL, NULL, NULL, NULL};
