/* What tests of the boot share: a device with a toy TPM, a toy service and a toy hub, and what must
 * hold of it at any time. Include after unit.h. */
#ifndef SUPPORT_TOYBOOT_H
#define SUPPORT_TOYBOOT_H

#include <slot.h>
#include <stdlib.h>
#include <toyservice.h>
#include <toytpm.h>
#include <wire/names.h>

#define NOW_S INT64_C(1900000000)
#define PAYLOAD "{\"t\":21}"

struct world {
    struct hal_fake fake;
    struct toytpm tpm;
    struct toyservice service;
    struct toyhub hub;
    struct provision_config config;
    union provision_memory memory;
    struct provision *machine;
};

static inline struct world *build(int64_t wall_s, bool tpm_has_keys)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    hal_fake_init(&w->fake, wall_s);
    toytpm_init(&w->tpm, tpm_has_keys);
    w->fake.tpm.inner = &w->tpm.table;
    toyservice_init(&w->service, &w->fake.clock, NOW_S);
    toyhub_init(&w->hub, &w->service, &w->fake.transport);
    w->fake.transport.peer = toyservice_serve;
    w->fake.transport.context = &w->service;
    w->fake.transport.plan.peer =
        (struct hal_peer){.not_before_s = NOW_S - 1000, .not_after_s = NOW_S + 1000000};
    w->config = (struct provision_config){.service_host = "dps.example", .service_port = 443,
                                          .id_scope = TOY_SCOPE, .registration_id = TOY_DEVICE,
                                          .hub_port = 8883, .payload = PAYLOAD, .attempts_max = 1};
    return w;
}

static inline void drop(struct world *w)
{
    provision_end(w->machine);
    free(w);
}

static inline void power_on(struct world *w)
{
    provision_end(w->machine);
    w->machine = provision_init(&w->memory, &w->fake.hal, &w->hub.table, &w->config);
}

/* Steps to an end state; fails if there is none in sight. */
static inline enum provision_state run(struct world *w)
{
    enum provision_state at = PROVISION_START;
    for (int steps = 0; at != PROVISION_DONE && at != PROVISION_FAILED; steps++) {
        assert_true(steps < 200);
        at = provision_step(w->machine);
    }
    return at;
}

static inline enum provision_state boot(struct world *w)
{
    power_on(w);
    return run(w);
}

static inline bool slot_is(struct world *w, struct assignment *ret)
{
    uint8_t bytes[HAL_SLOT_CAP];
    size_t len;
    struct hal_storage *s = w->fake.hal.storage;
    return s->read(s, SLOT_NAME, bytes, sizeof bytes, &len) == ERR_OK &&
           slot_read(span_of(bytes, len), ret) == ERR_OK;
}

/* The slot holds nothing at all, or a whole assignment with its key in the TPM. */
static inline void assert_slot_honest(struct world *w)
{
    struct assignment a;
    uint8_t bytes[HAL_SLOT_CAP];
    size_t len;
    struct hal_storage *s = w->fake.hal.storage;
    if (s->read(s, SLOT_NAME, bytes, sizeof bytes, &len) == ERR_ABSENT)
        return;
    assert_true(slot_is(w, &a));
    assert_string_equal(a.hub, TOY_HUB);
    bool wrapped = a.identity.handle == 0;
    assert_true(wrapped || w->tpm.has_identity);
    assert_memory_equal(wrapped ? a.identity.unique : w->tpm.identity, w->service.hub_key, 32);
}

static inline void assert_nothing_loaded(const struct world *w)
{
    assert_int_equal(w->tpm.transients, 0);
    assert_int_equal(w->tpm.sessions, 0);
}

#endif
