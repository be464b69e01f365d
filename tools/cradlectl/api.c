#include "api.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <wire/sas.h>
#include <wire/text.h>

#define API_VERSION "2021-10-01"
#define TOKEN_LIFETIME_S 600
#define ANSWER_MAX (4 * 1024 * 1024)

struct api {
    CURL *curl;
    char host[300]; /* with its port, if one was given */
    char policy[64];
    struct secret key;
    const char *ca_file;
};

/* ---- the connection string ---- */
static enum err read_key(struct span text, struct secret *ret_key)
{
    uint8_t bytes[SECRET_CAP];
    struct buf b = BUF_OVER(bytes);
    enum err e = base64_read(text, &b);
    if (e == ERR_OK)
        e = b.len > 0 ? secret_set(ret_key, buf_span(&b)) : ERR_ENCODING;
    bytes_wipe(bytes, sizeof bytes);
    return e;
}

static enum err read_pair(struct api *a, struct span name, struct span value)
{
    if (span_equal_ignoring_case(name, SPAN_LITERAL("HostName")))
        return span_to_text(value, a->host, sizeof a->host);
    if (span_equal_ignoring_case(name, SPAN_LITERAL("SharedAccessKeyName")))
        return span_to_text(value, a->policy, sizeof a->policy);
    if (span_equal_ignoring_case(name, SPAN_LITERAL("SharedAccessKey")))
        return read_key(value, &a->key);
    return ERR_CONFIG;
}

static enum err read_login(struct api *a, struct span text)
{
    while (text.at != NULL && text.len > 0) {
        struct span value = span_cut(&text, ';');
        struct span name = span_cut(&value, '=');
        if (value.at == NULL || read_pair(a, name, value) != ERR_OK)
            return ERR_CONFIG;
    }
    return a->host[0] != 0 && a->policy[0] != 0 && a->key.len > 0 ? ERR_OK : ERR_CONFIG;
}

enum err api_open(const char *connection_string, const char *ca_file, struct api **ret_api,
                  struct api_reason *ret_reason)
{
    struct api *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_MEMORY;
    enum err e = read_login(a, span_text(connection_string));
    if (e != ERR_OK)
        snprintf(ret_reason->text, sizeof ret_reason->text,
                 "the connection string is not HostName=…;SharedAccessKeyName=…;SharedAccessKey=…");
    a->ca_file = ca_file;
    a->curl = e == ERR_OK ? curl_easy_init() : NULL;
    if (e == ERR_OK && a->curl == NULL)
        e = ERR_MEMORY;
    if (e != ERR_OK) {
        api_close(a);
        return e;
    }
    *ret_api = a;
    return ERR_OK;
}

void api_close(struct api *a)
{
    if (a == NULL)
        return;
    curl_easy_cleanup(a->curl);
    secret_wipe(&a->key);
    free(a);
}

void api_answer_free(struct api_answer *answer)
{
    json_decref(answer->json);
    answer->json = NULL;
}

enum err api_path(const char *collection, const char *id, const char *tail,
                  char ret_path[API_PATH_CAP])
{
    struct buf b = buf_over(ret_path, API_PATH_CAP);
    buf_put_text(&b, collection);
    percent_write(&b, span_text(id));
    buf_put_text(&b, tail);
    return buf_end_text(&b);
}

/* ---- one request ---- */
struct exchange {
    struct curl_slist *headers;
    char *sent;
    char *received;
    size_t len, cap;
    char continuation[128];
};

static void exchange_free(struct exchange *x)
{
    curl_slist_free_all(x->headers);
    if (x->sent != NULL)
        bytes_wipe(x->sent, strlen(x->sent));
    free(x->sent);
    if (x->received != NULL)
        bytes_wipe(x->received, x->cap);
    free(x->received);
}

