/* The operator's changes: what each may do. */
#include "store_change_unit.h"

/* ---- rows ---- */

static void assert_credential(struct store_reader *r, uint64_t number, const char *expected)
{
    uint8_t bytes[STORE_CREDENTIAL_CAP];
    struct buf out = BUF_OVER(bytes);

    if (expected == NULL) {
        assert_err(ERR_ABSENT, store_credential_find(r, number, &out));
        return;
    }
    assert_ok(store_credential_find(r, number, &out));
    assert_text(expected, buf_span(&out));
}

static void every_kind_is_put_and_found(void **state)
{
    static struct store_profile profile = {.tags = "a,b", .document = "{\"x\":1}"}, found_profile;
    struct store_enrollment found;

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    for (int kind = STORE_TPM; kind <= STORE_X509; kind++) {
        struct store_enrollment row = rows_enrollment(10);
        if (kind != STORE_TPM)
            row = keyless(kind == STORE_X509 ? "leaf" : "shared", (enum store_attestation)kind);
        struct store_change c = put_of(&row, STORE_MATCH_ABSENT);
        c.profile = &profile;
        c.credential = span_text(kind == STORE_TPM ? "" : "sealed");
        assert_ok(rows_change(s, &c));
        assert_int_equal(c.number, 4 + kind);
        assert_int_equal(c.revision, 1);
        assert_ok(store_enrollment_find(r, &row.id, &found));
        row.updated_s = NOW_S;
        assert_same_enrollment(&found, &row);
        assert_int_equal(found.attestation, kind);
        assert_int_equal(found.number, c.number);
        assert_int_equal(found.revision, 1);
        assert_int_equal(found.profile, c.enrollment.profile);
        assert_ok(store_profile_find(r, found.profile, &found_profile));
        assert_memory_equal(&found_profile, &profile, sizeof profile);
        assert_credential(r, found.number, kind == STORE_TPM ? NULL : "sealed");
    }
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM profile"), 1);
    store_reader_close(r);
    store_close(s);
}

static void a_put_takes_the_place_of_all_there_was(void **state)
{
    static struct store_profile before = {.document = "{\"x\":1}"}, after = {.document = "{\"x\":2}"};
    struct store_enrollment row = keyless("one", STORE_SYMMETRIC_KEY), found;

    (void)state;
    rows_create(dir, 0);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    struct store_change c = put_of(&row, STORE_MATCH_ANY);
    c.profile = &before;
    c.credential = span_text("first");
    assert_ok(rows_change(s, &c));
    c.enrollment.attestation = STORE_X509;
    c.enrollment.enabled = false;
    c.enrollment.created_s = 1;
    c.enrollment.device_id = rows_id("pump");
    c.profile = &after;
    c.credential = span_text("second");
    assert_ok(rows_change(s, &c));
    assert_int_equal(c.revision, 2);
    assert_ok(store_enrollment_find(r, &row.id, &found));
    assert_int_equal(found.attestation, STORE_X509);
    assert_false(found.enabled);
    assert_int_equal(found.created_s, row.created_s);
    assert_int_equal(c.enrollment.created_s, row.created_s);
    assert_string_equal(found.device_id.text, "pump");
    assert_credential(r, found.number, "second");
    /* nobody has the first profile any more */
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM profile"), 1);
    c.profile = NULL;
    c.credential = span_text("");
    assert_ok(rows_change(s, &c));
    assert_credential(r, found.number, NULL);
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM profile"), 0);
    assert_ok(store_enrollment_find(r, &row.id, &found));
    assert_int_equal(found.profile, 0);
    store_reader_close(r);
    store_close(s);
}

static void shared_profiles_go_with_the_last(void **state)
{
    static struct store_profile shared = {.hubs = "hub", .document = "{}"};

    (void)state;
    rows_create(dir, 0);
    struct store *s = open_store(STORE_SERVE);
    for (unsigned n = 0; n < 3; n++) {
        struct store_enrollment row = rows_enrollment(n);
        struct store_change c = put_of(&row, STORE_MATCH_ABSENT);
        c.profile = &shared;
        assert_ok(rows_change(s, &c));
    }
    struct store_change group = group_of("g", STORE_MATCH_ABSENT);
    group.profile = &shared;
    assert_ok(rows_change(s, &group));
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT uses FROM profile"), 4);
    for (unsigned n = 0; n < 3; n++) {
        struct store_enrollment row = rows_enrollment(n);
        struct store_change c = removal_of(STORE_ENROLLMENT, &row.id, STORE_MATCH_ANY);
        assert_ok(rows_change(s, &c));
        assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT uses FROM profile"), 3 - (int)n);
    }
    group.remove = true;
    group.match = STORE_MATCH_ANY;
    assert_ok(rows_change(s, &group));
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM profile"), 0);
    store_close(s);
}

