/* The hub client, Paho on the hal's transport, against a broker of a few lines: packets split at
 * every byte, refusals, connections that end at every byte, acknowledgements that do not come. */
#include <unit.h>

#include <hal/fake.h>
#include <hubc.h>
#include <stdlib.h>

#define NOW_S INT64_C(1900000000)
#define TIMEOUT_MS 1000
#define HOST "hub.example.net"
#define USER HOST "/pump-1/?api-version=2021-04-12"
#define TOPIC "devices/pump-1/messages/events/"

enum { CONNECT = 1, PUBLISH = 3, PUBACK = 4, PINGREQ = 12, DISCONNECT = 14 };

struct broker {
    uint8_t connack;      /* its return code */
    bool silent;          /* says nothing at all */
    bool never_acks;
    bool sends_a_message; /* to the device, after its first publish */
    const char *raw;      /* instead of the CONNACK */
    unsigned connects, publishes, acks, disconnects;
    char connect[512], topic[64], payload[64];
    size_t connect_len;
};

static void text_take(struct rd *r, char *ret_text, size_t cap)
{
    assert_ok(span_to_text(rd_sized_u16(r), ret_text, cap));
}

static void publish_take(struct broker *b, uint8_t flags, struct span body, struct buf *reply)
{
    assert_int_equal(flags, 2); /* QoS 1, not retained, not a duplicate */
    struct rd r = rd_over(body);
    text_take(&r, b->topic, sizeof b->topic);
    uint16_t id = rd_u16(&r);
    assert_ok(span_to_text(r.rest, b->payload, sizeof b->payload));
    b->publishes++;
    if (b->never_acks)
        return;
    buf_put_u16(reply, 0x4002);
    buf_put_u16(reply, id);
    if (b->sends_a_message)
        buf_put(reply, SPAN_LITERAL("\x32\x08\0\3a/b\0\7!"));
    b->sends_a_message = false;
}

static void packet_take(struct broker *b, uint8_t first, struct span body, struct buf *reply)
{
    switch (first >> 4) {
    case CONNECT:
        b->connects++;
        memcpy(b->connect, body.at, body.len);
        b->connect_len = body.len;
        if (b->raw)
            buf_put_text(reply, b->raw);
        else {
            buf_put_u32(reply, 0x20020000u | b->connack);
        }
        break;
    case PUBLISH:
        publish_take(b, first & 15, body, reply);
        break;
    case PUBACK:
        b->acks++;
        break;
    case PINGREQ:
        buf_put_u16(reply, 0xd000);
        break;
    case DISCONNECT:
        b->disconnects++;
        break;
    default:
        fail_msg("packet type %d", first >> 4);
    }
}

static size_t serve(void *context, struct span request, struct buf *reply)
{
    struct broker *b = context;
    size_t used = 0;
    while (!b->silent && request.len - used >= 2) {
        size_t len = 0, at = used + 1;
        unsigned shift = 0;
        do {
            if (at == request.len)
                return used;
            len |= (size_t)(request.at[at] & 0x7f) << shift;
            shift += 7;
        } while (request.at[at++] & 0x80);
        if (request.len - at < len)
            return used;
        packet_take(b, request.at[used], span_slice(request, at, len), reply);
        used = at + len;
    }
    return used;
}

struct world {
    struct hal_fake fake;
    struct broker broker;
    struct hubc hub;
};

static struct world *build(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    hal_fake_init(&w->fake, NOW_S);
    w->fake.transport.peer = serve;
    w->fake.transport.context = &w->broker;
    hubc_init(&w->hub, w->fake.hal.transport, w->fake.hal.clock, TIMEOUT_MS);
    return w;
}

static enum err join(struct world *w)
{
    return w->hub.table.connect(&w->hub.table, HOST, 8883, "pump-1", "the token", NOW_S);
}

static enum err publish(struct world *w)
{
    return w->hub.table.publish(&w->hub.table, TOPIC, SPAN_LITERAL("{\"t\":1}"));
}

static void leave(struct world *w)
{
    w->hub.table.close(&w->hub.table);
    assert_false(w->fake.transport.is_open);
}

static void connects_as_the_protocol_says(void **state)
{
    (void)state;
    struct world *w = build();
    assert_ok(join(w));
    assert_string_equal(w->fake.transport.last_host, HOST);
    assert_int_equal(w->fake.transport.last_now_s, NOW_S); /* so that the dates are checked */
    static const char expected[] = "\0\4MQTT\4\xc2\0\x3c\0\6pump-1\0\x2e" USER "\0\11the token";
    assert_int_equal(strlen(USER), 0x2e);
    assert_span_equal(span_of(expected, sizeof expected - 1),
                      span_of(w->broker.connect, w->broker.connect_len));
    assert_ok(publish(w));
    assert_string_equal(w->broker.topic, TOPIC);
    assert_string_equal(w->broker.payload, "{\"t\":1}");
    leave(w);
    free(w);
}

static void survives_every_split(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 12; chunk++)
        for (unsigned block = 2; block < 5; block++) {
            struct world *w = build();
            w->fake.transport.plan.chunk = chunk;
            w->fake.transport.plan.would_block_at = block == 2 ? 0 : block;
            enum err e = join(w);
            if (block == 2) { /* a send that moves nothing within its time is the end */
                assert_ok(e);
                assert_ok(publish(w));
                assert_ok(publish(w));
                assert_int_equal(w->broker.publishes, 2);
            } else {
                assert_err(ERR_NETWORK, e);
            }
            leave(w);
            free(w);
        }
}

