#include "fleet.h"

#include <inttypes.h>
#include <stdlib.h>

#define NAMED_MOST 20 /* devices that are told by name */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Of those devices that have such a value. */
static void put_percentiles(FILE *out, const struct storm *s, const char *name,
                            uint64_t (*value)(const struct storm_result *))
{
    uint64_t *all = calloc(s->fleet.count, sizeof *all);
    size_t n = 0;
    if (!all)
        abort();
    for (unsigned i = 0; i < s->fleet.count; i++)
        if (value(&s->results[i]) != 0)
            all[n++] = value(&s->results[i]);
    qsort(all, n, sizeof *all, by_value);
    if (n > 0)
        fprintf(out, ",\"%s_p50_us\":%" PRIu64 ",\"%s_p99_us\":%" PRIu64 ",\"%s_most_us\":%" PRIu64,
                name, all[n / 2], name, all[n - 1 - n / 100], name, all[n - 1]);
    free(all);
}

static uint64_t boot(const struct storm_result *r)
{
    return r->outcome == ERR_OK ? r->boot_us : 0;
}

static uint64_t challenge(const struct storm_result *r)
{
    return r->challenge_us;
}

static uint64_t assigned(const struct storm_result *r)
{
    return r->assigned_us;
}

static uint64_t hub(const struct storm_result *r)
{
    return r->hub_us;
}

static void put_failures(FILE *out, const struct storm *s)
{
    const char *comma = "";
    fprintf(out, ",\"failed_attempts\":{");
    for (int e = 0; e < ERR_COUNT; e++)
        if (s->failures[e] != 0) {
            fprintf(out, "%s\"%s\":%u", comma, err_name((enum err)e), s->failures[e]);
            comma = ",";
        }
    fprintf(out, "},\"not_provisioned\":{");
    comma = "";
    for (unsigned i = 0, named = 0; i < s->fleet.count && named < NAMED_MOST; i++) {
        char id[FLEET_ID_CAP];
        fleet_id(i, id);
        if (s->results[i].outcome == ERR_OK)
            continue;
        fprintf(out, "%s\"%s\":\"%s\"", comma, id, err_name(s->results[i].outcome));
        comma = ",";
        named++;
    }
    fprintf(out, "}");
}

void storm_report(const struct storm *s, uint64_t took_us, uint64_t cpu_us, FILE *out)
{
    unsigned refused = 0;
    for (unsigned i = 0; i < s->fleet.count; i++)
        refused += s->results[i].hub_refused;
    fprintf(out, "{\"devices\":%u,\"provisioned\":%u,\"refused_by_hub_first\":%u,\"seconds\":%.2f,"
                 "\"device_cpu_us\":%" PRIu64, s->fleet.count, s->provisioned, refused,
            (double)took_us / 1e6, cpu_us);
    put_percentiles(out, s, "boot", boot);
    put_percentiles(out, s, "challenge", challenge);
    put_percentiles(out, s, "assigned", assigned);
    put_percentiles(out, s, "hub", hub);
    put_failures(out, s);
    fprintf(out, "}\n");
    fflush(out);
}