/* An importer's certificate vouches for the EK it came with. */
static void a_certificate_goes_with_its_key(void **state)
{
    struct store_enrollment row = rows_enrollment(1);
    struct store_batch *batch = NULL;
    uint8_t bytes[100];
    struct buf out = BUF_OVER(bytes);

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_IMPORT);
    assert_ok(store_batch_begin(s, &batch));
    enum store_put outcome;
    struct regid other;
    assert_ok(store_batch_put(batch, &row, &outcome, &other));
    assert_ok(store_batch_certificate(batch, &row.id, SPAN_LITERAL("der")));
    assert_ok(store_batch_commit(batch));
    store_close(s);
    s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    struct store_change c = put_of(&row, STORE_MATCH_PRESENT);
    assert_ok(rows_change(s, &c));
    assert_ok(store_certificate_find(r, &row.id, &out));
    c.enrollment.ek_hash[0] ^= 1;
    assert_ok(rows_change(s, &c));
    assert_err(ERR_ABSENT, store_certificate_find(r, &row.id, &out));
    store_reader_close(r);
    store_close(s);
}

/* ---- outcomes ---- */

/* Over enrollments 0, 1 (device id "pump-1") and 2, all of number n + 1 and revision 1. */
struct outcome_case {
    const char *what;
    enum store_match match;
    bool remove;
    unsigned n;
    void (*alter)(struct store_change *c);
    enum err outcome;
    enum store_taken taken;
    unsigned other;
};

static void as_it_is(struct store_change *c)
{
    (void)c;
}

static void right_revision(struct store_change *c)
{
    c->number = 2;
    c->revision = 1;
}

static void wrong_revision(struct store_change *c)
{
    c->number = 2;
    c->revision = 2;
}

static void wrong_number(struct store_change *c)
{
    c->number = 3;
    c->revision = 1;
}

static void key_of_2(struct store_change *c)
{
    memcpy(c->enrollment.ek_hash, rows_enrollment(2).ek_hash, sizeof c->enrollment.ek_hash);
}

static void device_of_1(struct store_change *c)
{
    c->enrollment.device_id = rows_id("pump-1");
}

static void device_is_id_of_2(struct store_change *c)
{
    c->enrollment.device_id = rows_enrollment(2).id;
}

static void id_is_device_of_1(struct store_change *c)
{
    c->enrollment.id = c->enrollment.device_id = rows_id("pump-1");
}

