/* Files as slots: whole or not at all, also when the power is cut at any system call that changes
 * the disk. The calls are wrapped at link time; from the n-th on nothing reaches the disk, and the
 * n-th itself, if it is a write, is torn. What was not synced before a rename is lost with the cut. */
#include <unit.h>

#include <errno.h>
#include <fcntl.h>
#include <hal/linux.h>
#include <halcheck.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the power ---- */
static unsigned calls, cut_at; /* cut_at 0: never */
static bool file_synced, dir_synced, renamed_unsynced;

static bool powered(void)
{
    calls++;
    if (cut_at == 0 || calls < cut_at)
        return true;
    errno = EIO;
    return false;
}

ssize_t __real_write(int, const void *, size_t);
ssize_t __wrap_write(int, const void *, size_t);
ssize_t __wrap_write(int fd, const void *at, size_t len)
{
    file_synced = false;
    if (powered())
        return __real_write(fd, at, len);
    if (calls == cut_at)
        (void)!__real_write(fd, at, len / 2);
    errno = EIO;
    return -1;
}

int __real_fsync(int);
int __wrap_fsync(int);
int __wrap_fsync(int fd)
{
    struct stat what;
    assert_int_equal(fstat(fd, &what), 0);
    if (!powered())
        return -1;
    if (S_ISDIR(what.st_mode))
        dir_synced = true;
    else
        file_synced = true;
    return __real_fsync(fd);
}

int __real_renameat(int, const char *, int, const char *);
int __wrap_renameat(int, const char *, int, const char *);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    renamed_unsynced |= !file_synced;
    dir_synced = false;
    return powered() ? __real_renameat(from_dir, from, to_dir, to) : -1;
}

int __real_unlinkat(int, const char *, int);
int __wrap_unlinkat(int, const char *, int);
int __wrap_unlinkat(int dir, const char *name, int flags)
{
    return powered() ? __real_unlinkat(dir, name, flags) : -1;
}

static void power(unsigned cut)
{
    calls = 0;
    cut_at = cut;
    file_synced = dir_synced = renamed_unsynced = false;
}

/* ---- a directory of its own for each test ---- */
static char root[64], dir[80];

static int make_root(void **state)
{
    (void)state;
    power(0);
    (void)snprintf(root, sizeof root, "/tmp/cradle-storage.XXXXXX");
    if (!mkdtemp(root))
        return -1;
    (void)snprintf(dir, sizeof dir, "%s/state", root);
    return 0;
}

