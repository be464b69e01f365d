#include "inner.h"

#include <string.h>
#include <wire/sas.h>
#include <wire/text.h>

#define RESOURCE_CAP 1024
#define KEY_LABEL_CAP 128

/* ---- policies: a name, what it may, and two keys that are both valid, for rolling ----
 * The keys are derived, so that the database holds none. */
static const struct {
    const char *name;
    unsigned rights;
} policies[] = {
    {"provisioningserviceowner", RIGHTS_ALL},
    {"enrollmentread", RIGHT_ENROLLMENT_READ},
    {"enrollmentwrite", RIGHT_ENROLLMENT_READ | RIGHT_ENROLLMENT_WRITE},
    {"registrationread", RIGHT_REGISTRATION_READ},
    {"registrationwrite", RIGHT_REGISTRATION_READ | RIGHT_REGISTRATION_WRITE},
};

static bool find_rights(struct span name, unsigned *ret_rights)
{
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        if (!span_equal(name, span_text(policies[i].name)))
            continue;
        *ret_rights = policies[i].rights;
        return true;
    }
    return false;
}

/* The primary key is the one that `cradled init` prints. */
enum err manager_policy_key(const struct secret *policy_root, struct span name,
                            enum manager_key which, struct secret *ret_key)
{
    char text[KEY_LABEL_CAP];
    struct buf label = BUF_OVER(text);
    uint8_t key[SAS_SIGNATURE_LEN];
    unsigned rights = 0;
    if (!find_rights(name, &rights))
        return ERR_ABSENT;
    buf_put(&label, name);
    buf_put_text(&label, which == MANAGER_PRIMARY ? "" : "#secondary");
    TRY(buf_end(&label));
    TRY(sas_sign(secret_span(policy_root), buf_span(&label), key));
    enum err e = secret_set(ret_key, SPAN_ARRAY(key));
    bytes_wipe(key, sizeof key);
    return e;
}

static enum err check_signature(const struct manager_worker *w, const struct sas_token *token,
                                struct span name)
{
    for (int i = MANAGER_PRIMARY; i <= MANAGER_SECONDARY; i++) {
        SECRET key = {.len = 0};
        TRY(manager_policy_key(&w->manager->config.policy_root, name, (enum manager_key)i, &key));
        if (sas_token_check_signature(token, secret_span(&key)) == ERR_OK)
            return ERR_OK;
    }
    return ERR_UNAUTHORIZED;
}

/* ---- the resource ---- */
static struct span without_port(struct span host)
{
    for (size_t i = host.len; i > 0 && host.at[host.len - 1] != ']'; i--)
        if (host.at[i - 1] == ':')
            return span_slice(host, 0, i - 1);
    return host;
}

/* sr names the host, or the host and the beginning of the path, cut at a segment. Its port, if it has
 * one, is no part of the name. */
static bool covers(struct span sr, struct span host, struct span path)
{
    struct span rest = sr;
    struct span named = span_cut(&rest, '/');
    if (!span_equal_ignoring_case(without_port(named), without_port(host)))
        return false;
    if (rest.at == NULL || rest.len == 0)
        return true;
    if (rest.at[rest.len - 1] == '/')
        rest.len--;
    struct span asked = span_slice(path, 1, path.len);
    if (!span_equal_ignoring_case(span_slice(asked, 0, rest.len), rest))
        return false;
    return asked.len == rest.len || asked.at[rest.len] == '/';
}

/* Form encoding, as C# does it, differs from percent encoding in nothing a host name or path holds. */
static enum err check_resource(const struct manager_exchange *x, const struct sas_token *token)
{
    char sr_text[RESOURCE_CAP], path_text[RESOURCE_CAP];
    struct buf sr = BUF_OVER(sr_text), path = BUF_OVER(path_text);
    if (percent_read(token->sr, &sr) != ERR_OK || percent_read(x->request.path, &path) != ERR_OK ||
        !covers(buf_span(&sr), x->request.host, buf_span(&path)))
        return ERR_UNAUTHORIZED;
    return ERR_OK;
}

/* ---- rights ---- */
static unsigned needed(const struct target *t)
{
    if (t->kind == KIND_REGISTRATION)
        return t->operation == OP_DELETE ? RIGHT_REGISTRATION_WRITE : RIGHT_REGISTRATION_READ;
    switch (t->operation) {
    case OP_GET:
    case OP_QUERY:
        return RIGHT_ENROLLMENT_READ;
    default: /* reading secrets is as good as writing them */
        return RIGHT_ENROLLMENT_WRITE;
    }
}

static const char *right_text(unsigned right)
{
    switch (right) {
    case RIGHT_ENROLLMENT_READ:
        return "EnrollmentRead";
    case RIGHT_ENROLLMENT_WRITE:
        return "EnrollmentWrite";
    case RIGHT_REGISTRATION_READ:
        return "RegistrationStatusRead";
    default:
        return "RegistrationStatusWrite";
    }
}

/* Before the signature is verified nobody learns what was wrong. */
enum err access_check(struct manager_worker *w, struct manager_exchange *x, const struct target *t)
{
    struct sas_token token;
    char name_text[64];
    struct buf name = BUF_OVER(name_text);
    unsigned rights = 0;
    TRY(sas_token_read(x->request.authorization, &token));
    if (percent_read(token.skn, &name) != ERR_OK || !find_rights(buf_span(&name), &rights))
        return ERR_UNAUTHORIZED;
    TRY(check_signature(w, &token, buf_span(&name)));
    TRY(check_resource(x, &token));
    if (token.expiry_s < manager_now(w) - SAS_SKEW_S)
        return refuse(x, ERR_UNAUTHORIZED, "the shared access signature has expired");
    TRY(span_to_text(buf_span(&name), x->policy, sizeof x->policy));
    if ((rights & needed(t)) != needed(t))
        return refuse(x, ERR_UNAUTHORIZED, "the policy lacks the right %s", right_text(needed(t)));
    return ERR_OK;
}
