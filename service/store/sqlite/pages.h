/* Purpose: b-trees in SQLite's file format (https://www.sqlite.org/fileformat2.html, 1.3 to 1.6),
 * written once, from left to right, out of records that come in order: a tenth of the work of having
 * SQLite insert them. SQLite makes the file and the schema and reads the result; in between it must not
 * write. Private to the store.
 *
 * One struct tree is used by one thread; several trees of one file may grow at the same time.
 */
#ifndef STORE_SQLITE_PAGES_H
#define STORE_SQLITE_PAGES_H

#include <wire/bytes.h>

#define PAGE_SIZE 4096u

/* A file of pages, all of which are in use, that grows. ERR_STORE (with errno set), also where the
 * file's pages have another size. The path is not kept. */
struct pages;
MUST_USE enum err pages_open(const char *path, struct pages **ret_pages);
void pages_close(struct pages *p); /* NULL is fine; no tree may be left open */
/* Hands the file back to SQLite: its length, its free pages, a new change counter. */
MUST_USE enum err pages_finish(struct pages *p);

enum tree_kind {
    TREE_TABLE, /* rows by number */
    TREE_INDEX, /* records by their first values */
};
struct tree;
/* root: of an empty tree of that kind, from the schema. ERR_MEMORY. */
MUST_USE enum err tree_open(struct pages *p, enum tree_kind kind, uint32_t root,
                            struct tree **ret_tree);
void tree_close(struct tree *t); /* NULL is fine */
/* Numbers must rise (TREE_TABLE), or records (TREE_INDEX: number is not looked at; at most
 * TREE_INDEX_RECORD_MAX bytes). ERR_STORE, ERR_STORE_FULL; with errno. */
#define TREE_INDEX_RECORD_MAX 1002u
MUST_USE enum err tree_put(struct tree *t, uint64_t number, struct span record);
MUST_USE enum err tree_finish(struct tree *t);

#endif
