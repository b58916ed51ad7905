/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/source.h"

#include <sys/random.h>

#include "basic/hash.h"

int source_table_init(SourceTable *table, size_t n_clients) {
        size_t n_buckets = 16;

        while (n_buckets < n_clients)
                n_buckets *= 2;

        *table = (SourceTable){ .n_sources = n_clients, .n_buckets = n_buckets };
        for (size_t i = 0; i < SOURCE_CLASSES; i++)
                list_init(&table->by_parked[i]);

        if (getrandom(&table->secret, sizeof(table->secret), 0) != sizeof(table->secret))
                return -errno;

        table->sources = calloc(n_clients, sizeof(*table->sources));
        table->buckets = calloc(n_buckets, sizeof(Source *));
        return table->sources && table->buckets ? 0 : -ENOMEM;
}

void source_table_done(SourceTable *table) {
        free(TAKE_PTR(table->sources));
        free(TAKE_PTR(table->buckets));
}

static bool source_has_prefix(const struct in6_addr *a, const uint8_t *prefix, size_t n) {
        return memcmp(a->s6_addr, prefix, n) == 0;
}

/* True for ::ffff:0:0/96 and for 64:ff9b::/96 (NAT64, RFC 6052), whose last 32 bits are an IPv4 address. */
static bool source_is_ipv4(const struct in6_addr *a) {
        static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };

        return IN6_IS_ADDR_V4MAPPED(a) || source_has_prefix(a, nat64, sizeof(nat64));
}

/*
 * True if each address of this network is a source of its own. fe80::/64 has all hosts of a link. In 64:ff9b:1::/48
 * (RFC 8215) an address has an IPv4 address in it, whose place depends on the length of the local prefix. So the whole
 * address is the key.
 */
static bool source_is_host(const struct in6_addr *a) {
        static const uint8_t link_local[8] = { 0xfe, 0x80 }, local_nat64[6] = { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 };

        return source_has_prefix(a, link_local, sizeof(link_local)) || source_has_prefix(a, local_nat64, sizeof(local_nat64));
}

/*
 * The key is the address with its link. It never equals the key of a network, because that begins with a small number,
 * the family.
 */
static void source_key_of_host(const struct sockaddr_in6 *in6, uint64_t key[static 2]) {
        memcpy(&key[0], in6->sin6_addr.s6_addr, 8);
        memcpy(&key[1], in6->sin6_addr.s6_addr + 8, 8);
        key[1] ^= (uint64_t) in6->sin6_scope_id << 32;
}

static void source_key_of_in6(const struct sockaddr_in6 *in6, uint64_t key[static 2]) {
        const uint8_t *bytes = in6->sin6_addr.s6_addr;

        if (source_is_host(&in6->sin6_addr)) {
                source_key_of_host(in6, key);
                return;
        }

        key[0] = source_is_ipv4(&in6->sin6_addr) ? AF_INET : AF_INET6;
        key[1] = 0;
        if (key[0] == AF_INET)
                memcpy(&key[1], bytes + 12, 4);
        else
                memcpy(&key[1], bytes, 8);
}

bool source_key(const ClientAddress *address, uint64_t key[static 2]) {
        switch (address->sa.sa_family) {

        case AF_INET:
                key[0] = AF_INET;
                key[1] = address->in.sin_addr.s_addr;
                return true;

        case AF_INET6:
                source_key_of_in6(&address->in6, key);
                return true;

        default:
                return false;
        }
}

static Source **source_find_bucket(const SourceTable *table, const uint64_t key[static 2]) {
        return &table->buckets[mix64(key[0] ^ mix64(key[1] ^ table->secret)) & (table->n_buckets - 1)];
}

uint64_t source_hash(const ClientAddress *address) {
        uint64_t key[2] = {};

        (void) source_key(address, key);
        return mix64(key[0] ^ mix64(key[1]));
}

uint64_t source_of_connection(const Connection *c) {
        ClientAddress address = { .in6 = { .sin6_family = AF_INET6, .sin6_scope_id = c->scope_id } };

        memcpy(&address.in6.sin6_addr, c->address, sizeof(c->address));
        return source_hash(&address);
}

static Source *source_take(SourceTable *table) {
        Source *s = table->free;

        if (s)
                table->free = s->next;
        else if (table->n_touched < table->n_sources)
                s = &table->sources[table->n_touched++];

        return s;
}

static Source *source_find_in(Source *bucket, const uint64_t key[static 2]) {
        Source *s = bucket;

        while (s && (s->key[0] != key[0] || s->key[1] != key[1]))
                s = s->next;

        return s;
}

Source *source_find(const SourceTable *table, const ClientAddress *address) {
        uint64_t key[2];

        return source_key(address, key) ? source_find_in(*source_find_bucket(table, key), key) : NULL;
}

/* Returns a new source in @bucket, or NULL. */
static Source *source_new(SourceTable *table, Source **bucket, const uint64_t key[static 2]) {
        Source *s = source_take(table);

        if (!s) /* can't happen, because there are as many as clients */
                return NULL;

        *s = (Source){ .next = *bucket, .key = { key[0], key[1] } };
        list_init(&s->parked);
        list_init(&s->parked_link);
        *bucket = s;
        return s;
}

bool source_get(SourceTable *table, Client *c, unsigned max) {
        uint64_t key[2];
        Source **bucket, *s;

        if (!source_key(&c->address, key))
                return true;

        bucket = source_find_bucket(table, key);
        s = source_find_in(*bucket, key);
        if (s && s->n_clients >= max)
                return false;
        if (!s)
                s = source_new(table, bucket, key);
        if (!s)
                return false;

        s->n_clients++;
        c->source = s;
        return true;
}

void source_put(SourceTable *table, Client *c) {
        Source *s = TAKE_PTR(c->source);

        if (!s || --s->n_clients > 0)
                return;

        for (Source **i = source_find_bucket(table, s->key); *i; i = &(*i)->next)
                if (*i == s) {
                        *i = s->next;
                        break;
                }

        list_remove(&s->parked_link);
        s->next = table->free;
        table->free = s;
}

static void source_set_parked(SourceTable *table, Source *s, unsigned n) {
        s->n_parked = n;
        list_remove(&s->parked_link);
        if (n > 0)
                list_append(&table->by_parked[31 - __builtin_clz(n)], &s->parked_link);
}

void source_park(SourceTable *table, Client *c) {
        Source *s = c->source;

        if (!s)
                return;

        list_append(&s->parked, &c->second.link);
        source_set_parked(table, s, s->n_parked + 1);
}

void source_unpark(SourceTable *table, Client *c) {
        if (!c->source)
                return;

        list_remove(&c->second.link);
        source_set_parked(table, c->source, c->source->n_parked - 1);
}

Client *source_oldest_parked(const Source *s) {
        List *l = list_first(&s->parked);

        return l ? CONTAINER_OF(l, Client, second.link) : NULL;
}

Client *source_fullest_oldest(const SourceTable *table) {
        for (size_t i = SOURCE_CLASSES; i > 0; i--) {
                List *l = list_first(&table->by_parked[i - 1]);

                if (l)
                        return source_oldest_parked(CONTAINER_OF(l, Source, parked_link));
        }

        return NULL;
}
