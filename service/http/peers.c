#include "peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A chained hash table with a fixed number of entries: one for every possible connection, so that
 * it cannot fill up. Indices are one-based; 0 ends a chain. */
struct entry {
    uint8_t key[16];
    uint32_t next;
    int count;
};

struct http_peers {
    pthread_mutex_t lock;
    int connections, connections_max, per_address_max;
    uint64_t salt; /* so that nobody can aim at one chain */
    uint32_t free;
    uint32_t bucket_count;
    uint32_t *buckets;
    struct entry *entries;
};

static void http_peers_closep(struct http_peers **p)
{
    http_peers_close(*p);
}

enum err http_peers_open(int connections_max, int per_address_max, struct http_peers **ret_peers)
{
    __attribute__((cleanup(http_peers_closep))) struct http_peers *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_MEMORY;
    (void)pthread_mutex_init(&p->lock, NULL);
    p->connections_max = connections_max;
    p->per_address_max = per_address_max;
    p->bucket_count = (uint32_t)connections_max;
    p->buckets = calloc(p->bucket_count, sizeof *p->buckets);
    p->entries = calloc((size_t)connections_max + 1, sizeof *p->entries);
    if (p->buckets == NULL || p->entries == NULL)
        return ERR_MEMORY;
    if (getrandom(&p->salt, sizeof p->salt, 0) != (ssize_t)sizeof p->salt)
        return ERR_ENTROPY;
    for (uint32_t i = 1; i <= (uint32_t)connections_max; i++)
        p->entries[i].next = i < (uint32_t)connections_max ? i + 1 : 0;
    p->free = 1;
    *ret_peers = p;
    p = NULL;
    return ERR_OK;
}

void http_peers_close(struct http_peers *p)
{
    if (p == NULL)
        return;
    (void)pthread_mutex_destroy(&p->lock);
    free(p->buckets);
    free(p->entries);
    free(p);
}

static uint32_t *bucket(struct http_peers *p, const struct http_peer *peer)
{
    uint64_t halves[2];
    memcpy(halves, peer->key, sizeof halves);
    uint64_t h = (halves[0] ^ p->salt) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 29) ^ halves[1]) * 0xbf58476d1ce4e5b9u;
    h ^= h >> 32;
    return &p->buckets[h % p->bucket_count];
}

/* The link that leads to the address's entry, or the 0 that ends its chain. */
static uint32_t *find(struct http_peers *p, const struct http_peer *peer)
{
    uint32_t *link = bucket(p, peer);
    while (*link != 0 && !span_equal(SPAN_ARRAY(p->entries[*link].key), SPAN_ARRAY(peer->key)))
        link = &p->entries[*link].next;
    return link;
}

static enum err add_locked(struct http_peers *p, const struct http_peer *peer)
{
    if (p->connections >= p->connections_max)
        return ERR_UNAVAILABLE;
    uint32_t *link = find(p, peer);
    if (*link != 0 && p->entries[*link].count >= p->per_address_max)
        return ERR_THROTTLED;
    if (*link == 0) {
        uint32_t i = p->free;
        ERR_ASSERT(i != 0);
        p->free = p->entries[i].next;
        memcpy(p->entries[i].key, peer->key, sizeof peer->key);
        p->entries[i].next = 0;
        p->entries[i].count = 0;
        *link = i;
    }
    p->entries[*link].count++;
    p->connections++;
    return ERR_OK;
}

static void remove_locked(struct http_peers *p, const struct http_peer *peer)
{
    uint32_t *link = find(p, peer);
    uint32_t i = *link;
    ERR_ASSERT(i != 0);
    p->connections--;
    if (--p->entries[i].count > 0)
        return;
    *link = p->entries[i].next;
    p->entries[i].next = p->free;
    p->free = i;
}

bool http_peers_full(struct http_peers *p)
{
    pthread_mutex_lock(&p->lock);
    bool full = p->connections >= p->connections_max;
    pthread_mutex_unlock(&p->lock);
    return full;
}

enum err http_peers_add(struct http_peers *p, const struct http_peer *peer)
{
    pthread_mutex_lock(&p->lock);
    enum err e = add_locked(p, peer);
    pthread_mutex_unlock(&p->lock);
    return e;
}

void http_peers_remove(struct http_peers *p, const struct http_peer *peer)
{
    pthread_mutex_lock(&p->lock);
    remove_locked(p, peer);
    pthread_mutex_unlock(&p->lock);
}

void http_peer_read(const struct sockaddr_storage *address, struct http_peer *ret_peer)
{
    struct http_peer peer = {.key = {[10] = 0xff, [11] = 0xff}};
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    if (address->ss_family == AF_INET) {
        memcpy(peer.key + 12, &four->sin_addr, 4);
        (void)inet_ntop(AF_INET, &four->sin_addr, peer.text, sizeof peer.text);
    } else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        memcpy(peer.key, &six->sin6_addr, 16);
        (void)inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, peer.text, sizeof peer.text);
    } else {
        memset(peer.key, 0, sizeof peer.key);
        memcpy(peer.key, &six->sin6_addr, 8);
        (void)inet_ntop(AF_INET6, &six->sin6_addr, peer.text, sizeof peer.text);
    }
    *ret_peer = peer;
}
