/* Purpose: rows, places and waiting for tests of the store. Plain values; nothing is freed but the
 * temporary directory.
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <store/store.h>

/* Row number n, always the same; all unique values differ from those of other numbers. */
struct store_enrollment rows_enrollment(unsigned n);
/* The registration of enrollment n with that generation. */
struct store_registration rows_registration(unsigned n, uint64_t generation);
struct regid rows_id(const char *text); /* as written: not checked, not folded */

/* An empty directory below TMPDIR (or /tmp), and its removal with all that is in it. */
void rows_directory_make(char *ret_path, size_t cap);
void rows_directory_remove(const char *path);

/* Creates the databases in dir, with enrollments 0 to count - 1. Asserts that it worked. */
void rows_create(const char *dir, unsigned count);
void rows_enroll(const char *dir, const struct store_enrollment *row);

/* Assigns and waits for the outcome. */
enum err rows_assign(struct store *s, const struct store_registration *row);
/* Applies and waits. One: its outcome, or why the list as a whole failed. */
enum err rows_change_list(struct store *s, struct store_change *changes, size_t count);
enum err rows_change(struct store *s, struct store_change *change);

#endif
