/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The server, its virtual hosts, their names, and <Location>. */

#include <stdio.h>

#include "basic/array.h"
#include "basic/utf8.h"
#include "fdpassctl/httpd-config.h"
#include "probe/name.h"

/* A name that Host= can't express: for httpd, "*" and "?" are wildcards at any place. */
static int server_add_glob(HttpdConfig *c, const HttpdPlace *place, const char *word) {
        int r = httpd_access_add_name(&c->access, NULL);

        httpd_say(c, place, "Host= can't express the name \"%.*s\"; no unit has it.", HTTPD_SHOWN(word));
        return r < 0 ? r : strlist_add(&c->servers[c->server].globs, word);
}

/* Adds a name of the virtual host. A scheme and a port are ignored, and "*." may stand before the name. */
static int server_add_name(HttpdConfig *c, const HttpdPlace *place, const char *word) {
        const char *s = strstr(word, "://"), *rest;
        StringList *names = &c->servers[c->server].names;
        char pattern[PROBE_NAME_MAX + 3] = "*.";
        ProbeName name;
        uint16_t port;
        int r;

        s = s ? s + 3 : word;
        rest = startswith(s, "*.");
        if (!probe_name_set_authority(&name, &port, slice_from_string(rest ?: s)) || name.n == 0 ||
            strpbrk(rest ?: s, "*?") || (rest && name.text[0] == '['))
                return server_add_glob(c, place, word);

        memcpy(pattern + 2, name.text, (size_t) name.n + 1);
        if (strlist_has(names, rest ? pattern : pattern + 2))
                return 0;

        r = httpd_access_add_name(&c->access, rest ? pattern : pattern + 2);
        return r < 0 ? r : strlist_add(names, rest ? pattern : pattern + 2);
}

int httpd_begin_server(HttpdConfig *c, const HttpdPlace *place, char *const *addresses, size_t n_addresses) {
        HttpdServer *s;
        int r = 0;

        if (!ARRAY_GROW(c->servers, c->n_servers))
                return -ENOMEM;

        s = &c->servers[c->n_servers];
        *s = (HttpdServer){ .place = *place };
        c->server = c->n_servers++;
        if (c->server > 0)
                s->host = httpd_access_host(&c->access);

        for (size_t i = 0; i < n_addresses && r >= 0; i++) {
                char c0 = addresses[i][0];

                r = strlist_add(&s->addresses, addresses[i]);
                /* The name in <VirtualHost NAME> is one of the host's names. */
                if (r >= 0 && ((c0 >= 'a' && c0 <= 'z') || (c0 >= 'A' && c0 <= 'Z')))
                        r = server_add_name(c, place, addresses[i]);
        }

        return r;
}

static int server_read_names(HttpdConfig *c, const HttpdLine *l) {
        int r = 0;

        HttpdServer *s = &c->servers[c->server];

        if (httpd_is(l, "ServerName")) {
                /* The last line counts. */
                for (size_t i = 0; s->has_name && i < s->names.n_items; i++)
                        if (streq(s->names.items[i], s->server_name))
                                strlist_remove(&s->names, i);
                s->has_name = true;
        }

        for (size_t i = 1; i < l->n_words && r >= 0; i++)
                r = server_add_name(c, &l->place, l->words[i]);

        if (r >= 0 && httpd_is(l, "ServerName") && s->names.n_items > 0)
                (void) snprintf(s->server_name, sizeof(s->server_name), "%s", s->names.items[s->names.n_items - 1]);
        return r;
}

static void server_begin_location(HttpdConfig *c, const HttpdLine *l) {
        HttpdLocation *o = &c->location;

        o->number = ++c->n_locations;
        o->is_regex = httpd_is(l, "<LocationMatch") || (l->n_words == 3 && streq(l->words[1], "~"));
        strcpy(o->path, l->n_words > 1 ? l->words[l->n_words - 1] : "");
}

int httpd_read_server(HttpdConfig *c, const HttpdLine *l) {
        int r = 1;

        if (httpd_is(l, "<VirtualHost"))
                r = httpd_begin_server(c, &l->place, l->words + 1, l->n_words - 1);
        else if (httpd_is(l, "</VirtualHost"))
                c->server = 0;
        else if (httpd_is(l, "ServerName") || httpd_is(l, "ServerAlias"))
                r = server_read_names(c, l);
        else if (httpd_is(l, "Listen") && l->n_words > 1)
                r = strlist_add(&c->listens, l->words[1]);
        else if (httpd_is(l, "<Location") || httpd_is(l, "<LocationMatch"))
                server_begin_location(c, l);
        else if (httpd_is(l, "</Location") || httpd_is(l, "</LocationMatch"))
                c->location.number = 0;
        else
                return 0;

        return r < 0 ? r : 1;
}
