/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The input is the text of a unit's file: its syntax, and then the values of its keys as those of a worker's
 * unit and of the broker's. Values that are names of units are taken apart too. No file is touched.
 */

#include "basic/parse.h"
#include "basic/utf8.h"
#include "config/broker-config.h"
#include "config/listener-config.h"
#include "config/route-config.h"
#include "flusher/flusher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool b) {
        if (!b)
                abort();
}

static bool is_stripped(const char *s) {
        return !*s || (!strchr(" \t\r\n", s[0]) && !strchr(" \t\r\n", s[strlen(s) - 1]));
}

static void check_finding(_unused_ void *userdata, _unused_ ConfigSeverity severity, const char *unit,
                          const char *path, _unused_ unsigned line, const char *message) {
        size_t n = strlen(message);

        require(unit && path && n > 0 && n < 512);
}

static void check_name(const char *s) {
        _cleanup_strlist_ StringList names = {};
        UnitName u;

        if (!unit_name_parse(s, &u))
                return;

        require(u.n_prefix > 0 && u.n_prefix <= u.n_stem && u.n_stem + 1 < strlen(s));
        require((u.kind == UNIT_NAME_INSTANCE) == (u.n_instance > 0));
        require(unit_name_dropins(&u, &names) >= 0);
        require(streq(names.items[0], s));
        for (size_t i = 0; i < names.n_items; i++) {
                UnitName cut;

                require(unit_name_parse(names.items[i], &cut) && streq(cut.type, u.type));
                require(cut.n_prefix <= u.n_prefix);
        }
}

static void check_value(const char *s, const UnitName *unit) {
        char small[8], out[VALUE_SIZE];
        const char *bad = NULL;
        uint64_t v64 = 0;
        usec_t usec = 0;
        unsigned u = 0;
        bool b;
        int i = 0, r;

        check_name(s);
        (void) parse_bool(s, &b);
        (void) parse_int(s, &i);
        (void) parse_unsigned(s, &u);
        (void) parse_size(s, &v64);
        (void) parse_timespan(s, &usec);

        r = specifier_expand(s, &(SpecifierContext){ unit, "host" }, out, sizeof(out), &bad);
        require(r == 0 ? strlen(out) < sizeof(out) : bad >= s && bad <= s + strlen(s));

        /* A value that fits into a smaller buffer is the same there. */
        if (specifier_expand(s, &(SpecifierContext){ unit, "host" }, small, sizeof(small), &bad) == 0)
                require(r == 0 && streq(small, out));
}

static bool is_section(const char *s) {
        return s == SECTION_FDPASS || s == SECTION_INSTALL || s == SECTION_SERVICE || s == SECTION_SOCKET || s == SECTION_UNIT;
}

static void check_assignments(const UnitFile *f, const UnitName *unit) {
        unsigned line = 1;

        for (size_t i = 0; i < f->n_assignments; i++) {
                const Assignment *a = &f->assignments[i];

                require(is_section(a->section));
                require(a->path == f->path && a->line >= line);
                require(is_stripped(a->key) && is_stripped(a->value));
                require(utf8_is_valid(a->key) && utf8_is_valid(a->value));
                require(!strpbrk(a->value, "\r\n"));
                check_value(a->value, unit);
                line = a->line;
        }
}

/* Whatever the unit says, its fields are whole lines of the form "Name: value". */
static void check_response(const RouteConfig *route) {
        if (!route->flusher)
                return;

        require(flusher_name_is_valid(route->flusher) && route->flusher_line > 0);
        require(route->response_status >= 200 && route->response_status <= 599);
        require(!strpbrk(route->response_reason, "\r\n") && !strpbrk(route->flusher_argument, "\r\n"));
        require(strlen(route->response_fields) <= 4096);

        for (const char *p = route->response_fields; *p;) {
                size_t n = strcspn(p, "\r\n"), colon = strcspn(p, ":");

                require(colon > 0 && colon < n && p[n] == '\r' && p[n + 1] == '\n');
                p += n + 2;
        }
}

static ConfigContext context_of(Reporter *reporter, const Unit *unit) {
        static const ConfigKind *const kinds[] = { &config_kind_route, &config_kind_listener, &config_kind_broker, NULL };

        return (ConfigContext){
                .reporter = reporter,
                .unit = unit,
                .specifiers = { .unit = &unit->name, .hostname = "host" },
                .kinds = kinds,
        };
}

static void check_route(Reporter *reporter, const Unit *unit) {
        unsigned before = reporter->n_errors;
        ConfigContext c = context_of(reporter, unit);
        RouteConfig route;
        int r;

        r = route_config_read(&c, &route);
        require(r == 0 || r == ROUTE_NONE);

        /* There is no route without a section, and none is lost without a word. */
        require(r == 0 ? unit->has_fdpass && reporter->n_errors == before
                       : !unit->has_fdpass || unit->is_broken || reporter->n_errors > before);

        if (r == 0) {
                require(route.worker[0] == '/' && strlen(route.worker) <= 107);
                require(route.max_pending >= 1 && route.max_pending <= 65536 && route.max_queued <= 1048576);
                for (char **l = route.match.listeners; l && *l; l++)
                        require(**l && strlen(*l) <= 255 && !strchr(*l, ':'));
                check_response(&route);
                route_config_done(&route);
        }
}

static void check_unit(UnitFile *f, const char *id) {
        Reporter reporter = { .report = check_finding };
        UnitFile *files[] = { f };
        _cleanup_free_ Assignment **assignments = calloc(f->n_assignments + 1, sizeof(*assignments));
        Unit unit = {
                .files = files,
                .n_files = 1,
                .assignments = assignments,
                .n_assignments = f->n_assignments,
                .has_fdpass = f->has_fdpass,
                .is_broken = f->is_broken,
        };
        ListenerConfig listener;
        BrokerConfig broker;
        ConfigContext c;

        require(assignments);
        for (size_t i = 0; i < f->n_assignments; i++)
                assignments[i] = &f->assignments[i];

        strcpy(unit.id, id);
        require(unit_name_parse(unit.id, &unit.name));

        check_assignments(f, &unit.name);
        check_route(&reporter, &unit);

        c = context_of(&reporter, &unit);
        require(listener_config_read(&c, &listener) == 0);
        listener_config_done(&listener);
        c = context_of(&reporter, &unit);
        require(broker_config_read(&c, &broker) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(unit_file_freep) UnitFile *f = NULL;
        char *text = malloc(size + 1);

        require(text);
        memcpy(text, data, size);
        require(unit_file_parse("/x", text, size, &f) == 0);

        for (size_t i = 0; i < f->n_findings; i++)
                require(f->findings[i].severity == CONFIG_WARNING || f->is_broken);

        check_unit(f, "a-b@c-d\\x2de.socket");
        check_unit(f, "plain.service");
        return 0;
}
