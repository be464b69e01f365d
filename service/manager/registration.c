#include "inner.h"

#include <wire/names.h>

static bool set(json_t *object, const char *name, const char *text)
{
    return json_object_set_new(object, name, json_string(text)) == 0;
}

/* The first digit of the operation id says how the assignment came about. */
static const char *substatus_of(const struct store_registration *row)
{
    switch (row->operation_id[0]) {
    case '4':
        return "initialAssignment";
    case '6':
        return "reprovisionedToInitialAssignment";
    case '7':
        return "deviceDataReset";
    default:
        return "deviceDataMigrated";
    }
}

enum err registration_write(const struct store_registration *row, json_t **ret_json)
{
    JSON *j = json_object();
    bool good = j != NULL && set(j, NAME_REGISTRATION_ID, row->id.text) &&
                json_set_time(j, NAME_CREATED, row->created_s) &&
                set(j, NAME_ASSIGNED_HUB, row->hub) && set(j, NAME_DEVICE_ID, row->device_id.text) &&
                set(j, NAME_STATUS, STATUS_ASSIGNED) && set(j, NAME_SUBSTATUS, substatus_of(row)) &&
                json_set_time(j, NAME_UPDATED, row->updated_s) && set(j, NAME_ETAG, row->etag);
    if (!good)
        return ERR_MEMORY;
    *ret_json = json_incref(j);
    return ERR_OK;
}

static enum err unassigned_write(const struct regid *id, json_t **ret_json)
{
    JSON *j = json_object();
    if (j == NULL || !set(j, NAME_REGISTRATION_ID, id->text) ||
        !set(j, NAME_STATUS, STATUS_UNASSIGNED))
        return ERR_MEMORY;
    *ret_json = json_incref(j);
    return ERR_OK;
}

enum err registration_attach(struct manager_worker *w, const struct regid *id, json_t *enrollment)
{
    struct store_registration row;
    json_t *state = NULL;
    enum err e = store_registration_find(w->reader, id, &row);
    if (e == ERR_OK && row.deleted)
        e = ERR_ABSENT;
    if (e == ERR_OK)
        e = registration_write(&row, &state);
    else if (e == ERR_ABSENT)
        e = unassigned_write(id, &state);
    TRY(e);
    return json_object_set_new(enrollment, NAME_REGISTRATION_STATE, state) == 0 ? ERR_OK
                                                                               : ERR_MEMORY;
}
