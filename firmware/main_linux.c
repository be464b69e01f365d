/* cradle-device: a device's first and later boots on Linux. Wires the machine of provision.h to the
 * Linux port and tells its story, one line a step. */
#include "hubc.h"
#include "json.h"
#include "main_tpm.h"
#include "outcome.h"
#include "service.h"

#include <argp.h>
#include <hal/linux.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <wire/names.h>
#include <wire/text.h>

#define HTTPS_PORT 443
#define MQTTS_PORT 8883
#define STEP_TIMEOUT_MS 15000
#define ONCE_ATTEMPTS 3
#define ATTEMPTS_MAX 1000000
#define TELEMETRY_INTERVAL_MS 60000
#define HOST_MAX 253

/* ---- the command line ---- */
struct options {
    char service_host[HOST_MAX + 1];
    struct provision_config config;
    struct hal_linux_config port;
    bool once;
    int64_t attempts; /* -1: not given */
    struct secret owner_auth;
};

static const struct argp_option option_table[] = {
    {"service", 's', "HOST[:PORT]", 0, "the provisioning service; port 443 if none is given", 0},
    {"id-scope", 'i', "SCOPE", 0, "the service's id scope", 0},
    {"ca", 'c', "FILE", 0, "PEM: the only certificates trusted, for service and hub", 0},
    {"tcti", 't', "NAME[:CONF]", 0, "the way to the TPM: device, swtpm, mssim", 0},
    {"state", 'd', "DIR", 0, "where the assignment is kept; made if absent", 0},
    {"registration-id", 'r', "ID", 0, "default: derived from the endorsement key", 0},
    {"hub-port", 'p', "N", 0, "default: 8883", 0},
    {"once", '1', NULL, 0, "publish once and end", 0},
    {"attempts", 'a', "N", 0, "end after N failed attempts; default: 3 with --once, otherwise 0, never", 0},
    {"ek", 'e', "auto|persistent|template", 0, "which endorsement key, where there is a choice; default: auto", 0},
    {"owner-auth-file", 'o', "FILE", 0, "holds the TPM owner's authorization, where one is set", 0},
    {"show-ek-certificate", 'C', NULL, 0, "tell whether NV holds a certificate for the EK", 0},
    {"payload", 'j', "JSON", 0, "sent with the registration and published as telemetry", 0},
    {0},
};

static bool port_read(struct span text, uint16_t *ret_port)
{
    int64_t n;
    if (decimal_read(text, &n) != ERR_OK || n < 1 || n > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)n;
    return true;
}

/* HOST, HOST:PORT, [IPv6]:PORT, or an IPv6 address alone. */
static bool service_read(const char *arg, struct options *o)
{
    struct span rest = span_text(arg), host;
    if (rest.len > 0 && rest.at[0] == '[') {
        rest = span_slice(rest, 1, rest.len);
        host = span_cut(&rest, ']');
        if (!rest.at || (rest.len > 0 && rest.at[0] != ':'))
            return false;
        rest = rest.len > 0 ? span_slice(rest, 1, rest.len) : span_of(NULL, 0);
    } else {
        struct span whole = rest;
        host = span_cut(&rest, ':');
        if (rest.len > 0 && memchr(rest.at, ':', rest.len)) {
            host = whole;
            rest = span_of(NULL, 0);
        }
    }
    o->config.service_port = HTTPS_PORT;
    return host.len > 0 && span_to_text(host, o->service_host, sizeof o->service_host) == ERR_OK &&
           (!rest.at || port_read(rest, &o->config.service_port));
}

static bool attempts_read(const char *arg, int64_t *ret_attempts)
{
    return decimal_read(span_text(arg), ret_attempts) == ERR_OK && *ret_attempts >= 0 &&
           *ret_attempts <= ATTEMPTS_MAX;
}

static bool payload_is_valid(const char *text)
{
    const struct cJSON *tree;
    bool good = strlen(text) <= SERVICE_PAYLOAD_MAX && json_parse(span_text(text), &tree) == ERR_OK;
    json_end();
    return good;
}

