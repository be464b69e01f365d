/* An id that is read is canonical: of the plain set, and read again it is itself. */
#include "fuzz.h"

#include <wire/regid.h>
#include <wire/text.h>

static void check(struct span text)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789-._:";
    struct regid id, again;
    enum err e = regid_read(text, &id);
    MUST_HOLD(e == ERR_OK || e == ERR_REG_ID);
    if (e != ERR_OK)
        return;
    struct span s = regid_span(&id);
    MUST_HOLD(s.len == text.len && s.len >= 1 && s.len <= REGID_MAX);
    MUST_HOLD(strspn(id.text, alphabet) == s.len && !strchr("._:", id.text[s.len - 1]));
    MUST_HOLD(span_equal_ignoring_case(s, text));
    MUST_HOLD(regid_read(s, &again) == ERR_OK && span_equal(s, regid_span(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[1024];
    struct span text = span_of(data, size);
    check(text);
    struct buf decoded = BUF_OVER(bytes); /* as it comes in a path */
    if (percent_read(text, &decoded) == ERR_OK)
        check(buf_span(&decoded));
    return 0;
}
