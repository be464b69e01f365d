#include "fuzz.h"

#include <config.h>
#include <string.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config c;
    struct config_reason reason = {""};
    enum err e = config_parse(span_of(data, size), "/data", &c, &reason);
    MUST_HOLD(e == ERR_OK || e == ERR_CONFIG);
    MUST_HOLD((e == ERR_OK) == (reason.text[0] == '\0'));
    if (e != ERR_OK)
        return 0;
    MUST_HOLD(c.id_scope[0] != '\0' && c.listen_address[0] != '\0');
    MUST_HOLD(c.server_certificate[0] == '/' && c.server_key[0] == '/');
    MUST_HOLD(c.hub_count >= 0 && c.hub_count <= CONFIG_HUBS_MAX);
    for (int i = 0; i < c.hub_count; i++)
        MUST_HOLD(config_hub_name_valid(c.hubs[i].name) && config_host_valid(c.hubs[i].host));
    return 0;
}
