#include "api.h"
#include "keyfile.h"
#include "show.h"

#include <argp.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Exit status: what a script can act on. */
enum { DONE = 0, REFUSED = 1, USAGE = 2, UNREACHABLE = 3 };

const char *argp_program_version = "cradlectl " CRADLE_VERSION;

static const char doc[] =
    "The operator's command over the service API.\v"
    "  enrollment list | show ID | create ID | enable ID | disable ID | keys ID | delete ID\n"
    "  group      list | show ID | create ID | enable ID | disable ID | keys ID | delete ID\n"
    "  registration    show ID | list GROUP | delete ID\n"
    "  status          whether the service answers, and takes the login\n"
    "  completion      for bash: source <(cradlectl completion)\n\n"
    "An enrollment is created with --ek, --symmetric-key or --certificate, a group with --symmetric-key or "
    "--certificate.\n\n"
    "The login is the connection string that cradled init printed; keep it in CRADLE_LOGIN or in a file "
    "(--login @FILE), since other users can see command lines. CRADLE_CA names the service's CA "
    "certificate.\n\n"
    "Exit status: 0 done, 1 refused by the service, 2 wrong usage, 3 no answer.";

enum {
    OPTION_LOGIN = 256,
    OPTION_CA,
    OPTION_JSON,
    OPTION_WHERE,
    OPTION_STATE,
    OPTION_EK,
    OPTION_SRK,
    OPTION_SYMMETRIC,
    OPTION_CERTIFICATE,
    OPTION_DEVICE_ID,
    OPTION_HUB,
    OPTION_ALLOCATION,
    OPTION_TWIN,
    OPTION_DISABLED,
    OPTION_IF_MATCH,
};

static const struct argp_option options[] = {
    {"login", OPTION_LOGIN, "STRING|@FILE", 0, "connection string (default: CRADLE_LOGIN)", 0},
    {"ca", OPTION_CA, "FILE", 0, "the service's CA certificate (default: CRADLE_CA, or the system's)", 0},
    {"json", OPTION_JSON, NULL, 0, "print what the service says, one JSON value a line", 0},
    {"where", OPTION_WHERE, "CONDITION", 0,
     "list: only those, as in \"provisioningStatus = 'disabled'\"", 0},
    {"state", OPTION_STATE, NULL, 0, "list: with the state of their registration", 0},
    {"ek", OPTION_EK, "FILE", 0,
     "create: endorsement key: PEM, certificate, TPM2B_PUBLIC or its base64", 0},
    {"srk", OPTION_SRK, "FILE", 0, "create: storage root key, likewise", 0},
    {"symmetric-key", OPTION_SYMMETRIC, NULL, 0, "create: the service makes two keys and prints them", 0},
    {"certificate", OPTION_CERTIFICATE, "FILE", 0,
     "create: the device's certificate, or the CA's of a group; PEM", 0},
    {"device-id", OPTION_DEVICE_ID, "ID", 0, "create: the device's name at its hub", 0},
    {"hub", OPTION_HUB, "HOST", 0, "create: a hub it may be assigned to (repeatable)", 0},
    {"allocation", OPTION_ALLOCATION, "POLICY", 0, "create: hashed, geoLatency, static or custom", 0},
    {"twin", OPTION_TWIN, "JSON", 0, "create: initial twin", 0},
    {"disabled", OPTION_DISABLED, NULL, 0, "create: not let in yet", 0},
    {"if-match", OPTION_IF_MATCH, "ETAG", 0, "delete: only if it is still this one", 0},
    {0},
};

