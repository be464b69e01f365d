/* The configuration: what it says, and what it says when it is wrong. */
#include "store_rows.h"
#include "unit.h"

#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH "pbkdf2-sha256$20000$AR67zOt91EmoPNkYMo4Xjg==$Tw2Mhm+yszpCDO/RYUtRS7JUI/7pj5A1gTFNuyayqks="
#define SERVICE "[service]\nid_scope = 0ne00000001\nlisten = 0.0.0.0:443\n" \
                "certificate = tls/server.pem\nkey = /keys/server.key\n"

static enum err parse(const char *text, struct config *ret_config, struct config_reason *ret_reason)
{
    return config_parse(span_text(text), "/data", ret_config, ret_reason);
}

static void reads_all(void **state)
{
    struct config c;
    struct config_reason reason;
    (void)state;
    assert_ok(parse("# a comment\n" SERVICE "threads = 3\n\n[hubs]\nline = hub.example.com\n"
                    "b-2 = 10.0.0.5 ; inline\n[backend]\nuser = backend\npassword = " HASH "\n",
                    &c, &reason));
    assert_string_equal(c.data_dir, "/data");
    assert_string_equal(c.id_scope, "0ne00000001");
    assert_string_equal(c.listen_address, "0.0.0.0");
    assert_int_equal(c.listen_port, 443);
    assert_int_equal(c.threads, 3);
    assert_string_equal(c.server_certificate, "/data/tls/server.pem");
    assert_string_equal(c.server_key, "/keys/server.key");
    assert_int_equal(c.hub_count, 2);
    assert_string_equal(c.hubs[0].name, "line");
    assert_string_equal(c.hubs[0].host, "hub.example.com");
    assert_string_equal(c.hubs[1].name, "b-2");
    assert_string_equal(c.hubs[1].host, "10.0.0.5");
    assert_string_equal(c.backend_user, "backend");
    assert_string_equal(c.backend_password, HASH);
}

static void says_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "id_scope is missing in section [service]"},
        {"[service]\nid_scope = a\n", "listen is missing"},
        {SERVICE "nonsense = 1\n", "cradle.ini:6: unknown key nonsense in section [service]"},
        {SERVICE "[other]\nid_scope = a\n", "cradle.ini:7: unknown key id_scope in section [other]"},
        {"id_scope = a\n" SERVICE, "cradle.ini:1: unknown key id_scope in section []"},
        {SERVICE "id_scope = b\n", "cradle.ini:6: id_scope twice"},
        {SERVICE "threads = many\n", "cradle.ini:6: threads must be a number"},
        {SERVICE "threads = -1\n", "cradle.ini:6: threads must be"},
        {SERVICE "threads = 257\n", "cradle.ini:6: threads must be"},
        {SERVICE "threads\n", "cradle.ini:6: neither"},
        {SERVICE "[hubs\n", "cradle.ini:6: neither"},
        {"[service]\nid_scope = 0ne/1\n", "cradle.ini:2: id_scope must be"},
        {"[service]\nid_scope =\n", "cradle.ini:2: id_scope must be"},
        {"[service]\nlisten = localhost:443\n", "cradle.ini:2: listen must be"},
        {"[service]\nlisten = 0.0.0.0\n", "cradle.ini:2: listen must be"},
        {"[service]\nlisten = 0.0.0.0:65536\n", "cradle.ini:2: listen must be"},
        {"[service]\nlisten = ::1:443\n", "cradle.ini:2: listen must be"},
        {SERVICE "[hubs]\nLine = a.b\n", "cradle.ini:7: a hub's name"},
        {SERVICE "[hubs]\n../x = a.b\n", "cradle.ini:7: a hub's name"},
        {SERVICE "[hubs]\na = nodot\n", "cradle.ini:7: a hub's host"},
        {SERVICE "[hubs]\na = a.b:8883\n", "cradle.ini:7: a hub's host"},
        {SERVICE "[hubs]\na = a..b\n", "cradle.ini:7: a hub's host"},
        {SERVICE "[hubs]\na = a.b.\n", "cradle.ini:7: a hub's host"},
        {SERVICE "[hubs]\na = a.\"b\n", "cradle.ini:7: a hub's host"},
        {SERVICE "[hubs]\na = -a.b\n", "cradle.ini:7: a hub's host"},
        {SERVICE "[hubs]\na = a.b\na = c.d\n", "cradle.ini:8: hub a twice"},
        {SERVICE "[backend]\nuser = x\n", "[backend] needs both"},
        {SERVICE "[backend]\nuser = x\npassword = plain\n", "cradle.ini:8: password must be"},
        {SERVICE "\x01", "cradle.ini:6: a control character"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config c;
        struct config_reason reason = {""};
        POISON(c);
        assert_err_of(cases[i].text, ERR_CONFIG, parse(cases[i].text, &c, &reason));
        assert_poisoned(c);
        if (strstr(reason.text, cases[i].reason) == NULL)
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].text, reason.text, cases[i].reason);
    }
}

