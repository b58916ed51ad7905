/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Addresses and ports: which virtual hosts httpd chooses from for a client of a listener (vhost.c of httpd). The
 * address goes before the port, and both go before "*".
 */

#include <stdio.h>

#include "basic/array.h"
#include "basic/parse.h"
#include "fdpassctl/httpd-config.h"

#define GROUP_ADDRESS_MAX 128

typedef struct GroupAddress {
        char ip[GROUP_ADDRESS_MAX]; /* "*": any */
        unsigned port;              /* 0: any */
} GroupAddress;

typedef struct GroupAddresses {
        GroupAddress *items;
        size_t n_items;
} GroupAddresses;

static void group_addresses_done(GroupAddresses *a) {
        free(a->items);
}

/* Reads "*:80", "192.0.2.5", "[::1]:80", or with @is_listen "80". */
static void group_parse(const char *word, bool is_listen, GroupAddress *ret) {
        const char *colon = strrchr(word, ':');
        size_t n;

        if (colon && strchr(colon, ']'))
                colon = NULL;
        if (is_listen && !colon && word[strspn(word, "0123456789")] == '\0')
                colon = word - 1;

        n = !colon ? strlen(word) : colon < word ? 0 : (size_t) (colon - word);
        (void) snprintf(ret->ip, sizeof(ret->ip), "%.*s", (int) n, word);
        if (!colon || parse_unsigned(colon + 1, &ret->port) < 0 || ret->port > 65535)
                ret->port = 0;
        if (n == 0 || streq(ret->ip, "_default_") || streq(ret->ip, "0.0.0.0") || streq(ret->ip, "[::]"))
                strcpy(ret->ip, "*");
}

static int group_add_address(GroupAddresses *l, const char *ip, unsigned port) {
        for (size_t i = 0; i < l->n_items; i++)
                if (streq(l->items[i].ip, ip) && l->items[i].port == port)
                        return 0;

        if (!ARRAY_GROW(l->items, l->n_items))
                return -ENOMEM;

        l->items[l->n_items].port = port;
        strcpy(l->items[l->n_items++].ip, ip);
        return 0;
}

/* Collects the addresses of all virtual hosts. */
static int group_collect_hosts(const HttpdConfig *c, GroupAddresses *ret) {
        GroupAddress a;
        int r = 0;

        for (size_t s = 1; s < c->n_servers; s++)
                for (size_t i = 0; i < c->servers[s].addresses.n_items && r >= 0; i++) {
                        group_parse(c->servers[s].addresses.items[i], false, &a);
                        r = group_add_address(ret, a.ip, a.port);
                }

        return r;
}

/* Without a line Listen, httpd listens at the ports of its virtual hosts. */
static int group_collect_listens(const HttpdConfig *c, const GroupAddresses *hosts, GroupAddresses *ret) {
        GroupAddress a;
        int r = 0;

        for (size_t i = 0; i < c->listens.n_items && r >= 0; i++) {
                group_parse(c->listens.items[i], true, &a);
                r = group_add_address(ret, a.ip, a.port);
        }
        for (size_t i = 0; c->listens.n_items == 0 && i < hosts->n_items && r >= 0; i++)
                if (hosts->items[i].port > 0)
                        r = group_add_address(ret, "*", hosts->items[i].port);

        return r >= 0 && ret->n_items == 0 ? group_add_address(ret, "*", 0) : r;
}

/* Collects all places where a client may arrive: address and port. */
static int group_collect_ends(const HttpdConfig *c, GroupAddresses *ret) {
        _cleanup_(group_addresses_done) GroupAddresses hosts = {}, listens = {};
        int r = group_collect_hosts(c, &hosts);

        if (r >= 0)
                r = group_collect_listens(c, &hosts, &listens);

        for (size_t i = 0; i < listens.n_items && r >= 0; i++) {
                const GroupAddress *l = &listens.items[i];

                r = group_add_address(ret, l->ip, l->port);
                for (size_t k = 0; k < hosts.n_items && r >= 0 && streq(l->ip, "*"); k++)
                        if (hosts.items[k].port == 0 || l->port == 0 || hosts.items[k].port == l->port)
                                r = group_add_address(ret, hosts.items[k].ip, l->port);
        }

        return r;
}

