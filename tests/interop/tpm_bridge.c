/* Lets clients that know only the TPM simulator's TCP protocol use swtpm.
 *
 *   tpm_bridge PORT SOCKET    commands on 127.0.0.1:PORT, platform signals on PORT+1; swtpm's
 *                             data channel is the unix socket SOCKET
 *
 * One command client at a time; the next one waits until it is gone. What it leaves behind in the
 * TPM (transient objects, sessions) is flushed, as a resource manager would. Every reply leaves in
 * one send, since some clients read each field with a single recv. All integers are big-endian u32:
 *
 *   command port   15, version               -> 1, flags, 0
 *                  8, locality (u8), length, command -> length, response, 0
 *                  20 or 21                  ends the session, no reply
 *   platform port  any signal                -> 0
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <wire/bytes.h>

enum { SEND_COMMAND = 8, HANDSHAKE = 15, SESSION_END = 20, STOP = 21 };
enum { PLATFORM_AVAILABLE = 1, MESSAGE_CAP = 4096, HANDLES_MAX = 64, PLATFORM_CLIENTS = 4 };
enum { SLOT_COMMANDS, SLOT_PLATFORM, SLOT_CLIENT, SLOT_SIGNALS };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static bool read_all(int fd, void *at, size_t len)
{
    for (uint8_t *to = at; len > 0;) {
        ssize_t got = read(fd, to, len);
        if (got <= 0)
            return false;
        to += got;
        len -= (size_t)got;
    }
    return true;
}

static bool read_u32(int fd, uint32_t *ret_value)
{
    uint8_t bytes[4];
    if (!read_all(fd, bytes, sizeof bytes))
        return false;
    struct rd r = rd_over(SPAN_ARRAY(bytes));
    *ret_value = rd_u32(&r);
    return true;
}

static bool send_once(int fd, struct span s)
{
    return send(fd, s.at, s.len, MSG_NOSIGNAL) == (ssize_t)s.len;
}

/* ---- the TPM ---- */

static int tpm_connect(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof to.sun_path)
        die(path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die(path);
    return fd;
}

/* One command and its response, whose header tells its length. */
static bool tpm_exchange(int tpm, struct span command, uint8_t *ret_response, size_t *ret_len)
{
    if (!send_once(tpm, command) || !read_all(tpm, ret_response, 10))
        return false;
    struct rd r = rd_over(span_of(ret_response + 2, 4));
    size_t len = rd_u32(&r);
    if (len < 10 || len > MESSAGE_CAP || !read_all(tpm, ret_response + 10, len - 10))
        return false;
    *ret_len = len;
    return true;
}

static void tpm_flush(int tpm, uint32_t handle)
{
    uint8_t command[14], response[MESSAGE_CAP];
    size_t len;
    struct buf b = BUF_OVER(command);
    buf_put_u16(&b, 0x8001);
    buf_put_u32(&b, sizeof command);
    buf_put_u32(&b, 0x00000165); /* FlushContext */
    buf_put_u32(&b, handle);
    (void)tpm_exchange(tpm, buf_span(&b), response, &len);
}

static void tpm_flush_all(int tpm, uint32_t first_handle)
{
    uint8_t command[22], response[MESSAGE_CAP];
    size_t len;
    struct buf b = BUF_OVER(command);
    buf_put_u16(&b, 0x8001);
    buf_put_u32(&b, sizeof command);
    buf_put_u32(&b, 0x0000017a); /* GetCapability */
    buf_put_u32(&b, 1);          /* of handles */
    buf_put_u32(&b, first_handle);
    buf_put_u32(&b, HANDLES_MAX);
    if (!tpm_exchange(tpm, buf_span(&b), response, &len))
        return;
    struct rd r = rd_over(span_of(response, len));
    (void)rd_take(&r, 10 + 1 + 4); /* header, more data, what it is */
    uint32_t count = rd_u32(&r);
    for (uint32_t i = 0; i < count && i < HANDLES_MAX && !r.bad; i++)
        tpm_flush(tpm, rd_u32(&r));
}

