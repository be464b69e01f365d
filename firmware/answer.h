/* Purpose: what an answer of the service means to a device. */
#ifndef FIRMWARE_ANSWER_H
#define FIRMWARE_ANSWER_H

#include "httpc.h"

#include <wire/tpmblob.h>

#define HUB_NAME_MAX 253
#define DEVICE_ID_MAX 128
#define OPERATION_ID_MAX 128
#define ANSWER_MESSAGE_MAX 120

enum answer_kind {
    ANSWER_CHALLENGE, /* blob */
    ANSWER_ASSIGNING, /* operation_id */
    ANSWER_ASSIGNED,  /* blob, hub, device_id */
    ANSWER_REFUSED,   /* why, code, message */
};

struct answer {
    enum answer_kind kind;
    enum err why;
    int32_t code; /* the protocol's six digits; 0: none */
    size_t blob_len;
    uint8_t blob[TPMBLOB_CAP];
    char operation_id[OPERATION_ID_MAX + 1];
    char hub[HUB_NAME_MAX + 1];      /* a DNS name in lower case, with a dot */
    char device_id[DEVICE_ID_MAX + 1];
    char message[ANSWER_MESSAGE_MAX + 1]; /* printable ASCII */
};

/* ERR_PROTOCOL: the answer cannot be understood, or is no answer to such a request. A refusal is
 * not an error of reading it: see why, which is never ERR_OK then. */
MUST_USE enum err answer_read(const struct httpc_reply *reply, struct answer *ret_answer);

/* What may stand in a topic, a user name and a token without being mistaken for something else. */
bool answer_hub_is_valid(struct span hub);
bool answer_device_id_is_valid(struct span device_id);

#endif
