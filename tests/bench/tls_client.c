#include "load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wire/text.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static pthread_once_t library = PTHREAD_ONCE_INIT;

struct tls_client {
    WOLFSSL_CTX *context;
    WOLFSSL *session;
    enum tls_group group;
    int fd;
};

/* Two threads at once would make its global generator twice, and leave one. */
static void library_open(void) { (void)wolfSSL_Init(); }

enum err tls_client_open(const char *ca_file, enum tls_group group, struct tls_client **ret_client)
{
    struct tls_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ERR_MEMORY;
    c->fd = -1;
    c->group = group;
    (void)pthread_once(&library, library_open);
    c->context = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    if (c->context == NULL ||
        wolfSSL_CTX_load_verify_locations(c->context, ca_file, NULL) != WOLFSSL_SUCCESS) {
        tls_client_close(c);
        return ERR_TLS_TRUST;
    }
    wolfSSL_CTX_set_verify(c->context, WOLFSSL_VERIFY_PEER, NULL);
    *ret_client = c;
    return ERR_OK;
}

void tls_client_close(struct tls_client *c)
{
    if (c == NULL)
        return;
    tls_client_disconnect(c);
    wolfSSL_CTX_free(c->context);
    free(c);
}

static int connect_tcp(const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 10};
    if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

enum err tls_client_connect(struct tls_client *c, const char *address, uint16_t port,
                            const char *name)
{
    int first = c->group == TLS_GROUP_X25519 ? WOLFSSL_ECC_X25519 : WOLFSSL_ECC_SECP256R1;
    int second = c->group == TLS_GROUP_X25519 ? WOLFSSL_ECC_SECP256R1 : WOLFSSL_ECC_X25519;
    tls_client_disconnect(c);
    c->fd = connect_tcp(address, port);
    if (c->fd < 0)
        return ERR_NETWORK;
    c->session = wolfSSL_new(c->context);
    if (c->session == NULL)
        return ERR_MEMORY;
    wolfSSL_set_groups(c->session, (int[]){first, second}, 2);
    wolfSSL_UseKeyShare(c->session, (word16)first);
    wolfSSL_UseSNI(c->session, WOLFSSL_SNI_HOST_NAME, name, (word16)strlen(name));
    wolfSSL_check_domain_name(c->session, name);
    wolfSSL_set_fd(c->session, c->fd);
    return wolfSSL_connect(c->session) == WOLFSSL_SUCCESS ? ERR_OK : ERR_TLS;
}

void tls_client_disconnect(struct tls_client *c)
{
    if (c->session != NULL) {
        wolfSSL_shutdown(c->session);
        wolfSSL_free(c->session);
        c->session = NULL;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

int tls_client_fd(const struct tls_client *c) { return c->fd; }

/* Where the body begins and how long it is; false until the headers are complete. */
static bool head_complete(struct http_answer *a, size_t *ret_body, size_t *ret_len)
{
    char *end, *length;
    a->bytes[a->len] = '\0';
    end = strstr(a->bytes, "\r\n\r\n");
    if (end == NULL)
        return false;
    length = strcasestr(a->bytes, "\r\ncontent-length:");
    *ret_body = (size_t)(end + 4 - a->bytes);
    *ret_len = length != NULL && length < end ? (size_t)strtoul(length + 17, NULL, 10) : 0;
    return true;
}

enum err tls_client_exchange(struct tls_client *c, struct span request,
                             struct http_answer *ret_answer)
{
    size_t body = 0, len = 0;
    ret_answer->len = 0;
    if (c->session == NULL ||
        wolfSSL_write(c->session, request.at, (int)request.len) != (int)request.len)
        return ERR_NETWORK;
    while (!head_complete(ret_answer, &body, &len) || ret_answer->len < body + len) {
        size_t room = sizeof ret_answer->bytes - 1 - ret_answer->len;
        int n = room == 0 ? -1
                          : wolfSSL_read(c->session, ret_answer->bytes + ret_answer->len, (int)room);
        if (n <= 0)
            return room == 0 ? ERR_PROTOCOL : ERR_NETWORK;
        ret_answer->len += (size_t)n;
    }
    ret_answer->status = ret_answer->len > 12 ? (int)strtol(ret_answer->bytes + 9, NULL, 10) : 0;
    ret_answer->body = span_of(ret_answer->bytes + body, len);
    return ERR_OK;
}
