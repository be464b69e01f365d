#include <config.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wire/text.h>

#define LINE_MAX_BYTES 198 /* inih reads longer lines as two */

__attribute__((format(printf, 2, 0))) static void
say_with(struct config_reason *reason, const char *format, va_list args)
{
    if (reason != NULL)
        vsnprintf(reason->text, sizeof reason->text, format, args);
}

__attribute__((format(printf, 2, 3))) static enum err
say(struct config_reason *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_with(reason, format, args);
    va_end(args);
    return ERR_CONFIG;
}

struct reader {
    struct config config;
    struct config_reason reason; /* of the first error; the line is added later */
    bool failed;
    unsigned seen; /* a bit a key */
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct reader *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_with(&r->reason, format, args);
    va_end(args);
    return false;
}

/* ---- single values ---- */

static bool take_text(const char *value, char *ret_text, size_t cap)
{
    size_t len = strlen(value);
    return len > 0 && span_to_text(span_of(value, len), ret_text, cap) == ERR_OK;
}

static bool take_scope(struct config *c, const char *value)
{
    for (const char *p = value; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) || !isascii((unsigned char)*p))
            return false;
    return take_text(value, c->id_scope, sizeof c->id_scope);
}

static bool take_listen(struct config *c, const char *value)
{
    return config_listen_read(value, c->listen_address, &c->listen_port) == ERR_OK;
}

static bool take_threads(struct config *c, const char *value)
{
    int64_t n = 0;
    if (decimal_read(span_text(value), &n) != ERR_OK || n > 256)
        return false;
    c->threads = (int)n;
    return true;
}

static bool take_path(const struct config *c, const char *value, char ret_path[CONFIG_PATH_CAP])
{
    struct buf b = buf_over(ret_path, CONFIG_PATH_CAP);
    if (value[0] != '/') {
        buf_put_text(&b, c->data_dir);
        buf_put_u8(&b, '/');
    }
    buf_put_text(&b, value);
    return value[0] != '\0' && buf_end_text(&b) == ERR_OK;
}

static bool take_certificate(struct config *c, const char *value)
{
    return take_path(c, value, c->server_certificate);
}

static bool take_key(struct config *c, const char *value)
{
    return take_path(c, value, c->server_key);
}

static bool take_user(struct config *c, const char *value)
{
    return take_text(value, c->backend_user, sizeof c->backend_user);
}

static bool take_password(struct config *c, const char *value)
{
    return strncmp(value, "pbkdf2-sha256$", 14) == 0 &&
           take_text(value, c->backend_password, sizeof c->backend_password);
}

static const struct key {
    const char *section, *name;
    bool (*take)(struct config *c, const char *value);
    const char *wants;
    bool needed;
} keys[] = {
    {"service", "id_scope", take_scope, "1 to 63 letters and digits", true},
    {"service", "listen", take_listen, "ADDRESS:PORT with a numeric address", true},
    {"service", "threads", take_threads, "a number from 0 to 256", false},
    {"service", "certificate", take_certificate, "a path", true},
    {"service", "key", take_key, "a path", true},
    {"backend", "user", take_user, "1 to 63 characters", false},
    {"backend", "password", take_password, "pbkdf2-sha256$iterations$salt$hash", false},
};
#define KEYS (sizeof keys / sizeof keys[0])

/* ---- hubs ---- */
bool config_hub_name_valid(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) && name[i] != '-')
            return false;
    return len > 0 && len < sizeof((struct config_hub *)NULL)->name && name[0] != '-';
}

bool config_host_valid(const char *host)
{
    size_t len = strlen(host), label = 0;
    bool dot = false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)host[i];
        bool edge = label == 0 || i + 1 == len || host[i + 1] == '.';
        if (c == '.' && label > 0 && i + 1 < len) {
            dot = true;
            label = 0;
        } else if (isascii(c) && (isalnum(c) || (c == '-' && !edge)) && label < 63) {
            label++;
        } else {
            return false;
        }
    }
    return dot && len < sizeof((struct config_hub *)NULL)->host;
}

static bool add_hub(struct reader *r, const char *name, const char *host)
{
    struct config *c = &r->config;
    if (c->hub_count == CONFIG_HUBS_MAX)
        return refuse(r, "more than %d hubs", CONFIG_HUBS_MAX);
    if (!config_hub_name_valid(name))
        return refuse(r, "a hub's name has 1 to 63 characters of a-z, 0-9 and -");
    if (!config_host_valid(host))
        return refuse(r, "a hub's host is a DNS name with a dot, without a port");
    for (int i = 0; i < c->hub_count; i++)
        if (strcmp(c->hubs[i].name, name) == 0)
            return refuse(r, "hub %s twice", name);
    struct config_hub *hub = &c->hubs[c->hub_count++];
    return take_text(name, hub->name, sizeof hub->name) &&
           take_text(host, hub->host, sizeof hub->host);
}

