/* What the store's unit tests share: a directory for each test, and comparing rows. */
#ifndef STORE_UNIT_H
#define STORE_UNIT_H

#include "store_rows.h"
#include "unit.h"
#include <stdio.h>

static char dir[256];

static inline int make_directory(void **state)
{
    (void)state;
    rows_directory_make(dir, sizeof dir);
    return 0;
}

static inline int remove_directory(void **state)
{
    (void)state;
    rows_directory_remove(dir);
    return 0;
}

static inline const char *path_of(const char *name)
{
    static char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static inline struct store *open_store(enum store_mode mode)
{
    struct store *s = NULL;
    struct store_reason reason = {""};
    enum err e = store_open(dir, mode, &s, &reason);

    if (e != ERR_OK)
        fail_msg("store_open: %s: %s", err_name(e), reason.text);
    return s;
}

static inline struct store_reader *open_reader(struct store *s)
{
    struct store_reader *r = NULL;

    assert_err(ERR_OK, store_reader_open(s, &r));
    return r;
}

static inline void assert_same_enrollment(const struct store_enrollment *a,
                                          const struct store_enrollment *b)
{
    assert_string_equal(a->id.text, b->id.text);
    assert_string_equal(a->device_id.text, b->device_id.text);
    assert_memory_equal(a->ek_hash, b->ek_hash, sizeof a->ek_hash);
    assert_int_equal(a->ek_len, b->ek_len);
    assert_memory_equal(a->ek, b->ek, a->ek_len);
    assert_int_equal(a->srk_len, b->srk_len);
    assert_true(a->srk_len == 0 || memcmp(a->srk, b->srk, a->srk_len) == 0);
    assert_int_equal(a->pin_srk, b->pin_srk);
    assert_int_equal(a->enabled, b->enabled);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->updated_s, b->updated_s);
}

static inline void assert_same_registration(const struct store_registration *a,
                                     const struct store_registration *b)
{
    assert_string_equal(a->id.text, b->id.text);
    assert_string_equal(a->device_id.text, b->device_id.text);
    assert_int_equal(a->generation, b->generation);
    assert_memory_equal(a->ek_hash, b->ek_hash, sizeof a->ek_hash);
    assert_int_equal(a->srk_len, b->srk_len);
    assert_memory_equal(a->srk, b->srk, a->srk_len);
    assert_string_equal(a->hub, b->hub);
    assert_string_equal(a->operation_id, b->operation_id);
    assert_int_equal(a->challenge_window, b->challenge_window);
    assert_string_equal(a->etag, b->etag);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->updated_s, b->updated_s);
}

#define test(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

#endif