static void require(const struct argp_state *state, bool present, const char *option)
{
    if (!present)
        argp_error(state, "--%s is needed", option);
}

static void check_complete(const struct argp_state *state, const struct options *o)
{
    require(state, o->config.service_host != NULL, "service");
    require(state, o->config.id_scope != NULL, "id-scope");
    require(state, o->port.ca_file != NULL, "ca");
    require(state, o->port.tcti != NULL, "tcti");
    require(state, o->port.state_dir != NULL, "state");
}

static error_t option_take(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    struct regid id;
    const char *wrong;
    switch (key) {
    case 's':
        if (!service_read(arg, o))
            argp_error(state, "--service wants HOST[:PORT], not \"%s\"", arg);
        o->config.service_host = o->service_host;
        return 0;
    case 'i':
        o->config.id_scope = arg;
        return 0;
    case 'c':
        o->port.ca_file = arg;
        return 0;
    case 't':
        o->port.tcti = arg;
        return 0;
    case 'd':
        o->port.state_dir = arg;
        return 0;
    case 'r':
        if (regid_read(span_text(arg), &id) != ERR_OK)
            argp_error(state, "--registration-id: 1 to 128 letters, digits and -._: are allowed, "
                              "the last one a letter, a digit or -");
        o->config.registration_id = arg;
        return 0;
    case 'p':
        if (!port_read(span_text(arg), &o->config.hub_port))
            argp_error(state, "--hub-port wants a number from 1 to 65535, not \"%s\"", arg);
        return 0;
    case '1':
        o->once = true;
        return 0;
    case 'a':
        if (!attempts_read(arg, &o->attempts))
            argp_error(state, "--attempts wants a number from 0 to %d, not \"%s\"", ATTEMPTS_MAX, arg);
        return 0;
    case 'e':
        if (!main_ek_read(arg, &o->config.tpm.ek))
            argp_error(state, "--ek wants auto, persistent or template, not \"%s\"", arg);
        return 0;
    case 'o':
        wrong = main_auth_read(arg, &o->owner_auth);
        if (wrong)
            argp_error(state, "--owner-auth-file: %s %s", arg, wrong);
        o->config.tpm.owner_auth = secret_span(&o->owner_auth);
        return 0;
    case 'C':
        o->config.read_ek_certificate = true;
        return 0;
    case 'j':
        if (!payload_is_valid(arg))
            argp_error(state, "--payload wants a JSON value of at most %d bytes",
                       SERVICE_PAYLOAD_MAX);
        o->config.payload = arg;
        return 0;
    case ARGP_KEY_END:
        check_complete(state, o);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void options_read(int argc, char **argv, struct options *o)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = option_take,
        .doc = "Boots a device: proves to the provisioning service that it holds its TPM, takes its "
               "hub key into the TPM, and publishes telemetry at its hub.\v" EXIT_TEXT,
    };
    *o = (struct options){
        .config = {.hub_port = MQTTS_PORT, .step_timeout_ms = STEP_TIMEOUT_MS}, .attempts = -1};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, o);
    if (o->attempts < 0)
        o->attempts = o->once ? ONCE_ATTEMPTS : 0;
    o->config.attempts_max = (uint32_t)o->attempts;
}

/* ---- the story ---- */
static struct hal_clock *story_clock;
static uint64_t story_start_ms;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("[%5" PRIu64 " ms] ", story_clock->monotonic_ms(story_clock) - story_start_ms);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

static void tell_keys(const struct provision *p)
{
    struct provision_report r = provision_report(p);
    main_tell_keys(&r, tell);
    tell("TPM: registration id %s", provision_registration_id(p));
}

static void tell_left_hub(const struct provision *p, enum provision_state to)
{
    if (to == PROVISION_DONE)
        tell("Hub: connected as %s, telemetry published and acknowledged", provision_device_id(p));
    else if (to == PROVISION_TIME)
        tell("Clock: the time is not known; asking the service");
    else if (provision_last_error(p) == ERR_HUB_REFUSED)
        tell("Hub: %s refused this device; provisioning again", provision_assigned_hub(p));
    else
        tell("TPM: the hub key is gone; provisioning again");
}

