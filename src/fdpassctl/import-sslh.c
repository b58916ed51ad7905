/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* sslh.cfg: one route with fdpass-proxy for each protocol. */

#include <stdio.h>

#include "fdpassctl/add-proxy.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/import-sink.h"
#include "fdpassctl/libconfig.h"
#include "fdpassctl/sslh-setting.h"

#define SSLH_TRANSPARENT                                                                        \
        "With \"transparent\" the server sees the client's address. fdpass-proxy tells it by the PROXY protocol " \
        "(--proxy-protocol=). A server that takes clients itself sees it: fdpassctl add --server=."

typedef struct Sslh {
        const ImportSink *sink;
        const LibconfigValue *protocols; /* list of groups */
        const LibconfigValue *on_timeout; /* group that takes silent clients; NULL: none */
        StringList ports;                /* numbers of the listening ports */
} Sslh;

/* Tells of settings that are not in the list @known, which ends with NULL. */
static void sslh_report_unknown(const Sslh *s, const LibconfigValue *group, const char *const *known) {
        for (size_t i = 0; i < group->n_items; i++) {
                const LibconfigValue *v = &group->items[i];
                bool found = false;

                for (size_t k = 0; known[k]; k++)
                        found = found || streq(known[k], v->name);
                if (!found)
                        import_say(s->sink, v->line, "The setting %.100s is left out.", v->name);
        }
}

static int sslh_take_listen(Sslh *s, const LibconfigValue *v) {
        static const char *const known[] = { "host", "port", "keepalive", "is_udp", "is_unix", NULL };
        const char *host = v->type == LIBCONFIG_GROUP ? sslh_text(v, "host") : NULL;
        char text[16];
        unsigned port;

        if (v->type != LIBCONFIG_GROUP || sslh_is_on(v, "is_udp") || sslh_is_on(v, "is_unix") || !sslh_port(v, &port)) {
                import_say(s->sink, v->line, "This address of listen is left out, because it has no TCP port.");
                return 0;
        }

        sslh_report_unknown(s, v, known);
        if (host && !streq(host, "0.0.0.0") && !streq(host, "::") && !streq(host, "[::]"))
                import_say(s->sink, v->line,
                           "fdpass@%u.socket listens on all addresses of the host, and not only on %.100s; a drop-in "
                           "with ListenStream= changes that.",
                           port, host);

        import_say(s->sink, v->line, "The port has to be open: systemctl enable fdpass@%u.socket", port);
        (void) snprintf(text, sizeof(text), "%u", port);
        return strlist_has(&s->ports, text) ? 0 : strlist_add(&s->ports, text);
}

/* Returns the group of the protocol that takes clients that stay silent: that of on_timeout, or the first one. */
static const LibconfigValue *sslh_find_timeout(const LibconfigValue *file, const LibconfigValue *protocols) {
        const char *name = sslh_text(file, "on_timeout") ?: sslh_text(file, "on-timeout") ?: "timeout";
        const LibconfigValue *first = NULL;

        for (size_t i = 0; i < protocols->n_items; i++) {
                const LibconfigValue *p = &protocols->items[i];
                const char *other = p->type == LIBCONFIG_GROUP ? sslh_text(p, "name") : NULL;

                if (other && streq(other, name))
                        return p;
                first = first ?: other ? p : NULL;
        }

        return first;
}

/* Adds a key for each string of a list. Returns 0, 1 after a message that the list can't be expressed, or -ENOMEM. */
static int sslh_add_list(const Sslh *s, AddPlan *plan, const LibconfigValue *group, const char *name, const char *key) {
        const LibconfigValue *v = libconfig_get(group, name);
        int r = 0;

        if (!v)
                return 0;

        /* Without one of its names, the route could be wider than that of sslh. */
        for (size_t i = 0; v->type == LIBCONFIG_LIST && r == 0 && i < v->n_items; i++)
                r = sslh_is_word(&v->items[i]) ? import_add_key(plan, key, v->items[i].text) : 1;
        if (r < 0 || (r == 0 && v->type == LIBCONFIG_LIST))
                return r;

        import_say(s->sink, v->line, "%s is not a list of names, so no unit is made.", name);
        return 1;
}

/* Adds the address of the server. Returns 0, also after a message, or -ENOMEM. */
static int sslh_add_address(const Sslh *s, AddPlan *plan, const LibconfigValue *group) {
        const char *host = sslh_text(group, "host");
        _cleanup_free_ char *address = NULL;
        bool is_unix = sslh_is_on(group, "is_unix"), is_v6 = host && host[0] != '[' && strchr(host, ':');
        unsigned port = 0;

        if (!host || (!is_unix && !sslh_port(group, &port))) {
                import_say(s->sink, group->line, "The server has no host or no port, so no unit is made.");
                return 0;
        }

        if (asprintf(&address, is_unix ? "%s%s" : "%s%s%s:%u", is_v6 && !is_unix ? "[" : "", host, is_v6 ? "]" : "",
                     port) < 0) {
                address = NULL;
                return -ENOMEM;
        }

        if (!add_proxy_is_address(address)) {
                import_say(s->sink, group->line, "fdpass-proxy(8) has no address like %.200s, so no unit is made.",
                           address);
                return 0;
        }

        return strlist_add(&plan->proxy, address);
}

/* Returns as sslh_add_list(). */
static int sslh_add_keys(const Sslh *s, AddPlan *plan, const LibconfigValue *group, const char *protocol) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->ports.n_items; i++)
                r = import_add_key(plan, "Listener", s->ports.items[i]);
        if (r >= 0 && *protocol)
                r = import_add_key(plan, "Protocol", protocol);
        if (r >= 0)
                r = sslh_add_list(s, plan, group, "sni_hostnames", "Host");
        if (r == 0)
                r = sslh_add_list(s, plan, group, "alpn_protocols", "ALPN");
        return r;
}

