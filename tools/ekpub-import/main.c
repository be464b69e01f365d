#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

const char *argp_program_version = "ekpub-import " CRADLE_VERSION;

static const char doc[] =
    "Enrolls the endorsement keys of a manufacturing list: CSV with a header row, or JSON Lines. "
    "FILE may be - for standard input.\v"
    "Columns: registrationId, endorsementKey, storageRootKey, deviceId, pinSrk. Only the "
    "endorsementKey is required; it is base64 of a TPM2B_PUBLIC, or a PEM public key.\n\n"
    "Exit status: 0 all rows are in, 1 some rows were refused (standard error and the report say "
    "which and why), 2 nothing was done.";

enum { OPTION_DATA = 256, OPTION_FORMAT, OPTION_DRY_RUN, OPTION_REPORT };

static const struct argp_option options[] = {
    {"data", OPTION_DATA, "DIR", 0, "the service's data directory", 0},
    {"format", OPTION_FORMAT, "auto|csv|jsonl", 0, "of all files (default: auto, each by itself)",
     0},
    {"dry-run", OPTION_DRY_RUN, NULL, 0, "check everything, write nothing", 0},
    {"report", OPTION_REPORT, "FILE", 0, "write the outcome of every row as JSON Lines", 0},
    {0},
};

static bool read_format(const char *text, enum import_format *ret_format)
{
    static const char *const names[] = {
        [FORMAT_AUTO] = "auto", [FORMAT_CSV] = "csv", [FORMAT_JSONL] = "jsonl"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_format = (enum import_format)i;
            return true;
        }
    return false;
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct import_args *args = state->input;
    switch (key) {
    case OPTION_DATA:
        args->data_dir = text;
        return 0;
    case OPTION_FORMAT:
        if (!read_format(text, &args->format))
            argp_error(state, "the format is auto, csv or jsonl");
        return 0;
    case OPTION_DRY_RUN:
        args->dry_run = true;
        return 0;
    case OPTION_REPORT:
        args->report = text;
        return 0;
    case ARGP_KEY_ARGS:
        args->files = (const char *const *)(state->argv + state->next);
        args->file_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (args->data_dir == NULL || args->file_count == 0)
            argp_error(state, "--data and at least one FILE are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void on_signal(int number)
{
    (void)number;
    import_stop();
}

/* The first signal ends the import between two transactions, a second one at once. */
static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGHUP, &stop, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

int main(int argc, char **argv)
{
    static const struct argp parser = {options, take, "FILE...", doc, NULL, NULL, NULL};
    struct import_args args = {.format = FORMAT_AUTO};
    argp_err_exit_status = 2;
    if (argp_parse(&parser, argc, argv, 0, NULL, &args) != 0)
        return 2;
    catch_signals();
    return import_run(&args);
}