#define KEY STORE_TAKEN_KEY
#define DEVICE STORE_TAKEN_DEVICE
static const struct outcome_case outcome_cases[] = {
    {"new, must be new", STORE_MATCH_ABSENT, false, 9, as_it_is, ERR_OK, 0, 0},
    {"new, may be", STORE_MATCH_ANY, false, 9, as_it_is, ERR_OK, 0, 0},
    {"new, must be there", STORE_MATCH_PRESENT, false, 9, as_it_is, ERR_ABSENT, 0, 0},
    {"new, must be that one", STORE_MATCH_REVISION, false, 9, right_revision, ERR_ABSENT, 0, 0},
    {"there, must be new", STORE_MATCH_ABSENT, false, 1, as_it_is, ERR_DUPLICATE, STORE_TAKEN_ID, 1},
    {"there, may be", STORE_MATCH_ANY, false, 1, as_it_is, ERR_OK, 0, 0},
    {"there, must be", STORE_MATCH_PRESENT, false, 1, as_it_is, ERR_OK, 0, 0},
    {"that one", STORE_MATCH_REVISION, false, 1, right_revision, ERR_OK, 0, 0},
    {"that one of before", STORE_MATCH_REVISION, false, 1, wrong_revision, ERR_ETAG, 0, 0},
    {"another of that id", STORE_MATCH_REVISION, false, 1, wrong_number, ERR_ETAG, 0, 0},
    {"T9: a new one with another's key", STORE_MATCH_ABSENT, false, 9, key_of_2, ERR_DUPLICATE, KEY, 2},
    {"T9: changed to another's key", STORE_MATCH_ANY, false, 0, key_of_2, ERR_DUPLICATE, KEY, 2},
    {"its own key again", STORE_MATCH_ANY, false, 2, key_of_2, ERR_OK, 0, 0},
    {"a new one with another's device id", STORE_MATCH_ANY, false, 9, device_of_1, ERR_DUPLICATE,
     DEVICE, 1},
    {"changed to another's device id", STORE_MATCH_ANY, false, 0, device_of_1, ERR_DUPLICATE, DEVICE, 1},
    {"changed to another's id as device id", STORE_MATCH_ANY, false, 0, device_is_id_of_2,
     ERR_DUPLICATE, DEVICE, 2},
    {"a new one whose id is another's device id", STORE_MATCH_ANY, false, 9, id_is_device_of_1,
     ERR_DUPLICATE, DEVICE, 1},
    {"its own device id again", STORE_MATCH_ANY, false, 1, device_of_1, ERR_OK, 0, 0},
    {"removed", STORE_MATCH_ANY, true, 1, as_it_is, ERR_OK, 0, 0},
    {"removed, must be there", STORE_MATCH_PRESENT, true, 1, as_it_is, ERR_OK, 0, 0},
    {"removed, that one", STORE_MATCH_REVISION, true, 1, right_revision, ERR_OK, 0, 0},
    {"removed, that one of before", STORE_MATCH_REVISION, true, 1, wrong_revision, ERR_ETAG, 0, 0},
    {"removed, not there", STORE_MATCH_ANY, true, 9, as_it_is, ERR_ABSENT, 0, 0},
    {"removed, that one, not there", STORE_MATCH_REVISION, true, 9, right_revision, ERR_ABSENT, 0, 0},
};

static void make_outcome_world(void)
{
    struct store_enrollment row = rows_enrollment(1);

    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    struct store_change c = put_of(&row, STORE_MATCH_ANY);
    c.enrollment.device_id = rows_id("pump-1");
    assert_ok(rows_change(s, &c));
    store_close(s);
    back_door(ENROLLMENTS_FILE, "UPDATE enrollment SET revision = 1");
}

static void assert_outcome(struct store *s, struct store_reader *r, const struct outcome_case *k)
{
    struct store_enrollment row = rows_enrollment(k->n), before, after;
    struct store_change c = put_of(&row, k->match);

    if (k->n == 1)
        c.enrollment.device_id = rows_id("pump-1");
    c.remove = k->remove;
    k->alter(&c);
    bool was = store_enrollment_find(r, &c.id, &before) == ERR_OK;
    assert_err_of(k->what, k->outcome, rows_change(s, &c));
    bool is = store_enrollment_find(r, &c.id, &after) == ERR_OK;
    assert_int_equal(c.taken, k->taken);
    if (k->taken != STORE_TAKEN_NOTHING)
        assert_string_equal(c.other.text, rows_enrollment(k->other).id.text);
    if (k->outcome != ERR_OK) {
        assert_int_equal(was, is);
        assert_true(!was || before.revision == after.revision);
        assert_string_not_equal(c.audit.reason, "");
        return;
    }
    assert_int_equal(is, !k->remove);
    assert_true(k->remove || (after.number == c.number && after.revision == c.revision));
    assert_true(k->remove || after.revision == (was ? 2 : 1));
}

static void each_outcome(void **state)
{
    for (size_t i = 0; i < sizeof outcome_cases / sizeof outcome_cases[0]; i++) {
        make_directory(state);
        make_outcome_world();
        struct store *s = open_store(STORE_SERVE);
        struct store_reader *r = open_reader(s);
        assert_outcome(s, r, &outcome_cases[i]);
        store_reader_close(r);
        store_close(s);
        remove_directory(state);
    }
}

