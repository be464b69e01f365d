/* A fleet of software devices against a service:
 *   load keys --devices N --file FILE --list CSV [--prefix P]   makes keys, and the list to import
 *   load run  --address A --port P --name HOST --ca FILE --id-scope S --keys FILE
 *             [--rounds N] [--connections N] [--group x25519|p256] [--ack FILE] [--static]
 *             [--until connect|challenge] [--prefix P] [--pause-ms N]
 *       provisions every device once a round, each on a connection of its own; prints JSON.
 *       --until hangs up after that step. --ack appends a device's id once it was told that it is
 *       assigned (-: to standard output). --static only plays the requests, against a server that
 *       answers without understanding them.
 *   load idle … --connections N --requests 0|1        opens connections, prints "ready", holds them
 *       until standard input ends
 */
#include "load.h"

#include <argp.h>
#include <fcntl.h>
#include <pthread.h>
#include <softdevice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wire/sas.h>
#include <wire/text.h>

#define KEYS_CAP (4u << 20)
#define EXCHANGES_MAX 1000000 /* remembered by one thread */
enum step { STEP_CONNECT, STEP_CHALLENGE, STEP_ASSIGNED, STEP_WHOLE, STEPS };
static const char *const step_names[STEPS] = {"connect", "challenge", "assigned", "whole"};

struct options {
    const char *command, *file, *list, *address, *name, *ca, *scope, *ack, *prefix;
    int port, devices, rounds, connections, requests, pause_ms;
    bool is_static;
    enum tls_group group;
    enum step until; /* the last step taken */
};

struct device {
    char id[32];
    struct softdevice *soft;
};

/* One thread's share of the work: every `stride`-th device, from `first` on. */
struct worker {
    const struct options *o;
    struct device *devices;
    int first, stride, ack_fd;
    uint32_t *us[STEPS];
    int exchanges, exchanges_max, errors;
    size_t challenge_body, assigned_body;
};

/* ---- keys ---- */
static int make_keys(const struct options *o)
{
    static uint8_t bytes[KEYS_CAP];
    struct buf all = BUF_OVER(bytes);
    FILE *list = fopen(o->list, "w");
    FILE *keys = fopen(o->file, "wb");
    if (list == NULL || keys == NULL || fputs("registrationId,endorsementKey\n", list) < 0)
        return 1;
    for (int i = 0; i < o->devices; i++) {
        struct softdevice *d;
        char ek[BASE64_LEN(TPM_PUBLIC_CAP) + 1];
        struct buf text = BUF_OVER(ek);
        if (softdevice_open(TPM_KEY_RSA_2048, TPM_KEY_RSA_2048, &d) != ERR_OK)
            return 1;
        base64_write(&text, span_of(softdevice_ek(d)->raw, softdevice_ek(d)->raw_len));
        size_t mark = buf_open_u16(&all);
        softdevice_write(d, &all);
        buf_close_u16(&all, mark);
        if (buf_end_text(&text) != ERR_OK || fprintf(list, "%s%d,%s\n", o->prefix, i, ek) < 0)
            return 1;
        softdevice_close(d);
    }
    bool written = buf_end(&all) == ERR_OK && fwrite(all.at, all.len, 1, keys) == 1;
    return fclose(keys) == 0 && fclose(list) == 0 && written ? 0 : 1;
}

static int read_keys(const char *path, const char *prefix, struct device **ret_devices)
{
    static uint8_t bytes[KEYS_CAP];
    FILE *f = fopen(path, "rb");
    size_t len = f == NULL ? 0 : fread(bytes, 1, sizeof bytes, f);
    struct rd r = rd_over(span_of(bytes, len));
    struct device *devices = calloc(4096, sizeof *devices);
    int count = 0;
    if (f != NULL)
        fclose(f);
    while (devices != NULL && r.rest.len > 0 && count < 4096) {
        struct device *d = &devices[count];
        snprintf(d->id, sizeof d->id, "%.16s%d", prefix, count);
        if (softdevice_read(rd_sized_u16(&r), &d->soft) != ERR_OK)
            return 0;
        count++;
    }
    *ret_devices = devices;
    return count;
}

