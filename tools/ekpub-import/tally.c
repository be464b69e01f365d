#include "tally.h"

#include <stdio.h>
#include <string.h>

/* Names past the last place go under one heading. */
static void count_name(struct tally_name *names, struct span name)
{
    char text[TALLY_NAME_CAP];
    size_t i = 0;
    import_text_safe(name, text, sizeof text);
    while (i < TALLY_NAMES - 1 && names[i].count > 0 && strcmp(names[i].name, text) != 0)
        i++;
    if (names[i].count == 0)
        memcpy(names[i].name, i < TALLY_NAMES - 1 ? text : "others", TALLY_NAME_CAP);
    names[i].count++;
}

/* A reason without what only this row has: names and places of others. */
static struct span reason_kind(const char *text)
{
    size_t len = strcspn(text, "(\"");
    const char *other = strstr(text, " already for ");
    if (other != NULL && (size_t)(other - text) < len)
        len = (size_t)(other - text) + strlen(" already");
    while (len > 0 && text[len - 1] == ' ')
        len--;
    return span_of(text, len);
}

void tally_block(struct tally *t, const struct import_block *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct import_item *item = &b->items[i];
        if (item->outcome == IMPORT_UNTRIED)
            continue;
        t->outcomes[item->outcome]++;
        if (item->outcome == IMPORT_REFUSED) {
            count_name(t->reasons, reason_kind(item->reason.text));
            continue;
        }
        t->grades[item->enrollment.ek_grade]++;
        if (item->vendor[0] != 0)
            count_name(t->vendors, span_text(item->vendor));
    }
}

uint64_t tally_rows(const struct tally *t)
{
    uint64_t rows = 0;
    for (int o = 0; o < IMPORT_OUTCOMES; o++)
        rows += t->outcomes[o];
    return rows;
}

uint64_t tally_in(const struct tally *t)
{
    return t->outcomes[IMPORT_NEW] + t->outcomes[IMPORT_REPLACED];
}

static void print_names(const char *heading, const struct tally_name *names)
{
    for (size_t i = 0; i < TALLY_NAMES && names[i].count > 0; i++)
        (void)printf("  %s %s: %llu\n", heading, names[i].name,
                     (unsigned long long)names[i].count);
}

void tally_print(const struct tally *t)
{
    static const char *const grades[] = {"key only", "with EK certificate",
                                         "with trusted EK certificate"};
    (void)printf("rows %llu, new %llu, same %llu, refused %llu", (unsigned long long)tally_rows(t),
                 (unsigned long long)t->outcomes[IMPORT_NEW],
                 (unsigned long long)t->outcomes[IMPORT_SAME],
                 (unsigned long long)t->outcomes[IMPORT_REFUSED]);
    if (t->outcomes[IMPORT_REPLACED] > 0)
        (void)printf(", replaced %llu", (unsigned long long)t->outcomes[IMPORT_REPLACED]);
    if (t->outcomes[IMPORT_SKIPPED] > 0)
        (void)printf(", skipped %llu", (unsigned long long)t->outcomes[IMPORT_SKIPPED]);
    (void)printf("\n");
    for (int g = STORE_EK_CERTIFICATE; g <= STORE_EK_CERTIFICATE_TRUSTED; g++)
        if (t->grades[g] > 0)
            (void)printf("  %s: %llu\n", grades[g], (unsigned long long)t->grades[g]);
    print_names("vendor", t->vendors);
    print_names("refused:", t->reasons);
}
