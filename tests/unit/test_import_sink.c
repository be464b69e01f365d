/* The sink: a first load that is longer than it can know by heart goes on in batches, or, if it was to
 * be all or nothing, leaves nothing. */
#include "store_unit.h"
#include <sink.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_MAX 100
static const char *const files[] = {"list.csv"};
static const struct import_options no_options = {0};

static struct sink *open_sink(bool whole)
{
    const struct sink_terms terms = {.data_dir = dir,
                                     .files = files,
                                     .options = &no_options,
                                     .may_load = true,
                                     .whole = whole,
                                     .seen_max = SEEN_MAX};
    struct sink *s;
    struct import_reason why;
    enum err e = sink_open(&terms, &s, &why);

    if (e != ERR_OK)
        fail_msg("sink_open: %s", why.text);
    assert_true(sink_is_load(s));
    return s;
}

/* A block of checked rows from..to-1. */
static void fill(struct import_block *b, unsigned from, unsigned to)
{
    import_block_clear(b, files[0], 0, from);
    for (unsigned n = from; n < to; n++) {
        struct import_row row = {.line = n + 2};
        import_block_add(b, &row);
        b->items[n - from].outcome = IMPORT_NEW;
        b->items[n - from].enrollment = rows_enrollment(n);
    }
}

static uint64_t enrolled(void)
{
    struct store *s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);
    uint64_t count = 0;

    assert_ok(store_enrollment_count(r, &count));
    store_reader_close(r);
    store_close(s);
    return count;
}

static void a_long_load_goes_on_in_batches(void **state)
{
    (void)state;
    rows_create(dir, 0);
    struct import_block *b = malloc(sizeof *b);
    struct import_reason why = {""};
    struct sink *s = open_sink(false);
    for (unsigned from = 0; from < 300; from += 30) {
        fill(b, from, from + 30);
        if (from > 0) /* one that was there long ago, one of the block before */
            b->items[3].enrollment = rows_enrollment(0), b->items[4].enrollment = rows_enrollment(from - 1);
        assert_ok(sink_write(s, b));
        for (size_t i = 0; i < b->count; i++)
            assert_int_equal(from > 0 && (i == 3 || i == 4) ? IMPORT_SAME : IMPORT_NEW,
                             b->items[i].outcome);
        assert_int_equal(from < 90, sink_is_load(s));
    }
    assert_ok(sink_finish(s, &why));
    sink_close(s);
    free(b);
    assert_int_equal(300 - 2 * 9, enrolled());
}

static void all_or_nothing_is_nothing(void **state)
{
    (void)state;
    rows_create(dir, 0);
    struct import_block *b = malloc(sizeof *b);
    struct sink *s = open_sink(true);
    for (unsigned from = 0; from < 90; from += 30) {
        fill(b, from, from + 30);
        assert_ok(sink_write(s, b));
    }
    fill(b, 90, 120);
    assert_err(ERR_FULL, sink_write(s, b));
    assert_true(sink_is_load(s));
    sink_close(s);
    free(b);
    assert_int_equal(0, enrolled());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_long_load_goes_on_in_batches),
        test(all_or_nothing_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
