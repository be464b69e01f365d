/* Writes to the store and says on standard output what was acknowledged, one line each, as soon as it
 * is; for tests that kill it or cut its power.
 *
 *   assign_loop create DIR COUNT                 databases with enrollments 0 to COUNT - 1
 *   assign_loop import DIR FROM TO               more, 20 a batch: "enrolled FROM TO"
 *   assign_loop run DIR COUNT IN_FLIGHT SEED TIMES
 *                                                registers enrollments at random, TIMES times (0:
 *                                                until killed): "assigned N GENERATION"; what was
 *                                                not acknowledged: "refused N ERROR"
 *   assign_loop change DIR FIRST COUNT SEED TIMES
 *                                                puts enrollments FIRST to FIRST + COUNT - 1 at random,
 *                                                three at once, TIMES times (0: until killed): "changed N
 *                                                REVISION"; what was not: "refused N ERROR"
 *   assign_loop check DIR... < LINES             whether all that was acknowledged is in each of
 *                                                them, whole: exit 0, or 1 with what is missing
 */
#include "store_rows.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 64

struct flight {
    struct store_waiter waiter;
    unsigned number;
    uint64_t generation;
    struct flight *next;
};

static struct flight flights[IN_FLIGHT_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t landed_cond = PTHREAD_COND_INITIALIZER;
static struct flight *landed;

/* One write a line: a kill leaves whole lines. */
static void say(const char *line)
{
    ERR_ASSERT(write(STDOUT_FILENO, line, strlen(line)) == (ssize_t)strlen(line));
}

static void flight_done(struct store_waiter *waiter, enum err outcome)
{
    struct flight *f = (struct flight *)waiter;
    char line[100];

    if (outcome == ERR_OK)
        (void)snprintf(line, sizeof line, "assigned %u %llu\n", f->number,
                       (unsigned long long)f->generation);
    else
        (void)snprintf(line, sizeof line, "refused %u %s\n", f->number, err_name(outcome));
    say(line);
    (void)pthread_mutex_lock(&lock);
    f->next = landed;
    landed = f;
    (void)pthread_cond_signal(&landed_cond);
    (void)pthread_mutex_unlock(&lock);
}

static struct flight *flight_wait(void)
{
    (void)pthread_mutex_lock(&lock);
    while (landed == NULL)
        (void)pthread_cond_wait(&landed_cond, &lock);
    struct flight *f = landed;
    landed = f->next;
    (void)pthread_mutex_unlock(&lock);
    return f;
}

/* Each flight has its own residue, so no two are on one id. False: not accepted. */
static bool flight_start(struct store *s, struct store_reader *r, struct flight *f, unsigned count,
                         unsigned in_flight)
{
    struct store_registration row;
    char line[100];

    f->number = (unsigned)rand() % (count / in_flight) * in_flight + (unsigned)(f - flights);
    f->generation = 1;
    row = rows_registration(f->number, 1);
    enum err e = store_registration_find(r, &row.id, &row);
    if (e == ERR_OK)
        f->generation = row.generation + 1;
    row = rows_registration(f->number, f->generation);
    if (e == ERR_OK || e == ERR_ABSENT)
        e = store_registration_assign(s, &row, &f->waiter);
    if (e == ERR_OK)
        return true;
    (void)snprintf(line, sizeof line, "refused %u %s\n", f->number, err_name(e));
    say(line);
    return false;
}

static void run(struct store *s, struct store_reader *r, unsigned count, unsigned in_flight,
                unsigned long times)
{
    unsigned long started = 0;
    unsigned up = 0;

    for (unsigned i = 0; i < in_flight; i++) {
        flights[i].waiter.done = flight_done;
        started++;
        up += flight_start(s, r, &flights[i], count, in_flight);
    }
    while (up > 0) {
        struct flight *f = flight_wait();
        up--;
        if (times == 0 || started < times) {
            started++;
            up += flight_start(s, r, f, count, in_flight);
        }
    }
}

static int complain(const char *what, enum err e, const struct store_reason *reason)
{
    (void)fprintf(stderr, "%s: %s %s\n", what, err_name(e), reason != NULL ? reason->text : "");
    return 3;
}

static int do_run(const char *dir, unsigned count, unsigned in_flight, unsigned seed,
                  unsigned long times)
{
    struct store *s = NULL;
    struct store_reader *r = NULL;
    struct store_reason reason = {""};
    enum err e = store_open(dir, STORE_SERVE, &s, &reason);

    srand(seed);
    if (e != ERR_OK)
        return complain("open", e, &reason);
    e = store_reader_open(s, &r);
    if (e == ERR_OK)
        run(s, r, count, in_flight, times);
    store_reader_close(r);
    store_close(s);
    return e == ERR_OK ? 0 : complain("reader", e, NULL);
}

static enum err import_batch(struct store *s, unsigned from, unsigned to)
{
    struct store_batch *batch = NULL;
    enum store_put outcome;
    struct regid other;

    TRY(store_batch_begin(s, &batch));
    for (unsigned n = from; n < to; n++) {
        struct store_enrollment row = rows_enrollment(n);
        enum err e = store_batch_put(batch, &row, &outcome, &other);
        if (e != ERR_OK) {
            store_batch_rollback(batch);
            return e;
        }
    }
    return store_batch_commit(batch);
}

static int do_import(const char *dir, unsigned from, unsigned to)
{
    struct store *s = NULL;
    struct store_reason reason = {""};
    enum err e = store_open(dir, STORE_IMPORT, &s, &reason);
    char line[100];

    if (e != ERR_OK)
        return complain("open", e, &reason);
    for (unsigned n = from; n < to; n += 20) {
        unsigned end = to - n < 20 ? to : n + 20;
        e = import_batch(s, n, end);
        if (e == ERR_OK)
            (void)snprintf(line, sizeof line, "enrolled %u %u\n", n, end);
        else
            (void)snprintf(line, sizeof line, "refused %u %s\n", n, err_name(e));
        say(line);
    }
    store_close(s);
    return 0;
}

static int do_create(const char *dir, unsigned count)
{
    struct store *s = NULL;
    struct store_reason reason = {""};
    enum err e = store_open(dir, STORE_CREATE, &s, &reason);

    if (e != ERR_OK)
        return complain("create", e, &reason);
    store_close(s);
    say("created\n");
    return count == 0 ? 0 : do_import(dir, 0, count);
}

/* ---- the operator's changes ---- */

static const struct secret audit_key = {.at = "the key of the audit log, 32 by.", .len = 32};

/* Row, profile and credential of one change name the same moment. */
struct put {
    char credential[64];
    struct store_profile profile;
};
#define PUTS_AT_ONCE 3

static void put_make(struct put *p, struct store_change *c, unsigned number, int64_t moment)
{
    *c = (struct store_change){.object = STORE_ENROLLMENT, .match = STORE_MATCH_ANY};
    c->enrollment = rows_enrollment(number);
    c->enrollment.updated_s = moment;
    (void)snprintf(p->credential, sizeof p->credential, "%u at %lld", number, (long long)moment);
    memcpy(p->profile.document, p->credential, sizeof p->credential);
    c->profile = &p->profile;
    c->credential = span_text(p->credential);
    (void)snprintf(c->audit.what, sizeof c->audit.what, "put");
    c->audit.id = c->enrollment.id;
    c->audit.at_s = moment;
}

static void put_say(const struct store_change *c, unsigned number, enum err e)
{
    char line[100];

    e = e == ERR_OK ? c->outcome : e;
    if (e == ERR_OK)
        (void)snprintf(line, sizeof line, "changed %u %llu\n", number,
                       (unsigned long long)c->revision);
    else
        (void)snprintf(line, sizeof line, "refused %u %s\n", number, err_name(e));
    say(line);
}

static void put_some(struct store *s, unsigned first, unsigned count, int64_t moment)
{
    static struct put puts[PUTS_AT_ONCE];
    struct store_change changes[PUTS_AT_ONCE];
    unsigned numbers[PUTS_AT_ONCE];

    for (int i = 0; i < PUTS_AT_ONCE; i++) {
        numbers[i] = first + (unsigned)rand() % count;
        put_make(&puts[i], &changes[i], numbers[i], moment);
    }
    enum err e = rows_change_list(s, changes, PUTS_AT_ONCE);
    for (int i = 0; i < PUTS_AT_ONCE; i++)
        put_say(&changes[i], numbers[i], e);
}

static int do_change(const char *dir, unsigned first, unsigned count, unsigned seed,
                     unsigned long times)
{
    struct store *s = NULL;
    struct store_reason reason = {""};
    enum err e = store_open(dir, STORE_SERVE, &s, &reason);

    srand(seed);
    if (e == ERR_OK)
        e = store_audit_key(s, &audit_key);
    for (unsigned long i = 0; e == ERR_OK && (times == 0 || i < times); i++)
        put_some(s, first, count, (int64_t)seed * 1000000 + (int64_t)i);
    store_close(s);
    return e == ERR_OK ? 0 : complain("open", e, &reason);
}

/* ---- checking ---- */

static bool lost(const char *what, unsigned number, uint64_t acknowledged, uint64_t there)
{
    (void)printf("lost: %s %u: acknowledged %llu, there is %llu\n", what, number,
                 (unsigned long long)acknowledged, (unsigned long long)there);
    return false;
}

/* The row is one that was written as a whole. */
static bool is_whole(const struct store_registration *row, unsigned number)
{
    struct store_registration as_written = rows_registration(number, row->generation);

    return strcmp(row->operation_id, as_written.operation_id) == 0 &&
           strcmp(row->etag, as_written.etag) == 0 && strcmp(row->hub, as_written.hub) == 0 &&
           row->updated_s == as_written.updated_s && row->srk_len == as_written.srk_len &&
           memcmp(row->srk, as_written.srk, row->srk_len) == 0;
}

static bool check_assigned(struct store_reader *r, unsigned number, uint64_t generation)
{
    struct store_registration row = rows_registration(number, 1);

    if (store_registration_find(r, &row.id, &row) != ERR_OK)
        return lost("registration", number, generation, 0);
    if (row.generation < generation)
        return lost("registration", number, generation, row.generation);
    return is_whole(&row, number) || lost("part of registration", number, generation, generation);
}

static bool check_enrolled(struct store_reader *r, unsigned from, unsigned to)
{
    for (unsigned n = from; n < to; n++) {
        struct store_enrollment expected = rows_enrollment(n), row;
        if (store_enrollment_find(r, &expected.id, &row) != ERR_OK ||
            row.ek_len != expected.ek_len || memcmp(row.ek, expected.ek, row.ek_len) != 0)
            return lost("enrollment", n, 1, 0);
    }
    return true;
}

static bool check_changed(struct store_reader *r, unsigned number, uint64_t revision)
{
    struct store_enrollment expected = rows_enrollment(number), row;
    static struct store_profile profile;
    char credential[100], now[100];
    struct buf out = BUF_OVER(credential);

    if (store_enrollment_find(r, &expected.id, &row) != ERR_OK)
        return lost("change", number, revision, 0);
    if (row.revision < revision)
        return lost("change", number, revision, row.revision);
    (void)snprintf(now, sizeof now, "%u at %lld", number, (long long)row.updated_s);
    if (store_credential_find(r, row.number, &out) != ERR_OK || buf_end_text(&out) != ERR_OK ||
        strcmp(credential, now) != 0)
        return lost("credential of change", number, revision, 0);
    if (store_profile_find(r, row.profile, &profile) != ERR_OK ||
        strcmp(profile.document, now) != 0)
        return lost("profile of change", number, revision, 0);
    return true;
}

/* Nothing was written without its entry, and the chain holds. */
static bool check_audit(struct store_reader *r, uint64_t changes)
{
    struct store_audit_verdict v = {.wrong = 0};
    struct store_audit entry;
    uint64_t number = 0, puts = 0;
    uint8_t hash[STORE_AUDIT_HASH_LEN];

    if (changes == 0)
        return true;
    enum err e = store_audit_verify(r, STORE_LOG_ENROLLMENTS, &audit_key, &v);
    if (e != ERR_OK || v.wrong != 0 || !v.sealed)
        return lost("audit entry", (unsigned)v.wrong, changes, v.chained);
    while (store_audit_next(r, STORE_LOG_ENROLLMENTS, number, &number, &entry, hash) == ERR_OK)
        puts += strcmp(entry.what, "put") == 0 && entry.outcome == ERR_OK;
    return puts >= changes || lost("audit entries", 0, changes, puts);
}

static bool check_line(struct store_reader *r, const char *line)
{
    unsigned number, to;
    unsigned long long generation;

    if (sscanf(line, "assigned %u %llu", &number, &generation) == 2)
        return check_assigned(r, number, generation);
    if (sscanf(line, "changed %u %llu", &number, &generation) == 2)
        return check_changed(r, number, generation);
    if (sscanf(line, "enrolled %u %u", &number, &to) == 2)
        return check_enrolled(r, number, to);
    return true;
}

static int check_one(const char *dir)
{
    struct store *s = NULL;
    struct store_reader *r = NULL;
    struct store_reason reason = {""};
    char line[100];
    bool fine = true;
    uint64_t changes = 0;
    enum err e = store_open(dir, STORE_SERVE, &s, &reason);

    if (e != ERR_OK)
        return complain(dir, e, &reason);
    e = store_check(s, &reason);
    if (e == ERR_OK)
        e = store_reader_open(s, &r);
    while (e == ERR_OK && fine && fgets(line, sizeof line, stdin) != NULL) {
        fine = check_line(r, line);
        changes += strncmp(line, "changed ", 8) == 0;
    }
    fine = fine && (e != ERR_OK || check_audit(r, changes));
    store_reader_close(r);
    store_close(s);
    if (e != ERR_OK)
        return complain(dir, e, &reason);
    return fine ? 0 : 1;
}

static int do_check(char **dirs)
{
    int status = 0;

    for (; *dirs != NULL && status == 0; dirs++) {
        rewind(stdin);
        status = check_one(*dirs);
        if (status != 0)
            (void)printf("in %s\n", *dirs);
    }
    return status;
}

static unsigned number_of(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";

    if (strcmp(verb, "create") == 0 && argc == 4)
        return do_create(argv[2], number_of(argv[3]));
    if (strcmp(verb, "import") == 0 && argc == 5)
        return do_import(argv[2], number_of(argv[3]), number_of(argv[4]));
    if (strcmp(verb, "run") == 0 && argc == 7 && number_of(argv[4]) >= 1 &&
        number_of(argv[4]) <= IN_FLIGHT_MAX && number_of(argv[3]) >= number_of(argv[4]))
        return do_run(argv[2], number_of(argv[3]), number_of(argv[4]), number_of(argv[5]),
                      strtoul(argv[6], NULL, 10));
    if (strcmp(verb, "change") == 0 && argc == 7 && number_of(argv[4]) >= 1)
        return do_change(argv[2], number_of(argv[3]), number_of(argv[4]), number_of(argv[5]),
                         strtoul(argv[6], NULL, 10));
    if (strcmp(verb, "check") == 0)
        return do_check(argv + 2);
    (void)fprintf(stderr, "usage: assign_loop create|import|run|change|check DIR …\n");
    return 2;
}