static int drop_root(void **state)
{
    (void)state;
    power(0);
    char command[160];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void open_port(struct hal_linux *port)
{
    const struct hal_linux_config config = {.state_dir = dir};
    assert_ok(hal_linux_open(port, &config));
}

static enum err read_slot(struct hal_linux *port, uint8_t *at, size_t cap, size_t *len)
{
    return port->hal.storage->read(port->hal.storage, "assignment", at, cap, len);
}

static enum err write_slot(struct hal_linux *port, const char *text)
{
    return port->hal.storage->write(port->hal.storage, "assignment", span_text(text));
}

static void writes_reads_removes(void **state)
{
    (void)state;
    struct hal_linux port;
    open_port(&port);
    uint8_t at[HAL_SLOT_CAP + 1];
    size_t len;
    POISON(len);
    assert_err(ERR_ABSENT, read_slot(&port, at, sizeof at, &len));
    assert_poisoned(len);
    assert_ok(write_slot(&port, "one"));
    assert_ok(write_slot(&port, "three"));
    assert_ok(read_slot(&port, at, sizeof at, &len));
    assert_text("three", span_of(at, len));
    assert_err(ERR_FULL, read_slot(&port, at, 4, &len));
    assert_ok(read_slot(&port, at, 5, &len));
    assert_ok(write_slot(&port, ""));
    assert_ok(read_slot(&port, at, sizeof at, &len));
    assert_int_equal(len, 0);
    memset(at, 'x', sizeof at);
    struct hal_storage *s = port.hal.storage;
    assert_err(ERR_FULL, s->write(s, "assignment", span_of(at, HAL_SLOT_CAP + 1)));
    assert_ok(s->write(s, "assignment", span_of(at, HAL_SLOT_CAP)));
    assert_ok(s->remove(s, "assignment"));
    assert_ok(s->remove(s, "assignment"));
    assert_err(ERR_ABSENT, read_slot(&port, at, sizeof at, &len));
    hal_linux_close(&port);
}

static void only_the_owner_may_look(void **state)
{
    (void)state;
    struct hal_linux port;
    mode_t before = umask(0);
    open_port(&port);
    assert_ok(write_slot(&port, "x"));
    (void)umask(before);
    struct stat what;
    assert_int_equal(stat(dir, &what), 0);
    assert_int_equal(what.st_mode & 07777, 0700);
    assert_int_equal(fstatat(port.storage.dir_fd, "assignment", &what, 0), 0);
    assert_int_equal(what.st_mode & 07777, 0600);
    hal_linux_close(&port);
}

static void a_directory_of_others_is_refused(void **state)
{
    (void)state;
    struct hal_linux port;
    const struct hal_linux_config config = {.state_dir = dir};
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    assert_err(ERR_CONFIG, hal_linux_open(&port, &config));
    assert_int_equal(rmdir(dir), 0);
    FILE *file = fopen(dir, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_err(ERR_IO, hal_linux_open(&port, &config));
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    struct hal_linux port;
    open_port(&port);
    assert_int_equal(symlinkat("/etc/hostname", port.storage.dir_fd, "assignment"), 0);
    uint8_t at[64];
    size_t len;
    assert_err(ERR_IO, read_slot(&port, at, sizeof at, &len));
    assert_int_equal(symlinkat("/tmp/cradle-elsewhere", port.storage.dir_fd, "assignment.new"), 0);
    assert_err(ERR_IO, write_slot(&port, "x"));
    assert_int_equal(access("/tmp/cradle-elsewhere", F_OK), -1);
    hal_linux_close(&port);
}

/* After each cut the device starts again: the slot is the old one or the new one. */
static void power_cut_at_every_call(void **state)
{
    (void)state;
    unsigned cut = 0;
    for (bool whole = false; !whole;) {
        struct hal_linux port;
        open_port(&port);
        power(0);
        assert_ok(write_slot(&port, "the old one"));
        power(++cut);
        enum err e = write_slot(&port, "the new one, longer");
        whole = e == ERR_OK;
        assert_false(renamed_unsynced);
        if (whole)
            assert_true(dir_synced);
        hal_linux_close(&port);

        power(0);
        open_port(&port);
        uint8_t at[64];
        size_t len = 0;
        assert_ok(read_slot(&port, at, sizeof at, &len));
        bool old = span_equal(span_of(at, len), span_text("the old one"));
        bool fresh = span_equal(span_of(at, len), span_text("the new one, longer"));
        assert_true(whole ? fresh : old || fresh);
        assert_ok(write_slot(&port, "and on it goes"));
        hal_linux_close(&port);
    }
    assert_true(cut > 4); /* write, fsync, rename, fsync of the directory: all were cut once */
}

/* ---- the same by the contract's own check ---- */
static void cut_power(void *context, unsigned n)
{
    (void)context;
    power(n);
}

static struct hal_storage *start_again(void *context)
{
    struct hal_linux *port = context;
    power(0);
    hal_linux_close(port);
    open_port(port);
    return port->hal.storage;
}

static void keeps_the_contract_over_power_cuts(void **state)
{
    (void)state;
    struct hal_linux port;
    open_port(&port);
    const struct halcheck_power plug = {.context = &port, .cut_at = cut_power, .restore = start_again};
    const char *broken = halcheck_storage_cuts(&plug);
    if (broken)
        fail_msg("%s", broken);
    hal_linux_close(&port);
}

static void power_cut_while_removing(void **state)
{
    (void)state;
    for (unsigned cut = 1; cut <= 3; cut++) {
        struct hal_linux port;
        open_port(&port);
        power(0);
        assert_ok(write_slot(&port, "something"));
        power(cut);
        enum err e = port.hal.storage->remove(port.hal.storage, "assignment");
        assert_err(cut <= 2 ? ERR_IO : ERR_OK, e);
        power(0);
        uint8_t at[64];
        size_t len;
        enum err after = read_slot(&port, at, sizeof at, &len);
        assert_true(after == ERR_ABSENT || (cut == 1 && after == ERR_OK));
        hal_linux_close(&port);
    }
}

static void a_write_that_fails_leaves_no_litter(void **state)
{
    (void)state;
    struct hal_linux port;
    open_port(&port);
    assert_ok(write_slot(&port, "old"));
    assert_int_equal(mkdirat(port.storage.dir_fd, "assignment.new", 0700), 0);
    assert_err(ERR_IO, write_slot(&port, "new"));
    uint8_t at[8];
    size_t len;
    assert_ok(read_slot(&port, at, sizeof at, &len));
    assert_text("old", span_of(at, len));
    hal_linux_close(&port);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_root, drop_root)
int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(writes_reads_removes),
        IN_DIR(only_the_owner_may_look),
        IN_DIR(a_directory_of_others_is_refused),
        IN_DIR(a_link_is_not_followed),
        IN_DIR(power_cut_at_every_call),
        IN_DIR(keeps_the_contract_over_power_cuts),
        IN_DIR(power_cut_while_removing),
        IN_DIR(a_write_that_fails_leaves_no_litter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
