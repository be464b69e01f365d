/* One key or certificate as bytes. */
#define FUZZ_FORMAT FORMAT_KEY
#include "fuzz_import.h"
