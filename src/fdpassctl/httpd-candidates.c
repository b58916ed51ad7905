/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-candidates.h"

#include <ctype.h>

#include "basic/array.h"

void httpd_candidates_done(HttpdCandidates *g) {
        for (size_t i = 0; i < g->n_items; i++)
                strlist_clear(&g->items[i].names);
        free(g->items);
}

/* Returns whether httpd matches the name with "*" and "?" in @glob. */
static bool candidates_glob_matches(const char *glob, const char *name) {
        for (; *glob; glob++, name++) {
                if (*glob == '*') {
                        for (; *name; name++)
                                if (candidates_glob_matches(glob + 1, name))
                                        return true;
                        return candidates_glob_matches(glob + 1, name);
                }
                if (!*name || (*glob != '?' && tolower((unsigned char) *glob) != *name))
                        return false;
        }

        return !*name;
}

bool httpd_name_is_inside(const char *name, const char *wider) {
        return streq(name, wider) || (startswith(wider, "*.") && endswith(name, wider + 1));
}

/* Returns whether httpd chooses the earlier virtual host for the name. */
static bool candidates_name_is_taken(const HttpdServer *earlier, const char *name) {
        for (size_t i = 0; i < earlier->names.n_items; i++)
                if (httpd_name_is_inside(name, earlier->names.items[i]))
                        return true;
        for (size_t i = 0; i < earlier->globs.n_items; i++)
                if (candidates_glob_matches(earlier->globs.items[i], name))
                        return true;

        return false;
}

static int candidates_add_name(HttpdCandidates *g, HttpdCandidate *h, const char *name) {
        const char *glob = NULL;

        for (const HttpdCandidate *k = g->items; k < h; k++) {
                if (candidates_name_is_taken(k->server, name))
                        return 0;
                if (k->server->globs.n_items > 0 && startswith(name, "*."))
                        glob = glob ?: k->server->globs.items[0];
        }

        if (!glob)
                return strlist_add(&h->names, name);

        h->has_lost = true;
        httpd_say(g->c, &h->server->place, "No unit has Host=%s, because it would take hosts that httpd gives to "
                                           "\"%.80s\".",
                  name, glob);
        return 0;
}

static int candidates_find_names(HttpdCandidates *g, HttpdCandidate *h) {
        int r = 0;

        for (size_t i = 0; i < h->server->names.n_items && r >= 0; i++)
                r = candidates_add_name(g, h, h->server->names.items[i]);

        return r;
}

/* Adds a host to the group. Server 0 stands for the server itself, where no virtual host has the address. */
static int candidates_add_host(HttpdCandidates *g, size_t server) {
        HttpdCandidate *h;

        if (!ARRAY_GROW(g->items, g->n_items))
                return -ENOMEM;

        h = &g->items[g->n_items++];
        *h = (HttpdCandidate){ .server = &g->c->servers[server], .plan = &g->plans[server] };
        return server > 0 ? candidates_find_names(g, h) : 0;
}

int httpd_candidates_find(HttpdCandidates *g) {
        const HttpdGroup *group = &g->c->groups[g->group];
        int r = group->n_servers == 0 ? candidates_add_host(g, 0) : 0;

        for (size_t i = 0; i < group->n_servers && r >= 0; i++)
                r = candidates_add_host(g, group->servers[i]);

        return r;
}