static size_t take_body(char *at, size_t size, size_t count, void *context)
{
    struct exchange *x = context;
    size_t more = size * count;
    if (more > ANSWER_MAX - x->len)
        return 0;
    if (x->len + more > x->cap) {
        size_t cap = 2 * (x->len + more);
        char *grown = malloc(cap);
        if (grown == NULL)
            return 0;
        if (x->received != NULL) {
            memcpy(grown, x->received, x->len);
            bytes_wipe(x->received, x->cap);
            free(x->received);
        }
        x->received = grown;
        x->cap = cap;
    }
    memcpy(x->received + x->len, at, more);
    x->len += more;
    return more;
}

static size_t take_header(char *at, size_t size, size_t count, void *context)
{
    struct exchange *x = context;
    struct span value = span_of(at, size * count);
    struct span name = span_cut(&value, ':');
    while (value.len > 0 && value.at[0] == ' ')
        value = span_slice(value, 1, value.len);
    while (value.len > 0 && (value.at[value.len - 1] == '\r' || value.at[value.len - 1] == '\n'))
        value.len--;
    if (span_equal_ignoring_case(name, SPAN_LITERAL("x-ms-continuation")) &&
        span_to_text(value, x->continuation, sizeof x->continuation) != ERR_OK)
        return 0;
    return size * count;
}

static bool header_add(struct exchange *x, const char *name, const char *value)
{
    char line[SAS_TOKEN_CAP + 64];
    int len = snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *more = NULL;
    if (len > 0 && (size_t)len < sizeof line)
        more = curl_slist_append(x->headers, line);
    bytes_wipe(line, sizeof line);
    if (more != NULL)
        x->headers = more;
    return more != NULL;
}

static struct span host_name(const struct api *a)
{
    struct span rest = span_text(a->host);
    return span_cut(&rest, ':');
}

static enum err sign(const struct api *a, char *ret_token, size_t cap)
{
    int64_t expiry_s = (int64_t)time(NULL) + TOKEN_LIFETIME_S;
    char text[400];
    struct buf message = BUF_OVER(text), token = buf_over(ret_token, cap);
    uint8_t signature[SAS_SIGNATURE_LEN];
    sas_message_write(&message, host_name(a), expiry_s);
    TRY(buf_end(&message));
    TRY(sas_sign(secret_span(&a->key), buf_span(&message), signature));
    sas_token_write(&token, host_name(a), signature, expiry_s, span_text(a->policy));
    return buf_end_text(&token);
}

static enum err headers_set(const struct api *a, const struct api_call *call, struct exchange *x)
{
    char token[SAS_TOKEN_CAP];
    TRY(sign(a, token, sizeof token));
    bool good = header_add(x, "Authorization", token) && header_add(x, "Accept", "application/json") &&
                header_add(x, "Expect", "");
    if (call->body != NULL)
        good = good && header_add(x, "Content-Type", "application/json; charset=utf-8");
    if (call->if_match != NULL)
        good = good && header_add(x, "If-Match", call->if_match);
    if (call->continuation != NULL)
        good = good && header_add(x, "x-ms-continuation", call->continuation);
    bytes_wipe(token, sizeof token);
    return good ? ERR_OK : ERR_MEMORY;
}

static enum err body_set(const struct api_call *call, struct exchange *x)
{
    x->sent = call->body != NULL ? json_dumps(call->body, JSON_COMPACT) : strdup("");
    return x->sent != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err options_set(struct api *a, const struct api_call *call, struct exchange *x)
{
    char url[1200];
    bool posts = strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0;
    int len = snprintf(url, sizeof url, "https://%s%s?api-version=" API_VERSION, a->host,
                       call->path);
    if (len < 0 || (size_t)len >= sizeof url)
        return ERR_FULL;
    curl_easy_reset(a->curl);
    CURLcode c = curl_easy_setopt(a->curl, CURLOPT_URL, url);
    c |= curl_easy_setopt(a->curl, CURLOPT_PROTOCOLS_STR, "https");
    c |= curl_easy_setopt(a->curl, CURLOPT_CUSTOMREQUEST, call->method);
    c |= curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, x->headers);
    c |= curl_easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, take_body);
    c |= curl_easy_setopt(a->curl, CURLOPT_WRITEDATA, x);
    c |= curl_easy_setopt(a->curl, CURLOPT_HEADERFUNCTION, take_header);
    c |= curl_easy_setopt(a->curl, CURLOPT_HEADERDATA, x);
    c |= curl_easy_setopt(a->curl, CURLOPT_TIMEOUT, 100L);
    c |= curl_easy_setopt(a->curl, CURLOPT_NOSIGNAL, 1L);
    if (posts)
        c |= curl_easy_setopt(a->curl, CURLOPT_POSTFIELDS, x->sent);
    if (a->ca_file != NULL) {
        c |= curl_easy_setopt(a->curl, CURLOPT_CAINFO, a->ca_file);
        c |= curl_easy_setopt(a->curl, CURLOPT_CAPATH, NULL);
    }
    return c == CURLE_OK ? ERR_OK : ERR_MEMORY;
}

