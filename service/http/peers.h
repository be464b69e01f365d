/* Purpose: how many connections there are, over all loops and from each address. An IPv6 client has
 * a whole /64 to call from, so that is what counts as its address.
 */
#ifndef HTTP_PEERS_H
#define HTTP_PEERS_H

#include <sys/socket.h>
#include <wire/bytes.h>

struct http_peer {
    uint8_t key[16]; /* IPv6, or IPv4 mapped into it */
    char text[46];
};

struct http_peers;
MUST_USE enum err http_peers_open(int connections_max, int per_address_max,
                                  struct http_peers **ret_peers);
void http_peers_close(struct http_peers *p);

/* Any thread. */
bool http_peers_full(struct http_peers *p);
/* ERR_THROTTLED: that address has its share. ERR_UNAVAILABLE: all are taken. */
MUST_USE enum err http_peers_add(struct http_peers *p, const struct http_peer *peer);
void http_peers_remove(struct http_peers *p, const struct http_peer *peer);

void http_peer_read(const struct sockaddr_storage *address, struct http_peer *ret_peer);

#endif
