/* Purpose: the head of an HTTP/1.1 request, read as it arrives. A pure function over bytes: no
 * sockets, no memory, no clock.
 *
 * Strict (RFC 9112, and stricter where it allows): every line ends in CRLF, no bare CR or LF, no
 * folding, no NUL; names are tokens and touch their colon; Host exactly once; Content-Length at
 * most once and plain decimal; Transfer-Encoding never; the target is a path. Whoever sends
 * anything else either is broken or hopes that two readers disagree about where a request ends.
 *
 * The answer does not depend on how the bytes were cut into pieces, and each byte is looked at
 * once.
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include "http.h"

#define HTTP_HEADER_LINES_MAX 100
#define HTTP_METHOD_CAP 32

struct http_head { /* spans point into the input */
    struct span method, target, path, query;
    struct span host, authorization, content_type, user_agent;
    struct span if_match, continuation, max_item_count;
    size_t content_length;
    bool close;
    bool expects_continue;
    size_t size; /* request line, headers and the empty line */
};

struct http_parser {       /* all zero to begin */
    size_t at;             /* bytes looked at */
    size_t line;           /* where the line begins that is not complete yet */
    int lines;             /* complete ones */
    unsigned seen;         /* headers that must not come twice */
    struct http_head head; /* valid once done */
};

/* `input` is all that has arrived since the request began; between calls it grows at its end and
 * stays where it is. *ret_done tells whether the head is complete. ERR_BAD_REQUEST,
 * ERR_HTTP_VERSION, ERR_LENGTH_REQUIRED, ERR_TOO_LARGE, ERR_URI_TOO_LONG, ERR_HEADERS_TOO_LARGE. */
MUST_USE enum err http_parse(struct http_parser *p, struct span input, bool *ret_done);

#endif
