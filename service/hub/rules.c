#include "rules.h"

#include <string.h>
#include <wire/names.h>

static bool is_visible_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x21 || text.at[i] > 0x7e)
            return false;
    return true;
}

/* Clients put api-version first or last, and a name of their own making beside it. */
static bool has_api_version(struct span query)
{
    while (query.len > 0) {
        struct span parameter = span_cut(&query, '&');
        struct span name = span_cut(&parameter, '=');
        if (span_equal(name, SPAN_LITERAL(NAME_API_VERSION)) && parameter.len > 0)
            return true;
    }
    return false;
}

enum err hub_username_read(struct span text, struct hub_username *ret_username)
{
    if (text.len == 0 || text.len > HUB_USERNAME_MAX || !is_visible_ascii(text))
        return ERR_UNAUTHORIZED;
    struct hub_username name = {0};
    struct span rest = text;
    struct span first = span_cut(&rest, '/');
    struct span device = first;
    if (rest.at != NULL) {
        name.host = first;
        device = span_cut(&rest, '/');
        if (!span_starts_with(rest, SPAN_LITERAL("?")) || !has_api_version(span_slice(rest, 1, rest.len)))
            return ERR_UNAUTHORIZED;
        if (name.host.len == 0)
            return ERR_UNAUTHORIZED;
    }
    if (regid_read(device, &name.device_id) != ERR_OK)
        return ERR_UNAUTHORIZED;
    *ret_username = name;
    return ERR_OK;
}

enum err hub_client_id_read(struct span text, struct regid *ret_id)
{
    struct regid id;
    TRY(regid_read(text, &id));
    if (!span_equal(regid_span(&id), text))
        return ERR_REG_ID;
    *ret_id = id;
    return ERR_OK;
}

static bool take_prefix(struct span *s, struct span prefix)
{
    if (!span_starts_with(*s, prefix))
        return false;
    *s = span_slice(*s, prefix.len, s->len);
    return true;
}

bool hub_device_may(struct span client_id, enum hub_access access, struct span topic, bool retain)
{
    if (client_id.len == 0 || !take_prefix(&topic, SPAN_LITERAL(TOPIC_DEVICES)) ||
        !take_prefix(&topic, client_id))
        return false;
    if (access == HUB_WRITE)
        return !retain && take_prefix(&topic, SPAN_LITERAL(TOPIC_EVENTS));
    return take_prefix(&topic, SPAN_LITERAL(TOPIC_DEVICEBOUND));
}

bool hub_backend_may(enum hub_access access, struct span topic)
{
    if (!take_prefix(&topic, SPAN_LITERAL(TOPIC_DEVICES)))
        return false;
    if (access != HUB_WRITE)
        return true;
    struct span id = topic;
    id = span_cut(&id, '/');
    struct regid device_id;
    return hub_client_id_read(id, &device_id) == ERR_OK && take_prefix(&topic, id) &&
           take_prefix(&topic, SPAN_LITERAL(TOPIC_DEVICEBOUND));
}

static void show_byte(struct buf *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    if (byte >= 0x20 && byte <= 0x7e && byte != '\\' && byte != '\'' && byte != '"') {
        buf_put_u8(out, byte);
        return;
    }
    buf_put_text(out, "\\x");
    buf_put_u8(out, (uint8_t)digits[byte >> 4]);
    buf_put_u8(out, (uint8_t)digits[byte & 15]);
}

void hub_text_show(struct span text, char ret_shown[HUB_SHOWN_CAP])
{
    enum { CUT_MARK = 4, WIDEST = 4 }; /* "..." and NUL; \xNN */
    struct buf out = buf_over(ret_shown, HUB_SHOWN_CAP);
    size_t i = 0;
    for (; i < text.len && out.len + WIDEST + CUT_MARK <= HUB_SHOWN_CAP; i++)
        show_byte(&out, text.at[i]);
    if (i < text.len)
        buf_put_text(&out, "...");
    ERR_ASSERT(buf_end_text(&out) == ERR_OK);
}
