#include "map.h"

#include <string.h>

static bool find_mapped(const struct import_map *m, struct span name,
                        enum import_column *ret_column)
{
    for (size_t i = 0; m != NULL && i < m->count; i++)
        if (span_equal(m->names[i].from, name)) {
            *ret_column = m->names[i].to;
            return true;
        }
    return false;
}

enum err import_map_add(struct import_map *m, const char *text)
{
    const char *mark = strrchr(text, '='); /* a field's name has none */
    enum import_column to;
    if (mark == NULL || mark == text)
        return ERR_INVALID_ARGUMENT;
    struct span from = span_of(text, (size_t)(mark - text)), field = span_text(mark + 1);
    enum import_column column = import_column_find(field);
    if (column == COLUMN_COUNT && !span_equal(field, SPAN_LITERAL("-")))
        return ERR_INVALID_ARGUMENT;
    if (find_mapped(m, from, &to))
        return ERR_DUPLICATE;
    if (m->count == IMPORT_MAP_MAX)
        return ERR_FULL;
    m->names[m->count].from = from;
    m->names[m->count].to = column;
    m->count++;
    return ERR_OK;
}

bool import_map_find(const struct import_map *m, struct span name, enum import_column *ret_column)
{
    if (find_mapped(m, name, ret_column))
        return true;
    enum import_column column = import_column_find(name);
    if (column == COLUMN_COUNT)
        return false;
    *ret_column = column;
    return true;
}
