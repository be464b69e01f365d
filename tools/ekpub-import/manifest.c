#include <wolfssl/options.h>

#include "manifest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire/text.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "jwskey.h"

#define MANIFEST_CAP (1024 * 1024)
#define HASH_TEXT (2 * WC_SHA256_DIGEST_SIZE + 1)

static void json_release(json_t **value)
{
    json_decref(*value);
}
#define JSON __attribute__((cleanup(json_release))) json_t

static void bytes_release(uint8_t **bytes)
{
    free(*bytes);
}

static enum err fail(const char *file, const char *why)
{
    char safe[300];
    import_text_safe(span_text(file), safe, sizeof safe);
    (void)fprintf(stderr, "ekpub-import: %s: %s\n", safe, why);
    return ERR_CONFIG;
}

/* ---- hashing ---- */

static bool hash_stream(FILE *in, uint8_t ret_hash[WC_SHA256_DIGEST_SIZE])
{
    static uint8_t bytes[1 << 18];
    wc_Sha256 sha;
    size_t len;
    if (wc_InitSha256(&sha) != 0)
        return false;
    bool ok = true;
    while (ok && (len = fread(bytes, 1, sizeof bytes, in)) > 0)
        ok = wc_Sha256Update(&sha, bytes, (word32)len) == 0;
    ok = ok && ferror(in) == 0 && wc_Sha256Final(&sha, ret_hash) == 0;
    wc_Sha256Free(&sha);
    return ok;
}

static enum err hash_file(const char *file, char ret_text[HASH_TEXT])
{
    uint8_t hash[WC_SHA256_DIGEST_SIZE];
    struct stat st;
    FILE *in = stat(file, &st) == 0 && S_ISREG(st.st_mode) ? fopen(file, "rbe") : NULL;
    bool ok = in != NULL && hash_stream(in, hash);
    if (in != NULL)
        (void)fclose(in);
    if (!ok)
        return fail(file, "cannot be read, or is not a regular file");
    struct buf out = buf_over(ret_text, HASH_TEXT);
    hex_write(&out, SPAN_ARRAY(hash));
    return buf_end_text(&out);
}

/* ---- checking ---- */

static enum err read_manifest(const char *path, uint8_t *bytes, struct span *ret_text)
{
    FILE *in = fopen(path, "rbe");
    size_t len = in == NULL ? 0 : fread(bytes, 1, MANIFEST_CAP, in);
    if (in != NULL)
        (void)fclose(in);
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--;
    if (len == 0 || len == MANIFEST_CAP)
        return fail(path, "cannot be read as a manifest");
    *ret_text = span_of(bytes, len);
    return ERR_OK;
}

/* The payload, once the signature is good. */
static enum err open_manifest(const struct import_args *a, json_t **ret_payload)
{
    __attribute__((cleanup(bytes_release))) uint8_t *bytes = malloc(2 * (size_t)MANIFEST_CAP);
    struct span text;
    struct import_reason why = {""};
    if (bytes == NULL)
        return ERR_MEMORY;
    TRY(read_manifest(a->manifest, bytes, &text));
    struct buf payload = buf_over(bytes + MANIFEST_CAP, MANIFEST_CAP);
    enum err e = ERR_CONFIG;
    for (size_t i = 0; i < a->reading->signer_count && e != ERR_OK; i++) {
        payload.len = 0;
        e = jwskey_open(text, a->reading->signers[i], &payload, &why);
    }
    if (e != ERR_OK)
        return fail(a->manifest, why.text);
    json_error_t error;
    *ret_payload = json_loadb((const char *)payload.at, payload.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_array(json_object_get(*ret_payload, "files")))
        return fail(a->manifest, "is signed, but lists no files");
    return ERR_OK;
}

/* NULL: not listed. */
static json_t *find_file(json_t *payload, const char *hash)
{
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(payload, "files"), i, file)
    {
        const char *listed = json_string_value(json_object_get(file, "sha256"));
        if (listed != NULL && strcmp(listed, hash) == 0 &&
            json_is_integer(json_object_get(file, "rows")))
            return file;
    }
    return NULL;
}

