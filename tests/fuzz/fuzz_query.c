/* A query that is read can be asked of any row, and what it pins really must be so; one that is not says
 * why in printable text. */
#include "fuzz.h"

#include <inner.h>
#include <string.h>

static struct row row_of(enum kind kind, const char *id)
{
    struct row row = {.kind = kind};
    struct regid *to = kind == KIND_GROUP ? &row.group.id : &row.enrollment.id;
    MUST_HOLD(regid_read(span_text(id), to) == ERR_OK);
    if (kind == KIND_ENROLLMENT)
        row.enrollment.device_id = row.enrollment.id;
    return row;
}

static void check_pin(const struct query *q, const struct row *row)
{
    struct span value;
    if (query_matches(q, row) && query_pins(q, FIELD_ID, &value))
        MUST_HOLD(span_equal_ignoring_case(value, regid_span(row_id(row))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct manager_exchange x;
    struct query q;
    x.message[0] = 0;
    enum err e = query_read(&x, span_of(data, size), &q);
    MUST_HOLD(e == ERR_OK || e == ERR_INVALID_ARGUMENT);
    if (e != ERR_OK) {
        MUST_HOLD(x.message[0] != 0);
        for (const char *c = x.message; *c != 0; c++)
            MUST_HOLD(*c >= 0x20 && *c < 0x7f);
        return 0;
    }
    MUST_HOLD(q.count <= QUERY_NODES_MAX && q.root < q.count);
    const struct row rows[] = {row_of(KIND_ENROLLMENT, "press-1"), row_of(KIND_ENROLLMENT, "a"),
                               row_of(KIND_GROUP, "line-7")};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_pin(&q, &rows[i]);
    return 0;
}
