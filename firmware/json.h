/* Purpose: cJSON without a heap and without its leniencies: a parse works in a pool of fixed size,
 * repeated members and anything after the value are refused. One tree at a time: parsing ends the
 * one before. */
#ifndef FIRMWARE_JSON_H
#define FIRMWARE_JSON_H

#include <wire/bytes.h>

struct cJSON;

/* ERR_PROTOCOL: malformed, or larger than the pool. The tree lives until json_end or the next. */
MUST_USE enum err json_parse(struct span text, const struct cJSON **ret_tree);
void json_end(void); /* wipes the pool */

/* A member of an object by its exact name. ERR_ABSENT: not there, or null; ERR_PROTOCOL: object is
 * none, the name is there twice, or the value is of another kind. */
MUST_USE enum err json_object(const struct cJSON *object, const char *name,
                              const struct cJSON **ret_member);
MUST_USE enum err json_text(const struct cJSON *object, const char *name, struct span *ret_text);
MUST_USE enum err json_integer(const struct cJSON *object, const char *name, int32_t *ret_value);

#endif