static void tpm_leave(int tpm)
{
    tpm_flush_all(tpm, 0x80000000); /* transient objects */
    tpm_flush_all(tpm, 0x02000000); /* loaded sessions */
    tpm_flush_all(tpm, 0x03000000); /* saved ones */
    (void)close(tpm);
}

/* ---- clients ---- */

static bool serve_command(int client, int tpm)
{
    uint8_t locality, command[MESSAGE_CAP], reply[MESSAGE_CAP + 8];
    uint32_t len;
    size_t response_len;
    if (!read_all(client, &locality, 1) || !read_u32(client, &len) || len > sizeof command ||
        !read_all(client, command, len) ||
        !tpm_exchange(tpm, span_of(command, len), reply + 4, &response_len))
        return false;
    struct buf b = BUF_OVER(reply);
    buf_put_u32(&b, (uint32_t)response_len);
    b.len += response_len; /* in its place already */
    buf_put_u32(&b, 0);
    return send_once(client, buf_span(&b));
}

/* False when the client is gone or wants to go. */
static bool serve_client(int client, int tpm)
{
    uint32_t what, version;
    if (!read_u32(client, &what))
        return false;
    if (what == SEND_COMMAND)
        return serve_command(client, tpm);
    if (what != HANDSHAKE || !read_u32(client, &version))
        return false;
    uint8_t reply[12];
    struct buf b = BUF_OVER(reply);
    buf_put_u32(&b, 1);
    buf_put_u32(&b, PLATFORM_AVAILABLE);
    buf_put_u32(&b, 0);
    return send_once(client, buf_span(&b));
}

static bool serve_signal(int client)
{
    uint32_t what;
    return read_u32(client, &what) && what != SESSION_END && what != STOP &&
           send_once(client, SPAN_LITERAL("\0\0\0\0"));
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 8) != 0)
        die("listen");
    return fd;
}

static void accept_signals(struct pollfd *slots, int listener)
{
    int fd = accept(listener, NULL, NULL);
    for (int i = 0; i < PLATFORM_CLIENTS && fd >= 0; i++)
        if (slots[i].fd < 0) {
            slots[i].fd = fd;
            return;
        }
    if (fd >= 0)
        (void)close(fd);
}

static void run(int commands, int platform, const char *tpm_path)
{
    struct pollfd slots[SLOT_SIGNALS + PLATFORM_CLIENTS];
    int tpm = -1;
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        slots[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    slots[SLOT_PLATFORM].fd = platform;
    for (;;) {
        slots[SLOT_COMMANDS].fd = tpm < 0 ? commands : -1;
        if (poll(slots, sizeof slots / sizeof *slots, -1) < 0)
            die("poll");
        if (slots[SLOT_COMMANDS].revents != 0) {
            slots[SLOT_CLIENT].fd = accept(commands, NULL, NULL);
            tpm = tpm_connect(tpm_path);
        }
        if (slots[SLOT_PLATFORM].revents != 0)
            accept_signals(slots + SLOT_SIGNALS, platform);
        if (slots[SLOT_CLIENT].revents != 0 && !serve_client(slots[SLOT_CLIENT].fd, tpm)) {
            (void)close(slots[SLOT_CLIENT].fd);
            slots[SLOT_CLIENT].fd = -1;
            tpm_leave(tpm);
            tpm = -1;
        }
        for (int i = SLOT_SIGNALS; i < SLOT_SIGNALS + PLATFORM_CLIENTS; i++)
            if (slots[i].revents != 0 && !serve_signal(slots[i].fd)) {
                (void)close(slots[i].fd);
                slots[i].fd = -1;
            }
    }
}

int main(int argc, char **argv)
{
    long port = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    if (port < 1 || port > 65534) {
        fprintf(stderr, "usage: tpm_bridge PORT SOCKET\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    run(listen_on((uint16_t)port), listen_on((uint16_t)(port + 1)), argv[2]);
}
