/* Purpose: the head of a reply, put directly before its body so that both leave in one write. */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "http.h"

#define HTTP_REPLY_HEAD_CAP 1280 /* every header at its longest, with room to spare */

/* The body's memory must have HTTP_REPLY_HEAD_CAP bytes before it. Returns head and body; only the
 * head, with the body's length, where the request's method was HEAD. */
struct span http_reply_write(const struct http_reply *reply, bool is_head, bool close,
                             int64_t now_s);

#endif
