#include "sharedscan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ekpolicy.h"
#include "inputs.h"
#include "keytext.h"
#include "primetree.h"
#include "sharedprimes.h"

#define TELL_EVERY_S 60

struct sharedscan {
    const struct import_args *args;
    struct sharedprimes *keys;
    time_t told;
};

static enum err refuse(enum err e, const char *what, const char *why,
                       struct import_reason *ret_reason)
{
    char safe[120];
    import_text_safe(span_text(what), safe, sizeof safe);
    import_reason_set(ret_reason, "%s%s%.120s", safe, what[0] != 0 ? ": " : "", why);
    return e;
}

/* ---- collecting ---- */

static enum err add_key(struct sharedscan *s, const struct import_row *row,
                        enum import_column column, size_t file_index)
{
    struct tpm_public pub;
    struct import_reason why;
    enum tpm_key_role role = column == COLUMN_ENDORSEMENT_KEY ? TPM_ROLE_EK : TPM_ROLE_SRK;
    if (row->fields[column].len == 0 ||
        keytext_column_read(row, column, role, &pub, &why) != ERR_OK ||
        pub.kind != TPM_KEY_RSA_2048)
        return ERR_OK; /* what is wrong with it, the run will say */
    struct sharedprimes_place place = {
        .file_index = (uint32_t)file_index, .line = (uint32_t)row->line, .column = column};
    import_text_safe(row->fields[COLUMN_REGISTRATION_ID], place.id, sizeof place.id);
    return sharedprimes_add(s->keys, pub.key, &place);
}

static enum err add_row(struct sharedscan *s, struct import_row *row, size_t file_index)
{
    if (row->broken.text[0] != 0)
        return ERR_OK;
    ekpolicy_prepare(row);
    TRY(add_key(s, row, COLUMN_ENDORSEMENT_KEY, file_index));
    return add_key(s, row, COLUMN_STORAGE_ROOT_KEY, file_index);
}

static enum err add_rows(struct sharedscan *s, struct reader *reader, size_t file_index,
                         bool *ret_damaged)
{
    struct import_row row;
    for (;;) {
        enum err e = import_stopped() ? ERR_UNAVAILABLE : reader_next(reader, &row);
        *ret_damaged = e == ERR_IO;
        if (e == ERR_ABSENT || e == ERR_IO)
            return ERR_OK;
        TRY(e);
        TRY(add_row(s, &row, file_index));
    }
}

/* Up to the end, or to a damaged file, behind which the run will not come either. */
static enum err collect(struct sharedscan *s, struct inputs *inputs,
                        struct import_reason *ret_reason)
{
    bool damaged = false;
    for (size_t i = 0; i < s->args->file_count && !damaged; i++) {
        struct reader *reader;
        TRY(inputs_take(inputs, i, &reader, ret_reason));
        enum err e = add_rows(s, reader, i, &damaged);
        reader_close(reader);
        if (e != ERR_OK)
            return refuse(e, e == ERR_IO ? s->args->data_dir : "",
                          e == ERR_UNAVAILABLE ? "interrupted" : err_text(e), ret_reason);
    }
    return ERR_OK;
}

/* ---- searching ---- */

static bool go_on(void *context, size_t done, size_t steps)
{
    struct sharedscan *s = context;
    time_t now = time(NULL);
    if (now - s->told >= TELL_EVERY_S) {
        (void)fprintf(stderr, "ekpub-import: looking for shared primes, step %zu of %zu\n",
                      done + 1, steps);
        s->told = now;
    }
    return !import_stopped();
}

static enum err search(struct sharedscan *s, struct import_reason *ret_reason)
{
    s->told = time(NULL);
    enum err e = sharedprimes_search(s->keys, go_on, s);
    if (e == ERR_OK)
        return ERR_OK;
    if (e == ERR_KEY_WEAK)
        return refuse(e, "", "tens of thousands of keys share primes: nothing of this is enrolled",
                      ret_reason);
    return refuse(e, e == ERR_IO ? s->args->data_dir : "",
                  e == ERR_UNAVAILABLE ? "interrupted" : err_text(e), ret_reason);
}

static enum err scan(struct sharedscan *s, struct import_reason *ret_reason)
{
    const struct import_args *a = s->args;
    struct inputs *inputs;
    struct import_reason why;
    TRY(inputs_open(a->files, a->file_count, a->reading, &inputs, ret_reason));
    enum err e = sharedprimes_open(a->data_dir, PRIMETREE_MAX, SHAREDPRIMES_FOUND_MAX, &s->keys, &why);
    if (e == ERR_OK)
        e = collect(s, inputs, ret_reason);
    else
        (void)refuse(e, a->data_dir, why.text, ret_reason);
    inputs_close(inputs);
    return e == ERR_OK ? search(s, ret_reason) : e;
}

enum err sharedscan_open(const struct import_args *args, struct sharedscan **ret_scan,
                         struct import_reason *ret_reason)
{
    struct sharedscan *s = calloc(1, sizeof *s);
    if (s == NULL)
        return refuse(ERR_MEMORY, "", err_text(ERR_MEMORY), ret_reason);
    s->args = args;
    enum err e = scan(s, ret_reason);
    if (e == ERR_OK)
        *ret_scan = s;
    else
        sharedscan_close(s);
    return e;
}

void sharedscan_close(struct sharedscan *s)
{
    if (s == NULL)
        return;
    sharedprimes_close(s->keys);
    free(s);
}

/* ---- judging ---- */

static void explain(const struct sharedscan *s, enum import_column column,
                    const struct sharedprimes_place *other, struct import_reason *ret_reason)
{
    char file[80];
    const char *own = import_column_name(column);
    if (other->column == COLUMN_COUNT) {
        import_reason_set(ret_reason, "%s: shares a prime with other keys of this list", own);
        return;
    }
    import_text_safe(span_text(s->args->files[other->file_index]), file, sizeof file);
    import_reason_set(ret_reason, "%s: shares a prime with another key (%s:%u, %s%s%s)", own, file,
                      other->line, import_column_name((enum import_column)other->column),
                      other->id[0] != 0 ? " of " : "", other->id);
}

static enum err judge(const struct sharedscan *s, enum import_column column, struct span raw,
                      struct import_reason *ret_reason)
{
    struct tpm_public pub;
    struct sharedprimes_place other;
    if (raw.len == 0)
        return ERR_OK;
    TRY(tpm_public_read(raw, &pub));
    if (pub.kind != TPM_KEY_RSA_2048)
        return ERR_OK;
    enum sharedprimes_what what = sharedprimes_find(s->keys, pub.key, &other);
    if (what == SHAREDPRIMES_NONE)
        return ERR_OK;
    if (what == SHAREDPRIMES_SHARED)
        explain(s, column, &other, ret_reason);
    else
        import_reason_set(ret_reason, "%s: was not there before: the file has changed",
                          import_column_name(column));
    return ERR_KEY_WEAK;
}

enum err sharedscan_judge(const struct sharedscan *s, const struct store_enrollment *e,
                          struct import_reason *ret_reason)
{
    TRY(judge(s, COLUMN_ENDORSEMENT_KEY, span_of(e->ek, e->ek_len), ret_reason));
    return judge(s, COLUMN_STORAGE_ROOT_KEY, span_of(e->srk, e->srk_len), ret_reason);
}
