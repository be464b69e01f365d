/* Lists whose rows are files: keys as bytes, directories, archives, and what they are packed in. */
#include <dir.h>
#include <fcntl.h>
#include <importrows.h>
#include <keybytes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <tar.h>
#include <unistd.h>
#include <unpack.h>

#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- keys as bytes ---- */

static struct span patched(struct span bytes, size_t at, const char *hex, uint8_t *room)
{
    uint8_t patch[64];
    struct span p = UNHEX(hex, patch);
    memcpy(room, bytes.at, bytes.len);
    memcpy(room + at, p.at, p.len);
    return span_of(room, bytes.len);
}

static void keys_as_bytes(void **state)
{
    static const struct {
        char mark;
        size_t from, cut; /* bytes left out in front, and behind */
        size_t at;
        const char *patch;
        enum keybytes_kind kind;
        enum err e;
        const char *why;
    } table[] = {
        {'e', 0, 0, 0, "", KEYBYTES_TPM2B_PUBLIC, ERR_OK, ""},
        {'r', 0, 0, 0, "", KEYBYTES_TPM2B_PUBLIC, ERR_OK, ""},
        {'e', 2, 0, 0, "", KEYBYTES_TPMT_PUBLIC, ERR_OK, ""},
        {'r', 2, 0, 0, "", KEYBYTES_TPMT_PUBLIC, ERR_OK, ""},
        {'E', 0, 0, 0, "", KEYBYTES_DER_KEY, ERR_OK, ""},
        {'R', 0, 0, 0, "", KEYBYTES_DER_KEY, ERR_OK, ""},
        {'R', 24, 0, 0, "", KEYBYTES_DER_KEY, ERR_OK, ""}, /* PKCS#1 within */
        {'c', 0, 0, 0, "", KEYBYTES_CERTIFICATE, ERR_OK, ""},
        {'e', 0, 1, 0, "", KEYBYTES_TPM2B_PUBLIC, ERR_KEY_SHAPE, ""},
        {'e', 1, 0, 0, "", KEYBYTES_UNKNOWN, ERR_KEY_SHAPE, "neither TPM2B_PUBLIC"},
        {'e', 2, 1, 0, "", KEYBYTES_TPMT_PUBLIC, ERR_KEY_SHAPE, ""},
        {'e', 0, 0, 6, "000300b0", KEYBYTES_TPM2B_PUBLIC, ERR_KEY_ROLE, ""}, /* no sensitiveDataOrigin… */
        {'e', 2, 0, 4, "000300a2", KEYBYTES_TPMT_PUBLIC, ERR_KEY_ROLE, ""},  /* no fixedParent */
        {'e', 0, 0, 52, "0004", KEYBYTES_TPM2B_PUBLIC, ERR_KEY_SHAPE, "P-384"},
        {'e', 0, 0, 52, "0005", KEYBYTES_TPM2B_PUBLIC, ERR_KEY_SHAPE, "P-521"},
        {'r', 0, 0, 52, "0c00", KEYBYTES_TPM2B_PUBLIC, ERR_KEY_SHAPE, "RSA-3072"},
        {'r', 0, 0, 52, "1000", KEYBYTES_TPM2B_PUBLIC, ERR_KEY_SHAPE, "RSA-4096"},
        {'r', 2, 0, 50, "0400", KEYBYTES_TPMT_PUBLIC, ERR_KEY_SHAPE, "RSA-1024"},
        {'e', 0, 0, 123, "00", KEYBYTES_TPM2B_PUBLIC, ERR_KEY_SHAPE, ""}, /* off the curve */
        {'E', 0, 0, 90, "00", KEYBYTES_DER_KEY, ERR_KEY_SHAPE, "the challenge serves"},
        {'E', 0, 0, 22, "08", KEYBYTES_DER_KEY, ERR_KEY_SHAPE, "the challenge serves"},
        {'c', 0, 1, 0, "", KEYBYTES_CERTIFICATE, ERR_CERTIFICATE, ""},
        {'e', 0, 123, 0, "", KEYBYTES_UNKNOWN, ERR_KEY_SHAPE, "neither TPM2B_PUBLIC"},
        {'E', 0, 0, 0, "31", KEYBYTES_UNKNOWN, ERR_KEY_SHAPE, "neither TPM2B_PUBLIC"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        uint8_t room[1024];
        struct tpm_public pub, whole;
        struct import_reason why = {""}, other;
        struct span bytes = importrows_bytes(table[i].mark);
        bytes = span_slice(bytes, table[i].from, bytes.len - table[i].from - table[i].cut);
        bytes = patched(bytes, table[i].at, table[i].patch, room);
        char what[40];
        (void)snprintf(what, sizeof what, "row %zu", i);
        if (keybytes_guess(bytes) != table[i].kind)
            fail_msg("%s: kind %d", what, keybytes_guess(bytes));
        POISON(pub);
        assert_err_of(what, table[i].e, keybytes_read(bytes, TPM_ROLE_EK, &pub, &why));
        if (strstr(why.text, table[i].why) == NULL)
            fail_msg("%s: %s", what, why.text);
        if (table[i].e != ERR_OK) {
            assert_poisoned(pub);
            assert_true(why.text[0] != 0);
            continue;
        }
        char mark = table[i].mark == 'r' || table[i].mark == 'R' ? 'r' : 'e';
        assert_ok(keybytes_read(importrows_bytes(mark), TPM_ROLE_EK, &whole, &other));
        assert_true(tpm_public_same_key(&pub, &whole));
    }
}

/* Where the first two bytes may be a type or a size, the length decides. */
static void type_or_size(void **state)
{
    (void)state;
    static const uint8_t bytes[100] = {0x00, 0x23, 0x00, 0x23};
    assert_int_equal(KEYBYTES_TPM2B_PUBLIC, keybytes_guess(span_of(bytes, 0x25)));
    assert_int_equal(KEYBYTES_TPMT_PUBLIC, keybytes_guess(span_of(bytes, 0x24)));
    assert_int_equal(KEYBYTES_TPMT_PUBLIC, keybytes_guess(span_of(bytes, 0x26)));
    assert_int_equal(KEYBYTES_UNKNOWN, keybytes_guess(span_of(bytes, 3)));
}

static void another_role(void **state)
{
    (void)state;
    struct tpm_public pub;
    struct import_reason why;
    assert_ok(keybytes_read(importrows_bytes('E'), TPM_ROLE_SRK, &pub, &why));
    assert_ok(tpm_public_check_role(&pub, TPM_ROLE_SRK));
    assert_true((pub.attributes & TPM_ATTR_USER_WITH_AUTH) != 0);
    assert_ok(keybytes_read(importrows_bytes('E'), TPM_ROLE_EK, &pub, &why));
    assert_false((pub.attributes & TPM_ATTR_USER_WITH_AUTH) != 0);
    assert_err(ERR_KEY_ROLE, keybytes_read(importrows_bytes('c'), TPM_ROLE_SRK, &pub, &why));
    assert_string_equal("a certificate, where only a key is expected", why.text);
}

static void names_of_files(void **state)
{
    static const struct {
        const char *name, *id;
        bool hidden;
    } table[] = {
        {"a.pub", "a", false},         {"x/y/a.pem", "a", false},      {"a.ek.PEM", "a", false},
        {"a.b.c", "a.b.c", false},     {".a", ".a", true},             {"x/.a.pub", ".a", true},
        {".x/a", "a", false},          {"x/", "", true},               {"", "", true},
        {".pub", ".pub", true},        {"a.tpm2b.b64.txt", "a", false}, {"a.ekcert", "a", false},
        {"../../a.crt", "a", false},   {"a.pubx", "a.pubx", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        assert_text(table[i].id, filerow_id(span_text(table[i].name)));
        assert_int_equal(table[i].hidden, filerow_is_hidden(span_text(table[i].name)));
    }
}

static void files_that_are_one_key(void **state)
{
    static uint8_t long_file[FILEROW_CAP + 1], full_file[FILEROW_CAP];
    const struct importrows_case table[] = {
        {"bytes", .bytes = importrows_bytes('e'), .format = FORMAT_KEY, .rows = {{1, NULL, 'e'}}},
        {"base64", "$r\n", .format = FORMAT_KEY, .rows = {{1, NULL, 'r'}}},
        {"PEM", "$F", .format = FORMAT_KEY, .rows = {{1, NULL, 'f'}}},
        {"key and certificate", "$E$C", .format = FORMAT_KEY, .rows = {{1, NULL, 'e', 'c'}}},
        {"certificate and key", "$C\n$E", .format = FORMAT_KEY, .rows = {{1, NULL, 'e', 'c'}}},
        {"two keys", "$E$F", .format = FORMAT_KEY, .rows = {{1, .broken = "several keys"}}},
        {"three", "$E$C$C", .format = FORMAT_KEY, .rows = {{1, .broken = "several keys"}}},
        {"noise", .bytes = SPAN_LITERAL("\0\0\0\0\0x"), .format = FORMAT_KEY, .rows = {{1, .broken = "neither"}}},
        {"text", "hello", .format = FORMAT_KEY, .rows = {{1, NULL, '?'}}},
        {"nothing", "", .format = FORMAT_KEY, .rows = {{0}}},
        {"too long", .bytes = SPAN_ARRAY(long_file), .format = FORMAT_KEY, .rows = {{1, .broken = "too long"}}},
        {"as long as may be", .bytes = SPAN_ARRAY(full_file), .format = FORMAT_KEY, .rows = {{1, .broken = "neither"}}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++)
        importrows_expect(&table[i], NULL);
}

/* ---- archives ---- */

struct archive {
    struct buf out;
    uint8_t room[1 << 17];
};

static void put_file(struct archive *a, const char *name, struct span content)
{
    tar_entry_write(&a->out, span_text(name), content);
}

static struct span finished(struct archive *a)
{
    memset(a->room + a->out.len, 0, TAR_END_LEN);
    return span_of(a->room, a->out.len + TAR_END_LEN);
}

static void fix_sum(uint8_t *block)
{
    unsigned sum = 0;
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    (void)snprintf((char *)block + 148, 8, "%06o", sum);
}

static struct archive *three_files(void)
{
    static struct archive a;
    a.out = BUF_OVER(a.room);
    put_file(&a, "x/a.pub", importrows_bytes('e'));
    put_file(&a, "b.der", importrows_bytes('F'));
    put_file(&a, "c.pub", importrows_bytes('r'));
    return &a;
}

static void archives(void **state)
{
    (void)state;
    struct archive *a = three_files();
    struct importrows_case c = {"three", .bytes = finished(a), .format = FORMAT_TAR,
                                .rows = {{1, "a", 'e'}, {2, "b", 'f'}, {3, "c", 'r'}}};
    importrows_expect(&c, NULL);
    assert_true(tar_is_header(span_of(a->room, TAR_BLOCK)));
    c = (struct importrows_case){"no end mark", .bytes = buf_span(&a->out), .format = FORMAT_TAR,
                                 .rows = {{1, "a", 'e'}, {2, "b", 'f'}, {3, "c", 'r'}}, .end = "no end mark"};
    importrows_expect(&c, NULL);
    c = (struct importrows_case){"cut in a header", .bytes = span_of(a->room, TAR_BLOCK * 2 + 100), .format = FORMAT_TAR,
                                 .rows = {{1, "a", 'e'}}, .end = "is cut off"};
    importrows_expect(&c, NULL);
    c = (struct importrows_case){"cut in a file", .bytes = span_of(a->room, TAR_BLOCK * 4 - 1), .format = FORMAT_TAR,
                                 .rows = {{1, "a", 'e'}}, .end = "is cut off"};
    importrows_expect(&c, NULL);
}

/* A key and its certificate are one row where their names are one, and two where they are not. */
static void neighbours(void **state)
{
    (void)state;
    static struct archive a;
    a.out = BUF_OVER(a.room);
    put_file(&a, "a.pub", importrows_bytes('e'));
    put_file(&a, "b.crt", importrows_bytes('c'));
    put_file(&a, "x/b.pub", importrows_bytes('E'));
    put_file(&a, "b.pem", importrows_bytes('f'));
    struct importrows_case c = {"neighbours", .bytes = finished(&a), .format = FORMAT_TAR,
                                .rows = {{1, "a", 'e'}, {.line = 2, .id = "b", .key = 'e', .certificate = 'c'}, {4, "b", 'f'}}};
    importrows_expect(&c, NULL);
}

/* What one header may say, and what is made of it. */
static void odd_headers(void **state)
{
    static const struct {
        const char *what;
        size_t at;
        const char *bytes;
        size_t len;
        const char *broken, *end; /* of the second file */
        bool passed;
    } table[] = {
        {"a link", 156, "2", 1, "not a regular file", NULL, false},
        {"a pipe", 156, "6", 1, "not a regular file", NULL, false},
        {"a directory", 156, "5", 1, NULL, NULL, true},
        {"an old file", 156, "\0", 1, NULL, NULL, false},
        {"a contiguous file", 156, "7", 1, NULL, NULL, false},
        {"hidden", 0, ".b", 3, NULL, NULL, true},
        {"no name", 0, "", 1, NULL, NULL, true},
        {"a size of spaces", 124, "            ", 12, NULL, "damaged", false},
        {"a size that is no number", 124, "0000000z", 8, NULL, "damaged", false},
        {"a size without end", 124, "777777777777", 12, "too long", "cut off", false},
        {"a negative size", 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, NULL, "damaged", false},
        {"a binary size", 124, "\x80\0\0\0\0\0\0\0\0\0\0\x5b", 12, NULL, NULL, false},
        {"an endless binary size", 124, "\x80\x7f\0\0\0\0\0\0\0\0\0\x5b", 12, NULL, "damaged", false},
        {"pax without records", 156, "x", 1, NULL, "damaged pax header", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct archive *a = three_files();
        uint8_t *block = a->room + 2 * TAR_BLOCK;
        memcpy(block + table[i].at, table[i].bytes, table[i].len);
        fix_sum(block);
        struct importrows_case c = {table[i].what, .bytes = finished(a), .format = FORMAT_TAR, .rows = {{1, "a", 'e'}}};
        bool gone = table[i].passed || (table[i].end != NULL && table[i].broken == NULL);
        if (!gone)
            c.rows[1] = (struct importrow){.line = 2, .id = "b", .key = 'f', .broken = table[i].broken};
        if (table[i].end == NULL)
            c.rows[gone ? 1 : 2] = (struct importrow){.line = 3, .id = "c", .key = 'r'};
        c.end = table[i].end;
        if (strcmp(table[i].what, "a size without end") == 0)
            c.end = "no end mark";
        if (table[i].broken != NULL && c.end == NULL) /* what is no file has no content: that comes as a header */
            c = (struct importrows_case){table[i].what, .bytes = c.bytes, .format = FORMAT_TAR,
                                         .rows = {{1, "a", 'e'}, {2, "b", 0, .broken = table[i].broken}}, .end = "damaged"};
        importrows_expect(&c, NULL);
    }
    struct archive *a = three_files();
    a->room[2 * TAR_BLOCK + 5] ^= 1;
    struct importrows_case c = {"a wrong sum", .bytes = finished(a), .format = FORMAT_TAR, .rows = {{1, "a", 'e'}}, .end = "damaged"};
    importrows_expect(&c, NULL);
}

/* What is written is read again, at every length a name or a file may have. */
static void what_is_written_is_read(void **state)
{
    (void)state;
    static struct archive a;
    static uint8_t content[FILEROW_CAP];
    static const size_t sizes[] = {1, 90, 511, 512, 513, 15000};
    static const size_t lens[] = {1, 60, 95, 96, 97, 128, 985, 986, 988, 989, 1000};
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t l = 0; l < COUNT(lens); l++) {
            char name[1100] = "dir/";
            a.out = BUF_OVER(a.room);
            memset(name + 4, 'n', lens[l]);
            memset(content, 0, sizeof content);
            put_file(&a, name, span_of(content, sizes[s]));
            struct importrows_case c = {"written", .bytes = finished(&a), .format = FORMAT_TAR,
                                        .rows = {{1, name + 4, 0, .broken = "neither"}}};
            importrows_expect(&c, NULL);
        }
    static const char *const names[][2] = {{"/etc/a", "a"}, {"../x/a", "a"}, {"x/../a", "a"}, {"x/a", "x/a"}, {"x/..a", "x/..a"}};
    for (size_t i = 0; i < COUNT(names); i++) {
        a.out = BUF_OVER(a.room);
        put_file(&a, names[i][0], span_of(content, 1));
        assert_string_equal(names[i][1], (const char *)a.room);
        assert_memory_equal("ustar\00000", a.room + 257, 8);
    }
}

/* ---- directories ---- */

static void put(const char *folder, const char *name, struct span content)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(content.len, fwrite(content.at, 1, content.len, f));
    assert_int_equal(0, fclose(f));
}

static void directories(void **state)
{
    (void)state;
    char folder[] = "/tmp/import_files.XXXXXX", command[300], deep[100];
    static uint8_t long_file[FILEROW_CAP + 1];
    struct importrows_case c = {"a directory", .format = FORMAT_DIR,
                                .rows = {{1, "a", 'e', 'c'}, {3, "b", 'f'}, {4, "c", 0, .broken = "too long"},
                                         {5, "d", 0, .broken = "not a regular file"}, {6, "deep", 0, .broken = "deeper than 8"},
                                         {7, "e", 'r'}, {8, "z", 0, .broken = "empty"}}};
    assert_non_null(mkdtemp(folder));
    (void)snprintf(command, sizeof command, "mkdir -p %s/x/y %s/.git %s/1/2/3/4/5/6/7/deep", folder, folder, folder);
    assert_int_equal(0, system(command));
    put(folder, "x/a.crt", importrows_bytes('c'));
    put(folder, "x/y/a.pub", importrows_bytes('e'));
    put(folder, "b.pem", importrows_bytes('F'));
    put(folder, "c.pub", SPAN_ARRAY(long_file));
    put(folder, ".git/x.pub", importrows_bytes('f'));
    put(folder, "1/2/3/4/5/6/7/e.pub", importrows_bytes('r'));
    put(folder, "1/2/3/4/5/6/7/deep/f.pub", importrows_bytes('e'));
    put(folder, "z", span_of("", 0));
    (void)snprintf(deep, sizeof deep, "%s/d", folder);
    assert_int_equal(0, symlink("x", deep));
    importrows_expect_path(&c, folder, NULL);
    uint64_t print = dir_print(folder);
    assert_true(print != 0 && print == dir_print(folder));
    put(folder, "x/y/a.pub", importrows_bytes('f'));
    assert_true(print != dir_print(folder));
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(0, system(command));
    assert_int_equal(0, dir_print(folder));
    c = (struct importrows_case){"gone", .format = FORMAT_DIR, .end = "No such file"};
    importrows_expect_path(&c, folder, NULL);
    c.end = "is not a directory";
    importrows_expect_path(&c, "/dev/null", NULL);
}

/* ---- packed ---- */

/* Of "endorsementKey\nk1\nk2\n". */
#define GZIP "1f8b08000000000002ff4bcd4bc92f2a4ecd4dcd2bf14eade4ca36e4ca36e20200583a772515000000"
#define ZSTD "28b52ffd0458a90000656e646f7273656d656e744b65790a6b310a6b320a597540f2"

static void packed(void **state)
{
    static const struct {
        const char *what, *hex;
        const char *end;
    } table[] = {
        {"UTF-16, little end first", "fffe65006b000a00", "unknown column \"ek\""},
        {"UTF-16, big end first", "feff0065006b000a", "unknown column \"ek\""},
        {"UTF-16 with a surrogate", "fffe3dd800de0a00", "unknown column \"\\xf0\\x9f\\x98\\x80\""},
        {"UTF-16, 2 and 3 bytes", "fffee400ac200a00", "unknown column \"\\xc3\\xa4\\xe2\\x82\\xac\""},
        {"half a character", "fffe65", "the UTF-16 is damaged"},
        {"half a pair", "fffe3dd80a00", "the UTF-16 is damaged"},
        {"a pair turned round", "fffe00de3dd8", "the UTF-16 is damaged"},
        {"two second halves", "fffe00de00dc", "the UTF-16 is damaged"},
        {"UTF-16, where bytes grow", "fffe7f0080000a00", "unknown column \"\\x7f\\xc2\\x80\""},
        {"UTF-16, where they grow again", "fffeff0700080a00", "unknown column \"\\xdf\\xbf\\xe0\\xa0\\x80\""},
        {"cut in a pair", "fffe3dd8", "the UTF-16 is damaged"},
        {"a mark alone", "fffe", "there is no header row"},
        {"gzip's head alone", "1f8b0800", "ends too early"},
        {"gzip of another method", "1f8b0900", "not CSV"},
        {"gzip, no deflate", "1f8b08000000000002ffffff", "the gzip data is damaged"},
        {"zstd's head alone", "28b52ffd", "ends too early"},
        {"zstd, reserved bits", "28b52ffd08ff00", "the zstd data is damaged"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        uint8_t room[200];
        struct importrows_case c = {table[i].what, .bytes = UNHEX(table[i].hex, room), .format = FORMAT_CSV, .end = table[i].end};
        importrows_expect(&c, NULL);
    }
}

static void kinds_of_packing(void **state)
{
    static const struct {
        const char *hex;
        enum unpack_kind kind;
    } table[] = {
        {"1f8b0800", UNPACK_GZIP}, {"1f8b08", UNPACK_GZIP}, {"1f8b", UNPACK_NONE},     {"28b52ffd", UNPACK_ZSTD},
        {"28b52f", UNPACK_NONE},   {"fffe", UNPACK_UTF16_LE}, {"feff00", UNPACK_UTF16_BE}, {"ff", UNPACK_NONE},
        {"", UNPACK_NONE},         {"efbbbf", UNPACK_NONE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        uint8_t room[8];
        assert_int_equal(table[i].kind, unpack_guess(UNHEX(table[i].hex, room)));
    }
}

/* Stored blocks and checksums, made by hand: whole, in members, damaged anywhere, cut anywhere. */
static void packed_whole_and_cut(void **state)
{
    static const char *const packs[] = {GZIP, ZSTD};
    (void)state;
    for (size_t p = 0; p < COUNT(packs); p++) {
        uint8_t room[400];
        struct span whole = UNHEX(packs[p], room);
        struct importrows_case c = {"whole", .bytes = whole, .format = FORMAT_CSV, .rows = {{2, NULL, '?'}, {3, NULL, '?'}}};
        importrows_expect(&c, NULL);
        memcpy(room + whole.len, room, whole.len);
        c = (struct importrows_case){"twice", .bytes = span_of(room, 2 * whole.len), .format = FORMAT_CSV,
                                     .rows = {{2, NULL, '?'}, {3, NULL, '?'}, {4, NULL, '?'}, {5, NULL, '?'}, {6, NULL, '?'}}};
        importrows_expect(&c, NULL);
        for (size_t cut = 5; cut < whole.len; cut++) {
            c = (struct importrows_case){"cut", .bytes = span_of(room, cut), .format = FORMAT_CSV, .end = "ends too early"};
            importrows_expect(&c, NULL);
        }
    }
    for (size_t back = 1; back <= 8; back++) { /* gzip's length and checksum */
        uint8_t room[200];
        struct span whole = UNHEX(GZIP, room);
        room[whole.len - back] ^= 1;
        struct importrows_case c = {"damaged", .bytes = whole, .format = FORMAT_CSV, .end = "the gzip data is damaged"};
        importrows_expect(&c, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_as_bytes),    cmocka_unit_test(another_role),
        cmocka_unit_test(type_or_size),
        cmocka_unit_test(names_of_files),   cmocka_unit_test(files_that_are_one_key),
        cmocka_unit_test(neighbours),       cmocka_unit_test(archives),         cmocka_unit_test(odd_headers),
        cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(directories),
        cmocka_unit_test(packed),           cmocka_unit_test(kinds_of_packing),
        cmocka_unit_test(packed_whole_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