/* ---- one exchange ---- */
static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void put_request(struct buf *out, const struct options *o, const struct device *d,
                        const struct buf *token)
{
    char body_bytes[2048];
    struct buf body = BUF_OVER(body_bytes);
    softdevice_put_body(d->soft, d->id, true, &body);
    buf_put_text(out, "PUT /");
    buf_put_text(out, o->scope);
    buf_put_text(out, "/registrations/");
    buf_put_text(out, d->id);
    buf_put_text(out, "/register?api-version=2021-06-01 HTTP/1.1\r\nHost: ");
    buf_put_text(out, o->name);
    buf_put_text(out, "\r\nAccept: application/json\r\nUser-Agent: load\r\n"
                      "Content-Type: application/json; charset=utf-8\r\nConnection: keep-alive\r\n");
    if (token != NULL) {
        buf_put_text(out, "Authorization: ");
        buf_put(out, buf_span(token));
        buf_put_text(out, "\r\n");
    }
    buf_put_text(out, "Content-Length: ");
    buf_put_decimal(out, (int64_t)body.len);
    buf_put_text(out, "\r\n\r\n");
    buf_put(out, buf_span(&body));
}

/* The text between "authenticationKey":" and the next quote; base64 escapes nothing. */
static struct span find_blob(struct span body)
{
    static const char mark[] = "\"authenticationKey\":\"";
    const uint8_t *at = memmem(body.at, body.len, mark, sizeof mark - 1);
    if (at == NULL)
        return (struct span){0};
    struct span rest = span_slice(body, (size_t)(at - body.at) + sizeof mark - 1, body.len);
    return span_cut(&rest, '"');
}

static enum err put_token(const struct worker *w, const struct device *d, struct span blob,
                          struct buf *out)
{
    SECRET key = {0};
    char resource[128];
    if (w->o->is_static)
        TRY(secret_set(&key, SPAN_LITERAL("a key of thirty-two bytes length")));
    else
        TRY(softdevice_activate_base64(d->soft, blob, &key));
    snprintf(resource, sizeof resource, "%s/registrations/%s", w->o->scope, d->id);
    return softdevice_put_token(&key, resource, time(NULL) + 3600, out);
}

/* Whatever of the steps is taken: us is zeros before. */
static enum err provision(struct worker *w, struct tls_client *c, const struct device *d,
                          uint32_t us[STEPS])
{
    static _Thread_local char bytes[8192];
    static _Thread_local struct http_answer answer;
    char token_bytes[SAS_TOKEN_CAP];
    struct buf request = BUF_OVER(bytes), token = BUF_OVER(token_bytes);
    uint64_t start = now_us();
    TRY(tls_client_connect(c, w->o->address, (uint16_t)w->o->port, w->o->name));
    uint64_t connected = now_us();
    us[STEP_CONNECT] = us[STEP_WHOLE] = (uint32_t)(connected - start);
    if (w->o->until == STEP_CONNECT)
        return ERR_OK;
    put_request(&request, w->o, d, NULL);
    TRY(tls_client_exchange(c, buf_span(&request), &answer));
    uint64_t challenged = now_us();
    if (answer.status != 401)
        return ERR_PROTOCOL;
    w->challenge_body = answer.body.len;
    us[STEP_CHALLENGE] = (uint32_t)(challenged - connected);
    us[STEP_WHOLE] += us[STEP_CHALLENGE];
    if (w->o->until == STEP_CHALLENGE)
        return ERR_OK;
    TRY(put_token(w, d, find_blob(answer.body), &token));
    request.len = 0;
    put_request(&request, w->o, d, &token);
    uint64_t proving = now_us();
    TRY(tls_client_exchange(c, buf_span(&request), &answer));
    uint64_t assigned = now_us();
    w->assigned_body = answer.body.len;
    us[STEP_ASSIGNED] = (uint32_t)(assigned - proving);
    us[STEP_WHOLE] += us[STEP_ASSIGNED];
    return answer.status == 202 ? ERR_OK : ERR_PROTOCOL;
}

