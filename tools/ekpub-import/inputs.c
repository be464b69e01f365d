#include "inputs.h"

#include <stdlib.h>
#include <string.h>

#include "csv.h"

struct input {
    struct reader *reader; /* kept open when it cannot be opened twice: a pipe, standard input */
    struct stat st;
};

struct inputs {
    const char *const *files;
    const struct reader_options *options;
    size_t count;
    uint64_t bytes;
    bool endless; /* one of them has no size */
    bool differ;  /* in format or header from the first one */
    enum import_format format; /* of the first one */
    size_t header_len;
    uint8_t header[CSV_HEADER_CAP];
    struct input each[];
};

static enum err refuse(enum err e, const char *file, const char *why,
                       struct import_reason *ret_reason)
{
    char safe[120];
    import_text_safe(span_text(file), safe, sizeof safe);
    import_reason_set(ret_reason, "%s: %.120s", safe, why);
    return e;
}

static void compare(struct inputs *in, size_t index)
{
    const struct reader *reader = in->each[index].reader;
    struct span header = reader_header(reader);
    if (index > 0) {
        in->differ = in->differ || reader_format(reader) != in->format ||
                     !span_equal(header, span_of(in->header, in->header_len));
        return;
    }
    in->format = reader_format(reader);
    in->header_len = header.len <= sizeof in->header ? header.len : 0;
    if (in->header_len > 0)
        memcpy(in->header, header.at, header.len);
}

static enum err input_open(struct inputs *in, size_t index, struct import_reason *ret_reason)
{
    const char *file = in->files[index];
    struct input *input = &in->each[index];
    struct import_reason why;
    bool standard_input = strcmp(file, "-") == 0;
    for (size_t i = 0; i < index && standard_input; i++)
        if (strcmp(in->files[i], "-") == 0)
            return refuse(ERR_IO, file, "standard input can be read only once", ret_reason);
    enum err e = reader_open(file, in->options, &input->reader, &why);
    if (e != ERR_OK)
        return refuse(e, file, why.text, ret_reason);
    compare(in, index);
    if ((standard_input ? fstat(0, &input->st) : stat(file, &input->st)) != 0)
        return refuse(ERR_IO, file, "is gone", ret_reason);
    in->endless = in->endless || !S_ISREG(input->st.st_mode);
    in->bytes += (uint64_t)input->st.st_size;
    if (!standard_input && S_ISREG(input->st.st_mode)) {
        reader_close(input->reader);
        input->reader = NULL;
    }
    return ERR_OK;
}

enum err inputs_open(const char *const *files, size_t count, const struct reader_options *options,
                     struct inputs **ret_inputs, struct import_reason *ret_reason)
{
    struct inputs *in = calloc(1, sizeof *in + count * sizeof in->each[0]);
    if (in == NULL)
        return refuse(ERR_MEMORY, files[0], err_text(ERR_MEMORY), ret_reason);
    in->files = files;
    in->options = options;
    in->count = count;
    for (size_t i = 0; i < count; i++) {
        enum err e = input_open(in, i, ret_reason);
        if (e != ERR_OK) {
            inputs_close(in);
            return e;
        }
    }
    *ret_inputs = in;
    return ERR_OK;
}

enum err inputs_repeatable(const char *const *files, size_t count, struct import_reason *ret_reason)
{
    for (size_t i = 0; i < count; i++) {
        struct stat st;
        if (strcmp(files[i], "-") == 0 ||
            (stat(files[i], &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
            return refuse(ERR_CONFIG, files[i], "is no file or directory that could be read once more",
                          ret_reason);
    }
    return ERR_OK;
}

void inputs_close(struct inputs *in)
{
    if (in == NULL)
        return;
    for (size_t i = 0; i < in->count; i++)
        reader_close(in->each[i].reader);
    free(in);
}

enum err inputs_take(struct inputs *in, size_t index, struct reader **ret_reader,
                     struct import_reason *ret_reason)
{
    struct import_reason why;
    if (in->each[index].reader == NULL) {
        enum err e = reader_open(in->files[index], in->options, ret_reader, &why);
        return e == ERR_OK ? e : refuse(e, in->files[index], why.text, ret_reason);
    }
    *ret_reader = in->each[index].reader;
    in->each[index].reader = NULL;
    return ERR_OK;
}

bool inputs_alike(const struct inputs *in, enum import_format *ret_format)
{
    *ret_format = in->format;
    return !in->differ;
}

bool inputs_hold(const struct inputs *in, const struct stat *file)
{
    for (size_t i = 0; i < in->count; i++)
        if (S_ISREG(file->st_mode) && in->each[i].st.st_dev == file->st_dev &&
            in->each[i].st.st_ino == file->st_ino)
            return true;
    return false;
}

uint64_t inputs_bytes(const struct inputs *in)
{
    return in->endless ? 0 : in->bytes;
}
