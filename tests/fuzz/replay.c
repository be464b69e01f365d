/* Stands in for libFuzzer: runs a fuzz target over every file of the directories it is given. A
 * directory that is missing or empty fails, so that a corpus cannot get lost unnoticed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return -1;
    }
    struct stat about;
    int rc = fstat(fileno(file), &about);
    size_t size = rc == 0 ? (size_t)about.st_size : 0;
    /* Of its exact size, so that the sanitizer sees a read past the end. */
    uint8_t *data = malloc(size ? size : 1);
    if (rc != 0 || !data || fread(data, 1, size, file) != size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        rc = -1;
    } else {
        LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    fclose(file);
    return rc;
}

static int replay_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) {
        perror(path);
        return -1;
    }
    int count = 0, rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        char file[4096];
        if (snprintf(file, sizeof file, "%s/%s", path, entry->d_name) >= (int)sizeof file)
            rc = -1;
        else
            rc = replay_file(file);
        count++;
    }
    closedir(directory);
    printf("%s: %d inputs\n", path, count);
    if (count == 0)
        fprintf(stderr, "%s: no inputs\n", path);
    return rc == 0 && count > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    int rc = argc > 1 ? 0 : -1;
    for (int i = 1; i < argc; i++)
        rc |= replay_directory(argv[i]);
    return rc == 0 ? 0 : 1;
}
