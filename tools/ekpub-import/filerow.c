#include "filerow.h"

#include <string.h>

#include "keybytes.h"
#include "pem.h"

static struct span base_name(struct span name)
{
    size_t from = name.len;
    while (from > 0 && name.at[from - 1] != '/')
        from--;
    return span_slice(name, from, name.len);
}

static bool cut_ending(struct span *name)
{
    static const char *const endings[] = {".pem", ".der", ".crt",   ".cer",   ".cert",
                                          ".pub", ".bin", ".tpm2b", ".tpmt",  ".b64",
                                          ".key", ".ek",  ".txt",   ".ekcert"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        struct span ending = span_text(endings[i]);
        if (name->len > ending.len &&
            span_equal_ignoring_case(span_slice(*name, name->len - ending.len, ending.len),
                                     ending)) {
            name->len -= ending.len;
            return true;
        }
    }
    return false;
}

struct span filerow_id(struct span name)
{
    struct span id = base_name(name);
    while (cut_ending(&id))
        continue;
    return id;
}

bool filerow_is_hidden(struct span name)
{
    struct span base = base_name(name);
    return base.len == 0 || base.at[0] == '.';
}

static void put(struct import_row *row, enum import_column column, struct span value, bool raw)
{
    row->fields[column] = value;
    if (raw)
        row->raw |= 1u << column;
}

/* One block, or a key and its certificate. */
static void read_pem(struct span text, struct import_row *row)
{
    struct span block[2];
    size_t count = 0;
    for (struct span one; pem_block_take(&text, &one); count++)
        if (count < 2)
            block[count] = one;
    if (count > 2 || (count == 2 && pem_is_certificate(block[0]) == pem_is_certificate(block[1]))) {
        import_reason_set(&row->broken, "the file holds several keys: whose is its name?");
        return;
    }
    size_t key = count == 2 && pem_is_certificate(block[0]) ? 1 : 0;
    put(row, COLUMN_ENDORSEMENT_KEY, block[key], false);
    if (count == 2)
        put(row, COLUMN_EK_CERTIFICATE, block[1 - key], false);
}

static struct span trim_end(struct span s)
{
    while (s.len > 0 && memchr(" \t\r\n", s.at[s.len - 1], 4) != NULL)
        s.len--;
    return s;
}

void filerow_read(struct span content, struct import_row *row)
{
    if (content.len == 0)
        import_reason_set(&row->broken, "the file is empty");
    else if (keybytes_guess(content) != KEYBYTES_UNKNOWN)
        put(row, COLUMN_ENDORSEMENT_KEY, content, true);
    else if (pem_is_text(content))
        read_pem(content, row);
    else if (memchr(content.at, 0, content.len) != NULL)
        import_reason_set(&row->broken,
                          "neither TPM2B_PUBLIC, TPMT_PUBLIC, public key nor certificate");
    else
        put(row, COLUMN_ENDORSEMENT_KEY, trim_end(content), false);
}
