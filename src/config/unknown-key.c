/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A key that a unit of this kind does not have: what was meant, and where does it belong? */

#include "config/unknown-key.h"

#include <stdio.h>

#include "basic/utf8.h"
#include "config/broker-config.h"
#include "config/listener-config.h"
#include "config/route-config.h"

/* So much of a key is shown in a message. */
#define SHOWN_MAX 80

/* No key of ours is longer than this; what is has no close name. */
#define KEY_MAX 31

static char lower(char c) {
        return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static unsigned min3(unsigned a, unsigned b, unsigned c) {
        unsigned m = a < b ? a : b;

        return m < c ? m : c;
}

/*
 * How many letters have to be inserted, left out, replaced or swapped with the next one to get from @a to @b, in
 * upper or lower case alike? (The "optimal string alignment" distance.) Both have at most KEY_MAX bytes.
 */
static unsigned distance(const char *a, const char *b) {
        unsigned d[KEY_MAX + 1][KEY_MAX + 1];
        size_t n = strlen(a), m = strlen(b);

        for (size_t i = 0; i <= n; i++)
                d[i][0] = (unsigned) i;
        for (size_t k = 0; k <= m; k++)
                d[0][k] = (unsigned) k;

        for (size_t i = 1; i <= n; i++)
                for (size_t k = 1; k <= m; k++) {
                        bool same = lower(a[i - 1]) == lower(b[k - 1]);

                        d[i][k] = min3(d[i - 1][k] + 1, d[i][k - 1] + 1, d[i - 1][k - 1] + !same);
                        if (i > 1 && k > 1 && lower(a[i - 1]) == lower(b[k - 2]) &&
                            lower(a[i - 2]) == lower(b[k - 1]) && d[i - 2][k - 2] + 1 < d[i][k])
                                d[i][k] = d[i - 2][k - 2] + 1;
                }

        return d[n][m];
}

/* A third of the letters may be wrong, but one always. */
static const char *closest(const ConfigKeys *keys, const char *name) {
        size_t n = strlen(name);
        unsigned best = n < 3 ? 2 : (unsigned) n / 3 + 1;
        const char *found = NULL;

        for (size_t i = 0; n <= KEY_MAX && i < keys->n; i++) {
                const ConfigKey *key = &keys->keys[i];
                unsigned d;

                if (key->section != SECTION_FDPASS || strlen(key->name) > KEY_MAX)
                        continue;

                d = distance(name, key->name);
                if (d < best) {
                        best = d;
                        found = key->name;
                }
        }

        return found;
}

static bool has_key(const ConfigKeys *keys, const char *section, const char *name) {
        for (size_t i = 0; i < keys->n; i++)
                if (keys->keys[i].section == section && streq(keys->keys[i].name, name))
                        return true;

        return false;
}

/* Where does a key of this very name belong? NULL: nowhere. */
static const char *home_of(const ConfigKeys *own, const char *name) {
        const ConfigKeys routes = route_config_keys(), listeners = listener_config_keys(), broker = broker_config_keys();

        return has_key(own, SECTION_SOCKET, name)          ? "[Socket]"
               : has_key(&routes, SECTION_FDPASS, name)    ? "a worker's unit"
               : has_key(&listeners, SECTION_FDPASS, name) ? "the unit of a public socket, such as fdpass.socket"
               : has_key(&broker, SECTION_FDPASS, name)    ? "fdpass.service"
                                                           : NULL;
}

void config_unknown_key(ConfigContext *c, const ConfigKeys *keys, Assignment *a) {
        int shown = (int) utf8_cut(a->key, SHOWN_MAX);
        const char *home, *close;
        char hint[96] = ".";

        /* systemd takes keys that begin with X- without a word too, and the other sections are its own. */
        if (a->section != SECTION_FDPASS || startswith(a->key, "X-"))
                return;

        home = home_of(keys, a->key);
        close = home ? NULL : closest(keys, a->key);
        if (home)
                (void) snprintf(hint, sizeof(hint), "; it belongs into %s.", home);
        else if (close)
                (void) snprintf(hint, sizeof(hint), "; did you mean %s=?", close);

        if (c->strict) {
                config_error(c, a, "The key \"%.*s\" in [%s] is unknown%s", shown, a->key, a->section, hint);
                return;
        }

        if (a->warned)
                return;

        reporter_say(c->reporter, CONFIG_WARNING, c->unit->id, a->path, a->line,
                     "The unknown key \"%.*s\" in [%s] is ignored%s", shown, a->key, a->section, hint);
        a->warned = true;
}