/* ---- the file ---- */
static bool take(struct reader *r, const char *section, const char *name, const char *value)
{
    if (strcmp(section, "hubs") == 0)
        return add_hub(r, name, value);
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(section, keys[i].section) != 0 || strcmp(name, keys[i].name) != 0)
            continue;
        if (r->seen & 1u << i)
            return refuse(r, "%s twice", name);
        r->seen |= 1u << i;
        if (!keys[i].take(&r->config, value))
            return refuse(r, "%s must be %s", name, keys[i].wants);
        return true;
    }
    return refuse(r, "unknown key %.50s in section [%.50s]", name, section);
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
    struct reader *r = user;
    if (!r->failed && !take(r, section, name, value))
        r->failed = true;
    return !r->failed;
}

static enum err check_lines(struct span text, struct config_reason *reason)
{
    struct span rest = text;
    for (int line = 1; rest.at != NULL; line++) {
        struct span one = span_cut(&rest, '\n');
        if (one.len > LINE_MAX_BYTES)
            return say(reason, CONFIG_FILE ":%d: longer than %d bytes", line, LINE_MAX_BYTES);
        for (size_t i = 0; i < one.len; i++)
            if (one.at[i] < ' ' && one.at[i] != '\t' && one.at[i] != '\r')
                return say(reason, CONFIG_FILE ":%d: a control character", line);
    }
    return ERR_OK;
}

static enum err check_complete(const struct reader *r, struct config_reason *reason)
{
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].needed && !(r->seen & 1u << i))
            return say(reason, CONFIG_FILE ": %s is missing in section [%s]", keys[i].name,
                       keys[i].section);
    if ((r->config.backend_user[0] == '\0') != (r->config.backend_password[0] == '\0'))
        return say(reason, CONFIG_FILE ": [backend] needs both user and password, or neither");
    return ERR_OK;
}

enum err config_parse(struct span text, const char *data_dir, struct config *ret_config,
                      struct config_reason *ret_reason)
{
    char copy[CONFIG_FILE_MAX + 1];
    struct reader r = {.failed = false};
    if (span_to_text(text, copy, sizeof copy) != ERR_OK)
        return say(ret_reason, CONFIG_FILE ": too long, or holds a NUL");
    if (!take_text(data_dir, r.config.data_dir, sizeof r.config.data_dir))
        return say(ret_reason, "%s: the path is too long", data_dir);
    TRY(check_lines(text, ret_reason));
    int line = ini_parse_string(copy, handle, &r);
    if (line < 0)
        return ERR_MEMORY;
    if (line > 0)
        return say(ret_reason, CONFIG_FILE ":%d: %s", line,
                   r.failed ? r.reason.text : "neither [section], name = value nor # comment");
    TRY(check_complete(&r, ret_reason));
    *ret_config = r.config;
    return ERR_OK;
}

static void file_close(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

enum err config_read(const char *data_dir, struct config *ret_config,
                     struct config_reason *ret_reason)
{
    char dir[PATH_MAX], path[PATH_MAX + sizeof CONFIG_FILE + 1], text[CONFIG_FILE_MAX + 1];
    if (realpath(data_dir, dir) == NULL)
        return say(ret_reason, "%s: %s", data_dir, strerror(errno));
    snprintf(path, sizeof path, "%s/" CONFIG_FILE, dir);
    __attribute__((cleanup(file_close))) FILE *file = fopen(path, "re");
    if (file == NULL)
        return say(ret_reason, "%s: %s", path, strerror(errno));
    size_t len = fread(text, 1, sizeof text, file);
    if (ferror(file))
        return say(ret_reason, "%s: cannot be read", path);
    return config_parse(span_of(text, len), dir, ret_config, ret_reason);
}

/* ---- where to listen ---- */
enum err config_listen_read(const char *text, char ret_address[64], uint16_t *ret_port)
{
    char address[64];
    struct in6_addr any;
    int64_t port = 0;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || decimal_read(span_text(colon + 1), &port) != ERR_OK || port > 65535)
        return ERR_CONFIG;
    struct span host = span_of(text, (size_t)(colon - text));
    bool six = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    if (six)
        host = span_slice(host, 1, host.len - 2);
    if (span_to_text(host, address, sizeof address) != ERR_OK ||
        inet_pton(six ? AF_INET6 : AF_INET, address, &any) != 1)
        return ERR_CONFIG;
    TRY(span_to_text(host, ret_address, 64));
    *ret_port = (uint16_t)port;
    return ERR_OK;
}
