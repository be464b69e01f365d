/* A tar archive of keys. */
#define FUZZ_FORMAT FORMAT_TAR
#include "fuzz_import.h"
