/* ekcheck [--expired RULE] [--ca-expired RULE] [--sha1 RULE] [--purpose require|if-present|ignore]
 *         [--now SECONDS] [--trust FILE]… [--intermediates FILE]… CERTIFICATE…
 * Judges certificates, one line each: file, grade, reason, key, vendor, model, firmware, depth, and
 * what is odd; "-" for what is not there. RULE: accept, warn, refuse. */
#include <ekcert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint8_t *file_read(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    size_t cap = 1 << 22, len = 0;
    uint8_t *bytes = malloc(cap);
    if (f != NULL && bytes != NULL)
        len = fread(bytes, 1, cap, f);
    if (f == NULL || bytes == NULL || len == cap) {
        fprintf(stderr, "ekcheck: %s cannot be read\n", path);
        exit(2);
    }
    fclose(f);
    *ret_len = len;
    return bytes;
}

static int word_of(const char *text, const char *const words[3])
{
    for (int i = 0; i < 3; i++)
        if (text != NULL && strcmp(text, words[i]) == 0)
            return i;
    fprintf(stderr, "ekcheck: not understood: %s\n", text != NULL ? text : "nothing");
    exit(2);
}

static enum ekcert_rule rule_of(const char *text)
{
    static const char *const words[] = {"refuse", "warn", "accept"};
    return (enum ekcert_rule)word_of(text, words);
}

static void trust_file(struct ekcert_trust *t, enum ekcert_trust_as as, const char *path)
{
    size_t len;
    uint8_t *bytes = file_read(path, &len);
    enum err e = ekcert_trust_add(t, as, span_of(bytes, len));
    free(bytes);
    if (e == ERR_OK)
        return;
    fprintf(stderr, "ekcheck: %s, block %u: %s\n", path, ekcert_trust_blocks(t), err_text(e));
    exit(2);
}

static const char *or_dash(const char *text)
{
    return text != NULL && *text ? text : "-";
}

static void verdict_print(const char *path, const struct ekcert *c, const struct ekcert_verdict *v)
{
    const char *base = strrchr(path, '/');
    printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%u\t", base != NULL ? base + 1 : path,
           ekcert_grade_text(v->grade), ekcert_reason_name(v->reason), ekcert_key_text(c->key),
           or_dash(c->tpm.vendor), or_dash(c->tpm.model), or_dash(c->tpm.firmware), v->depth);
    const char *between = "";
    for (unsigned bit = 0; bit < 32; bit++)
        if (v->oddities & 1u << bit) {
            printf("%s%s", between, ekcert_oddity_text((enum ekcert_oddity)(1u << bit)));
            between = "; ";
        }
    printf("%s\n", v->oddities ? "" : "-");
}

static void check(struct ekcert_trust *t, const struct ekcert_policy *policy, int64_t now_s,
                  const char *path)
{
    size_t len;
    uint8_t *bytes = file_read(path, &len);
    uint8_t der[EKCERT_CAP];
    struct buf b = BUF_OVER(der);
    struct span text = span_of(bytes, len);
    enum ekcert_pem kind = EKCERT_PEM_CERTIFICATE;
    struct ekcert c;
    struct ekcert_verdict v;
    enum err e = ekcert_pem_next(&text, &b, &kind);
    if (e == ERR_OK || e == ERR_ABSENT)
        e = ekcert_read(e == ERR_OK ? buf_span(&b) : text, &c);
    if (e == ERR_OK) {
        ekcert_judge(t, &c, c.challengeable ? &c.ek : NULL, policy, now_s, &v);
        verdict_print(path, &c, &v);
    } else {
        const char *base = strrchr(path, '/');
        printf("%s\tunreadable\t%s\n", base != NULL ? base + 1 : path, err_name(e));
    }
    free(bytes);
}

int main(int argc, char **argv)
{
    static const char *const purposes[] = {"require", "if-present", "ignore"};
    struct ekcert_policy policy = {0};
    struct ekcert_trust *t;
    int64_t now_s = time(NULL);
    if (ekcert_trust_open(&t) != ERR_OK)
        return 2;
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        const char *option = argv[i], *value = argv[i + 1];
        if (strcmp(option, "--expired") == 0)
            policy.expired = rule_of(value);
        else if (strcmp(option, "--ca-expired") == 0)
            policy.ca_expired = rule_of(value);
        else if (strcmp(option, "--sha1") == 0)
            policy.sha1 = rule_of(value);
        else if (strcmp(option, "--purpose") == 0)
            policy.purpose = (enum ekcert_purpose_rule)word_of(value, purposes);
        else if (strcmp(option, "--now") == 0)
            now_s = strtoll(value, NULL, 10);
        else
            trust_file(t, strcmp(option, "--trust") == 0 ? EKCERT_TRUST_ROOTS
                                                         : EKCERT_TRUST_INTERMEDIATES, value);
    }
    for (; i < argc; i++)
        check(t, &policy, now_s, argv[i]);
    ekcert_trust_close(t);
    return 0;
}
