#include "cradled.h"

#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *argp_program_version = "cradled 0.1.0";

enum { KEY_DATA = 'd', KEY_LISTEN = 'l', KEY_HOSTNAME = 'n', KEY_HUB = 'u' };

static const struct argp_option plain_options[] = {
    {"data", KEY_DATA, "DIR", 0, "data directory", 0}, {0}};
static const struct argp_option init_options[] = {
    {"data", KEY_DATA, "DIR", 0, "data directory, made if absent", 0},
    {"hostname", KEY_HOSTNAME, "NAME", 0,
     "DNS name or address the service is reached by; repeatable", 0},
    {"hub", KEY_HUB, "NAME=HOST", 0, "a hub devices are sent to; repeatable", 0},
    {0}};
static const struct argp_option serve_options[] = {
    {"data", KEY_DATA, "DIR", 0, "data directory", 0},
    {"listen", KEY_LISTEN, "ADDR:PORT", 0, "where to listen; what the configuration says if absent", 0},
    {0}};

static const struct command {
    const char *name, *arguments, *text;
    const struct argp_option *options;
    int (*run)(const struct options *o);
} commands[] = {
    {"init", "", "Makes a data directory: configuration, secrets, certificates, empty databases.",
     init_options, command_init},
    {"serve", "", "Serves devices until SIGTERM.", serve_options, command_serve},
    {"check", "", "Says what is wrong with a data directory.",
     plain_options, command_check},
    {"disable", "ID", "Refuses a device from now on, and ends its session at the hub.",
     plain_options, command_disable},
    {"enable", "ID", "Lets a disabled device in again.",
     plain_options, command_enable},
    {"audit", "verify|list", "Says whether the audit log is whole, or prints it as JSON Lines.",
     plain_options, command_audit},
    {"policy", "NAME", "Prints the keys of a policy of the service API.",
     plain_options, command_policy},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

struct parse {
    const struct command *command;
    struct options options;
};

static bool take_hub(struct options *o, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || o->hub_count == CONFIG_HUBS_MAX)
        return false;
    struct config_hub *hub = &o->hubs[o->hub_count];
    if (span_to_text(span_of(text, (size_t)(equals - text)), hub->name, sizeof hub->name) != ERR_OK ||
        span_to_text(span_text(equals + 1), hub->host, sizeof hub->host) != ERR_OK)
        return false;
    for (int i = 0; i < o->hub_count; i++)
        if (strcmp(o->hubs[i].name, hub->name) == 0)
            return false;
    o->hub_count++;
    return config_hub_name_valid(hub->name) && config_host_valid(hub->host);
}

static void take_value(struct options *o, int key, const char *value, struct argp_state *state)
{
    if (key == KEY_DATA)
        o->data = value;
    else if (key == KEY_HUB && !take_hub(o, value))
        argp_error(state, "--hub wants NAME=HOST: a name of a-z, 0-9 and -, once each, and a host "
                          "with a dot, not %s", value);
    else if (key == KEY_HOSTNAME && o->hostname_count == HOSTNAMES_MAX)
        argp_error(state, "more than %d host names", HOSTNAMES_MAX);
    else if (key == KEY_HOSTNAME)
        o->hostnames[o->hostname_count++] = value;
    else if (key == KEY_LISTEN) {
        if (config_listen_read(value, o->listen_address, &o->listen_port) != ERR_OK)
            argp_error(state, "--listen wants ADDRESS:PORT, the address a number, not %s", value);
        o->listen_given = true;
    }
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct parse *p = state->input;
    bool wants_id = p->command->arguments[0] != '\0';
    switch (key) {
    case KEY_DATA:
    case KEY_LISTEN:
    case KEY_HOSTNAME:
    case KEY_HUB:
        take_value(&p->options, key, value, state);
        return 0;
    case ARGP_KEY_ARG:
        if (!wants_id || state->arg_num > 0)
            argp_error(state, "what is %s?", value);
        p->options.id = value;
        return 0;
    case ARGP_KEY_END:
        if (p->options.data == NULL)
            argp_error(state, "--data DIR is needed");
        if (wants_id && p->options.id == NULL)
            argp_error(state, "the %s is missing",
                       p->command->run == command_audit    ? "verb, verify or list,"
                       : p->command->run == command_policy ? "policy's name"
                                                           : "registration id");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("cradled: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return 1;
}

int64_t wall_now_s(void *unused)
{
    struct timespec now;
    (void)unused;
    ERR_ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return now.tv_sec;
}

static int usage(FILE *out)
{
    fputs("Usage: cradled COMMAND --data DIR [OPTION...]\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %-11s %s\n", commands[i].name, commands[i].arguments, commands[i].text);
    fputs("\n`cradled COMMAND --help` tells more.\n", out);
    return out == stdout ? 0 : 64; /* EX_USAGE, as argp has it */
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)
        return usage(stdout);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return puts(argp_program_version) < 0;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        static struct parse p;
        char name[64];
        p.command = &commands[i];
        struct argp argp = {commands[i].options, parse_option, commands[i].arguments,
                            commands[i].text, NULL, NULL, NULL};
        snprintf(name, sizeof name, "cradled %s", commands[i].name);
        argv[1] = name;
        argp_parse(&argp, argc - 1, argv + 1, 0, NULL, &p);
        return commands[i].run(&p.options);
    }
    complain("no such command: %s", argv[1]);
    return usage(stderr);
}
