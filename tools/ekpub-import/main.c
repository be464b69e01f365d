#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manifest.h"
#include "collect.h"
#include "ekargs.h"
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

enum {
    OPTION_DATA = 256,
    OPTION_DRY_RUN,
    OPTION_REPORT,
    OPTION_REJECTS,
    OPTION_RESUME,
    OPTION_CHECKPOINT,
    OPTION_TIMES,
    OPTION_CONFLICT,
    OPTION_ALL,
    OPTION_MANIFEST,
    OPTION_WEAK_KEYS,
    OPTION_SHARED,
    OPTION_TAG,
    OPTION_HUB,
    OPTION_ALLOCATION,
    OPTION_TWIN,
    OPTION_DISABLED,
    OPTION_KEY,
};

static const struct argp_option options[] = {
    {"data", OPTION_DATA, "DIR", 0, "the service's data directory", 0},
    {"dry-run", OPTION_DRY_RUN, NULL, 0, "check everything, write nothing", 0},
    {"report", OPTION_REPORT, "FILE", 0, "write the outcome of every row as JSON Lines", 0},
    {"rejects", OPTION_REJECTS, "FILE", 0, "write refused rows, as they came, for repair", 0},
    {"resume", OPTION_RESUME, NULL, 0, "go on where an interrupted import of these files ended", 0},
    {"checkpoint", OPTION_CHECKPOINT, "SECONDS", 0,
     "how often to note how far the import is (default: 2; 0: as often as possible)", 0},
    {"times", OPTION_TIMES, NULL, 0, "tell how long the database's write lock was held", 0},
    {"on-conflict", OPTION_CONFLICT, "fail|skip|replace", 0,
     "what becomes of a row that shares its id or key with another enrollment (default: fail)", 0},
    {"all-or-nothing", OPTION_ALL, NULL, 0, "enroll nothing if any row is refused", 0},
    {"manifest", OPTION_MANIFEST, "FILE", 0, "import only what this manifest by --signer lists", 0},
    {"weak-keys", OPTION_WEAK_KEYS, "fast|thorough", 0,
     "how far each key is searched for weaknesses (default: fast)", 0},
    {"shared-factors", OPTION_SHARED, NULL, 0,
     "refuse RSA keys that share a prime with another of these files, which are read twice", 0},
    {"tag", OPTION_TAG, "NAME", 0, "group tag of all rows that have none of their own (repeatable)",
     0},
    {"hub", OPTION_HUB, "HOST", 0, "linked hub they may be assigned to (repeatable)", 0},
    {"allocation", OPTION_ALLOCATION, "POLICY", 0, "hashed, geoLatency, static or custom", 0},
    {"twin", OPTION_TWIN, "JSON", 0, "their initial twin", 0},
    {"disabled", OPTION_DISABLED, NULL, 0, "enroll them, but let none be provisioned yet", 0},
    {0},
};

#define CHECKPOINT_EVERY_S 2

struct command {
    struct import_args import;
    struct readerargs reading;
    struct ekargs ek;
};

/* Repeated names are one list. */
static void add_option(struct command *command, enum import_column column, const char *text,
                       struct argp_state *state)
{
    struct import_options *o = &command->import.options;
    struct import_reason why;
    char list[STORE_HUBS_CAP + 300];
    const char *before = column == COLUMN_TAGS ? o->profile.tags
                         : column == COLUMN_HUBS ? o->profile.hubs : "";
    if (column == COLUMN_TAGS || column == COLUMN_HUBS)
        (void)snprintf(list, sizeof list, "%s,%.256s", before, text);
    enum err e = options_set(o, column, span_text(list[0] != 0 && before[0] != 0 ? list : text),
                             &why);
    if (e != ERR_OK)
        argp_error(state, "%s", why.text);
}

static bool choose(const char *text, const char *const *names, unsigned count, unsigned *ret_choice)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_choice = i;
            return true;
        }
    return false;
}

static void take_choice(int key, const char *text, struct import_args *args,
                        struct argp_state *state)
{
    static const char *const conflicts[] = {"fail", "skip", "replace"};
    static const char *const cares[] = {"fast", "thorough"};
    unsigned choice = 0;
    bool conflict = key == OPTION_CONFLICT;
    if (!choose(text, conflict ? conflicts : cares, conflict ? 3 : 2, &choice))
        argp_error(state, conflict ? "--on-conflict is fail, skip or replace"
                                   : "--weak-keys is fast or thorough");
    if (conflict)
        args->conflict = (enum import_conflict)choice;
    else
        args->care = (enum check_care)choice;
}

