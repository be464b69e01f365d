/* Progress and pace, held to a clock of the test's own. */
#include "unit.h"

#include <pace.h>
#include <progress.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long clock_ms;
int __wrap_clock_gettime(clockid_t which, struct timespec *t);
int __wrap_clock_gettime(clockid_t which, struct timespec *t)
{
    (void)which;
    *t = (struct timespec){clock_ms / 1000, clock_ms % 1000 * 1000000};
    return 0;
}

static bool is_terminal;
int __wrap_isatty(int fd);
int __wrap_isatty(int fd)
{
    (void)fd;
    return is_terminal ? 1 : 0;
}

/* What the calls of `say` leave on standard error. */
static size_t told(void (*say)(struct progress *p), char *ret_text, size_t cap)
{
    FILE *out = tmpfile();
    int before = dup(STDERR_FILENO);
    struct progress p;
    assert_non_null(out);
    assert_true(dup2(fileno(out), STDERR_FILENO) >= 0);
    clock_ms = 5000;
    progress_begin(&p, 1000);
    say(&p);
    progress_clear(&p);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
    rewind(out);
    size_t len = fread(ret_text, 1, cap - 1, out);
    ret_text[len] = 0;
    (void)fclose(out);
    return len;
}

static void say_for_two_minutes(struct progress *p)
{
    for (int second = 0; second <= 125; second++) {
        clock_ms = 5000 + 1000 * second;
        progress_show(p, (uint64_t)second, (uint64_t)second * 100, 7);
    }
}

static void one_line_a_minute_without_a_terminal(void **state)
{
    char text[500];
    (void)state;
    is_terminal = false;
    (void)told(say_for_two_minutes, text, sizeof text);
    assert_string_equal(text, "ekpub-import: 6000 rows read, 7 refused\n"
                              "ekpub-import: 12000 rows read, 7 refused\n");
}

static void say_half_way(struct progress *p)
{
    clock_ms += 10000;
    progress_show(p, 500, 20000, 0);
    clock_ms += 50; /* too soon to draw again */
    progress_show(p, 501, 20001, 0);
}

static void a_bar_with_rate_and_remaining_time_on_a_terminal(void **state)
{
    char text[500];
    (void)state;
    is_terminal = true;
    (void)told(say_half_way, text, sizeof text);
    assert_string_equal(text, "[###############...............]  50 %  20000 rows, 2000 a second, "
                              "10 s left\r\033[K");
}

/* A transaction takes what its rows were given and what the disk adds. */
static void settle_pace(struct pace *p, int64_t commit_us)
{
    for (int i = 0; i < 200; i++)
        pace_note(p, p->rows_us + commit_us);
}

static void a_slow_commit_leaves_less_for_rows(void **state)
{
    struct pace p;
    (void)state;
    pace_begin(&p);
    settle_pace(&p, 100);
    int64_t quick = p.rows_us;
    assert_true(quick + 100 <= PACE_LIMIT_US / 2);
    settle_pace(&p, 1500);
    assert_true(p.rows_us < quick && p.rows_us + 1500 <= PACE_LIMIT_US);
    settle_pace(&p, 20000);
    assert_true(p.rows_us > 0 && p.rows_us < 100);
    settle_pace(&p, 100);
    assert_int_equal(p.rows_us, quick);
}

static void times_are_counted(void **state)
{
    struct pace p;
    (void)state;
    pace_begin(&p);
    assert_int_equal(pace_quantile_us(&p, 990), 0);
    for (int i = 0; i < 99; i++)
        pace_note(&p, 950);
    pace_note(&p, 7777);
    assert_int_equal(p.count, 100);
    assert_int_equal(p.over, 1);
    assert_int_equal(p.longest_us, 7777);
    assert_int_equal(pace_quantile_us(&p, 990), 1000);
    assert_int_equal(pace_quantile_us(&p, 999), 7800);
    pace_note(&p, 3600000000);
    assert_int_equal(pace_quantile_us(&p, 1000), PACE_STEPS * PACE_STEP_US);
    assert_true(pace_rest_us(2000) > 0 && pace_rest_us(3600000000) <= PACE_LIMIT_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_a_minute_without_a_terminal),
        cmocka_unit_test(a_bar_with_rate_and_remaining_time_on_a_terminal),
        cmocka_unit_test(a_slow_commit_leaves_less_for_rows),
        cmocka_unit_test(times_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
