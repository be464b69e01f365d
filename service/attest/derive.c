#include <wolfssl/options.h>

#include <attest.h>
#include <wolfssl/wolfcrypt/hmac.h>

/* HKDF, RFC 5869. The master secret is extracted into one root a purpose; a root is uniform already
 * and is only expanded (section 3.3). `info` names the purpose and then everything a key is bound
 * to, each part sized or of fixed size: no two bindings write the same bytes. */

#define INFO_CAP 512
#define NONCE_LABEL "cradle nonce key v1"
#define HUB_LABEL "cradle hub key v1"
#define HUB_SEAL_LABEL "cradle hub seal v1"

static const char *root_label(enum attest_root which)
{
    switch (which) {
    case ATTEST_ROOT_NONCE:
        return "cradle nonce root v1";
    case ATTEST_ROOT_HUB:
        return "cradle hub root v1";
    case ATTEST_ROOT_POLICY:
        return "cradle policy root v1";
    case ATTEST_ROOT_AUDIT:
        return "cradle audit log key v1";
    case ATTEST_ROOT_SEAL:
        return "cradle seal root v1";
    }
    err_assert_failed(__FILE__, __LINE__, "a root without a label");
}

enum err attest_root(const struct secret *master, enum attest_root which, struct secret *ret_root)
{
    ERR_ASSERT(master->len >= ATTEST_KEY_LEN);
    struct span label = span_text(root_label(which));
    SECRET root = {.len = ATTEST_KEY_LEN};
    if (wc_HKDF(WC_SHA256, master->at, (word32)master->len, NULL, 0, label.at, (word32)label.len,
                root.at, ATTEST_KEY_LEN) != 0)
        return ERR_CRYPTO;
    *ret_root = root;
    return ERR_OK;
}

static enum err expand(const struct secret *root, const struct buf *info, struct secret *ret_key)
{
    ERR_ASSERT(root->len >= ATTEST_KEY_LEN);
    TRY(buf_end(info));
    SECRET key = {.len = ATTEST_KEY_LEN};
    if (wc_HKDF_Expand(WC_SHA256, root->at, (word32)root->len, info->at, (word32)info->len, key.at,
                       ATTEST_KEY_LEN) != 0)
        return ERR_CRYPTO;
    *ret_key = key;
    return ERR_OK;
}

static void sized_put(struct buf *out, struct span s)
{
    size_t mark = buf_open_u16(out);
    buf_put(out, s);
    buf_close_u16(out, mark);
}

/* What both keys are bound to. */
static void binding_put(struct buf *info, const char *label, const struct attest_binding *b)
{
    sized_put(info, span_text(label));
    sized_put(info, b->id_scope);
    sized_put(info, regid_span(b->registration_id));
    buf_put(info, span_of(b->ek_name, TPM_NAME_LEN));
    buf_put_u64(info, b->generation);
}

enum err attest_nonce_key(const struct secret *root, const struct attest_binding *b,
                          struct secret *ret_key)
{
    uint8_t bytes[INFO_CAP];
    struct buf info = BUF_OVER(bytes);
    binding_put(&info, NONCE_LABEL, b);
    buf_put(&info, span_of(b->srk_name, TPM_NAME_LEN));
    buf_put_u64(&info, (uint64_t)b->window);
    return expand(root, &info, ret_key);
}

enum err attest_hub_key(const struct secret *hub_root, const struct attest_binding *b,
                        struct secret *ret_key)
{
    uint8_t bytes[INFO_CAP];
    struct buf info = BUF_OVER(bytes);
    binding_put(&info, HUB_LABEL, b);
    return expand(hub_root, &info, ret_key);
}

enum err attest_hub_seal_key(const struct secret *hub_root, struct secret *ret_key)
{
    uint8_t bytes[INFO_CAP];
    struct buf info = BUF_OVER(bytes);
    sized_put(&info, span_text(HUB_SEAL_LABEL));
    return expand(hub_root, &info, ret_key);
}