static void sslh_set_options(const Sslh *s, AddPlan *plan, const LibconfigValue *group) {
        static const char *const known[] = {
                "name", "host", "port", "service", "fork", "log_level", "keepalive", "is_udp", "is_unix", "tfo_ok",
                "sni_hostnames", "alpn_protocols", "proxyprotocol", "transparent", "resolve_on_forward", NULL,
        };
        const LibconfigValue *version = libconfig_get(group, "proxyprotocol");

        sslh_report_unknown(s, group, known);
        if (version && version->type == LIBCONFIG_NUMBER && (version->number == 1 || version->number == 2))
                plan->proxy_protocol = version->number == 1 ? "v1" : "v2";
        if (sslh_is_on(group, "transparent"))
                import_say(s->sink, group->line, SSLH_TRANSPARENT);
}

/* Counts the protocols of the same name in front of this one, because each needs a name of its own. */
static unsigned sslh_count_before(const Sslh *s, const LibconfigValue *group, const char *name) {
        unsigned n = 0;

        for (const LibconfigValue *p = s->protocols->items; p < group; p++) {
                const char *other = p->type == LIBCONFIG_GROUP ? sslh_text(p, "name") : NULL;

                n += other && streq(other, name);
        }

        return n;
}

static int sslh_convert(const Sslh *s, const LibconfigValue *group) {
        _cleanup_(add_plan_done) AddPlan plan = {};
        const char *name = group->type == LIBCONFIG_GROUP ? sslh_text(group, "name") : NULL;
        const char *protocol = name ? sslh_protocol(name, group == s->on_timeout) : NULL;
        char unit[ADD_NAME_MAX + 1], number[32];
        unsigned before;
        int r;

        if (!protocol || sslh_is_on(group, "is_udp") || libconfig_get(group, "regex_patterns")) {
                import_say(s->sink, group->line,
                           "The protocol %.100s has no unit: fdpass knows ssh, tls, http, silent clients, and "
                           "first bytes by Prefix=.",
                           name ?: "without a name");
                return 0;
        }

        before = sslh_count_before(s, group, name);
        (void) snprintf(number, sizeof(number), before > 0 ? "%.10s-%u" : "%.10s", name, before + 1);
        import_name("sslh", number, unit);
        plan.name = unit;
        sslh_set_options(s, &plan, group);
        r = sslh_add_keys(s, &plan, group, protocol);
        if (r == 0)
                r = sslh_add_address(s, &plan, group);
        if (r != 0 || plan.proxy.n_items == 0)
                return MIN(r, 0);

        return import_make(s->sink, &plan);
}

static int sslh_convert_all(Sslh *s, const LibconfigValue *file) {
        const LibconfigValue *listen = libconfig_get(file, "listen");
        int r = 0;

        s->protocols = libconfig_get(file, "protocols");
        if (!listen || listen->type != LIBCONFIG_LIST || !s->protocols || s->protocols->type != LIBCONFIG_LIST) {
                import_say(
                        s->sink, 0,
                        "There is no list \"listen\" or no list \"protocols\", so this is no configuration of sslh.");
                return 0;
        }

        for (size_t i = 0; r >= 0 && i < listen->n_items; i++)
                r = sslh_take_listen(s, &listen->items[i]);
        if (r >= 0 && s->ports.n_items == 0) {
                import_say(s->sink, listen->line, "No port is left, so no unit is made.");
                return 0;
        }

        s->on_timeout = sslh_find_timeout(file, s->protocols);
        for (size_t i = 0; r >= 0 && i < s->protocols->n_items; i++)
                r = sslh_convert(s, &s->protocols->items[i]);

        return r;
}

static void sslh_report_rest(const Sslh *s, const LibconfigValue *file) {
        /* These say how the process runs, which systemd does here, or are used above. */
        static const char *const known[] = {
                "listen",
                "protocols",
                "on_timeout",
                "on-timeout",
                "timeout",
                "foreground",
                "inetd",
                "numeric",
                "user",
                "pidfile",
                "chroot",
                "transparent",
                "syslog_facility",
                "logfile",
                "verbose",
                "verbose-config",
                "verbose-config-error",
                "verbose-connections",
                "verbose-connections-try",
                "verbose-connections-error",
                "verbose-fd",
                "verbose-packets",
                "verbose-probe-info",
                "verbose-probe-error",
                "verbose-system-error",
                "verbose-int-error",
                NULL,
        };

        sslh_report_unknown(s, file, known);
        if (sslh_is_on(file, "transparent"))
                import_say(s->sink, 0, SSLH_TRANSPARENT);
        import_say(s->sink, 0,
                   "A client that speaks none of these protocols is refused by fdpass. sslh passes it to one of the "
                   "servers.");
}

int import_sslh(const ImportSink *sink, char *text) {
        _cleanup_(libconfig_done) LibconfigValue file = {};
        Sslh s = { .sink = sink };
        LibconfigError error;
        int r = libconfig_parse(text, &file, &error);

        if (r == LIBCONFIG_BAD) {
                import_say(sink, error.line, "%s", error.what);
                return 0;
        }

        if (r >= 0)
                r = sslh_convert_all(&s, &file);
        if (r >= 0 && s.ports.n_items > 0)
                sslh_report_rest(&s, &file);
        strlist_clear(&s.ports);
        return r;
}
