#include "fleet.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wire/text.h>

/* The first page: what the records look like. */
#define PAGE_LEN 4096
static const char magic[] = "cradle fleet 1";
struct head {
    char magic[sizeof magic];
    uint32_t record_len;
};

uint64_t fleet_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void fleet_id(unsigned number, char ret_id[FLEET_ID_CAP])
{
    (void)snprintf(ret_id, FLEET_ID_CAP, "fleet-%u", number);
}

static size_t bytes_of(unsigned count)
{
    return PAGE_LEN + (size_t)count * sizeof(struct fleet_record);
}

static enum err head_agree(int fd, bool fresh)
{
    struct head ours = {.record_len = sizeof(struct fleet_record)}, theirs;
    memcpy(ours.magic, magic, sizeof magic);
    if (fresh)
        return pwrite(fd, &ours, sizeof ours, 0) == sizeof ours ? ERR_OK : ERR_IO;
    if (pread(fd, &theirs, sizeof theirs, 0) != sizeof theirs)
        return ERR_IO;
    return span_equal(span_of(&ours, sizeof ours), span_of(&theirs, sizeof theirs)) ? ERR_OK
                                                                                    : ERR_CONFIG;
}

static enum err map(int fd, unsigned count, struct fleet *ret_fleet)
{
    struct stat what;
    if (fstat(fd, &what) != 0)
        return ERR_IO;
    TRY(head_agree(fd, what.st_size == 0));
    if ((size_t)what.st_size < bytes_of(count) && ftruncate(fd, (off_t)bytes_of(count)) != 0)
        return ERR_IO;
    uint8_t *at = mmap(NULL, bytes_of(count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return ERR_IO;
    *ret_fleet = (struct fleet){.records = (void *)(at + PAGE_LEN), .count = count};
    return ERR_OK;
}

enum err fleet_open(const char *path, unsigned count, struct fleet *ret_fleet)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_IO;
    enum err e = map(fd, count, ret_fleet);
    (void)close(fd);
    return e;
}

void fleet_close(struct fleet *f)
{
    (void)munmap((uint8_t *)f->records - PAGE_LEN, bytes_of(f->count));
}

enum err fleet_list(const struct fleet *f, unsigned count, FILE *out)
{
    if (fputs("registrationId,endorsementKey\n", out) < 0)
        return ERR_IO;
    for (unsigned i = 0; i < count; i++) {
        char id[FLEET_ID_CAP], ek[BASE64_LEN(TPM_PUBLIC_CAP) + 1];
        struct buf text = BUF_OVER(ek);
        if (f->records[i].ek_len == 0)
            return ERR_ABSENT;
        fleet_id(i, id);
        base64_write(&text, span_of(f->records[i].ek, f->records[i].ek_len));
        TRY(buf_end_text(&text));
        if (fprintf(out, "%s,%s\n", id, ek) < 0)
            return ERR_IO;
    }
    return fflush(out) == 0 ? ERR_OK : ERR_IO;
}
