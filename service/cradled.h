/* Purpose: what the parts of the program `cradled` share: its options and its commands. */
#ifndef CRADLED_H
#define CRADLED_H

#include <config.h>
#include <wire/bytes.h>

#define HOSTNAMES_MAX 32

struct options {
    const char *data;                       /* --data */
    const char *hostnames[HOSTNAMES_MAX];   /* --hostname */
    int hostname_count;
    struct config_hub hubs[CONFIG_HUBS_MAX]; /* --hub NAME=HOST */
    int hub_count;
    bool listen_given;                      /* --listen */
    char listen_address[64];
    uint16_t listen_port;
    const char *id;                         /* of disable and enable; what audit is to do */
};

/* The commands: each returns the program's exit status, having said on standard error why it is not
 * zero. */
int command_init(const struct options *o);
int command_serve(const struct options *o);
int command_check(const struct options *o);
int command_enable(const struct options *o);
int command_disable(const struct options *o);
int command_audit(const struct options *o);
int command_policy(const struct options *o);

/* The key of the audit log. ERR_CONFIG, ERR_CRYPTO, with a reason. */
MUST_USE enum err audit_key_read(const struct config *c, struct secret *ret_key,
                                 struct config_reason *ret_reason);

int64_t wall_now_s(void *unused);

/* Standard error, one line: "cradled: …". Returns 1, the exit status. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

#endif
