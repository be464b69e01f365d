/* The importer's JSON Lines: one line to a row, and the row to an enrollment. */
#include <check.h>
#include <jsonl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jsonl j;
    struct import_row row = {0};
    struct store_enrollment e;
    struct import_reason why;
    if (size > IMPORT_ROW_CAP)
        return 0;
    jsonl_row_read(&j, span_of(data, size), &row);
    size_t text = 0;
    for (unsigned c = 0; c < COLUMN_COUNT; c++)
        text += row.fields[c].len;
    ERR_ASSERT(text <= size);
    if (check_row(&row, CHECK_THOROUGH, 0, &e, &why) == ERR_OK)
        ERR_ASSERT(row.broken.text[0] == 0 && e.ek_len > 0 && why.text[0] == 0);
    else
        ERR_ASSERT(why.text[0] != 0);
    return 0;
}
