/* User names, client ids and topics of strangers, as the broker hands them to the plugin. The first
 * byte says what the rest is; texts are cut at line feeds. */
#include <rules.h>
#include <string.h>
#include <wire/names.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_username(struct span text)
{
    struct hub_username name;
    if (hub_username_read(text, &name) != ERR_OK)
        return;
    struct regid again;
    ERR_ASSERT(hub_client_id_read(regid_span(&name.device_id), &again) == ERR_OK);
    ERR_ASSERT(name.host.len == 0 || (name.host.at == text.at && name.host.len < text.len));
}

/* What a device may touch begins with its own id, and with no other's that is shorter or longer. */
static void try_device(struct span client_id, struct span topic, bool retain)
{
    struct regid id;
    if (hub_client_id_read(client_id, &id) != ERR_OK)
        return;
    for (enum hub_access access = HUB_READ; access <= HUB_SUBSCRIBE; access++) {
        if (!hub_device_may(client_id, access, topic, retain))
            continue;
        struct span rest = topic;
        ERR_ASSERT(span_equal(span_cut(&rest, '/'), SPAN_LITERAL("devices")));
        ERR_ASSERT(span_equal(span_cut(&rest, '/'), client_id));
        ERR_ASSERT(span_equal(span_cut(&rest, '/'), SPAN_LITERAL("messages")));
        struct span kind = span_cut(&rest, '/');
        ERR_ASSERT(span_equal(kind, access == HUB_WRITE ? SPAN_LITERAL("events")
                                                        : SPAN_LITERAL("devicebound")));
        ERR_ASSERT(rest.at != NULL && !(retain && access == HUB_WRITE));
    }
}

static void try_backend(struct span topic)
{
    for (enum hub_access access = HUB_READ; access <= HUB_SUBSCRIBE; access++)
        if (hub_backend_may(access, topic))
            ERR_ASSERT(span_starts_with(topic, SPAN_LITERAL(TOPIC_DEVICES)));
}

static void try_shown(struct span text)
{
    char shown[HUB_SHOWN_CAP];
    hub_text_show(text, shown);
    ERR_ASSERT(memchr(shown, '\0', sizeof shown) != NULL);
    for (const char *p = shown; *p != '\0'; p++)
        ERR_ASSERT(*p >= 0x20 && *p <= 0x7e && *p != '\'');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span text = span_of(data + 1, size - 1);
    try_shown(text);
    if (data[0] == 'u') {
        try_username(text);
        return 0;
    }
    struct span first = span_cut(&text, '\n');
    try_device(first, text, data[0] == 'r');
    try_backend(text);
    return 0;
}
