/* Purpose: TLS 1.2 and 1.3, server side, over a non-blocking socket. The only place that sees
 * wolfSSL.
 *
 * Nothing is left to the library's defaults: in its distribution build they allow every version
 * and anonymous suites. No client certificates, no renegotiation, no resumption, no early data.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "http.h"

struct http_tls; /* certificate, key and policy; one per loop, so that loops share no lock */
MUST_USE enum err http_tls_open(const char *certificate_file, const char *key_file,
                                struct http_tls **ret_tls, struct http_reason *ret_reason);
void http_tls_close(struct http_tls *t);

/* Ciphertext is taken from the socket in pieces of this size: records are short, and the library
 * asks for five bytes, then for the rest. A request with two RSA keys comes in one piece. */
#define HTTP_SESSION_AHEAD 2048
/* In one turn of the loop a session takes no more than this from its socket, so that one busy
 * client cannot keep the others waiting. */
#define HTTP_SESSION_TURN_BYTES 131072

struct http_session { /* the socket is the caller's */
    struct WOLFSSL *ssl;
    int fd;
    size_t turn_bytes;
    uint16_t ahead_from, ahead_to;
    uint8_t ahead[HTTP_SESSION_AHEAD];
};

enum http_io { HTTP_IO_DONE, HTTP_IO_READ, HTTP_IO_WRITE, HTTP_IO_CLOSED, HTTP_IO_FAILED };

MUST_USE enum err http_session_open(struct http_tls *t, int fd, struct http_session *ret_session);
void http_session_close(struct http_session *s); /* frees; harmless when done already */

void http_session_turn(struct http_session *s); /* a new turn of the loop begins */
/* DONE, or what must become possible first (READ, WRITE), or how it ended. */
enum http_io http_session_handshake(struct http_session *s);
/* DONE with at least one byte, at most cap. */
enum http_io http_session_read(struct http_session *s, uint8_t *at, size_t cap, size_t *ret_len);
/* DONE with all written. After READ or WRITE it must be called again with the same bytes. */
enum http_io http_session_write(struct http_session *s, struct span bytes);
/* Gives back memory that a session which idles does not need. */
void http_session_settle(struct http_session *s);
/* Says goodbye; does not wait for an answer. */
void http_session_end(struct http_session *s);
/* Whether there are bytes that the socket will not announce again. */
bool http_session_pending(const struct http_session *s);

#endif