static enum err count_rows(const struct import_args *a, uint64_t *ret_rows)
{
    JSON *payload = NULL;
    uint64_t rows = 0;
    TRY(open_manifest(a, &payload));
    for (size_t i = 0; i < a->file_count; i++) {
        char hash[HASH_TEXT];
        TRY(hash_file(a->files[i], hash));
        json_t *file = find_file(payload, hash);
        if (file == NULL)
            return fail(a->files[i], "is not the file that the manifest lists");
        rows += (uint64_t)json_integer_value(json_object_get(file, "rows"));
    }
    *ret_rows = rows;
    return ERR_OK;
}

enum err manifest_check(const struct import_args *args)
{
    uint64_t rows;
    if (args->manifest == NULL)
        return ERR_OK;
    if (args->reading->signer_count == 0)
        return fail(args->manifest, "--signer says whose signature counts");
    return count_rows(args, &rows);
}

enum err manifest_settle(const struct import_args *args, uint64_t rows)
{
    uint64_t expected;
    if (args->manifest == NULL)
        return ERR_OK;
    TRY(count_rows(args, &expected));
    if (rows == expected)
        return ERR_OK;
    char why[100];
    (void)snprintf(why, sizeof why, "says %llu rows, but %llu were read",
                   (unsigned long long)expected, (unsigned long long)rows);
    return fail(args->manifest, why);
}

/* ---- signing ---- */

static enum err count_file(const struct manifest_args *a, const char *file, uint64_t *ret_rows)
{
    struct reader *reader;
    struct import_reason why;
    struct import_row row;
    uint64_t rows = 0;
    enum err e = reader_open(file, a->reading, &reader, &why);
    if (e != ERR_OK)
        return fail(file, why.text);
    while ((e = reader_next(reader, &row)) == ERR_OK)
        rows++;
    if (e != ERR_ABSENT)
        e = fail(file, reader_why(reader));
    reader_close(reader);
    *ret_rows = rows;
    return e == ERR_ABSENT ? ERR_OK : e;
}

static enum err list_file(const struct manifest_args *a, const char *file, json_t *files)
{
    char hash[HASH_TEXT], name[300];
    uint64_t rows;
    const char *slash = strrchr(file, '/');
    TRY(hash_file(file, hash));
    TRY(count_file(a, file, &rows));
    import_text_safe(span_text(slash != NULL ? slash + 1 : file), name, sizeof name);
    json_t *entry = json_pack("{s:s, s:s, s:I}", "name", name, "sha256", hash, "rows",
                              (json_int_t)rows);
    return json_array_append_new(files, entry) == 0 ? ERR_OK : ERR_MEMORY;
}

static enum err sign(const struct manifest_args *a)
{
    JSON *payload = json_pack("{s:[]}", "files");
    struct import_reason why = {""};
    for (size_t i = 0; i < a->file_count; i++)
        TRY(list_file(a, a->files[i], json_object_get(payload, "files")));
    char *text = json_dumps(payload, JSON_COMPACT);
    uint8_t *bytes = malloc(MANIFEST_CAP);
    struct buf out = buf_over(bytes, bytes != NULL ? MANIFEST_CAP : 0);
    enum err e = text == NULL || bytes == NULL
                     ? ERR_MEMORY
                     : jwskey_sign(a->key, span_text(text), &out, &why);
    if (e == ERR_OK && (fwrite(out.at, 1, out.len, stdout) != out.len || putchar('\n') == EOF ||
                        fflush(stdout) != 0))
        e = fail("standard output", "cannot be written");
    else if (e != ERR_OK)
        (void)fail(a->key, why.text);
    free(text);
    free(bytes);
    return e;
}

int manifest_sign(const struct manifest_args *args)
{
    return sign(args) == ERR_OK ? 0 : 2;
}