static void groups_likewise(void **state)
{
    struct store_group found;
    uint8_t bytes[100];
    struct buf out = BUF_OVER(bytes);

    (void)state;
    rows_create(dir, 0);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    struct store_change c = group_of("line-7", STORE_MATCH_PRESENT);
    c.credential = span_text("ca list");
    assert_err(ERR_ABSENT, rows_change(s, &c));
    c.match = STORE_MATCH_ABSENT;
    assert_ok(rows_change(s, &c));
    assert_err(ERR_DUPLICATE, rows_change(s, &c));
    assert_int_equal(c.taken, STORE_TAKEN_ID);
    assert_ok(store_group_find(r, &c.id, &found));
    assert_int_equal(found.number, 1);
    assert_int_equal(found.revision, 1);
    assert_int_equal(found.attestation, STORE_X509);
    assert_ok(store_group_credential_find(r, found.number, &out));
    assert_text("ca list", buf_span(&out));
    c.match = STORE_MATCH_REVISION;
    c.group.enabled = false;
    assert_ok(rows_change(s, &c));
    assert_int_equal(c.revision, 2);
    c.revision = 1;
    assert_err(ERR_ETAG, rows_change(s, &c));
    assert_int_equal(c.revision, 1);
    assert_ok(store_group_find(r, &c.id, &found));
    assert_false(found.enabled);
    c = removal_of(STORE_GROUP, &c.id, STORE_MATCH_ANY);
    assert_ok(rows_change(s, &c));
    assert_err(ERR_ABSENT, rows_change(s, &c));
    assert_err(ERR_ABSENT, store_group_find(r, &c.id, &found));
    assert_err(ERR_ABSENT, store_group_credential_find(r, 1, &out));
    c = group_of("line-7", STORE_MATCH_ABSENT);
    assert_ok(rows_change(s, &c));
    assert_int_equal(c.number, 2);
    store_reader_close(r);
    store_close(s);
}

/* ---- numbers ---- */

static uint64_t number_of(unsigned n)
{
    struct store_enrollment row = rows_enrollment(n), found;
    struct store *s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);

    assert_ok(store_enrollment_find(r, &row.id, &found));
    store_reader_close(r);
    store_close(s);
    return found.number;
}

static void remove_one(struct store *s, unsigned n)
{
    struct store_enrollment row = rows_enrollment(n);
    struct store_change c = removal_of(STORE_ENROLLMENT, &row.id, STORE_MATCH_ANY);

    assert_ok(rows_change(s, &c));
}

/* An entity tag names a number: one that is used again would open another's door. */
static void numbers_are_never_used_again(void **state)
{
    struct store_enrollment row = rows_enrollment(7);
    struct store_batch *batch = NULL;

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    remove_one(s, 2);
    remove_one(s, 1);
    struct store_change c = put_of(&row, STORE_MATCH_ANY);
    assert_ok(rows_change(s, &c));
    assert_int_equal(c.number, 4);
    remove_one(s, 7);
    store_close(s);
    row = rows_enrollment(8);
    rows_enroll(dir, &row);
    assert_int_equal(number_of(8), 5);
    row = rows_enrollment(9);
    rows_enroll(dir, &row);
    assert_int_equal(number_of(9), 6);
    s = open_store(STORE_IMPORT);
    assert_ok(store_batch_begin(s, &batch));
    assert_ok(store_batch_replace(batch, &row));
    assert_ok(store_batch_commit(batch));
    store_close(s);
    assert_int_equal(number_of(9), 7);
    s = open_store(STORE_SERVE);
    remove_one(s, 9);
    remove_one(s, 8);
    remove_one(s, 0);
    store_close(s);
    rows_enroll(dir, &row);
    assert_int_equal(number_of(9), 8);
}

/* ---- registrations ---- */

static void a_removed_enrollment_leaves_its_generation(void **state)
{
    struct store_registration row = rows_registration(1, 1), found;
    struct store_enrollment enrollment = rows_enrollment(1), another = rows_enrollment(9);

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    assert_ok(rows_assign(s, &row));
    remove_one(s, 1);
    assert_ok(store_registration_find(r, &row.id, &found));
    assert_int_equal(found.generation, 1);
    assert_false(found.deleted);
    assert_err(ERR_ABSENT, store_device_find(r, &row.id, &found, &enrollment));
    row.generation = 2;
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    another.id = another.device_id = row.id;
    struct store_change c = put_of(&another, STORE_MATCH_ABSENT);
    assert_ok(rows_change(s, &c));
    assert_err(ERR_CONFLICT, rows_assign(s, &row)); /* of the old EK */
    memcpy(row.ek_hash, another.ek_hash, sizeof row.ek_hash);
    row.generation = 1;
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    row.generation = 2;
    assert_ok(rows_assign(s, &row));
    store_reader_close(r);
    store_close(s);
}

