/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/state/proxied.h"

#include <stdlib.h>

#include "basic/hash.h"
#include "broker/state/client-context.h"

/* The table: sets of entries among which the cookie chooses one. */
#define SETS 1024U
#define SET_SIZE 4U

struct ProxiedEntry {
        uint64_t cookie;  /* 0: no entry; no socket has this number */
        uint64_t number;  /* the larger, the newer */
        ProxiedClient facts;
        uint8_t *bytes;   /* of the facts, owned; NULL: they have none */
};

void proxied_done(ProxiedTable *table) {
        for (size_t i = 0; table->entries && i < SETS * SET_SIZE; i++)
                free(table->entries[i].bytes);
        free(TAKE_PTR(table->entries));
}

/* Returns 0 if there is none. The call takes no lock of the socket (seal.c). */
static uint64_t proxied_cookie(int fd) {
        uint64_t cookie;

        return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &(socklen_t){ sizeof(cookie) }) < 0 ? 0 : cookie;
}

static ProxiedEntry *proxied_set(const ProxiedTable *table, uint64_t cookie) {
        return table->entries + mix64(cookie) % SETS * SET_SIZE;
}

/* Returns the client's own entry, or else the oldest one of its set. */
static ProxiedEntry *proxied_choose(const ProxiedTable *table, uint64_t cookie) {
        ProxiedEntry *set = proxied_set(table, cookie), *chosen = set;

        for (size_t i = 0; i < SET_SIZE; i++) {
                if (set[i].cookie == cookie)
                        return &set[i];
                if (set[i].number < chosen->number)
                        chosen = &set[i];
        }

        return chosen;
}

static Slice proxied_put(uint8_t **p, Slice s) {
        Slice copy = { *p, s.n };

        if (s.n == 0)
                return (Slice){};

        memcpy(*p, s.p, s.n);
        *p += s.n;
        return copy;
}

static void proxied_fill(ProxiedEntry *e, const Client *c, uint64_t cookie, uint64_t number) {
        Message m = {};
        size_t n;
        uint8_t *p;

        if (c->context)
                client_fill_message(c, &m);

        n = m.proxy.n + m.ssl.n + m.alpn.n + m.authority.n;
        free(e->bytes);
        *e = (ProxiedEntry){};
        p = n > 0 ? malloc(n) : NULL;
        if (n > 0 && !p)
                return;

        *e = (ProxiedEntry){ .cookie = cookie, .number = number, .bytes = p };
        e->facts.listener = c->listener;
        e->facts.address = c->address;
        e->facts.local = c->local;
        e->facts.tlvs = proxied_put(&p, m.proxy);
        e->facts.ssl = proxied_put(&p, m.ssl);
        e->facts.alpn = proxied_put(&p, m.alpn);
        e->facts.authority = proxied_put(&p, m.authority);
}

void proxied_note(ProxiedTable *table, const Client *c) {
        uint64_t cookie = proxied_cookie(c->fd);

        if (!table->entries)
                table->entries = calloc(SETS * SET_SIZE, sizeof(*table->entries));
        if (table->entries && cookie != 0)
                proxied_fill(proxied_choose(table, cookie), c, cookie, ++table->n_noted);
}

bool proxied_find(const ProxiedTable *table, int fd, ProxiedClient *ret) {
        uint64_t cookie = table->entries ? proxied_cookie(fd) : 0;
        const ProxiedEntry *e;

        if (cookie == 0)
                return false;

        e = proxied_choose(table, cookie);
        if (e->cookie != cookie)
                return false;

        *ret = e->facts;
        return true;
}