/* ---- what came back ---- */
static enum err refusal(long status)
{
    switch (status) {
    case 401:
        return ERR_UNAUTHORIZED;
    case 404:
        return ERR_ABSENT;
    case 409:
        return ERR_DUPLICATE;
    case 412:
        return ERR_ETAG;
    case 429:
        return ERR_THROTTLED;
    default:
        return status >= 500 ? ERR_UNAVAILABLE : ERR_BAD_REQUEST;
    }
}

/* The service's own words; a terminal gets nothing but printable text of it. */
static void say_refusal(const struct api_answer *answer, struct api_reason *ret_reason)
{
    const char *message = json_string_value(json_object_get(answer->json, "message"));
    json_int_t code = json_integer_value(json_object_get(answer->json, "errorCode"));
    snprintf(ret_reason->text, sizeof ret_reason->text, "%s (%lld)",
             message != NULL ? message : "the answer is not the service's",
             code != 0 ? (long long)code : (long long)answer->status);
    for (char *c = ret_reason->text; *c != 0; c++)
        if (*c < 0x20 || *c >= 0x7f)
            *c = '?';
}

static enum err answer_read(struct api *a, const struct exchange *x, struct api_answer *ret_answer,
                            struct api_reason *ret_reason)
{
    json_error_t error;
    *ret_answer = (struct api_answer){.status = 0};
    if (curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &ret_answer->status) != CURLE_OK)
        return ERR_NETWORK;
    memcpy(ret_answer->continuation, x->continuation, sizeof ret_answer->continuation);
    if (x->len > 0)
        ret_answer->json = json_loadb(x->received, x->len, JSON_REJECT_DUPLICATES, &error);
    if (ret_answer->status >= 300) {
        say_refusal(ret_answer, ret_reason);
        return refusal(ret_answer->status);
    }
    if (ret_answer->json != NULL || ret_answer->status == 204)
        return ERR_OK;
    snprintf(ret_reason->text, sizeof ret_reason->text, "the answer is not the service's");
    return ERR_BAD_REQUEST;
}

static enum err perform(struct api *a, struct exchange *x, struct api_answer *ret_answer,
                        struct api_reason *ret_reason)
{
    CURLcode c = curl_easy_perform(a->curl);
    if (c == CURLE_OK)
        return answer_read(a, x, ret_answer, ret_reason);
    snprintf(ret_reason->text, sizeof ret_reason->text, "%s: %s", a->host, curl_easy_strerror(c));
    return c == CURLE_PEER_FAILED_VERIFICATION || c == CURLE_SSL_CONNECT_ERROR ||
                   c == CURLE_SSL_CACERT_BADFILE
               ? ERR_TLS
               : ERR_NETWORK;
}

enum err api_do(struct api *a, const struct api_call *call, struct api_answer *ret_answer,
                struct api_reason *ret_reason)
{
    __attribute__((cleanup(exchange_free))) struct exchange x = {.headers = NULL};
    *ret_answer = (struct api_answer){.status = 0};
    enum err e = headers_set(a, call, &x);
    if (e == ERR_OK)
        e = body_set(call, &x);
    if (e == ERR_OK)
        e = options_set(a, call, &x);
    if (e != ERR_OK) {
        snprintf(ret_reason->text, sizeof ret_reason->text, "%s", err_text(e));
        return e;
    }
    return perform(a, &x, ret_answer, ret_reason);
}