static void lines_and_files_are_bounded(void **state)
{
    struct config c;
    struct config_reason reason = {""};
    static char text[CONFIG_FILE_MAX + 2];
    (void)state;
    snprintf(text, sizeof text, SERVICE "# %200s\n", "x");
    assert_err(ERR_CONFIG, parse(text, &c, &reason));
    assert_non_null(strstr(reason.text, "cradle.ini:6: longer than 198 bytes"));
    size_t len = (size_t)snprintf(text, sizeof text, SERVICE "# %191s\n", "x");
    assert_ok(parse(text, &c, &reason));
    memset(text + len, '\n', sizeof text - 1 - len);
    assert_err(ERR_CONFIG, parse(text, &c, &reason));
    assert_err(ERR_CONFIG, config_parse(SPAN_LITERAL(SERVICE "\0"), "/data", &c, &reason));
    len = (size_t)snprintf(text, sizeof text, SERVICE "[hubs]\n");
    for (int i = 0; i <= CONFIG_HUBS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "h%d = a.b\n", i);
    assert_err(ERR_CONFIG, parse(text, &c, &reason));
    assert_non_null(strstr(reason.text, "more than 50 hubs"));
}

static void addresses(void **state)
{
    char address[64];
    uint16_t port = 0;
    (void)state;
    assert_ok(config_listen_read("127.0.0.1:0", address, &port));
    assert_string_equal(address, "127.0.0.1");
    assert_int_equal(port, 0);
    assert_ok(config_listen_read("[2001:db8::1]:8443", address, &port));
    assert_string_equal(address, "2001:db8::1");
    assert_int_equal(port, 8443);
    static const char *const wrong[] = {"", ":", ":443", "127.0.0.1:", "127.0.0.1:x", "[::1]",
                                        "[127.0.0.1]:1", "::1:443", "127.0.0.1: 443", "127.1:443",
                                        "127.0.0.1:-1", "127.0.0.1:0443"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        POISON(address);
        POISON(port);
        assert_err_of(wrong[i], ERR_CONFIG, config_listen_read(wrong[i], address, &port));
        assert_poisoned(address);
        assert_poisoned(port);
    }
}

/* ---- files ---- */
static char dir[256];

static void write_file(const char *name, struct span content, mode_t mode)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content.at, 1, content.len, f), content.len);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void files(void **state)
{
    struct config c;
    struct config_reason reason = {""};
    (void)state;
    rows_directory_make(dir, sizeof dir);
    assert_err(ERR_CONFIG, config_read(dir, &c, &reason));
    assert_non_null(strstr(reason.text, "cradle.ini"));
    assert_err(ERR_CONFIG, config_read("/no/such/dir", &c, &reason));
    assert_non_null(strstr(reason.text, "/no/such/dir"));
    write_file("cradle.ini", SPAN_LITERAL(SERVICE), 0600);
    assert_ok(config_read(dir, &c, &reason));
    assert_true(c.data_dir[0] == '/');
    rows_directory_remove(dir);
}

