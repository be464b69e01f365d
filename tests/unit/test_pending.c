/* The table of pending challenges: finds what was put, forgets in time, and lets a flood displace only
 * itself. */
#include "store_rows.h"
#include "unit.h"

#include <fcntl.h>
#include <pending.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1800000000
static char dir[256], path[300];
static struct pending *p;

static void open_table(void)
{
    struct store_reason reason = {""};
    enum err e = pending_open(path, SPAN_LITERAL("0123456789abcdef0123456789abcdef"), &p, &reason);
    if (e != ERR_OK)
        fail_msg("%s: %s", err_name(e), reason.text);
}

static int begin(void **state)
{
    (void)state;
    rows_directory_make(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/pending", dir);
    open_table();
    return 0;
}

static int end(void **state)
{
    (void)state;
    pending_close(p);
    rows_directory_remove(dir);
    return 0;
}

/* An SRK is just bytes to the table. */
static void put_at(const char *id, uint32_t srk, const char *source, int64_t now_s)
{
    struct regid r = rows_id(id);
    uint8_t bytes[284] = {1, (uint8_t)(srk >> 16), (uint8_t)(srk >> 8), (uint8_t)srk};
    assert_ok(pending_put(p, &r, SPAN_ARRAY(bytes), source, now_s));
}

static int find_at(const char *id, int64_t now_s, uint32_t ret_srks[PENDING_WAYS])
{
    struct regid r = rows_id(id);
    struct pending_srk srks[PENDING_WAYS];
    int count = -1;
    assert_ok(pending_find(p, &r, now_s, srks, &count));
    assert_in_range(count, 0, PENDING_WAYS);
    for (int i = 0; i < count; i++) {
        assert_int_equal(srks[i].len, 284);
        ret_srks[i] = (uint32_t)srks[i].at[1] << 16 | (uint32_t)srks[i].at[2] << 8 | srks[i].at[3];
    }
    return count;
}

static bool holds(const char *id, uint32_t srk)
{
    uint32_t found[PENDING_WAYS];
    int n = find_at(id, NOW, found);
    for (int i = 0; i < n; i++)
        if (found[i] == srk)
            return true;
    return false;
}

static void finds_newest_first(void **state)
{
    uint32_t found[PENDING_WAYS];
    (void)state;
    assert_int_equal(find_at("a", NOW, found), 0);
    put_at("a", 1, "192.0.2.1", NOW);
    put_at("a", 2, "192.0.2.1", NOW);
    put_at("a", 3, "192.0.2.2", NOW);
    assert_int_equal(find_at("b", NOW, found), 0);
    assert_int_equal(find_at("a", NOW, found), 3);
    assert_int_equal(found[0], 3);
    assert_int_equal(found[1], 2);
    assert_int_equal(found[2], 1);
}

static void replaces_its_own_duplicate(void **state)
{
    uint32_t found[PENDING_WAYS];
    (void)state;
    for (int i = 0; i < 100; i++)
        put_at("a", 1, "192.0.2.1", NOW + i);
    assert_int_equal(find_at("a", NOW + 100, found), 1);
    /* Another source's is another entry, so that nobody can take an entry over; but one SRK. */
    put_at("a", 1, "192.0.2.2", NOW + 100);
    assert_int_equal(find_at("a", NOW + 100, found), 1);
}

static void forgets(void **state)
{
    uint32_t found[PENDING_WAYS];
    (void)state;
    put_at("a", 1, "192.0.2.1", NOW);
    assert_int_equal(find_at("a", NOW + PENDING_LIFE_S - 1, found), 1);
    assert_int_equal(find_at("a", NOW + PENDING_LIFE_S, found), 0);
    assert_int_equal(find_at("a", NOW - 86400, found), 0); /* a clock that was set back */
    for (uint32_t i = 0; i < PENDING_WAYS; i++)
        put_at("a", i, "192.0.2.9", NOW);
    put_at("a", 99, "192.0.2.1", NOW + PENDING_LIFE_S); /* free again */
    assert_int_equal(find_at("a", NOW + PENDING_LIFE_S, found), 1);
}

static void flood_displaces_itself(void **state)
{
    uint32_t found[PENDING_WAYS];
    (void)state;
    put_at("a", 1, "192.0.2.1", NOW);
    for (uint32_t i = 0; i < 5000; i++)
        put_at("a", 1000 + i, "198.51.100.9", NOW);
    assert_true(holds("a", 1));
    assert_true(holds("a", 1000 + 4999)); /* the flood keeps its newest */
    assert_int_equal(find_at("a", NOW, found), PENDING_WAYS);
    /* Comes in the middle of a flood, and stays. */
    put_at("a", 2, "192.0.2.2", NOW);
    for (uint32_t i = 0; i < 5000; i++)
        put_at("a", 10000 + i, "198.51.100.9", NOW);
    assert_true(holds("a", 1));
    assert_true(holds("a", 2));
    /* Even if the stranger knows the device's SRK and puts it too. */
    put_at("a", 2, "198.51.100.9", NOW);
    for (uint32_t i = 0; i < 5000; i++)
        put_at("a", 20000 + i, "198.51.100.9", NOW);
    assert_true(holds("a", 2));
}

static void two_floods_displace_each_other(void **state)
{
    (void)state;
    put_at("a", 1, "192.0.2.1", NOW);
    for (uint32_t i = 0; i < 5000; i++)
        put_at("a", 1000 + i, i % 2 ? "198.51.100.9" : "198.51.100.10", NOW);
    assert_true(holds("a", 1));
}

/* A factory behind one address that holds half of a set is no flood. */
static void a_flood_gives_way_to_its_equal(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        put_at("a", 1 + i, "192.0.2.1", NOW);
    put_at("a", 9, "192.0.2.2", NOW);
    for (uint32_t i = 0; i < 5000; i++)
        put_at("a", 1000 + i, "198.51.100.9", NOW);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(holds("a", 1 + i));
    assert_true(holds("a", 9));
}

static void an_ipv6_network_is_one_source(void **state)
{
    (void)state;
    put_at("a", 1, "2001:db8:1::1", NOW);
    for (uint32_t i = 0; i < 3000; i++) {
        char source[64];
        snprintf(source, sizeof source, "2001:db8:2:3:%x::%x", i, i + 1);
        put_at("a", 1000 + i, source, NOW);
    }
    assert_true(holds("a", 1));
    /* 192.0.2.1 is one source however the socket writes it. */
    put_at("b", 1, "192.0.2.7", NOW);
    for (uint32_t i = 0; i < 3000; i++)
        put_at("b", 1000 + i, i % 2 ? "192.0.2.1" : "::ffff:192.0.2.1", NOW);
    assert_true(holds("b", 1));
}

static void survives_reopening(void **state)
{
    (void)state;
    put_at("a", 1, "192.0.2.1", NOW);
    pending_close(p);
    open_table();
    assert_true(holds("a", 1));
}

/* Whatever is in the file: never more than a set, never a crash, and then it works. */
static void corrupt_files(void **state)
{
    struct stat good, st;
    uint32_t found[PENDING_WAYS];
    (void)state;
    assert_int_equal(stat(path, &good), 0);
    assert_int_equal(good.st_mode & 0777, 0600);
    for (int kind = 0; kind < 4; kind++) {
        put_at("a", 1, "192.0.2.1", NOW);
        pending_close(p);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        if (kind == 0)
            assert_int_equal(ftruncate(fd, 100), 0);
        if (kind == 1)
            assert_int_equal(ftruncate(fd, good.st_size + 1), 0);
        if (kind == 2)
            assert_int_equal(pwrite(fd, "X", 1, 3), 1);
        if (kind == 3) /* behind a sound head: places of noise */
            for (off_t at = 64; at < good.st_size; at += 4096) {
                uint8_t noise[4096];
                size_t len = good.st_size - at < 4096 ? (size_t)(good.st_size - at) : 4096;
                for (size_t i = 0; i < len; i++)
                    noise[i] = (uint8_t)rand();
                assert_int_equal(pwrite(fd, noise, len, at), len);
            }
        close(fd);
        open_table();
        assert_int_equal(find_at("a", NOW, found), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, good.st_size);
        put_at("a", 7, "192.0.2.1", NOW);
        assert_true(holds("a", 7));
    }
}

static void a_place_that_cannot_be(void **state)
{
    struct pending *other = NULL;
    struct store_reason reason = {""};
    (void)state;
    assert_err(ERR_IO, pending_open("/proc/none/pending", SPAN_LITERAL("k"), &other, &reason));
    assert_true(strstr(reason.text, "/proc/none/pending") != NULL);
    assert_null(other);
}

static void *hammer(void *arg)
{
    uint32_t found[PENDING_WAYS];
    for (uint32_t i = 0; i < 3000; i++) {
        put_at("a", i % 20, arg, NOW);
        find_at("a", NOW, found);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    pthread_t threads[4];
    char sources[][16] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"};
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, sources[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    uint32_t found[PENDING_WAYS];
    assert_in_range(find_at("a", NOW, found), 1, PENDING_WAYS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_newest_first), TEST(replaces_its_own_duplicate), TEST(forgets),
        TEST(flood_displaces_itself), TEST(two_floods_displace_each_other),
        TEST(a_flood_gives_way_to_its_equal), TEST(an_ipv6_network_is_one_source), TEST(survives_reopening), TEST(corrupt_files),
        TEST(a_place_that_cannot_be), TEST(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
