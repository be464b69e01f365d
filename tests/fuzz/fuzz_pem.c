/* A key's text, base64 or PEM, in both roles. What is accepted is a key of that role. */
#include <keytext.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum tpm_key_role roles[] = {TPM_ROLE_EK, TPM_ROLE_SRK};
    for (int i = 0; i < 2; i++) {
        struct tpm_public pub, again;
        struct import_reason why = {""};
        enum err e = keytext_read(span_of(data, size), roles[i], &pub, &why);
        ERR_ASSERT((e == ERR_OK) == (why.text[0] == 0));
        ERR_ASSERT(e != ERR_OK ||
                   (tpm_public_read(span_of(pub.raw, pub.raw_len), &again) == ERR_OK &&
                    tpm_public_check_role(&again, roles[i]) == ERR_OK));
    }
    return 0;
}
