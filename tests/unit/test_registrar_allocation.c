/* Which hub a device gets, and what it is told when that changes. */
#include "unit.h"

#include <registrar_world.h>
#include <stdlib.h>

static struct world w;
static struct softdevice *device;
#define ONE "one.hub.test"
#define TWO "two.hub.test"

static int begin(void **state)
{
    (void)state;
    world_open(&w);
    return softdevice_open(TPM_KEY_ECC_P256, TPM_KEY_ECC_P256, &device) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    softdevice_close(device);
    world_close(&w);
    return 0;
}

static struct store_profile profile_of(const char *hubs, const char *allocation,
                                       const char *document)
{
    struct store_profile p = {.document = ""};
    assert_ok(span_to_text(span_text(hubs), p.hubs, sizeof p.hubs));
    assert_ok(span_to_text(span_text(allocation), p.allocation, sizeof p.allocation));
    assert_ok(span_to_text(span_text(document), p.document, sizeof p.document));
    return p;
}

/* Provisions under the profile; the host it got, or "" and the code. */
static void provision(const char *id, const struct store_profile *p, char ret_hub[64],
                      char ret_substatus[64], int32_t *ret_code)
{
    SECRET key = {.len = 0};
    ANSWER a;
    world_enroll_profile(&w, id, device, p);
    world_provision(&w, id, device, &a, &key);
    assert_ok(span_to_text(span_text(answer_state(&a, "assignedHub")), ret_hub, 64));
    assert_ok(span_to_text(span_text(answer_state(&a, "substatus")), ret_substatus, 64));
    *ret_code = a.code;
}

#define KEEP "{\"reprovisionPolicy\":{\"updateHubAssignment\":false,\"migrateDeviceData\":false}}"
#define RESET "{\"reprovisionPolicy\":{\"updateHubAssignment\":true,\"migrateDeviceData\":false}}"
#define MIGRATE "{\"reprovisionPolicy\":{\"updateHubAssignment\":true,\"migrateDeviceData\":true}}"

static void test_first_assignments(void **state)
{
    (void)state;
    static const struct {
        const char *hubs, *allocation, *document, *hub;
    } table[] = {
        {ONE, "", "", ONE},
        {TWO, "", "", TWO},
        {"ONE.Hub.Test", "", "", ONE},
        {"elsewhere.test," TWO, "", "", TWO},
        {TWO, "static", "", TWO},
        {TWO, "hashed", "", TWO},
        {TWO, "geoLatency", "", TWO},
        {"", "", "{\"iotHubHostName\":\"" ONE "\"}", ONE},
        {"", "", "{\"iotHubHostName\":\"" TWO "\"}", TWO},
        {ONE, "", "{\"iotHubHostName\":\"" TWO "\"}", TWO},
        {ONE, "", KEEP, ONE},
        {TWO, "", "{\"iotHubHostName\":null}", TWO},
        /* none of ours: told so, and not sent elsewhere */
        {"elsewhere.test", "", "", ""},
        {"one.hub.tes", "", "", ""},
        {"hub.test", "", "", ""},
        {"", "", "{\"iotHubHostName\":\"elsewhere.test\"}", ""},
        {ONE, "custom", "", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char hub[64], substatus[64];
        int32_t code = 0;
        struct store_profile p = profile_of(table[i].hubs, table[i].allocation, table[i].document);
        end(NULL);
        begin(NULL);
        provision("dev-1", &p, hub, substatus, &code);
        if (strcmp(hub, table[i].hub) != 0)
            fail_msg("%zu: %s, not %s", i, hub, table[i].hub);
        assert_int_equal(code, table[i].hub[0] == 0 ? 400208 : 0);
        assert_string_equal(substatus, table[i].hub[0] == 0 ? "" : "initialAssignment");
    }
}

/* From hub one under the first document, then asked again where two is wished for. */
static void test_assignments_again(void **state)
{
    (void)state;
    static const struct {
        const char *hubs, *document, *hub, *substatus;
    } table[] = {
        {TWO, "", TWO, "reprovisionedToInitialAssignment"},
        {TWO, MIGRATE, TWO, "reprovisionedToInitialAssignment"},
        {TWO, RESET, TWO, "deviceDataReset"},
        {TWO, KEEP, ONE, "deviceDataMigrated"},
        {ONE, "", ONE, "deviceDataMigrated"},
        {ONE, RESET, ONE, "deviceDataMigrated"},
        {TWO, "{\"reprovisionPolicy\":{\"updateHubAssignment\":null}}", TWO,
         "reprovisionedToInitialAssignment"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char hub[64], substatus[64];
        int32_t code = 0;
        struct store_profile first = profile_of(ONE, "", ""),
                             then = profile_of(table[i].hubs, "", table[i].document);
        end(NULL);
        begin(NULL);
        provision("dev-1", &first, hub, substatus, &code);
        assert_string_equal(hub, ONE);
        provision("dev-1", &then, hub, substatus, &code);
        if (strcmp(hub, table[i].hub) != 0 || strcmp(substatus, table[i].substatus) != 0)
            fail_msg("%zu: %s %s, not %s %s", i, hub, substatus, table[i].hub, table[i].substatus);
    }
}

/* One that may never leave does so when its hub is linked no more. */
static void test_a_hub_that_went_away(void **state)
{
    (void)state;
    char hub[64], substatus[64];
    int32_t code = 0;
    struct store_profile first = profile_of(ONE, "", ""), then = profile_of("", "", KEEP);
    provision("dev-1", &first, hub, substatus, &code);
    world_stop(&w);
    for (int i = 0; i < w.config.hub_count; i++)
        if (strcmp(w.config.hubs[i].host, ONE) == 0)
            w.config.hubs[i] = w.config.hubs[1 - i];
    w.config.hub_count = 1;
    world_start(&w);
    provision("dev-1", &then, hub, substatus, &code);
    assert_string_equal(hub, TWO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_assignments, begin, end),
        cmocka_unit_test_setup_teardown(test_assignments_again, begin, end),
        cmocka_unit_test_setup_teardown(test_a_hub_that_went_away, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
