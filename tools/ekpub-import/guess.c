#include "guess.h"

#include <string.h>

#include "keybytes.h"
#include "pem.h"
#include "tar.h"
#include "windows.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span skip_spaces(struct span s)
{
    while (s.len > 0 && is_space(s.at[0]))
        s = span_slice(s, 1, s.len);
    return s;
}

/* A JWS is a text, or an object whose first member says so. */
static enum import_format guess_array(struct span inside)
{
    static const char *const members[] = {"payload", "protected", "signature", "signatures",
                                          "header"};
    inside = skip_spaces(inside);
    if (span_starts_with(inside, SPAN_LITERAL("\"")))
        return FORMAT_JWS;
    if (!span_starts_with(inside, SPAN_LITERAL("{")))
        return FORMAT_JSON;
    inside = skip_spaces(span_slice(inside, 1, inside.len));
    if (!span_starts_with(inside, SPAN_LITERAL("\"")))
        return FORMAT_JSON;
    inside = span_slice(inside, 1, inside.len);
    struct span name = span_cut(&inside, '"');
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (span_equal(name, span_text(members[i])))
            return FORMAT_JWS;
    return FORMAT_JSON;
}

/* All of a base64 text in one line, as tools print a key. */
static bool is_base64_key(struct span text)
{
    size_t len = 0;
    while (len < text.len && (memchr("+/=", text.at[len], 3) != NULL ||
                              (text.at[len] >= '0' && text.at[len] <= '9') ||
                              ((text.at[len] | 0x20) >= 'a' && (text.at[len] | 0x20) <= 'z')))
        len++;
    return len >= 120 && skip_spaces(span_slice(text, len, text.len)).len == 0;
}

enum import_format import_format_guess(struct span head)
{
    if (tar_is_header(head))
        return FORMAT_TAR;
    if (keybytes_guess(head) != KEYBYTES_UNKNOWN)
        return FORMAT_KEY;
    struct span text = skip_spaces(head);
    if (span_starts_with(text, SPAN_LITERAL("{")))
        return FORMAT_JSONL;
    if (span_starts_with(text, SPAN_LITERAL("[")))
        return guess_array(span_slice(text, 1, text.len));
    if (windows_is_output(head))
        return FORMAT_WINDOWS;
    if (pem_is_text(head))
        return FORMAT_PEM;
    return is_base64_key(text) ? FORMAT_KEY : FORMAT_CSV;
}
