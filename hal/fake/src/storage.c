#include <hal/fake.h>
#include <string.h>

static struct fake_storage *mine(struct hal_storage *table)
{
    return (struct fake_storage *)table;
}

/* The slot's place; a free one if it is not there and make is asked for; else FAKE_SLOTS. */
static unsigned find(const struct fake_storage *s, const char *slot, bool make)
{
    unsigned i = 0;
    while (i < FAKE_SLOTS && !(s->slots[i].used && strcmp(s->slots[i].name, slot) == 0))
        i++;
    if (i < FAKE_SLOTS || !make)
        return i;
    for (i = 0; i < FAKE_SLOTS && s->slots[i].used; i++) {
    }
    ERR_ASSERT(i < FAKE_SLOTS);
    return i;
}

static enum err fake_read(struct hal_storage *table, const char *slot, uint8_t *ret_bytes,
                          size_t cap, size_t *ret_len)
{
    struct fake_storage *s = mine(table);
    if (s->dead)
        return ERR_IO;
    unsigned i = find(s, slot, false);
    if (i == FAKE_SLOTS)
        return ERR_ABSENT;
    if (s->slots[i].len > cap)
        return ERR_FULL;
    memcpy(ret_bytes, s->slots[i].at, s->slots[i].len);
    *ret_len = s->slots[i].len;
    return ERR_OK;
}

static void put(struct fake_storage *s, const char *slot, struct span bytes)
{
    unsigned i = find(s, slot, true);
    s->slots[i].used = true;
    strncpy(s->slots[i].name, slot, sizeof s->slots[i].name - 1);
    memcpy(s->slots[i].at, bytes.at, bytes.len);
    s->slots[i].len = bytes.len;
}

/* Counts a change; whether it takes effect, and what its caller hears. */
static bool takes_effect(struct fake_storage *s, enum err *ret_outcome)
{
    *ret_outcome = ERR_IO;
    if (s->dead)
        return false;
    s->writes++;
    if (s->cut_at != 0 && s->writes == s->cut_at) {
        s->dead = true;
        return s->cut == FAKE_CUT_AFTER;
    }
    if (s->fail_at != 0 && s->writes == s->fail_at)
        return false;
    *ret_outcome = ERR_OK;
    return true;
}

static enum err fake_write(struct hal_storage *table, const char *slot, struct span bytes)
{
    if (bytes.len > HAL_SLOT_CAP)
        return ERR_FULL;
    enum err outcome;
    if (takes_effect(mine(table), &outcome))
        put(mine(table), slot, bytes);
    return outcome;
}

static enum err fake_remove(struct hal_storage *table, const char *slot)
{
    struct fake_storage *s = mine(table);
    enum err outcome;
    if (takes_effect(s, &outcome)) {
        unsigned i = find(s, slot, false);
        if (i < FAKE_SLOTS)
            s->slots[i].used = false;
    }
    return outcome;
}

void fake_storage_init(struct fake_storage *s)
{
    memset(s, 0, sizeof *s);
    s->table =
        (struct hal_storage){.read = fake_read, .write = fake_write, .remove = fake_remove};
}

void fake_storage_power_on(struct fake_storage *s)
{
    s->dead = false;
    s->cut_at = 0;
    s->fail_at = 0;
    s->writes = 0;
}