struct arguments {
    const char *login, *ca, *where, *ek, *srk, *certificate, *device_id, *allocation, *twin,
        *if_match;
    bool json, state, symmetric, disabled;
    json_t *hubs;
    const char *words[3]; /* noun, verb, id */
    int count;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_LOGIN: a->login = text; return 0;
    case OPTION_CA: a->ca = text; return 0;
    case OPTION_JSON: a->json = true; return 0;
    case OPTION_WHERE: a->where = text; return 0;
    case OPTION_STATE: a->state = true; return 0;
    case OPTION_EK: a->ek = text; return 0;
    case OPTION_SRK: a->srk = text; return 0;
    case OPTION_SYMMETRIC: a->symmetric = true; return 0;
    case OPTION_CERTIFICATE: a->certificate = text; return 0;
    case OPTION_DEVICE_ID: a->device_id = text; return 0;
    case OPTION_HUB:
        if (a->hubs == NULL)
            a->hubs = json_array();
        return json_array_append_new(a->hubs, json_string(text)) == 0 ? 0 : ENOMEM;
    case OPTION_ALLOCATION: a->allocation = text; return 0;
    case OPTION_TWIN: a->twin = text; return 0;
    case OPTION_DISABLED: a->disabled = true; return 0;
    case OPTION_IF_MATCH: a->if_match = text; return 0;
    case ARGP_KEY_ARG:
        if (a->count == 3)
            argp_error(state, "too many words: %s", text);
        a->words[a->count++] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the two collections ---- */
struct noun {
    const char *name, *collection, *id_member;
};
static const struct noun enrollment = {"enrollment", "/enrollments/", "registrationId"};
static const struct noun group = {"group", "/enrollmentGroups/", "enrollmentGroupId"};

struct command {
    struct api *api;
    const struct arguments *args;
    const struct noun *noun;
    struct api_reason reason;
};

static void json_drop(json_t **j) { json_decref(*j); }
#define JSON __attribute__((cleanup(json_drop))) json_t

static void print(const struct command *c, const json_t *json)
{
    if (c->args->json)
        show_json(stdout, json);
    else
        show_members(stdout, json);
}

static enum err call(struct command *c, const char *method, const char *collection, const char *tail,
                     const json_t *body, const char *if_match, struct api_answer *ret_answer)
{
    char path[API_PATH_CAP];
    const char *id = c->args->count > 2 ? c->args->words[2] : "";
    TRY(api_path(collection, id, tail, path));
    const struct api_call call = {method, path, body, if_match, NULL};
    return api_do(c->api, &call, ret_answer, &c->reason);
}

/* ---- show, keys, delete ---- */
static enum err show(struct command *c)
{
    API_ANSWER a = {.json = NULL};
    TRY(call(c, "GET", c->noun->collection, "", NULL, NULL, &a));
    print(c, a.json);
    return ERR_OK;
}

static enum err keys(struct command *c)
{
    API_ANSWER a = {.json = NULL};
    TRY(call(c, "POST", c->noun->collection, "/attestationmechanism", NULL, NULL, &a));
    print(c, a.json);
    return ERR_OK;
}

static enum err delete(struct command *c)
{
    API_ANSWER a = {.json = NULL};
    return call(c, "DELETE", c->noun->collection, "", NULL, c->args->if_match, &a);
}

/* ---- enable, disable ---- */
/* Read, changed and written under the tag it was read with: whoever came between is not overwritten. */
static enum err set_status(struct command *c, const char *status)
{
    API_ANSWER before = {.json = NULL}, after = {.json = NULL};
    TRY(call(c, "GET", c->noun->collection, "", NULL, NULL, &before));
    if (json_object_set_new(before.json, "provisioningStatus", json_string(status)) != 0)
        return ERR_MEMORY;
    TRY(call(c, "PUT", c->noun->collection, "", before.json,
             json_string_value(json_object_get(before.json, "etag")), &after));
    print(c, after.json);
    return ERR_OK;
}

static enum err enable(struct command *c) { return set_status(c, "enabled"); }
static enum err disable(struct command *c) { return set_status(c, "disabled"); }

/* ---- create ---- */
static enum err wrong(struct command *c, const char *what)
{
    snprintf(c->reason.text, sizeof c->reason.text, "%s", what);
    return ERR_INVALID_ARGUMENT;
}

static enum err tpm_mechanism(struct command *c, json_t **ret_json)
{
    char ek[KEYFILE_TEXT_CAP], srk[KEYFILE_TEXT_CAP] = "";
    if (keyfile_read(c->args->ek, TPM_ROLE_EK, ek) != ERR_OK)
        return wrong(c, "--ek: no endorsement key in that file");
    if (c->args->srk != NULL && keyfile_read(c->args->srk, TPM_ROLE_SRK, srk) != ERR_OK)
        return wrong(c, "--srk: no storage root key in that file");
    *ret_json = json_pack("{s:s,s:{s:s,s:s*}}", "type", "tpm", "tpm", "endorsementKey", ek,
                          "storageRootKey", c->args->srk != NULL ? srk : NULL);
    return *ret_json == NULL ? ERR_MEMORY : ERR_OK;
}

static enum err certificate_mechanism(struct command *c, json_t **ret_json)
{
    char pem[32768];
    if (keyfile_text(c->args->certificate, pem, sizeof pem) != ERR_OK)
        return wrong(c, "--certificate: the file cannot be read");
    *ret_json = json_pack("{s:s,s:{s:{s:{s:s}}}}", "type", "x509", "x509",
                          c->noun == &group ? "signingCertificates" : "clientCertificates",
                          "primary", "certificate", pem);
    return *ret_json == NULL ? wrong(c, "--certificate: the file is not text") : ERR_OK;
}

static enum err mechanism(struct command *c, json_t **ret_json)
{
    const struct arguments *a = c->args;
    if ((a->ek != NULL) + a->symmetric + (a->certificate != NULL) != 1)
        return wrong(c, "create takes one of --ek, --symmetric-key and --certificate");
    if (a->ek != NULL)
        return tpm_mechanism(c, ret_json);
    if (a->certificate != NULL)
        return certificate_mechanism(c, ret_json);
    *ret_json = json_pack("{s:s}", "type", "symmetricKey");
    return *ret_json == NULL ? ERR_MEMORY : ERR_OK;
}

static enum err body_make(struct command *c, json_t **ret_json)
{
    const struct arguments *a = c->args;
    JSON *attestation = NULL, *twin = NULL;
    json_error_t error;
    TRY(mechanism(c, &attestation));
    if (a->twin != NULL) {
        twin = json_loads(a->twin, JSON_REJECT_DUPLICATES, &error);
        if (twin == NULL)
            return wrong(c, "--twin is not JSON");
    }
    *ret_json = json_pack("{s:s,s:O,s:s*,s:O*,s:s*,s:O*,s:s}", c->noun->id_member, a->words[2],
                          "attestation", attestation, "deviceId", a->device_id, "iotHubs", a->hubs,
                          "allocationPolicy", a->allocation, "initialTwin", twin,
                          "provisioningStatus", a->disabled ? "disabled" : "enabled");
    return *ret_json == NULL ? wrong(c, "an option is not UTF-8") : ERR_OK;
}

static enum err create(struct command *c)
{
    JSON *body = NULL;
    API_ANSWER a = {.json = NULL};
    TRY(body_make(c, &body));
    TRY(call(c, "PUT", c->noun->collection, "", body, NULL, &a));
    print(c, a.json);
    return ERR_OK;
}

/* ---- lists ---- */
static enum err pages(struct command *c, const char *path, const json_t *body, struct show_table *table)
{
    char continuation[128] = "";
    do {
        API_ANSWER a = {.json = NULL};
        const struct api_call call = {"POST", path, body, NULL,
                                      continuation[0] != 0 ? continuation : NULL};
        size_t i;
        const json_t *row;
        TRY(api_do(c->api, &call, &a, &c->reason));
        memcpy(continuation, a.continuation, sizeof continuation);
        if (!c->args->json)
            show_page(stdout, table, a.json);
        else
            json_array_foreach(a.json, i, row)
                show_json(stdout, row);
    } while (continuation[0] != 0 && ferror(stdout) == 0);
    return ERR_OK;
}

static enum err list(struct command *c)
{
    static const struct show_column columns[] = {
        {"ID", "registrationId"},        {"DEVICE", "deviceId"},
        {"TYPE", "attestation.type"},    {"STATUS", "provisioningStatus"},
        {"UPDATED", "lastUpdatedDateTimeUtc"}, {"STATE", "registrationState.status"},
        {"HUB", "registrationState.assignedHub"},
    };
    static const struct show_column group_columns[] = {
        {"ID", "enrollmentGroupId"},
        {"TYPE", "attestation.type"},
        {"STATUS", "provisioningStatus"},
        {"UPDATED", "lastUpdatedDateTimeUtc"},
    };
    const struct arguments *a = c->args;
    struct show_table table = {.columns = columns, .count = a->state ? 7 : 5};
    char text[1024], path[API_PATH_CAP];
    struct buf query = BUF_OVER(text);
    buf_put_text(&query, a->state ? "SELECT *, registrationState" : "SELECT *");
    buf_put_text(&query, a->where != NULL ? " WHERE " : "");
    buf_put_text(&query, a->where != NULL ? a->where : "");
    if (buf_end_text(&query) != ERR_OK)
        return wrong(c, "--where is too long");
    if (c->noun == &group)
        table = (struct show_table){.columns = group_columns, .count = 4};
    TRY(api_path(c->noun->collection, "", "query", path));
    JSON *body = json_pack("{s:s}", "query", text);
    return body == NULL ? wrong(c, "--where is not UTF-8") : pages(c, path, body, &table);
}

static enum err registration_list(struct command *c)
{
    static const struct show_column columns[] = {
        {"ID", "registrationId"}, {"DEVICE", "deviceId"},   {"STATUS", "status"},
        {"HUB", "assignedHub"},   {"UPDATED", "lastUpdatedDateTimeUtc"},
    };
    struct show_table table = {.columns = columns, .count = 5};
    char path[API_PATH_CAP];
    TRY(api_path("/registrations/", c->args->words[2], "/query", path));
    return pages(c, path, NULL, &table);
}

static enum err registration_show(struct command *c)
{
    API_ANSWER a = {.json = NULL};
    TRY(call(c, "GET", "/registrations/", "", NULL, NULL, &a));
    print(c, a.json);
    return ERR_OK;
}

static enum err registration_delete(struct command *c)
{
    API_ANSWER a = {.json = NULL};
    return call(c, "DELETE", "/registrations/", "", NULL, c->args->if_match, &a);
}

/* ---- status ---- */
static enum err status(struct command *c)
{
    API_ANSWER a = {.json = NULL};
    JSON *body = json_pack("{s:s}", "query", "SELECT * WHERE registrationId = 'a'");
    const struct api_call call = {"POST", "/enrollments/query", body, NULL, NULL};
    TRY(api_do(c->api, &call, &a, &c->reason));
    puts("the service answers and takes the login");
    return ERR_OK;
}

/* ---- which ---- */
static const struct {
    const char *noun, *verb;
    bool takes_id;
    const struct noun *which;
    enum err (*run)(struct command *c);
} commands[] = {
    {"enrollment", "list", false, &enrollment, list},
    {"enrollment", "show", true, &enrollment, show},
    {"enrollment", "create", true, &enrollment, create},
    {"enrollment", "enable", true, &enrollment, enable},
    {"enrollment", "disable", true, &enrollment, disable},
    {"enrollment", "keys", true, &enrollment, keys},
    {"enrollment", "delete", true, &enrollment, delete},
    {"group", "list", false, &group, list},
    {"group", "show", true, &group, show},
    {"group", "create", true, &group, create},
    {"group", "enable", true, &group, enable},
    {"group", "disable", true, &group, disable},
    {"group", "keys", true, &group, keys},
    {"group", "delete", true, &group, delete},
    {"registration", "show", true, NULL, registration_show},
    {"registration", "list", true, NULL, registration_list},
    {"registration", "delete", true, NULL, registration_delete},
    {"status", "", false, NULL, status},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static int complete(void)
{
    puts("_cradlectl() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} words\n"
         "  case $COMP_CWORD in\n"
         "    1) words='enrollment group registration status completion' ;;\n"
         "    2) case ${COMP_WORDS[1]} in\n"
         "         enrollment | group) words='list show create enable disable keys delete' ;;\n"
         "         registration) words='show list delete' ;;\n"
         "       esac ;;\n"
         "  esac\n"
         "  case $word in -*) words='");
    for (size_t i = 0; options[i].name != NULL; i++)
        printf("--%s ", options[i].name);
    puts("' ;; esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "}\n"
         "complete -o default -F _cradlectl cradlectl");
    return DONE;
}

static int command_find(const struct arguments *a)
{
    const char *verb = a->count > 1 ? a->words[1] : "";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(a->words[0], commands[i].noun) == 0 && strcmp(verb, commands[i].verb) == 0 &&
            commands[i].takes_id == (a->count == 3))
            return (int)i;
    return -1;
}