/* Returns how exactly the virtual host has the address; 0: not at all. */
static int group_rank(const HttpdServer *s, const GroupAddress *end) {
        int best = 0;

        for (size_t i = 0; i < s->addresses.n_items; i++) {
                GroupAddress a;
                int rank;

                group_parse(s->addresses.items[i], false, &a);
                if ((a.port > 0 && a.port != end->port) || (!streq(a.ip, "*") && !streq(a.ip, end->ip)))
                        continue;

                rank = (streq(a.ip, "*") ? 1 : 3) + (a.port > 0);
                best = MAX(best, rank);
        }

        return best;
}

/* Finds the virtual hosts for the address. */
static int group_find_servers(const HttpdConfig *c, const GroupAddress *end, HttpdGroup *g) {
        int best = 0;

        for (size_t s = 1; s < c->n_servers; s++)
                best = MAX(best, group_rank(&c->servers[s], end));

        for (size_t s = 1; s < c->n_servers && best > 0; s++)
                if (group_rank(&c->servers[s], end) == best) {
                        if (!ARRAY_GROW(g->servers, g->n_servers))
                                return -ENOMEM;
                        g->servers[g->n_servers++] = s;
                }

        return 0;
}

/* Names the listener: fdpass.socket and fdpass@PORT.socket have these names. The name of another has its address. */
static int group_add_listener(HttpdGroup *g, const GroupAddress *end, bool has_addresses) {
        char name[GROUP_ADDRESS_MAX + 8], address[GROUP_ADDRESS_MAX + 40], port[8] = "";
        bool is_any = streq(end->ip, "*");
        size_t n = 0;
        int r;

        if (end->port > 0)
                (void) snprintf(port, sizeof(port), "%u", end->port % 65536);
        if (is_any)
                (void) snprintf(name, sizeof(name), "%s", !*port || end->port == 80 ? "public" : port);
        else {
                for (const char *p = end->ip; *p; p++)
                        if (!strchr("[] ", *p))
                                name[n++] = strchr(":/%\\\"'", *p) || *p < ' ' || *p > '~' ? '-' : *p;
                (void) snprintf(name + n, sizeof(name) - n, "%s%s", *port ? "-" : "", port);
        }

        (void) snprintf(address, sizeof(address), "%s%s%s%s", is_any ? *port ? "port " : "every port" : end->ip,
                        is_any || !*port ? "" : ":", port, is_any && has_addresses ? " of other addresses" : "");
        r = strlist_has(&g->listeners, name) ? 0 : strlist_add(&g->listeners, name);
        return r < 0 ? r : strlist_add(&g->addresses, address);
}

static HttpdGroup *group_find_equal(const HttpdConfig *c, const HttpdGroup *g) {
        size_t size = g->n_servers * sizeof(*g->servers);

        for (size_t i = 0; i < c->n_groups; i++)
                if (c->groups[i].n_servers == g->n_servers &&
                    (size == 0 || memcmp(c->groups[i].servers, g->servers, size) == 0))
                        return &c->groups[i];

        return NULL;
}

int httpd_make_groups(HttpdConfig *c) {
        _cleanup_(group_addresses_done) GroupAddresses ends = {};
        int r = group_collect_ends(c, &ends);
        bool has_addresses = false;

        for (size_t i = 0; i < ends.n_items; i++)
                has_addresses |= !streq(ends.items[i].ip, "*");

        for (size_t i = 0; i < ends.n_items && r >= 0; i++) {
                _cleanup_(httpd_group_done) HttpdGroup g = {};
                HttpdGroup *found;

                r = group_find_servers(c, &ends.items[i], &g);
                if (r < 0)
                        break;

                found = group_find_equal(c, &g);
                if (!found) {
                        if (!ARRAY_GROW(c->groups, c->n_groups))
                                return -ENOMEM;
                        found = &c->groups[c->n_groups++];
                        *found = g;
                        g = (HttpdGroup){};
                }

                r = group_add_listener(found, &ends.items[i], has_addresses);
        }

        return r;
}
