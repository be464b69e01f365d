#include <attest.h>
#include <store.h>

#include "certs.h"
#include "cradled.h"
#include "files.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/sas.h>
#include <wire/text.h>

#define POLICY_NAME "provisioningserviceowner"
#define BACKEND_USER "backend"
#define TEXT_CAP 16384

struct plan {
    const struct options *options;
    struct stage stage;
    const char *names[HOSTNAMES_MAX];
    int name_count;
    char machine[256];
    char id_scope[16];
    struct secret master, hub_root;
    char password[33];
    char password_hash[200];
    char policy_key[64];
};

static void plan_close(struct plan *p)
{
    stage_close(&p->stage);
    secret_wipe(&p->master);
    secret_wipe(&p->hub_root);
    bytes_wipe(p->password, sizeof p->password);
    bytes_wipe(p->policy_key, sizeof p->policy_key);
}

/* ---- secrets ---- */
static enum err draw(void *ret_bytes, size_t len)
{
    return getrandom(ret_bytes, len, 0) == (ssize_t)len ? ERR_OK : ERR_ENTROPY;
}

static enum err draw_scope(struct plan *p)
{
    uint8_t random[4];
    struct buf b = BUF_OVER(p->id_scope);
    TRY(draw(random, sizeof random));
    buf_put_text(&b, "0ne");
    hex_write(&b, SPAN_ARRAY(random));
    for (size_t i = 3; i < b.len; i++) /* as Azure writes them */
        if (b.at[i] >= 'a')
            b.at[i] = (uint8_t)(b.at[i] - 'a' + 'A');
    return buf_end_text(&b);
}

static enum err draw_password(struct plan *p)
{
    uint8_t random[16], salt[16];
    struct buf password = BUF_OVER(p->password), hash = BUF_OVER(p->password_hash);
    TRY(draw(random, sizeof random));
    TRY(draw(salt, sizeof salt));
    hex_write(&password, SPAN_ARRAY(random));
    bytes_wipe(random, sizeof random);
    TRY(buf_end_text(&password));
    return config_password_hash(buf_span(&password), salt, &hash);
}

static enum err draw_secrets(struct plan *p)
{
    uint8_t random[CONFIG_SECRET_LEN], key[SAS_SIGNATURE_LEN];
    SECRET policy_root = {.len = 0};
    struct buf b = BUF_OVER(p->policy_key);
    TRY(draw(random, sizeof random));
    enum err e = secret_set(&p->master, SPAN_ARRAY(random));
    bytes_wipe(random, sizeof random);
    TRY(e);
    TRY(attest_root(&p->master, ATTEST_ROOT_HUB, &p->hub_root));
    TRY(attest_root(&p->master, ATTEST_ROOT_POLICY, &policy_root));
    TRY(sas_sign(secret_span(&policy_root), SPAN_LITERAL(POLICY_NAME), key));
    base64_write(&b, SPAN_ARRAY(key));
    bytes_wipe(key, sizeof key);
    TRY(buf_end_text(&b));
    TRY(draw_scope(p));
    return draw_password(p);
}

static enum err write_secrets(const struct plan *p)
{
    TRY(stage_directory(&p->stage, "secrets"));
    TRY(stage_file(&p->stage, "secrets/master", secret_span(&p->master), 0600));
    return stage_file(&p->stage, "secrets/hub", secret_span(&p->hub_root), 0600);
}

/* ---- certificates ---- */
static void choose_names(struct plan *p)
{
    for (int i = 0; i < p->options->hostname_count; i++)
        p->names[p->name_count++] = p->options->hostnames[i];
    if (p->name_count > 0)
        return;
    p->names[p->name_count++] = "localhost";
    p->names[p->name_count++] = "127.0.0.1";
    if (gethostname(p->machine, sizeof p->machine - 1) == 0 && p->machine[0] != '\0' &&
        strcmp(p->machine, "localhost") != 0)
        p->names[p->name_count++] = p->machine;
}