static void tells_a_refusal_from_a_failure(void **state)
{
    (void)state;
    static const enum err expected[] = {ERR_OK, ERR_PROTOCOL, ERR_HUB_REFUSED, ERR_UNAVAILABLE,
                                        ERR_HUB_REFUSED, ERR_HUB_REFUSED, ERR_PROTOCOL};
    for (size_t code = 1; code < sizeof expected / sizeof *expected; code++) {
        struct world *w = build();
        w->broker.connack = (uint8_t)code;
        assert_err_of("connack", expected[code], join(w));
        assert_false(w->fake.transport.is_open);
        assert_err(ERR_NETWORK, publish(w));
        w->broker.connack = 0; /* and later it is let in */
        assert_ok(join(w));
        leave(w);
        free(w);
    }
}

static void passes_on_why_the_stream_does_not_open(void **state)
{
    (void)state;
    static const enum err errors[] = {ERR_NETWORK, ERR_TIMEOUT, ERR_TLS_TRUST, ERR_TLS_NAME,
                                      ERR_TLS_DATE, ERR_TLS};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct world *w = build();
        w->fake.transport.plan.fail_open_at = 1;
        w->fake.transport.plan.open_error = errors[i];
        assert_err(errors[i], join(w));
        assert_int_equal(w->broker.connects, 0);
        free(w);
    }
    struct world *w = build();
    w->fake.transport.plan.peer = (struct hal_peer){.not_before_s = 1, .not_after_s = 2};
    assert_err(ERR_TLS_DATE, join(w));
    free(w);
}

static void a_peer_that_speaks_something_else(void **state)
{
    (void)state;
    static const char *const raws[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "\xff\xff\xff\xff\xff\xff",
                                       "\x30\x02zz"};
    for (size_t i = 0; i < sizeof raws / sizeof *raws; i++) {
        struct world *w = build();
        w->broker.raw = raws[i];
        enum err e = join(w);
        if (e != ERR_NETWORK)
            assert_err_of(raws[i], ERR_PROTOCOL, e);
        assert_false(w->fake.transport.is_open);
        free(w);
    }
}

static void silence_ends(void **state)
{
    (void)state;
    struct world *w = build();
    w->broker.silent = true;
    assert_err(ERR_NETWORK, join(w));
    assert_false(w->fake.transport.is_open);
    free(w);
    w = build();
    w->broker.never_acks = true;
    assert_ok(join(w));
    assert_err(ERR_TIMEOUT, publish(w)); /* not told published before the hub says so */
    assert_int_equal(w->broker.publishes, 1);
    leave(w);
    free(w);
}

static void gone_at_every_byte(void **state)
{
    (void)state;
    enum err e = ERR_NETWORK;
    for (uint64_t n = 1; e != ERR_OK; n++) {
        struct world *w = build();
        w->fake.transport.plan.gone_after = n;
        e = join(w);
        if (e == ERR_OK)
            e = publish(w);
        if (e != ERR_OK)
            assert_err(ERR_NETWORK, e);
        leave(w);
        w->fake.transport.plan.gone_after = 0;
        assert_ok(join(w));
        assert_ok(publish(w));
        leave(w);
        free(w);
    }
}

/* Over all that is said, the time at the hub included: each loss is noticed, none makes it spin. */
static void closed_at_every_byte_while_it_stays(void **state)
{
    (void)state;
    uint64_t end = UINT64_MAX;
    for (uint64_t n = 1; n <= end; n++) {
        struct world *w = build();
        w->fake.transport.plan.close_after = n;
        enum err e = join(w);
        for (int i = 0; i < 3 && e == ERR_OK; i++) {
            e = publish(w);
            if (e == ERR_OK)
                e = w->hub.table.idle(&w->hub.table, 12000);
        }
        if (e == ERR_OK && end == UINT64_MAX) {
            assert_true(n > 3 * strlen(TOPIC));
            end = n;
        } else {
            assert_err(ERR_NETWORK, e);
        }
        assert_true(w->fake.transport.calls < 300);
        leave(w);
        free(w);
    }
}

static void attends_and_notices_the_end(void **state)
{
    (void)state;
    struct world *w = build();
    assert_ok(join(w));
    w->broker.sends_a_message = true;
    assert_ok(publish(w));
    uint64_t before_ms = w->fake.clock.now_ms;
    assert_ok(w->hub.table.idle(&w->hub.table, 12000));
    assert_in_range(w->fake.clock.now_ms - before_ms, 12000, 12100);
    assert_int_equal(w->broker.acks, 1); /* of what was sent to the device: taken, and dropped */
    w->fake.transport.plan.close_after = w->fake.transport.moved;
    assert_err(ERR_NETWORK, w->hub.table.idle(&w->hub.table, 12000));
    leave(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_as_the_protocol_says),
        cmocka_unit_test(survives_every_split),
        cmocka_unit_test(tells_a_refusal_from_a_failure),
        cmocka_unit_test(passes_on_why_the_stream_does_not_open),
        cmocka_unit_test(a_peer_that_speaks_something_else),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(gone_at_every_byte),
        cmocka_unit_test(closed_at_every_byte_while_it_stays),
        cmocka_unit_test(attends_and_notices_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
