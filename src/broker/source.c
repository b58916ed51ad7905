/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/source.h"

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

static bool key_of(const ClientAddress *address, uint64_t key[static 2]) {
        const struct in6_addr *a = &address->in6.sin6_addr;

        switch (address->sa.sa_family) {

        case AF_INET:
                key[0] = AF_INET;
                key[1] = address->in.sin_addr.s_addr;
                return true;

        case AF_INET6:
                if (IN6_IS_ADDR_V4MAPPED(a)) {
                        key[0] = AF_INET;
                        key[1] = 0;
                        memcpy(&key[1], a->s6_addr + 12, 4);
                        return true;
                }

                key[0] = AF_INET6;
                memcpy(&key[1], a->s6_addr, 8);
                return true;

        default:
                return false;
        }
}

static Source **find_bucket(const SourceTable *table, const uint64_t key[static 2]) {
        return &table->buckets[mix64(key[0] ^ mix64(key[1] ^ table->secret)) & (table->n_buckets - 1)];
}

uint64_t source_hash(const ClientAddress *address) {
        uint64_t key[2] = {};

        (void) key_of(address, key);
        return mix64(key[0] ^ mix64(key[1]));
}

static Source *take(SourceTable *table) {
        Source *s = table->free;

        if (s)
                table->free = s->next;
        else if (table->n_touched < table->n_sources)
                s = &table->sources[table->n_touched++];

        return s;
}

bool source_get(SourceTable *table, Client *c, unsigned max) {
        uint64_t key[2];
        Source **bucket, *s;

        if (!key_of(&c->address, key))
                return true;

        bucket = find_bucket(table, key);
        for (s = *bucket; s; s = s->next)
                if (s->key[0] == key[0] && s->key[1] == key[1])
                        break;

        if (s && s->n_clients >= max)
                return false;

        if (!s) {
                s = take(table);
                if (!s) /* can't be: there are as many as clients */
                        return false;

                *s = (Source){ .next = *bucket, .key = { key[0], key[1] } };
                list_init(&s->parked);
                list_init(&s->parked_link);
                *bucket = s;
        }

        s->n_clients++;
        c->source = s;
        return true;
}

void source_put(SourceTable *table, Client *c) {
        Source *s = TAKE_PTR(c->source);

        if (!s || --s->n_clients > 0)
                return;

        for (Source **i = find_bucket(table, s->key); *i; i = &(*i)->next)
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

        list_append(&s->parked, &c->second_link);
        source_set_parked(table, s, s->n_parked + 1);
}

void source_unpark(SourceTable *table, Client *c) {
        if (!c->source)
                return;

        list_remove(&c->second_link);
        source_set_parked(table, c->source, c->source->n_parked - 1);
}

Client *source_oldest_parked(const Source *s) {
        List *l = list_first(&s->parked);

        return l ? CONTAINER_OF(l, Client, second_link) : NULL;
}

Client *source_fullest_oldest(const SourceTable *table) {
        for (size_t i = SOURCE_CLASSES; i > 0; i--) {
                List *l = list_first(&table->by_parked[i - 1]);

                if (l)
                        return source_oldest_parked(CONTAINER_OF(l, Source, parked_link));
        }

        return NULL;
}