static void tell_step(const struct provision *p, enum provision_state from,
                      enum provision_state to)
{
    struct provision_report r;
    switch (from) {
    case PROVISION_START:
        if (to == PROVISION_HUB)
            tell("Storage: assigned to %s as %s", provision_assigned_hub(p),
                 provision_device_id(p));
        else
            tell("Storage: no assignment yet");
        break;
    case PROVISION_TPM:
        tell_keys(p);
        break;
    case PROVISION_REQUEST:
        tell("Service: enrolled; received a challenge");
        if (provision_report(p).time_from_service)
            tell("Clock: the time was not known; the service's is taken");
        break;
    case PROVISION_ACTIVATE:
        tell("TPM: opened the challenge, and signed with its key");
        break;
    case PROVISION_PROVE:
    case PROVISION_POLL:
        tell(to == PROVISION_ADOPT ? "Service: proof accepted, device assigned"
                                   : "Service: proof accepted, assignment under way");
        break;
    case PROVISION_ADOPT:
        tell("TPM: took the hub key; Storage: assigned to %s as %s", provision_assigned_hub(p),
             provision_device_id(p));
        r = provision_report(p);
        main_tell_identity(&r, tell);
        break;
    case PROVISION_TIME:
        tell("Clock: the service's time is taken");
        break;
    case PROVISION_HUB:
        tell_left_hub(p, to);
        break;
    default:
        break;
    }
}

static const char *party(enum provision_state at)
{
    switch (at) {
    case PROVISION_START:
        return "Storage";
    case PROVISION_TPM:
    case PROVISION_ACTIVATE:
        return "TPM";
    case PROVISION_ADOPT:
        return "TPM or storage";
    case PROVISION_HUB:
    case PROVISION_DONE:
        return "Hub";
    default:
        return "Service";
    }
}

static void tell_clock(const struct provision *p)
{
    uint8_t text[32];
    struct buf out = BUF_OVER(text);
    int64_t now_s = story_clock->wall_s(story_clock);
    time_http_write(&out, now_s);
    if (!provision_report(p).time_from_service && now_s != 0 && buf_end(&out) == ERR_OK)
        tell("Clock: it says %.*s", (int)out.len, (const char *)text);
}

static void tell_reason(const struct provision *p, enum provision_state at)
{
    enum err e = provision_last_error(p);
    struct provision_report r = provision_report(p);
    tell("%s: %s (%s)", party(at), outcome_reason(e), err_name(e));
    if (e == ERR_TLS_DATE)
        tell_clock(p);
    if (r.service_code != 0 && (at == PROVISION_REQUEST || at == PROVISION_PROVE || at == PROVISION_POLL))
        tell("Service: answered %" PRId32 " \"%s\"", r.service_code, r.service_message);
    if (outcome_status(e) == EXIT_TPM && r.tpm_code != 0)
        tell("TPM: response code 0x%" PRIx32, r.tpm_code);
}

static void tell_outcome(const struct provision *p, enum provision_state from,
                         enum provision_state to)
{
    bool failed = to == PROVISION_FAILED || (to == PROVISION_WAIT && provision_last_error(p) != ERR_OK);
    if (failed)
        tell_reason(p, from);
    else
        tell_step(p, from, to);
    if (to == PROVISION_WAIT)
        tell("Waiting %" PRIu32 ".%" PRIu32 " s", provision_wait_ms(p) / 1000,
             provision_wait_ms(p) % 1000 / 100);
}

/* ---- the hal's transport, which tells of each stream that is opened ---- */
struct told_transport {
    struct hal_transport table;
    struct hal_transport *inner;
};

static struct hal_transport *inner_of(struct hal_transport *t)
{
    return ((struct told_transport *)t)->inner;
}