static enum err write_pair(const struct plan *p, const char *directory, const char *name,
                           const struct buf *certificate, struct buf *key)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s.pem", directory, name);
    TRY(stage_file(&p->stage, path, buf_span(certificate), 0644));
    snprintf(path, sizeof path, "%s/%s.key", directory, name);
    enum err e = stage_file(&p->stage, path, buf_span(key), 0600);
    buf_wipe(key);
    return e;
}

static enum err write_server(const struct plan *p, struct certs_authority *ca,
                             const char *directory, const char *name, const char *const *names,
                             int count)
{
    char certificate[CERTS_PEM_CAP], key[1024];
    struct buf c = BUF_OVER(certificate), k = BUF_OVER(key);
    enum err e = certs_server_make(ca, names, count, wall_now_s(NULL), &c, &k);
    if (e == ERR_CONFIG)
        complain("a host name is neither a DNS name nor an address, or they are too many");
    TRY(e);
    return write_pair(p, directory, name, &c, &k);
}

/* ---- the hubs' brokers ---- */
static enum err find_plugin(char ret_path[PATH_MAX])
{
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (len <= 0) {
        complain("where this program lies cannot be told without /proc");
        return ERR_IO;
    }
    exe[len] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(exe, '/');
        if (slash == NULL)
            return ERR_IO;
        *slash = '\0';
    }
    int n = snprintf(ret_path, PATH_MAX, "%s/lib/mosquitto_cradle.so", exe);
    return n < PATH_MAX ? ERR_OK : ERR_IO;
}

static enum err write_broker(const struct plan *p, const struct config_hub *hub)
{
    char text[TEXT_CAP], path[128], plugin[PATH_MAX];
    const char *dir = p->stage.target, *name = hub->name;
    const struct passwd *user = getpwuid(geteuid());
    TRY(find_plugin(plugin));
    snprintf(path, sizeof path, "hub/%s.state", name);
    TRY(stage_directory(&p->stage, path));
    int n = snprintf(
        text, sizeof text,
        "# Mosquitto for the hub %s, %s: mosquitto -c %s/hub/%s.conf\n"
        "per_listener_settings false\n"
        "# A broker started as root becomes this user, who must be able to read %s.\n"
        "user %s\n"
        "allow_anonymous false\n"
        "allow_zero_length_clientid false\n"
        "plugin %s\n"
        "plugin_opt_data %s\n"
        "plugin_opt_hub %s\n"
        "\n"
        "listener 8883\n"
        "certfile %s/hub/%s.pem\n"
        "keyfile %s/hub/%s.key\n"
        "tls_version tlsv1.2\n"
        "# Without this every CONNECT waits for a delayed acknowledgement.\n"
        "set_tcp_nodelay true\n"
        "\n"
        "# What one device may cost.\n"
        "max_packet_size 270000\n"
        "message_size_limit 262144\n"
        "max_inflight_messages 20\n"
        "max_queued_messages 1000\n"
        "sys_interval 0\n"
        "\n"
        "# Messages to devices that are away, over a restart.\n"
        "persistence true\n"
        "persistence_location %s/hub/%s.state/\n"
        "autosave_interval 60\n"
        "log_dest stderr\n",
        name, hub->host, dir, name, dir, user == NULL ? "root" : user->pw_name, plugin, dir, name,
        dir, name, dir, name, dir, name);
    if (n < 0 || n >= TEXT_CAP)
        return ERR_FULL;
    snprintf(path, sizeof path, "hub/%s.conf", name);
    return stage_file(&p->stage, path, span_of(text, (size_t)n), 0644);
}

static enum err write_hubs(const struct plan *p, struct certs_authority *ca)
{
    TRY(stage_directory(&p->stage, "hub"));
    for (int i = 0; i < p->options->hub_count; i++) {
        const struct config_hub *hub = &p->options->hubs[i];
        const char *names[] = {hub->host};
        TRY(write_server(p, ca, "hub", hub->name, names, 1));
        TRY(write_broker(p, hub));
    }
    return ERR_OK;
}

static void authority_close(struct certs_authority **ca) { certs_authority_close(*ca); }