static void acknowledge(const struct worker *w, const struct device *d)
{
    char line[40];
    int len = snprintf(line, sizeof line, "%s\n", d->id);
    if (w->ack_fd >= 0 && write(w->ack_fd, line, (size_t)len) != len)
        abort();
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct tls_client *c;
    if (tls_client_open(w->o->ca, w->o->group, &c) != ERR_OK)
        abort();
    for (int round = 0; round < w->o->rounds; round++)
        for (int i = w->first; i < w->o->devices; i += w->stride) {
            uint32_t us[STEPS] = {0};
            enum err e = provision(w, c, &w->devices[i], us);
            tls_client_disconnect(c);
            usleep((useconds_t)w->o->pause_ms * 1000);
            if (e != ERR_OK) {
                w->errors++;
                usleep(10000); /* the service may be down on purpose */
                continue;
            }
            acknowledge(w, &w->devices[i]);
            if (w->exchanges == w->exchanges_max)
                return NULL; /* no room to remember more; the process is about to end */
            for (int s = 0; s < STEPS; s++)
                w->us[s][w->exchanges] = us[s];
            w->exchanges++;
        }
    tls_client_close(c);
    return NULL;
}

/* ---- results ---- */
static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(struct worker *workers, int count)
{
    int exchanges = 0, errors = 0;
    for (int i = 0; i < count; i++) {
        exchanges += workers[i].exchanges;
        errors += workers[i].errors;
    }
    printf("{\"exchanges\":%d,\"errors\":%d,\"challenge_body\":%zu,\"assigned_body\":%zu", exchanges,
           errors, workers[0].challenge_body, workers[0].assigned_body);
    for (int s = 0; s < STEPS && exchanges > 0; s++) {
        uint32_t *all = calloc((size_t)exchanges, sizeof *all);
        int n = 0;
        if (all == NULL)
            abort();
        for (int i = 0; i < count; i++) {
            memcpy(all + n, workers[i].us[s], (size_t)workers[i].exchanges * sizeof *all);
            n += workers[i].exchanges;
        }
        qsort(all, (size_t)n, sizeof *all, by_value);
        printf(",\"%s_p50_us\":%u,\"%s_p99_us\":%u", step_names[s], all[n / 2], step_names[s],
               all[n - 1 - n / 100]);
        free(all);
    }
    printf("}\n");
}