static void a_removed_registration_counts_on(void **state)
{
    struct store_registration row = rows_registration(1, 1), found;
    struct store_enrollment enrollment;

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    struct store_change c = removal_of(STORE_REGISTRATION, &row.id, STORE_MATCH_ANY);
    assert_err(ERR_ABSENT, rows_change(s, &c));
    assert_ok(rows_assign(s, &row));
    assert_ok(store_registration_find(r, &row.id, &found));
    c.match = STORE_MATCH_REVISION;
    c.number = found.number;
    c.revision = 7;
    assert_err(ERR_ETAG, rows_change(s, &c));
    assert_ok(store_device_find(r, &row.id, &found, &enrollment));
    c.revision = found.generation;
    assert_ok(rows_change(s, &c));
    assert_int_equal(c.revision, 2);
    assert_err(ERR_ABSENT, rows_change(s, &c));
    assert_ok(store_registration_find(r, &row.id, &found));
    assert_true(found.deleted);
    assert_int_equal(found.generation, 2);
    assert_string_equal(found.hub, "");
    assert_string_equal(found.operation_id, "");
    assert_string_equal(found.etag, "");
    assert_int_equal(found.updated_s, NOW_S);
    assert_err(ERR_ABSENT, store_device_find(r, &row.id, &found, &enrollment));
    row.generation = 2; /* on its way when the registration was deleted */
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    row.generation = 3;
    row.created_s = NOW_S + 9;
    assert_ok(rows_assign(s, &row));
    assert_ok(store_registration_find(r, &row.id, &found));
    assert_same_registration(&found, &row);
    assert_false(found.deleted);
    assert_ok(store_device_find(r, &row.id, &found, &enrollment));
    store_reader_close(r);
    store_close(s);
}

static void assigns_without_an_endorsement_key(void **state)
{
    struct store_enrollment shared = keyless("shared", STORE_SYMMETRIC_KEY);
    struct store_registration row = rows_registration(1, 1), found;
    uint8_t bytes[100];
    struct buf out = BUF_OVER(bytes);

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    row.id = row.device_id = shared.id;
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    struct store_change c = put_of(&shared, STORE_MATCH_ABSENT);
    assert_ok(rows_change(s, &c));
    assert_err(ERR_CONFLICT, rows_assign(s, &row)); /* with an EK that is not asked for */
    memset(row.ek_hash, 0, sizeof row.ek_hash);
    row.payload = SPAN_LITERAL("{\"hello\":\"device\"}");
    assert_ok(rows_assign(s, &row));
    assert_ok(store_registration_find(r, &row.id, &found));
    assert_int_equal(found.payload.len, 0);
    assert_ok(store_payload_find(r, found.number, &out));
    assert_text("{\"hello\":\"device\"}", buf_span(&out));
    row.id = row.device_id = rows_enrollment(1).id; /* zeros are no key of a TPM's */
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    store_reader_close(r);
    store_close(s);
}

static void assigns_to_a_group(void **state)
{
    struct store_registration row = rows_registration(100, 1);

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    memset(row.ek_hash, 0, sizeof row.ek_hash);
    row.group = rows_id("line-7");
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    struct store_change c = group_of("line-7", STORE_MATCH_ABSENT);
    assert_ok(rows_change(s, &c));
    assert_ok(rows_assign(s, &row));
    c.match = STORE_MATCH_ANY;
    c.group.enabled = false;
    assert_ok(rows_change(s, &c));
    row.generation = 2;
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    c.group.enabled = true;
    assert_ok(rows_change(s, &c));
    row.id = row.device_id = rows_enrollment(1).id; /* an enrollment of its own wins */
    row.generation = 1;
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    store_close(s);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        test(every_kind_is_put_and_found),
        test(a_put_takes_the_place_of_all_there_was),
        test(shared_profiles_go_with_the_last),
        test(a_certificate_goes_with_its_key),
        cmocka_unit_test(each_outcome),
        test(groups_likewise),
        test(numbers_are_never_used_again),
        test(a_removed_enrollment_leaves_its_generation),
        test(a_removed_registration_counts_on),
        test(assigns_without_an_endorsement_key),
        test(assigns_to_a_group),
    };

    prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
