/* Purpose: what cradled and the hub plugin read at start: one INI file and a few secret files, all
 * below one data directory. Reading only; `cradled init` writes them.
 *
 *   DIR/cradle.ini             this configuration: [service] id_scope, listen, threads, certificate,
 *                              key; [hubs] NAME = HOST, in any number; [backend] user, password
 *   DIR/secrets/master         32 bytes, 0600: the roots of nonce and policy keys derive from it
 *   DIR/secrets/hub            32 bytes, 0600: the hub root, all that the hub plugin may read
 *   DIR/tls/ca.pem ca.key      the CA devices are given; its key, 0600
 *   DIR/tls/server.pem .key    the service's certificate chain and key, 0600
 *   DIR/hub/NAME.conf          a ready Mosquitto configuration for the hub NAME
 *   DIR/hub/NAME.pem NAME.key  its certificate chain and key
 *   DIR/db/                    the databases (store.h)
 *   DIR/pending                pending challenges (registrar.h)
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <wire/bytes.h>

#define CONFIG_HUBS_MAX 50
#define CONFIG_PATH_CAP 512

struct config_hub {
    char name[64];   /* [a-z0-9-], the operator's name for it */
    char host[254];  /* the DNS name devices connect to; has a dot */
};

struct config {
    char data_dir[CONFIG_PATH_CAP];
    char id_scope[64];
    char listen_address[64];
    uint16_t listen_port;
    int threads;                 /* 0: one a core */
    char server_certificate[CONFIG_PATH_CAP], server_key[CONFIG_PATH_CAP]; /* absolute */
    struct config_hub hubs[CONFIG_HUBS_MAX];
    int hub_count;
    char backend_user[64];       /* the operator's consumers at the hub; "": none */
    char backend_password[200];  /* pbkdf2-sha256$iterations$salt$hash, base64; never the password */
};

struct config_reason { char text[512]; };
#define CONFIG_FILE "cradle.ini"
#define CONFIG_FILE_MAX 65536
/* ERR_CONFIG with file, line and reason. Unknown keys are errors. */
MUST_USE enum err config_read(const char *data_dir, struct config *ret_config,
                              struct config_reason *ret_reason);
/* The text of a file that stands, or will stand, in data_dir; an absolute path. */
MUST_USE enum err config_parse(struct span text, const char *data_dir, struct config *ret_config,
                               struct config_reason *ret_reason);
/* "192.0.2.1:443", "[2001:db8::1]:443": numeric addresses. ERR_CONFIG. */
MUST_USE enum err config_listen_read(const char *text, char ret_address[64], uint16_t *ret_port);
/* A DNS name with a dot in it, or an address: what devices can be sent to. */
MUST_USE bool config_host_valid(const char *host);
MUST_USE bool config_hub_name_valid(const char *name);
#define CONFIG_SECRET_LEN 32
/* name: "master" or "hub". Refuses a file that others may read (ERR_CONFIG). */
MUST_USE enum err config_secret_read(const struct config *c, const char *name,
                                     struct secret *ret_secret, struct config_reason *ret_reason);

/* Whether a file with a private key is one that only its owner may read. ERR_CONFIG. */
MUST_USE enum err config_private_check(const char *path, struct config_reason *ret_reason);

/* "pbkdf2-sha256$…": ERR_UNAUTHORIZED if it is another password; takes tens of milliseconds. */
MUST_USE enum err config_password_check(const char *stored, struct span password);
MUST_USE enum err config_password_hash(struct span password, const uint8_t salt[16],
                                       struct buf *ret_stored);

#endif
