/* A whole request, from path to log line, against a real store with one enrolled device whose keys,
 * like root secret and clock, never change: so a corpus can hold a token that is right once.
 *
 * Input: method, path, authorization, content type, user agent, a line each, then the body. */
#include "fuzz.h"
#include "registrar_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static const char keys[] = /* softdevice_write of an ECC pair, hexadecimal */
    "0200608cb51d5fdc31be6925723ccb039fc7406a0d52e671c37c76c05c201015f2335f6dae7a7d438130d94fb9"
    "5204c6b798e173a3ee253fd2bad0bb184396d63aec6a76a10ed61317deb0d201be49cd4b2a030d4123ffebc656"
    "90f61745cb58a5a02d0200606d046f8e2c609875ee60342211aa8a168971097441ab0db516fad647173e2f08fd"
    "17f1af52c6fde696ffba88f6472999454fa0e9bddf5c4a1b9a0a1484b1ab74ae78e95651662d5da95665ae91a7"
    "c7a8ebeec03764a855592e0fc656b3b66966";

static struct world w;
static bool open_;

static void close_world(void) { world_close(&w); }

static uint8_t digit(char c) { return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10); }

static void open_world(void)
{
    uint8_t written[512];
    struct softdevice *d = NULL;
    if (open_)
        return;
    open_ = true;
    world_open(&w);
    atexit(close_world);
    for (size_t i = 0; i + 1 < sizeof keys; i += 2)
        written[i / 2] = (uint8_t)(digit(keys[i]) << 4 | digit(keys[i + 1]));
    MUST_HOLD(softdevice_read(span_of(written, (sizeof keys - 1) / 2), &d) == ERR_OK);
    world_enroll(&w, "dev-1", d, 0);
    softdevice_close(d);
}

/* The next line as text; what HTTP would not let through ends it. */
static char *take_line(struct span *rest, char *line, size_t cap)
{
    struct span s = span_cut(rest, '\n');
    size_t n = 0;
    while (n < s.len && n + 1 < cap && s.at[n] != 0) {
        line[n] = (char)s.at[n];
        n++;
    }
    line[n] = '\0';
    return line;
}

static void check_answer(const struct answer *a)
{
    static const int statuses[] = {200, 202, 400, 401, 404, 405, 415};
    bool known = false;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        known |= a->status == statuses[i];
    MUST_HOLD(known); /* wrong input is never our failure */
    MUST_HOLD((a->code == 0) == (a->status < 300 || a->expects_answer));
    MUST_HOLD(a->code == 0 || json_object_get(a->json, "authenticationKey") == NULL);
}

static void check_log(void)
{
    json_t *line = json_loads(w.last_line, JSON_REJECT_DUPLICATES, NULL);
    MUST_HOLD(json_is_object(line));
    json_decref(line);
    for (const char *p = w.last_line; *p != '\0'; p++)
        MUST_HOLD(*p >= ' ' && *p <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char method[32], path[2048], token[2048], type[256], agent[1024];
    struct span rest = span_of(data, size);
    ANSWER a;
    open_world();
    struct call c = {
        .method = take_line(&rest, method, sizeof method),
        .path = take_line(&rest, path, sizeof path),
        .token = take_line(&rest, token, sizeof token),
        .content_type = take_line(&rest, type, sizeof type),
        .agent = take_line(&rest, agent, sizeof agent),
    };
    c.body = rest;
    world_log_clear(&w);
    world_call(&w, &c, &a);
    check_answer(&a);
    if (w.last_line[0] != '\0')
        check_log();
    return 0;
}
