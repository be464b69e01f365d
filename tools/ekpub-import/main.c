#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "readerargs.h"
#include "run.h"

const char *argp_program_version = "ekpub-import " CRADLE_VERSION;

static const char doc[] =
    "Enrolls the endorsement keys of a manufacturing list: CSV, JSON, PEM, DER, TPM2B_PUBLIC, "
    "Get-TpmEndorsementKeyInfo, signed manifests, directories and tar archives; packed with gzip or "
    "zstd or not. FILE may be - for standard input.\v"
    "Columns: registrationId, endorsementKey, storageRootKey, deviceId, pinSrk, ekCertificate, tags, "
    "iotHubs, allocationPolicy, initialTwin, provisioningStatus. Only the endorsementKey is "
    "required: TPM2B_PUBLIC, TPMT_PUBLIC, SubjectPublicKeyInfo, PKCS#1 or certificate, in base64 or "
    "PEM.\n\n"
    "Exit status: 0 all rows are in, 1 some rows were refused (standard error and the report say "
    "which and why), 2 nothing was done.";

enum { OPTION_DATA = 256, OPTION_DRY_RUN, OPTION_REPORT };

static const struct argp_option options[] = {
    {"data", OPTION_DATA, "DIR", 0, "the service's data directory", 0},
    {"dry-run", OPTION_DRY_RUN, NULL, 0, "check everything, write nothing", 0},
    {"report", OPTION_REPORT, "FILE", 0, "write the outcome of every row as JSON Lines", 0},
    {0},
};

struct command {
    struct import_args import;
    struct readerargs reading;
};

static error_t take(int key, char *text, struct argp_state *state)
{
    struct command *command = state->input;
    struct import_args *args = &command->import;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &command->reading;
        return 0;
    case OPTION_DATA:
        args->data_dir = text;
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
    static const struct argp_child children[] = {{&readerargs_parser, 0, NULL, 0}, {0}};
    static const struct argp parser = {options, take, "FILE...", doc, children, NULL, NULL};
    struct command command = {0};
    command.import.reading = &command.reading.options;
    argp_err_exit_status = 2;
    if (argp_parse(&parser, argc, argv, 0, NULL, &command) != 0)
        return 2;
    catch_signals();
    return import_run(&command.import);
}
