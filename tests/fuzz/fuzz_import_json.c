/* A JSON array of rows. */
#define FUZZ_FORMAT FORMAT_JSON
#include "fuzz_import.h"