static enum err told_open(struct hal_transport *t, const char *host, uint16_t port, int64_t now_s,
                          uint32_t timeout_ms, struct hal_peer *ret_peer)
{
    uint64_t start_ms = story_clock->monotonic_ms(story_clock);
    TRY(inner_of(t)->open(inner_of(t), host, port, now_s, timeout_ms, ret_peer));
    tell("Network: TLS to %s:%" PRIu16 " in %" PRIu64 " ms", host, port,
         story_clock->monotonic_ms(story_clock) - start_ms);
    return ERR_OK;
}

static int told_send(struct hal_transport *t, struct span bytes, uint32_t timeout_ms)
{
    return inner_of(t)->send(inner_of(t), bytes, timeout_ms);
}

static int told_receive(struct hal_transport *t, uint8_t *at, size_t cap, uint32_t timeout_ms)
{
    return inner_of(t)->receive(inner_of(t), at, cap, timeout_ms);
}

static void told_close(struct hal_transport *t)
{
    inner_of(t)->close(inner_of(t));
}

static void told_init(struct told_transport *t, struct hal_transport *inner)
{
    t->table = (struct hal_transport){
        .open = told_open, .send = told_send, .receive = told_receive, .close = told_close};
    t->inner = inner;
}

/* ---- running ---- */

/* A signal that ends the process does so between two steps, so that nothing of ours is left loaded
 * in a TPM without a resource manager. */
static void ending_allowed(bool allowed)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(allowed ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* The last line, which a supervisor or a line tester shows. */
static int ended(enum err e)
{
    int status = outcome_status(e);
    if (e != ERR_OK)
        fprintf(stderr, "cradle-device: ended with status %d %s: %s\n", status, err_name(e),
                outcome_reason(e));
    return status;
}

static enum err run(struct provision *p, bool once)
{
    enum provision_state at = PROVISION_START;
    while (at != PROVISION_FAILED && !(once && at == PROVISION_DONE)) {
        enum provision_state from = at;
        bool resting = at == PROVISION_WAIT || at == PROVISION_DONE;
        if (resting)
            ending_allowed(true);
        at = from == PROVISION_DONE ? provision_stay(p, TELEMETRY_INTERVAL_MS) : provision_step(p);
        if (resting)
            ending_allowed(false);
        if (from == PROVISION_DONE && at == PROVISION_DONE)
            tell("Hub: telemetry published and acknowledged");
        else if (from == PROVISION_DONE && at == PROVISION_HUB)
            tell("Hub: the token ends soon; connecting anew");
        else
            tell_outcome(p, from, at);
    }
    return at == PROVISION_FAILED ? provision_last_error(p) : ERR_OK;
}

static void settle_process(void)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    (void)setenv("TSS2_LOG", "all+NONE", 0); /* the story tells what went wrong */
    (void)unsetenv("MQTT_C_CLIENT_TRACE");   /* Paho's trace would show the token */
    ending_allowed(false);
}

int main(int argc, char **argv)
{
    settle_process();
    struct options options;
    options_read(argc, argv, &options);

    static struct hal_linux port;
    enum err e = hal_linux_open(&port, &options.port);
    if (e != ERR_OK) {
        hal_linux_close(&port);
        if (e == ERR_CONFIG)
            fprintf(stderr, "cradle-device: no certificate can be read from the CA file, or the "
                            "state directory may be written to by others\n");
        return ended(e);
    }
    story_clock = port.hal.clock;
    story_start_ms = story_clock->monotonic_ms(story_clock);

    static struct told_transport transport;
    static struct hubc hub;
    static union provision_memory memory;
    told_init(&transport, port.hal.transport);
    struct hal hal = port.hal;
    hal.transport = &transport.table;
    hubc_init(&hub, hal.transport, hal.clock, STEP_TIMEOUT_MS);
    struct provision *p = provision_init(&memory, &hal, &hub.table, &options.config);
    enum err outcome = run(p, options.once);
    provision_end(p);
    secret_wipe(&options.owner_auth);
    hal_linux_close(&port);
    return ended(outcome);
}
