/* Any input, its format guessed, packed or not. */
#define FUZZ_FORMAT FORMAT_AUTO
#include "fuzz_import.h"
