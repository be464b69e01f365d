#include "collect.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "linefile.h"

enum { EXIT_APPENDED = 0, EXIT_DUPLICATE = 1, EXIT_NOTHING = 2 };
enum { OPTION_TCTI = 256, OPTION_OUT, OPTION_ID, OPTION_FORMAT };

struct collect_args {
    const char *tcti, *out, *id;
    enum import_format format;
};

static const struct argp_option options[] = {
    {"tcti", OPTION_TCTI, "NAME[:CONF]", 0, "the way to the TPM: device, swtpm, mssim", 0},
    {"out", OPTION_OUT, "FILE", 0, "the list to append to; made where it is not there", 0},
    {"id", OPTION_ID, "ID|-", 0,
     "registration id, as a serial number; - reads it from standard input, as a scanner types it "
     "(default: derived from the endorsement key)",
     0},
    {"format", OPTION_FORMAT, "csv|jsonl", 0, "of a new file (default: csv)", 0},
    {0},
};

static error_t take(int key, char *text, struct argp_state *state)
{
    struct collect_args *a = state->input;
    switch (key) {
    case OPTION_TCTI:
        a->tcti = text;
        return 0;
    case OPTION_OUT:
        a->out = text;
        return 0;
    case OPTION_ID:
        a->id = text;
        return 0;
    case OPTION_FORMAT:
        a->format = import_format_find(text);
        if (a->format != FORMAT_CSV && a->format != FORMAT_JSONL)
            argp_error(state, "--format is csv or jsonl");
        return 0;
    case ARGP_KEY_END:
        if (a->tcti == NULL || a->out == NULL)
            argp_error(state, "--tcti and --out are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int fail(int status, const char *what, const char *why)
{
    char safe[200];
    import_text_safe(span_text(what), safe, sizeof safe);
    (void)fprintf(stderr, "ekpub-import collect: %s: %s\n", safe, why);
    return status;
}

static bool read_id(const char *given, struct regid *ret_id)
{
    char line[256];
    struct span text = span_text(given);
    if (strcmp(given, "-") == 0) {
        if (fgets(line, sizeof line, stdin) == NULL)
            return false;
        text = span_text(line);
        while (text.len > 0 && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
            text.len--;
    }
    return regid_read(text, ret_id) == ERR_OK;
}

static void warn_of_certificate(const struct collected *c)
{
    if (c->certificate_other)
        (void)fprintf(stderr, "ekpub-import collect: the EK certificate in NV is for another key: "
                              "it is left out\n");
    else if (c->certificate_len == 0)
        (void)fprintf(stderr, "ekpub-import collect: no EK certificate (%s)\n",
                      c->certificate_why == ERR_ABSENT ? "none in NV"
                                                       : err_text(c->certificate_why));
}

int collect_main(int argc, char **argv)
{
    static const struct argp parser = {
        options,
        take,
        NULL,
        "Reads the attached TPM's endorsement key, EK certificate and storage root key, and "
        "appends "
        "them to a list.\vExit status: 0 appended, 1 the id or the key is in the list already, 2 "
        "nothing could be read or written.",
        NULL,
        NULL,
        NULL};
    static struct collected c;
    struct collect_args a = {.format = FORMAT_AUTO};
    struct linefile_row row = {.ek = &c.ek, .srk = &c.srk};
    struct import_reason why;
    if (argp_parse(&parser, argc, argv, 0, NULL, &a) != 0)
        return EXIT_NOTHING;
    if (a.id != NULL && !read_id(a.id, &row.id))
        return fail(EXIT_NOTHING, a.id, "not an id: 1 to 128 of [a-z0-9-._:]");
    enum err e = collect_tpm(a.tcti, &c);
    if (e == ERR_OK && a.id == NULL)
        e = regid_from_ek(span_of(c.ek.raw, c.ek.raw_len), &row.id);
    if (e != ERR_OK)
        return fail(EXIT_NOTHING, a.tcti, err_text(e));
    warn_of_certificate(&c);
    row.certificate = span_of(c.certificate, c.certificate_len);
    e = linefile_append(a.out, a.format, &row, &why);
    if (e != ERR_OK)
        return fail(e == ERR_DUPLICATE ? EXIT_DUPLICATE : EXIT_NOTHING, a.out, why.text);
    (void)printf("%s: appended%s\n", row.id.text,
                 c.certificate_len > 0 ? ", with its EK certificate" : "");
    return EXIT_APPENDED;
}
