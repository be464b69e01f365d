#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unit.h>

static const enum err all_errors[] = {
#define ERR(name, http, code, action, text) ERR_##name,
#include <wire/err.def>
#undef ERR
};
#define COUNT (sizeof all_errors / sizeof *all_errors)

static void table_keeps_the_protocols_rules(void **state)
{
    (void)state;
    assert_int_equal(COUNT, ERR_COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        enum err e = all_errors[i];
        if (err_code(e) / 1000 != err_http_status(e))
            fail_msg("%s: code %d, status %d", err_name(e), (int)err_code(e), err_http_status(e));
        assert_true(err_code(e) >= 200000 && err_code(e) < 600000);
        assert_true(strlen(err_text(e)) > 4 && err_text(e)[strlen(err_text(e)) - 1] == '.');
        assert_null(strpbrk(err_text(e), "\"\\\n")); /* it is put into JSON as it is */
        assert_int_equal(err_device_action(e) == ERR_GO_ON, e == ERR_OK);
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(err_name(e), err_name(all_errors[other]));
    }
}

static void values_are_those_of_the_table(void **state)
{
    (void)state;
    assert_string_equal("NOT_ENROLLED", err_name(ERR_NOT_ENROLLED));
    assert_int_equal(404, err_http_status(ERR_NOT_ENROLLED));
    assert_int_equal(404201, err_code(ERR_NOT_ENROLLED));
    assert_int_equal(ERR_GIVE_UP, err_device_action(ERR_NOT_ENROLLED));
    assert_int_equal(ERR_RECHALLENGE, err_device_action(ERR_UNAUTHORIZED));
    assert_int_equal(ERR_WAIT, err_device_action(ERR_THROTTLED));
}

static void value_out_of_range_is_internal(void **state)
{
    (void)state;
    const enum err wild[] = {(enum err)ERR_COUNT, (enum err)-1, (enum err)100000};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        assert_string_equal("INTERNAL", err_name(wild[i]));
        assert_int_equal(500, err_http_status(wild[i]));
        assert_int_equal(500000, err_code(wild[i]));
        assert_string_equal(err_text(ERR_INTERNAL), err_text(wild[i]));
        assert_int_equal(ERR_WAIT, err_device_action(wild[i]));
    }
}

static void device_understands_answers(void **state)
{
    (void)state;
    static const struct {
        int http_status;
        int32_t code;
        enum err expected;
    } rows[] = {
        {200, 0, ERR_OK},
        {202, 0, ERR_OK},
        {200, 404201, ERR_OK},
        {404, 404201, ERR_NOT_ENROLLED},
        {401, 401002, ERR_UNAUTHORIZED},
        {400, 400004, ERR_INVALID_ARGUMENT},
        {400, 400208, ERR_NO_HUB},
        {429, 429001, ERR_THROTTLED},
        {404, 404202, ERR_NOT_FOUND},   /* not ours: the status decides */
        {401, 401999, ERR_UNAUTHORIZED},
        {400, 0, ERR_BAD_REQUEST},
        {400, 200000, ERR_BAD_REQUEST}, /* an error never turns into success */
        {429, -1, ERR_THROTTLED},
        {500, 500123, ERR_INTERNAL},
        {503, 0, ERR_UNAVAILABLE},
        {403, 0, ERR_BAD_REQUEST},      /* nor is the status ours */
        {418, 0, ERR_BAD_REQUEST},
        {502, 0, ERR_UNAVAILABLE},
        {504, 504000, ERR_UNAVAILABLE},
        {302, 0, ERR_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_err(rows[i].expected, err_from_answer(rows[i].http_status, rows[i].code));
}

static void answers_of_the_service_come_back_as_they_were(void **state)
{
    (void)state;
    for (size_t i = 1; i < COUNT; i++) {
        enum err back = err_from_answer(err_http_status(all_errors[i]), err_code(all_errors[i]));
        assert_int_equal(err_code(all_errors[i]), err_code(back));
    }
    /* The protocol's own refusals exactly: several inner errors share a code with one of them. */
    for (enum err e = ERR_BAD_REQUEST; e <= ERR_UNAVAILABLE; e++)
        assert_err(e, err_from_answer(err_http_status(e), err_code(e)));
}

static void broken_promises_abort_and_say_where(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(0, pipe(ends));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* the test runner's own handler would go on */
        dup2(ends[1], STDERR_FILENO);
        ERR_ASSERT(1 + 1 == 2);
        ERR_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    char said[512] = "";
    assert_true(read(ends[0], said, sizeof said - 1) > 0);
    close(ends[0]);
    int status = 0;
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "test_err.c"));
    assert_non_null(strstr(said, "1 + 1 == 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_keeps_the_protocols_rules),
        cmocka_unit_test(values_are_those_of_the_table),
        cmocka_unit_test(value_out_of_range_is_internal),
        cmocka_unit_test(device_understands_answers),
        cmocka_unit_test(answers_of_the_service_come_back_as_they_were),
        cmocka_unit_test(broken_promises_abort_and_say_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
