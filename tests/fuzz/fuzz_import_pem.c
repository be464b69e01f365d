/* A bundle of PEM blocks. */
#define FUZZ_FORMAT FORMAT_PEM
#include "fuzz_import.h"