/* ---- the login ---- */
static enum err login_read(const struct arguments *a, char *ret_text, size_t cap)
{
    const char *login = a->login != NULL ? a->login : getenv("CRADLE_LOGIN");
    if (login == NULL)
        return ERR_ABSENT;
    if (login[0] != '@')
        return span_to_text(span_text(login), ret_text, cap);
    TRY(keyfile_text(login + 1, ret_text, cap));
    ret_text[strcspn(ret_text, "\r\n")] = 0;
    return ERR_OK;
}

static int outcome(struct command *c, enum err e)
{
    if (e == ERR_OK && fflush(stdout) == 0)
        return DONE;
    fprintf(stderr, "cradlectl: %s\n", c->reason.text[0] != 0 ? c->reason.text : err_text(e));
    if (e == ERR_INVALID_ARGUMENT || e == ERR_CONFIG)
        return USAGE;
    return e == ERR_NETWORK || e == ERR_TLS ? UNREACHABLE : REFUSED;
}

static int run(const struct arguments *a, int which)
{
    char login[1024];
    struct command c = {.args = a, .noun = commands[which].which};
    if (login_read(a, login, sizeof login) != ERR_OK) {
        fputs("cradlectl: no login: --login, or CRADLE_LOGIN\n", stderr);
        return USAGE;
    }
    enum err e = api_open(login, a->ca != NULL ? a->ca : getenv("CRADLE_CA"), &c.api, &c.reason);
    bytes_wipe(login, sizeof login);
    if (e == ERR_OK)
        e = commands[which].run(&c);
    int status = outcome(&c, e);
    api_close(c.api);
    return status;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options, parse_option, "NOUN VERB [ID]", doc, NULL, NULL, NULL};
    struct arguments a = {.login = NULL};
    argp_err_exit_status = USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
        return USAGE;
    if (a.count == 1 && strcmp(a.words[0], "completion") == 0)
        return complete();
    int which = a.count > 0 ? command_find(&a) : -1;
    if (which < 0) {
        argp_help(&argp, stderr, ARGP_HELP_USAGE, argv[0]);
        return USAGE;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return UNREACHABLE;
    int status = run(&a, which);
    json_decref(a.hubs);
    curl_global_cleanup();
    return status;
}
