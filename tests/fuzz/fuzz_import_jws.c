/* A manifest of signed elements. */
#define FUZZ_FORMAT FORMAT_JWS
#include "fuzz_import.h"
