/* A device's three TPM operations as a command, for tests that spell the rest by hand:
 *   tpmkeys TCTI publics           EK and SRK, base64, two lines (made and persisted if absent)
 *   tpmkeys TCTI activate BLOB     opens a base64 blob; its key goes to 0x81000100
 *   tpmkeys TCTI sign HEX          HMAC with the key at 0x81000100, hexadecimal
 */
#include <hal/linux.h>
#include <stdio.h>
#include <string.h>
#include <tpmdev.h>
#include <wire/text.h>

static void print_base64(struct span bytes)
{
    char text[BASE64_LEN(TPM_PUBLIC_CAP) + 1];
    struct buf out = BUF_OVER(text);
    base64_write(&out, bytes);
    if (buf_end_text(&out) == ERR_OK)
        puts(text);
}

static enum err publics(struct tpmdev *d)
{
    TRY(tpmdev_keys(d));
    print_base64(span_of(d->ek.raw, d->ek.raw_len));
    print_base64(span_of(d->srk.raw, d->srk.raw_len));
    return ERR_OK;
}

static enum err activate(struct tpmdev *d, const char *text)
{
    uint8_t blob[2048];
    struct buf out = BUF_OVER(blob);
    TRY(base64_read(span_text(text), &out));
    TRY(tpmdev_keys(d));
    return tpmdev_activate(d, buf_span(&out));
}

static enum err hex_read(const char *text, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    for (; text[0] != '\0'; text += 2) {
        const char *high = strchr(digits, text[0]);
        const char *low = text[1] == '\0' ? NULL : strchr(digits, text[1]);
        if (high == NULL || low == NULL)
            return ERR_ENCODING;
        buf_put_u8(out, (uint8_t)((high - digits) << 4 | (low - digits)));
    }
    return buf_end(out);
}

static enum err sign(struct tpmdev *d, const char *hex)
{
    uint8_t message[4096], signature[32];
    char text[65];
    struct buf in = BUF_OVER(message), out = BUF_OVER(text);
    TRY(hex_read(hex, &in));
    TRY(tpmdev_sign(d, buf_span(&in), signature));
    hex_write(&out, SPAN_ARRAY(signature));
    TRY(buf_end_text(&out));
    puts(text);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    static struct hal_linux port;
    static struct tpmdev device;
    enum err e = ERR_CONFIG;
    struct hal_linux_config config = {.tcti = argc > 2 ? argv[1] : NULL};
    if (argc < 3 || hal_linux_open(&port, &config) != ERR_OK) {
        fputs("usage: tpmkeys TCTI publics|activate BLOB|sign HEX\n", stderr);
        return 2;
    }
    tpmdev_init(&device, port.hal.tpm, port.hal.clock);
    if (strcmp(argv[2], "publics") == 0)
        e = publics(&device);
    else if (argc > 3 && strcmp(argv[2], "activate") == 0)
        e = activate(&device, argv[3]);
    else if (argc > 3 && strcmp(argv[2], "sign") == 0)
        e = sign(&device, argv[3]);
    if (e != ERR_OK)
        fprintf(stderr, "tpmkeys: %s (TPM answered 0x%x)\n", err_name(e), device.last_rc);
    tpmdev_end(&device);
    hal_linux_close(&port);
    return e == ERR_OK ? 0 : 1;
}
