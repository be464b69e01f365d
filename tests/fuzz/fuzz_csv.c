/* The importer's CSV: records taken one after the other, as the reader does. */
#include <csv.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t scratch[IMPORT_ROW_CAP];
    struct span rest = span_of(data, size);
    while (rest.len > 0) {
        struct csv_record r;
        enum csv_find find = csv_record_find(rest, true, scratch, &r);
        size_t kept = r.count < CSV_FIELDS_MAX ? r.count : CSV_FIELDS_MAX;
        size_t text = 0;
        for (size_t i = 0; i < kept; i++)
            text += r.fields[i].len;
        ERR_ASSERT(r.len <= rest.len && r.len <= IMPORT_ROW_CAP && text <= r.len);
        ERR_ASSERT(find != CSV_RECORD || r.len > 0);
        ERR_ASSERT(find != CSV_BROKEN || r.why != NULL);
        if (find == CSV_RECORD)
            rest = span_slice(rest, r.len, rest.len);
        else
            (void)span_cut(&rest, '\n');
    }
    return 0;
}