static int run(struct options *o)
{
    struct device *devices = NULL;
    struct worker workers[64] = {0};
    pthread_t threads[64];
    int ack = o->ack == NULL            ? -1
              : strcmp(o->ack, "-") == 0 ? STDOUT_FILENO
                                         : open(o->ack, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    o->devices = read_keys(o->file, o->prefix, &devices);
    if (o->devices == 0 || o->connections < 1 || o->connections > 64)
        return 1;
    size_t room = (size_t)o->devices * (size_t)o->rounds;
    room = room < EXCHANGES_MAX ? room : EXCHANGES_MAX;
    for (int i = 0; i < o->connections; i++) {
        workers[i] = (struct worker){.o = o, .devices = devices, .first = i,
                                     .stride = o->connections, .ack_fd = ack,
                                     .exchanges_max = (int)room};
        for (int s = 0; s < STEPS; s++)
            workers[i].us[s] = calloc(room, sizeof(uint32_t));
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            abort();
    }
    int failed = 0;
    for (int i = 0; i < o->connections; i++) {
        pthread_join(threads[i], NULL);
        failed += workers[i].errors;
    }
    report(workers, o->connections);
    for (int i = 0; i < o->connections; i++)
        for (int s = 0; s < STEPS; s++)
            free(workers[i].us[s]);
    for (int i = 0; i < o->devices; i++)
        softdevice_close(devices[i].soft);
    free(devices);
    return failed == 0 ? 0 : 1;
}

/* ---- idle connections ---- */
static int idle(struct options *o)
{
    static struct http_answer answer;
    char bytes[512];
    struct buf request = BUF_OVER(bytes);
    buf_put_text(&request, "GET /nowhere HTTP/1.1\r\nHost: ");
    buf_put_text(&request, o->name);
    buf_put_text(&request, "\r\n\r\n");
    struct tls_client **held = calloc((size_t)o->connections, sizeof *held);
    for (int i = 0; held != NULL && i < o->connections; i++) {
        if (tls_client_open(o->ca, o->group, &held[i]) != ERR_OK ||
            tls_client_connect(held[i], o->address, (uint16_t)o->port, o->name) != ERR_OK)
            return 1;
        if (o->requests > 0 && tls_client_exchange(held[i], buf_span(&request), &answer) != ERR_OK)
            return 1;
    }
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    for (int i = 0; held != NULL && i < o->connections; i++)
        tls_client_close(held[i]);
    free(held);
    return 0;
}

/* ---- options ---- */
static const struct argp_option option_list[] = {
    {"devices", 'd', "N", 0, "devices to make", 0},
    {"file", 'f', "FILE", 0, "where the keys go", 0},
    {"keys", 'k', "FILE", 0, "the keys", 0},
    {"list", 'l', "FILE", 0, "where the list goes", 0},
    {"address", 'a', "A", 0, "the service's address", 0},
    {"port", 'p', "P", 0, "and port", 0},
    {"name", 'n', "HOST", 0, "its name", 0},
    {"ca", 'c', "FILE", 0, "its CA", 0},
    {"id-scope", 's', "S", 0, "its scope", 0},
    {"rounds", 'r', "N", 0, "rounds", 0},
    {"connections", 'C', "N", 0, "at a time", 0},
    {"requests", 'R', "N", 0, "on an idle connection", 0},
    {"group", 'g', "NAME", 0, "x25519 or p256", 0},
    {"ack", 'A', "FILE", 0, "acknowledged ids", 0},
    {"static", 'S', NULL, 0, "do not understand the answers", 0},
    {"prefix", 'x', "TEXT", 0, "what ids begin with (load-)", 0},
    {"pause-ms", 'P', "N", 0, "after each exchange", 0},
    {"until", 'u', "STEP", 0, "connect or challenge: no further", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 'd': o->devices = (int)strtol(arg, NULL, 10); return 0;
    case 'f': case 'k': o->file = arg; return 0;
    case 'l': o->list = arg; return 0;
    case 'a': o->address = arg; return 0;
    case 'p': o->port = (int)strtol(arg, NULL, 10); return 0;
    case 'n': o->name = arg; return 0;
    case 'c': o->ca = arg; return 0;
    case 's': o->scope = arg; return 0;
    case 'r': o->rounds = (int)strtol(arg, NULL, 10); return 0;
    case 'C': o->connections = (int)strtol(arg, NULL, 10); return 0;
    case 'R': o->requests = (int)strtol(arg, NULL, 10); return 0;
    case 'g': o->group = strcmp(arg, "p256") == 0 ? TLS_GROUP_P256 : TLS_GROUP_X25519; return 0;
    case 'A': o->ack = arg; return 0;
    case 'P': o->pause_ms = (int)strtol(arg, NULL, 10); return 0;
    case 'x': o->prefix = arg; return 0;
    case 'S': o->is_static = true; return 0;
    case 'u': o->until = strcmp(arg, "connect") == 0 ? STEP_CONNECT : STEP_CHALLENGE; return 0;
    case ARGP_KEY_ARG: o->command = arg; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {option_list, parse_option, "keys|run|idle", NULL, 0, 0, 0};
    struct options o = {.rounds = 1, .connections = 1, .devices = 1, .requests = 1, .command = "",
                        .until = STEP_ASSIGNED, .prefix = "load-"};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (strcmp(o.command, "keys") == 0)
        return make_keys(&o);
    if (strcmp(o.command, "run") == 0)
        return run(&o);
    if (strcmp(o.command, "idle") == 0)
        return idle(&o);
    fputs("load: keys, run or idle\n", stderr);
    return 2;
}
