/* What Get-TpmEndorsementKeyInfo prints. */
#define FUZZ_FORMAT FORMAT_WINDOWS
#include "fuzz_import.h"
