/* Purpose: the little HTTP/1.1 that a device needs: one request, one answer, on one connection that
 * is kept for the whole exchange and opened again where the peer has closed it.
 *
 * Reads strictly: what is not plainly one well-formed answer is ERR_PROTOCOL, and the connection is
 * closed. Everything is bounded: an answer takes at most HTTPC_BYTES_CAP bytes, head and body.
 */
#ifndef FIRMWARE_HTTPC_H
#define FIRMWARE_HTTPC_H

#include <hal/hal.h>

#define HTTPC_BYTES_CAP 8192
#define HTTPC_RETRY_AFTER_MAX_S 300

struct httpc_request {
    const char *method;
    struct span path;          /* with the query */
    struct span authorization; /* empty: none */
    struct span body;          /* JSON; empty: none */
};

struct httpc_reply {
    int status;             /* 200 to 599 */
    struct span body;       /* points into the connection's buffer; chunks joined */
    bool is_json;
    bool closes;            /* the peer closes after it */
    int64_t date_s;         /* the Date header; 0: none that can be read */
    uint32_t retry_after_s; /* 1 to HTTPC_RETRY_AFTER_MAX_S, also where a date was told; 0: none */
    size_t consumed;        /* bytes of the answer as it came */
};

struct httpc {
    struct hal_transport *transport;
    struct hal_clock *clock;
    const char *host;
    uint16_t port;
    bool is_open;
    bool dates_unchecked;  /* the connection was opened without a time: see peer */
    struct hal_peer peer;  /* of the open connection */
    size_t filled;
    uint8_t bytes[HTTPC_BYTES_CAP];
};

void httpc_init(struct httpc *c, struct hal_transport *transport, struct hal_clock *clock,
                const char *host, uint16_t port);

/* Sends the request and waits for its answer, timeout_ms in all. now_s goes to the transport if the
 * connection is opened. The answer's body lives until the next call. ERR_FULL: the request is too
 * large; ERR_PROTOCOL, ERR_TIMEOUT, ERR_NETWORK, and what the transport's open returns. */
MUST_USE enum err httpc_exchange(struct httpc *c, const struct httpc_request *request,
                                 int64_t now_s, uint32_t timeout_ms, struct httpc_reply *ret_reply);

void httpc_close(struct httpc *c); /* and wipes what was sent and received */

/* Reads one answer from the beginning of bytes. ERR_TRUNCATED: it is not complete yet; then bytes
 * are as they were. ERR_PROTOCOL. Joins chunks in place. */
MUST_USE enum err httpc_reply_read(uint8_t *bytes, size_t len, struct httpc_reply *ret_reply);

#endif
