#include "check.h"

#include <attest.h>
#include <string.h>

#include "keytext.h"
#include "options.h"

/* Puts the column's name before a reason. */
static void name_column(struct import_reason *reason, enum import_column column)
{
    struct import_reason inner = *reason;
    import_reason_set(reason, "%s: %.200s", import_column_name(column), inner.text);
}

static enum err judge(const struct tpm_public *pub, enum check_care care,
                      struct import_reason *ret_reason)
{
    enum attest_weakness weakness = ATTEST_KEY_GOOD;
    enum err e = care == CHECK_THOROUGH ? attest_key_judge(pub, &weakness)
                                        : attest_key_judge_quick(pub, &weakness);
    if (e == ERR_OK && weakness == ATTEST_KEY_GOOD)
        return ERR_OK;
    import_reason_set(ret_reason, "%s", e == ERR_OK ? attest_weakness_text(weakness) : err_text(e));
    return e == ERR_OK ? ERR_KEY_WEAK : e;
}

static enum err read_key(const struct import_row *row, enum import_column column,
                         enum check_care care, struct tpm_public *ret_pub,
                         struct import_reason *ret_reason)
{
    enum tpm_key_role role = column == COLUMN_ENDORSEMENT_KEY ? TPM_ROLE_EK : TPM_ROLE_SRK;
    enum err e = keytext_column_read(row, column, role, ret_pub, ret_reason);
    if (e == ERR_OK)
        e = judge(ret_pub, care, ret_reason);
    if (e != ERR_OK)
        name_column(ret_reason, column);
    return e;
}

static enum err read_id(const struct import_row *row, enum import_column column,
                        struct regid *ret_id, struct import_reason *ret_reason)
{
    enum err e = regid_read(row->fields[column], ret_id);
    if (e == ERR_OK)
        return ERR_OK;
    import_reason_set(ret_reason,
                      "%s: not 1 to %d of [a-z0-9-._:], the last one alphanumeric or a dash",
                      import_column_name(column), REGID_MAX);
    return e;
}

static enum err read_pin(const struct import_row *row, bool *ret_pin,
                         struct import_reason *ret_reason)
{
    struct span text = row->fields[COLUMN_PIN_SRK];
    bool yes = span_equal_ignoring_case(text, SPAN_LITERAL("true"));
    if (!yes && text.len > 0 && !span_equal_ignoring_case(text, SPAN_LITERAL("false"))) {
        import_reason_set(ret_reason, "pinSrk: neither true nor false");
        return ERR_ENCODING;
    }
    if (yes && row->fields[COLUMN_STORAGE_ROOT_KEY].len == 0) {
        import_reason_set(ret_reason, "pinSrk: there is no storageRootKey to pin");
        return ERR_ENCODING;
    }
    *ret_pin = yes;
    return ERR_OK;
}

static enum err read_ids(const struct import_row *row, const struct tpm_public *ek,
                         struct store_enrollment *ret_enrollment, struct import_reason *ret_reason)
{
    struct store_enrollment *e = ret_enrollment;
    if (row->fields[COLUMN_REGISTRATION_ID].len > 0)
        TRY(read_id(row, COLUMN_REGISTRATION_ID, &e->id, ret_reason));
    else
        TRY(regid_from_ek(span_of(ek->raw, ek->raw_len), &e->id));
    e->device_id = e->id;
    if (row->fields[COLUMN_DEVICE_ID].len > 0)
        TRY(read_id(row, COLUMN_DEVICE_ID, &e->device_id, ret_reason));
    return ERR_OK;
}

static enum err read_srk(const struct import_row *row, enum check_care care,
                         const struct tpm_public *ek, struct store_enrollment *ret_enrollment,
                         struct import_reason *ret_reason)
{
    if (row->fields[COLUMN_STORAGE_ROOT_KEY].len == 0)
        return ERR_OK;
    struct tpm_public srk;
    TRY(read_key(row, COLUMN_STORAGE_ROOT_KEY, care, &srk, ret_reason));
    if (tpm_public_same_key(ek, &srk)) {
        import_reason_set(ret_reason, "storageRootKey: is the endorsement key");
        return ERR_KEY_ROLE;
    }
    memcpy(ret_enrollment->srk, srk.raw, srk.raw_len);
    ret_enrollment->srk_len = srk.raw_len;
    return ERR_OK;
}

/* Only whether they are right: the sink reads them once more. */
static enum err check_options(const struct import_row *row, struct store_enrollment *ret_enrollment,
                              struct import_reason *ret_reason)
{
    if (!options_has_profile(row) && row->fields[COLUMN_STATUS].len == 0)
        return ERR_OK;
    struct import_options options = {0};
    TRY(options_read(row, &options, ret_reason));
    ret_enrollment->enabled = !options.disabled;
    return ERR_OK;
}

static enum err check_fields(const struct import_row *row, enum check_care care,
                             struct store_enrollment *e, struct import_reason *ret_reason)
{
    struct tpm_public ek;
    TRY(read_pin(row, &e->pin_srk, ret_reason));
    TRY(check_options(row, e, ret_reason));
    TRY(read_key(row, COLUMN_ENDORSEMENT_KEY, care, &ek, ret_reason));
    TRY(read_ids(row, &ek, e, ret_reason));
    TRY(read_srk(row, care, &ek, e, ret_reason));
    TRY(tpm_public_key_hash(&ek, e->ek_hash));
    memcpy(e->ek, ek.raw, ek.raw_len);
    e->ek_len = ek.raw_len;
    return ERR_OK;
}

enum err check_row(const struct import_row *row, enum check_care care, int64_t now_s,
                   struct store_enrollment *ret_enrollment, struct import_reason *ret_reason)
{
    struct store_enrollment e = {.enabled = true, .created_s = now_s, .updated_s = now_s};
    enum err outcome;
    *ret_reason = row->broken;
    if (row->broken.text[0] != 0)
        return ERR_ENCODING;
    if (row->fields[COLUMN_ENDORSEMENT_KEY].len == 0) {
        import_reason_set(ret_reason, "endorsementKey: there is none");
        return ERR_ENCODING;
    }
    outcome = check_fields(row, care, &e, ret_reason);
    if (outcome == ERR_OK)
        *ret_enrollment = e;
    else if (ret_reason->text[0] == 0)
        import_reason_set(ret_reason, "%s", err_text(outcome));
    return outcome;
}
