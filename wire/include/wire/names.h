/* Purpose: names both ends must spell alike: JSON members, path segments, status words, handles. */
#ifndef WIRE_NAMES_H
#define WIRE_NAMES_H

/* paths: /{idScope}/registrations/{registrationId}[/register | /operations/{operationId}] */
#define NAME_REGISTRATIONS "registrations"
#define NAME_REGISTER "register"
#define NAME_OPERATIONS "operations"
#define NAME_API_VERSION "api-version"
#define API_VERSION_DEVICE "2021-06-01" /* the one our own device sends */

/* JSON members */
#define NAME_REGISTRATION_ID "registrationId"
#define NAME_TPM "tpm"
#define NAME_ENDORSEMENT_KEY "endorsementKey"
#define NAME_STORAGE_ROOT_KEY "storageRootKey"
#define NAME_SYMMETRIC_KEY "symmetricKey"
#define NAME_ENROLLMENT_GROUP_ID "enrollmentGroupId"
#define NAME_PAYLOAD "payload"
#define NAME_AUTHENTICATION_KEY "authenticationKey"
#define NAME_KEY_NAME "keyName"
#define NAME_OPERATION_ID "operationId"
#define NAME_STATUS "status"
#define NAME_SUBSTATUS "substatus"
#define NAME_REGISTRATION_STATE "registrationState"
#define NAME_ASSIGNED_HUB "assignedHub"
#define NAME_DEVICE_ID "deviceId"
#define NAME_CREATED "createdDateTimeUtc"
#define NAME_UPDATED "lastUpdatedDateTimeUtc"
#define NAME_ETAG "etag"
#define NAME_ERROR_CODE "errorCode"
#define NAME_ERROR_MESSAGE "errorMessage"
#define NAME_MESSAGE "message"
#define NAME_TRACKING_ID "trackingId"
#define NAME_TIMESTAMP "timestampUtc"

/* values */
#define STATUS_UNASSIGNED "unassigned"
#define STATUS_ASSIGNING "assigning"
#define STATUS_ASSIGNED "assigned"
#define STATUS_FAILED "failed"
#define STATUS_DISABLED "disabled"
#define KEY_NAME_REGISTRATION "registration"
#define SAS_SCHEME "SharedAccessSignature "

/* persistent TPM handles */
#define HANDLE_EK 0x81010001u
#define HANDLE_EK_SECOND 0x81010002u /* where the first holds another's */
#define HANDLE_SRK 0x81000001u
#define HANDLE_SRK_SECOND 0x81000002u
#define HANDLE_IDENTITY_KEY 0x81000100u

/* hub topics, with {id} the device id */
#define TOPIC_DEVICES "devices/"
#define TOPIC_EVENTS "/messages/events/"
#define TOPIC_DEVICEBOUND "/messages/devicebound/"

#endif
