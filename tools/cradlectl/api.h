/* Purpose: a client of the service API: one connection string in, JSON calls out, each with a shared
 * access signature of its own. Knows no command and prints nothing.
 *
 * One struct api per thread; it keeps its connection.
 */
#ifndef API_H
#define API_H

#include <jansson.h>
#include <wire/bytes.h>

#define API_REASON_CAP 512
struct api_reason { char text[API_REASON_CAP]; };

struct api;
/* "HostName=…;SharedAccessKeyName=…;SharedAccessKey=…", in any order; HostName may end in ":PORT".
 * ca_file: PEM, instead of the system's; NULL for those. ERR_CONFIG (a reason), ERR_MEMORY. */
MUST_USE enum err api_open(const char *connection_string, const char *ca_file, struct api **ret_api,
                           struct api_reason *ret_reason);
void api_close(struct api *a); /* wipes the key; NULL is fine */

struct api_call {
    const char *method;       /* "GET" */
    const char *path;         /* "/enrollments/", then id and rest, see api_path */
    const json_t *body;       /* NULL: none */
    const char *if_match;     /* NULL: none */
    const char *continuation; /* NULL: the first page */
};
struct api_answer {
    long status;
    json_t *json;             /* NULL: no body */
    char continuation[128];   /* "": no further page */
};
void api_answer_free(struct api_answer *answer);
#define API_ANSWER __attribute__((cleanup(api_answer_free))) struct api_answer

/* ERR_OK: an answer below 300. ERR_NETWORK, ERR_TLS: there is none. Otherwise the service's refusal, in
 * its own words in the reason: ERR_UNAUTHORIZED, ERR_ABSENT, ERR_DUPLICATE, ERR_ETAG, ERR_THROTTLED,
 * ERR_UNAVAILABLE, ERR_BAD_REQUEST. */
MUST_USE enum err api_do(struct api *a, const struct api_call *call, struct api_answer *ret_answer,
                         struct api_reason *ret_reason);

/* "/enrollments/press%3A1/attestationmechanism": id is escaped; tail may be "". */
#define API_PATH_CAP 640
MUST_USE enum err api_path(const char *collection, const char *id, const char *tail,
                           char ret_path[API_PATH_CAP]);

#endif