static enum err write_certificates(const struct plan *p)
{
    __attribute__((cleanup(authority_close))) struct certs_authority *ca = NULL;
    char certificate[CERTS_PEM_CAP], key[1024], name[64];
    struct buf c = BUF_OVER(certificate), k = BUF_OVER(key);
    snprintf(name, sizeof name, "Cradle CA %s", p->id_scope);
    TRY(certs_authority_make(name, wall_now_s(NULL), &ca));
    TRY(certs_authority_write(ca, &c, &k));
    TRY(stage_directory(&p->stage, "tls"));
    TRY(write_pair(p, "tls", "ca", &c, &k));
    TRY(write_server(p, ca, "tls", "server", p->names, p->name_count));
    return write_hubs(p, ca);
}

/* ---- configuration and databases ---- */
static enum err write_config(const struct plan *p)
{
    char text[TEXT_CAP];
    struct buf b = BUF_OVER(text);
    buf_put_text(&b, "[service]\nid_scope = ");
    buf_put_text(&b, p->id_scope);
    buf_put_text(&b, "\nlisten = 0.0.0.0:443\n# 0: one a core\nthreads = 0\n"
                     "certificate = tls/server.pem\nkey = tls/server.key\n\n"
                     "# NAME = HOST: where devices are sent to\n[hubs]\n");
    for (int i = 0; i < p->options->hub_count; i++) {
        buf_put_text(&b, p->options->hubs[i].name);
        buf_put_text(&b, " = ");
        buf_put_text(&b, p->options->hubs[i].host);
        buf_put_u8(&b, '\n');
    }
    buf_put_text(&b, "\n# The operator's consumers at the hubs\n[backend]\nuser = " BACKEND_USER
                     "\npassword = ");
    buf_put_text(&b, p->password_hash);
    buf_put_u8(&b, '\n');
    TRY(buf_end(&b));
    struct config_reason reason = {.text = ""};
    struct config config;
    if (config_parse(buf_span(&b), p->stage.target, &config, &reason) != ERR_OK) {
        complain("%s", reason.text);
        return ERR_CONFIG;
    }
    return stage_file(&p->stage, CONFIG_FILE, buf_span(&b), 0600);
}

static enum err make_databases(const struct plan *p)
{
    struct store *store = NULL;
    struct store_reason reason = {.text = ""};
    enum err e = store_open(p->stage.path, STORE_CREATE, &store, &reason);
    if (e != ERR_OK) {
        complain("databases: %s", reason.text[0] != '\0' ? reason.text : err_text(e));
        return e;
    }
    SECRET key = {.len = 0};
    e = attest_root(&p->master, ATTEST_ROOT_AUDIT, &key);
    if (e == ERR_OK)
        e = store_audit_key(store, &key);
    store_close(store);
    return e;
}

static enum err make(struct plan *p)
{
    static const char *const order[] = {"secrets", "tls", "hub", "db", CONFIG_FILE};
    TRY(stage_open(p->options->data, &p->stage));
    TRY(draw_secrets(p));
    choose_names(p);
    TRY(write_secrets(p));
    TRY(write_certificates(p));
    TRY(make_databases(p));
    TRY(write_config(p));
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        TRY(stage_publish(&p->stage, order[i]));
    return ERR_OK;
}

int command_init(const struct options *o)
{
    __attribute__((cleanup(plan_close))) struct plan p = {.options = o};
    umask(077);
    enum err e = make(&p);
    if (e != ERR_OK)
        return complain("no data directory was made (%s)", err_name(e));
    printf("id_scope=%s\n", p.id_scope);
    printf("ca=%s/tls/ca.pem\n", p.stage.target);
    printf("connection_string=HostName=%s;SharedAccessKeyName=" POLICY_NAME ";SharedAccessKey=%s\n",
           p.names[0], p.policy_key);
    printf("backend_user=" BACKEND_USER "\nbackend_password=%s\n", p.password);
    return fflush(stdout) == 0 ? 0 : complain("standard output cannot be written");
}
