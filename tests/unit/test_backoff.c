/* How long a device waits: twice as long each time, never the same as its neighbour, never for ever, and
 * never less than it was told. */
#include <unit.h>

#include <backoff.h>

static void doubles_up_to_a_bound(void **state)
{
    (void)state;
    static const uint32_t most_ms[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000};
    for (unsigned i = 0; i < sizeof most_ms / sizeof *most_ms; i++) {
        assert_int_equal(backoff_ms(i + 1, 0, 0), most_ms[i] / 2);
        assert_int_equal(backoff_ms(i + 1, 0, most_ms[i] / 2), most_ms[i]);
        assert_in_range(backoff_ms(i + 1, 0, UINT32_MAX), most_ms[i] / 2, most_ms[i]);
    }
    assert_int_equal(backoff_ms(UINT32_MAX, 0, 0), BACKOFF_MOST_MS / 2);
}

/* No quarter of the range is left out, and none is favoured. */
static void is_spread(void **state)
{
    (void)state;
    unsigned quarters[4] = {0};
    uint32_t random = 1;
    for (unsigned i = 0; i < 4000; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t wait_ms = backoff_ms(10, 0, random);
        quarters[(wait_ms - 150000) * 4 / 150001]++;
    }
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(quarters[i], 900, 1100);
}

static void is_at_least_what_was_told(void **state)
{
    (void)state;
    for (uint32_t told_s = 1; told_s <= 300; told_s++)
        for (unsigned failures = 1; failures < 12; failures++) {
            uint32_t least = backoff_ms(failures, told_s, 0), most = backoff_ms(failures, told_s, 0x7fffffff);
            assert_in_range(least, told_s * 1000, 300000);
            assert_in_range(most, told_s * 1000, 375000);
        }
    assert_int_equal(backoff_ms(1, 200, 0), 200000);
    assert_int_equal(backoff_ms(1, 200, 50000), 250000); /* sent away together, not back together */
    assert_int_equal(backoff_ms(9, 1, 0), 128000);       /* less than it would wait anyway */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_a_bound),
        cmocka_unit_test(is_spread),
        cmocka_unit_test(is_at_least_what_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
