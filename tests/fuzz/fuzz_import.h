/* One reader of the importer over a whole input, as a run has it: every row is within its bounds,
 * and what is in it is looked at as the check does. FUZZ_FORMAT is the format. */
#ifndef FUZZ_IMPORT_H
#define FUZZ_IMPORT_H

#include <ekpolicy.h>
#include <keytext.h>
#include <reader.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of a key that nobody has any more; one seed of the manifests is signed with it. */
#define FUZZ_SIGNER                                                                                \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE047RlhGcNIX1k8017OvlYEReYHIe\n"                           \
    "skKRFRPV4BtSYOxlovuMuQBtooPCu/9WdyAPgX1s/jq1z4W6l+lhhpCboQ==\n"                               \
    "-----END PUBLIC KEY-----\n"

static int memory_file(const void *data, size_t size, char path[40])
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    ERR_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    (void)snprintf(path, 40, "/proc/self/fd/%d", fd);
    return fd;
}

static void look_at(struct import_row *row)
{
    static struct import_item item;
    static uint8_t field[2 * IMPORT_ROW_CAP];
    size_t total = 0;
    struct tpm_public pub;
    struct import_reason why;
    for (unsigned c = 0; c < COLUMN_COUNT; c++)
        total += row->fields[c].len;
    ERR_ASSERT(total <= IMPORT_ROW_CAP && row->origin.len <= IMPORT_ROW_CAP);
    if (row->broken.text[0] != 0)
        return;
    ekpolicy_prepare(row);
    item = (struct import_item){.row = *row};
    struct buf out = BUF_OVER(field);
    for (unsigned c = 0; c < COLUMN_COUNT; c++) {
        item.row.fields[c] = span_of(field + out.len, row->fields[c].len);
        buf_put(&out, row->fields[c]);
    }
    if (keytext_column_read(&item.row, COLUMN_ENDORSEMENT_KEY, TPM_ROLE_EK, &pub, &why) != ERR_OK)
        return;
    static const struct ekpolicy policy = {.use = EKPOLICY_IF_PRESENT};
    memcpy(item.enrollment.ek, pub.raw, pub.raw_len);
    item.enrollment.ek_len = pub.raw_len;
    enum err e = ekpolicy_apply(&policy, 1767225600, &item);
    ERR_ASSERT(e == ERR_OK || item.reason.text[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char signer_path[40];
    static const char *const signers[] = {signer_path};
    char path[40];
    struct reader *reader;
    struct import_reason why;
    struct import_row row;
    if (signer_path[0] == 0)
        (void)memory_file(FUZZ_SIGNER, sizeof FUZZ_SIGNER - 1, signer_path);
    struct reader_options options = {.format = FUZZ_FORMAT, .signers = signers, .signer_count = 1};
    int fd = memory_file(data, size, path);
    if (reader_open(path, &options, &reader, &why) == ERR_OK) {
        uint64_t rows = 0;
        enum err e;
        while ((e = reader_next(reader, &row)) == ERR_OK) {
            look_at(&row);
            rows++;
        }
        ERR_ASSERT(e == ERR_ABSENT || (e == ERR_IO && reader_why(reader)[0] != 0));
        ERR_ASSERT(size > UINT32_MAX || rows <= 4096 * (uint64_t)size + 1);
        reader_close(reader);
    }
    (void)close(fd);
    return 0;
}

#endif