static void secrets(void **state)
{
    struct config c = {.hub_count = 0};
    struct config_reason reason = {""};
    SECRET s = {.len = 0};
    char path[300];
    struct span good = SPAN_LITERAL("0123456789abcdef0123456789abcde\xff");
    (void)state;
    rows_directory_make(dir, sizeof dir);
    snprintf(c.data_dir, sizeof c.data_dir, "%s", dir);
    snprintf(path, sizeof path, "%s/secrets", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_err(ERR_CONFIG, config_secret_read(&c, "master", &s, &reason));
    write_file("secrets/master", good, 0600);
    assert_ok(config_secret_read(&c, "master", &s, &reason));
    assert_span_equal(good, secret_span(&s));
    static const mode_t modes[] = {0640, 0604, 0660, 0610, 0601};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        write_file("secrets/master", good, modes[i]);
        assert_err(ERR_CONFIG, config_secret_read(&c, "master", &s, &reason));
        assert_non_null(strstr(reason.text, "0600"));
    }
    write_file("secrets/master", span_slice(good, 0, 31), 0600);
    assert_err(ERR_CONFIG, config_secret_read(&c, "master", &s, &reason));
    write_file("secrets/master", SPAN_LITERAL("0123456789abcdef0123456789abcdef\n"), 0600);
    assert_err(ERR_CONFIG, config_secret_read(&c, "master", &s, &reason));
    snprintf(path, sizeof path, "%s/secrets/hub", dir);
    assert_int_equal(symlink("master", path), 0);
    write_file("secrets/master", good, 0600);
    assert_err(ERR_CONFIG, config_secret_read(&c, "hub", &s, &reason));
    rows_directory_remove(dir);
}

static void passwords(void **state)
{
    static const uint8_t salt[16] = {1, 2, 3};
    char stored[200];
    struct buf b = BUF_OVER(stored);
    (void)state;
    assert_ok(config_password_hash(SPAN_LITERAL("correct horse"), salt, &b));
    assert_ok(config_password_check(stored, SPAN_LITERAL("correct horse")));
    assert_err(ERR_UNAUTHORIZED, config_password_check(stored, SPAN_LITERAL("correct hors")));
    assert_err(ERR_UNAUTHORIZED, config_password_check(stored, SPAN_LITERAL("correct horse ")));
    assert_err(ERR_UNAUTHORIZED, config_password_check(stored, SPAN_LITERAL("")));
    assert_null(strstr(stored, "horse"));
    /* PBKDF2-HMAC-SHA-256 of RFC 7914, section 11: password "passwd", salt "salt", one iteration;
     * here with sixteen bytes of salt, computed with Python's hashlib. */
    assert_ok(config_password_check(
        "pbkdf2-sha256$1$c2FsdHNhbHRzYWx0c2FsdA==$cxtGijCjzn8qI+bIWcm/1XQSG9mSecjqhKq9cKXvyyk=",
        SPAN_LITERAL("passwd")));
    static const char *const wrong[] = {
        "", "pbkdf2-sha256", "pbkdf2-sha256$1$AAAA$AAAA", "plain$1$a$b",
        "pbkdf2-sha256$0$c2FsdHNhbHRzYWx0c2FsdA==$cxtGijCjzn8qI+bIWcm/1XQSG9mSecjqhKq9cKXvyyk=",
        "pbkdf2-sha256$999999999$c2FsdHNhbHRzYWx0c2FsdA==$cxtGijCjzn8qI+bIWcm/1XQSG9mSecjqhKq9cKXvyyk="};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_err_of(wrong[i], ERR_UNAUTHORIZED,
                      config_password_check(wrong[i], SPAN_LITERAL("passwd")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all),  cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(lines_and_files_are_bounded), cmocka_unit_test(addresses),
        cmocka_unit_test(files),      cmocka_unit_test(secrets),
        cmocka_unit_test(passwords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
