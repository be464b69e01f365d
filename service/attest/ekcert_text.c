#include <wire/text.h>

#include "ekcert_inner.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- the TPM's attributes ---- */

static void text_keep(struct span text, char *ret_text, size_t cap)
{
    size_t len = 0;
    for (; len < text.len && len + 1 < cap; len++)
        ret_text[len] = text.at[len] >= 0x20 && text.at[len] < 0x7f ? (char)text.at[len] : '?';
    ret_text[len] = 0;
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "id:" and eight hexadecimal digits; 0 for anything else. */
static uint32_t vendor_id(struct span text)
{
    uint32_t id = 0;
    if (text.len != 11 || !span_starts_with(text, SPAN_LITERAL("id:")))
        return 0;
    for (size_t i = 3; i < text.len; i++) {
        if (digit(text.at[i]) < 0)
            return 0;
        id = id << 4 | (uint32_t)digit(text.at[i]);
    }
    return id;
}

/* Up to four letters, filled up with NUL or space; otherwise the number. */
static void vendor_write(uint32_t id, char ret_vendor[16])
{
    char letters[5] = {0};
    size_t len = 0;
    bool text = true;
    for (int shift = 24; shift >= 0; shift -= 8) {
        char c = (char)(id >> shift & 0xff);
        if (c > 0x20 && c < 0x7f && len == (size_t)(24 - shift) / 8)
            letters[len++] = c;
        else if (c != 0 && c != ' ')
            text = false;
    }
    struct buf out = buf_over(ret_vendor, 16);
    const uint8_t bytes[] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                             (uint8_t)id};
    if (text && len > 0)
        buf_put_text(&out, letters);
    else
        hex_write(&out, SPAN_ARRAY(bytes));
    ERR_ASSERT(buf_end_text(&out) == ERR_OK);
}

void ekcert_tpm_attribute(struct ekcert_tpm *tpm, struct span oid, struct span text,
                          uint32_t *oddities)
{
    if (oid.len != 5)
        return;
    switch (oid.at[4]) {
    case 1:
        tpm->present = true;
        tpm->manufacturer = vendor_id(text);
        if (tpm->manufacturer == 0)
            *oddities |= EKCERT_ODD_MANUFACTURER;
        else
            vendor_write(tpm->manufacturer, tpm->vendor);
        break;
    case 2:
        tpm->present = true;
        text_keep(text, tpm->model, sizeof tpm->model);
        break;
    case 3:
        tpm->present = true;
        text_keep(text, tpm->firmware, sizeof tpm->firmware);
        break;
    default:
        break;
    }
}

/* The TCG's vendor id registry, and what software TPMs say of themselves. */
const char *ekcert_vendor_name(uint32_t manufacturer)
{
    static const struct {
        uint32_t id;
        const char *name;
    } vendors[] = {
        {0x00001014, "IBM (software TPM)"},
        {0x414d4400, "AMD"},
        {0x414e5400, "Ant Group"},
        {0x41544d4c, "Microchip (Atmel)"},
        {0x4252434d, "Broadcom"},
        {0x4353434f, "Cisco"},
        {0x464c5953, "Flyslice"},
        {0x474f4f47, "Google"},
        {0x48495349, "Huawei"},
        {0x48504500, "HPE"},
        {0x48504900, "HP"},
        {0x49424d00, "IBM"},
        {0x49465800, "Infineon"},
        {0x494e5443, "Intel"},
        {0x4c454e00, "Lenovo"},
        {0x4d534654, "Microsoft"},
        {0x4e534d20, "National Semiconductor"},
        {0x4e534700, "NSING"},
        {0x4e545a00, "Nationz"},
        {0x4e544300, "Nuvoton"},
        {0x51434f4d, "Qualcomm"},
        {0x524f4343, "Fuzhou Rockchip"},
        {0x534d5343, "SMSC"},
        {0x534d534e, "Samsung"},
        {0x534e5300, "Sinosun"},
        {0x53544d20, "STMicroelectronics"},
        {0x54584e00, "Texas Instruments"},
        {0x564d5700, "VMware"},
        {0x57454300, "Winbond"},
    };
    for (size_t i = 0; i < COUNT(vendors); i++)
        if (vendors[i].id == manufacturer)
            return vendors[i].name;
    return NULL;
}

/* ---- what is said to people ---- */

static const char *const reason_names[] = {
    "GOOD",
#define EKCERT_REASON(name, text) #name,
#include "ekcert_reason.def"
#undef EKCERT_REASON
};
static const char *const reason_texts[] = {
    "trusted",
#define EKCERT_REASON(name, text) text,
#include "ekcert_reason.def"
#undef EKCERT_REASON
};

const char *ekcert_reason_name(enum ekcert_reason r)
{
    return (unsigned)r < COUNT(reason_names) ? reason_names[r] : "UNKNOWN";
}

const char *ekcert_reason_text(enum ekcert_reason r)
{
    return (unsigned)r < COUNT(reason_texts) ? reason_texts[r] : "unknown";
}

const char *ekcert_grade_text(enum ekcert_grade g)
{
    static const char *const texts[] = {"key", "certificate", "certificate-trusted"};
    return (unsigned)g < COUNT(texts) ? texts[g] : "unknown";
}

const char *ekcert_oddity_text(enum ekcert_oddity one)
{
    static const char *const texts[] = {
        "there is padding after the certificate",
        "a TPM 1.2 header stands before the certificate",
        "the key usage has trailing zero bits (not DER)",
        "a name has an unsorted set (not DER)",
        "a default value is written out (not DER)",
        "the key is declared for RSAES-OAEP",
        "the serial number is negative, zero, too long or padded",
        "the RSA signature algorithm lacks its parameters",
        "the TPM manufacturer is missing or malformed",
        "name constraints that are not critical were ignored",
        "the certificate has expired",
        "a CA certificate has expired",
        "a signature uses SHA-1",
        "the certificate names another issuer key than the one that signed it",
        "the issuer's CRL is past its next update",
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        if ((unsigned)one == 1u << i)
            return texts[i];
    return "unknown";
}