static int take_seconds(const char *text, struct argp_state *state)
{
    char *end = NULL;
    long seconds = strtol(text, &end, 10);
    if (end == text || *end != 0 || seconds < 0 || seconds > 86400)
        argp_error(state, "--checkpoint is a number of seconds, up to a day");
    return (int)seconds;
}

static error_t take_batch(int key, char *text, struct argp_state *state)
{
    struct command *command = state->input;
    switch (key) {
    case OPTION_TAG:
        add_option(command, COLUMN_TAGS, text, state);
        return 0;
    case OPTION_HUB:
        add_option(command, COLUMN_HUBS, text, state);
        return 0;
    case OPTION_ALLOCATION:
        add_option(command, COLUMN_ALLOCATION, text, state);
        return 0;
    case OPTION_TWIN:
        add_option(command, COLUMN_TWIN, text, state);
        return 0;
    case OPTION_DISABLED:
        command->import.options.disabled = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t take(int key, char *text, struct argp_state *state)
{
    struct command *command = state->input;
    struct import_args *args = &command->import;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &command->reading;
        state->child_inputs[1] = &command->ek;
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
    case OPTION_REJECTS:
        args->rejects = text;
        return 0;
    case OPTION_RESUME:
        args->resume = true;
        return 0;
    case OPTION_CHECKPOINT:
        args->checkpoint_every_s = take_seconds(text, state);
        return 0;
    case OPTION_TIMES:
        args->times = true;
        return 0;
    case OPTION_ALL:
        args->all_or_nothing = true;
        return 0;
    case OPTION_SHARED:
        args->shared_factors = true;
        return 0;
    case OPTION_MANIFEST:
        args->manifest = text;
        return 0;
    case OPTION_CONFLICT:
    case OPTION_WEAK_KEYS:
        take_choice(key, text, args, state);
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
        return take_batch(key, text, state);
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

/* ---- ekpub-import sign ---- */

struct sign_command {
    struct manifest_args sign;
    struct readerargs reading;
};

static error_t take_sign(int key, char *text, struct argp_state *state)
{
    struct sign_command *command = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &command->reading;
        return 0;
    case OPTION_KEY:
        command->sign.key = text;
        return 0;
    case ARGP_KEY_ARGS:
        command->sign.files = (const char *const *)(state->argv + state->next);
        command->sign.file_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (command->sign.key == NULL || command->sign.file_count == 0)
            argp_error(state, "--key and at least one FILE are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int sign_main(int argc, char **argv)
{
    static const struct argp_option sign_options[] = {
        {"key", OPTION_KEY, "FILE", 0, "private key of the line: PEM, P-256 or Ed25519", 0}, {0}};
    static const struct argp_child children[] = {{&readerargs_parser, 0, NULL, 0}, {0}};
    static const struct argp parser = {
        sign_options, take_sign, "FILE...",
        "Writes a signed manifest of the files to standard output: the row count and SHA-256 of "
        "each.", children, NULL, NULL};
    struct sign_command command = {0};
    command.sign.reading = &command.reading.options;
    if (argp_parse(&parser, argc, argv, 0, NULL, &command) != 0)
        return 2;
    return manifest_sign(&command.sign);
}

static bool load_trust(struct ekargs *ek)
{
    struct import_reason why;
    if (ekargs_load(ek, &why) == ERR_OK)
        return true;
    (void)fprintf(stderr, "ekpub-import: %s\n", why.text);
    ekpolicy_close(&ek->policy);
    return false;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "collect") == 0) {
        argp_err_exit_status = 2;
        return collect_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "sign") == 0) {
        argp_err_exit_status = 2;
        return sign_main(argc - 1, argv + 1);
    }
    static const struct argp_child children[] = {
        {&readerargs_parser, 0, NULL, 0}, {&ekargs_parser, 0, "EK certificates:", 0}, {0}};
    static const struct argp parser = {options, take, "FILE...", doc, children, NULL, NULL};
    static struct command command;
    command.import.reading = &command.reading.options;
    command.import.ek = &command.ek.policy;
    command.import.checkpoint_every_s = CHECKPOINT_EVERY_S;
    argp_err_exit_status = 2;
    if (argp_parse(&parser, argc, argv, 0, NULL, &command) != 0)
        return 2;
    catch_signals();
    if (!load_trust(&command.ek))
        return 2;
    int status = import_run(&command.import);
    ekpolicy_close(&command.ek.policy);
    return status;
}
