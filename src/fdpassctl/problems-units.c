/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/problems-units.h"

#include "config/stamp.h"
#include "fdpassctl/load-units.h"
#include "fdpassctl/manager.h"
#include "fdpassctl/text.h"

/* Names of units in one line. Others are counted. */
#define NAMES_MAX 6

/* Units of which the manager is asked whether it has to read them again. Each question takes it about 0.2 ms. */
#define ASKED_MAX 64

int problems_list_sockets(const Value *service, const Config *config, StringList *ret) {
        const Value *names = value_get(service, "TriggeredBy");
        int r = 0;

        for (size_t i = 0; r >= 0 && i < names->n_items; i++)
                if (endswith(value_item_string(names, i), ".socket"))
                        r = strlist_add(ret, value_item_string(names, i));
        for (size_t i = 0; config && r >= 0 && i < config->n_listeners; i++)
                if (config->listeners[i].is_enabled)
                        r = strlist_add(ret, config->listeners[i].unit);

        strlist_sort_unique(ret);
        return r;
}

static bool problems_has_socket(const Snapshot *s, const Config *config, const char *unit) {
        const ListenerConfig *listener = config ? load_find_listener(config, unit) : NULL;

        return value_find(&s->listeners, "Unit", unit)->kind == VALUE_DICT ||
               (listener && value_find(&s->listeners, "Name", listener->name)->kind == VALUE_DICT);
}

static bool problems_is_enabled(const char *file_state) {
        return startswith(file_state, "enabled") != NULL;
}

static void problems_print_socket(FILE *f, const char *unit, const Value *state) {
        const char *active = value_string(state, "ActiveState");
        _cleanup_free_ char *reason = NULL;
        char text[256];

        if (streq(active, "failed")) {
                reason = manager_find_reason(unit);
                manager_describe(state, text, sizeof(text));
                text_print(f, unit);
                fprintf(f, " is not open: ");
                text_print(f, reason ?: text);
                fprintf(f, ". See systemctl status ");
                text_print(f, unit);
                fprintf(f, ". To try again: systemctl restart fdpass.service.\n");
        } else if (streq(active, "inactive") && problems_is_enabled(value_string(state, "UnitFileState"))) {
                text_print(f, unit);
                fprintf(f, " is enabled, but not started. To start it: systemctl restart fdpass.service.\n");
        }
}

void problems_print_sockets(FILE *f, const Snapshot *s, sd_bus *manager, const Value *service, const Config *config) {
        _cleanup_strlist_ StringList units = {};

        if (problems_list_sockets(service, config, &units) < 0)
                return;

        for (size_t i = 0; i < units.n_items; i++) {
                const char *unit = units.items[i];
                _cleanup_value_ Value state = {};

                if (!problems_has_socket(s, config, unit) && manager_get_unit(manager, unit, &state) >= 0)
                        problems_print_socket(f, unit, &state);
        }
}

/* A unit with its stamp, as the broker has read it, or as it is now. Both strings are borrowed. */
typedef struct UnitStamp {
        const char *unit;
        char stamp[STAMP_TEXT_MAX];
} UnitStamp;

static int problems_compare_stamps(const void *a, const void *b) {
        return strcmp(((const UnitStamp *) a)->unit, ((const UnitStamp *) b)->unit);
}

static void problems_add_stamp(UnitStamp *all, size_t *n, const char *unit, const char *stamp) {
        all[*n].unit = unit;
        (void) snprintf(all[*n].stamp, STAMP_TEXT_MAX, "%s", stamp);
        (*n)++;
}

static size_t problems_collect_read(const Snapshot *s, UnitStamp *all) {
        size_t n = 0;

        problems_add_stamp(all, &n, "fdpass.service", value_string(&s->properties, "Stamp"));
        for (size_t i = 0; i < s->routes.n_items; i++) {
                const Value *route = &s->routes.items[i];

                problems_add_stamp(all, &n, value_string(route, "Unit"), value_string(route, "Stamp"));
        }
        for (size_t i = 0; i < s->listeners.n_items; i++) {
                const Value *l = &s->listeners.items[i];

                if (*value_string(l, "Unit"))
                        problems_add_stamp(all, &n, value_string(l, "Unit"), value_string(l, "Stamp"));
        }

        qsort(all, n, sizeof(*all), problems_compare_stamps);
        return n;
}

static size_t problems_collect_present(const Snapshot *s, const Config *config, UnitStamp *all) {
        char text[STAMP_TEXT_MAX];
        size_t n = 0;

        problems_add_stamp(all, &n, "fdpass.service", stamp_to_string(config->broker.stamp, text));
        for (size_t i = 0; i < config->n_routes; i++)
                problems_add_stamp(all, &n, config->routes[i].unit, stamp_to_string(config->routes[i].stamp, text));

        /* The broker does not know the unit of a socket that it has not got. */
        for (size_t i = 0; i < config->n_listeners; i++) {
                const ListenerConfig *l = &config->listeners[i];

                if (problems_has_socket(s, config, l->unit))
                        problems_add_stamp(all, &n, l->unit, stamp_to_string(l->stamp, text));
        }

        qsort(all, n, sizeof(*all), problems_compare_stamps);
        return n;
}

/* Appends the units that only one of both sorted lists has, or that have another stamp there. Returns 0 or -ENOMEM. */
static int problems_compare_lists(const UnitStamp *a, size_t n_a, const UnitStamp *b, size_t n_b, StringList *ret) {
        int r = 0;

        for (size_t i = 0, k = 0; r >= 0 && (i < n_a || k < n_b);) {
                int order = i == n_a ? 1 : k == n_b ? -1 : strcmp(a[i].unit, b[k].unit);

                if (order != 0 || !streq(a[i].stamp, b[k].stamp))
                        r = strlist_add(ret, order <= 0 ? a[i].unit : b[k].unit);
                i += order <= 0;
                k += order >= 0;
        }

        strlist_sort_unique(ret);
        return r;
}

static int problems_find_changes(const Snapshot *s, const Config *config, StringList *ret) {
        size_t n_read = s->routes.n_items + s->listeners.n_items + 1;
        size_t n_present = config->n_routes + config->n_listeners + 1;
        _cleanup_free_ UnitStamp *read = calloc(n_read, sizeof(*read));
        _cleanup_free_ UnitStamp *present = calloc(n_present, sizeof(*present));

        if (!read || !present)
                return -ENOMEM;

        n_read = problems_collect_read(s, read);
        n_present = problems_collect_present(s, config, present);
        return problems_compare_lists(read, n_read, present, n_present, ret);
}

static void problems_print_names(FILE *f, const StringList *names) {
        for (size_t i = 0; i < names->n_items && i < NAMES_MAX; i++) {
                fprintf(f, "%s", i > 0 ? ", " : "");
                text_print(f, names->items[i]);
        }
        if (names->n_items > NAMES_MAX)
                fprintf(f, " and %zu more", names->n_items - NAMES_MAX);
}

static int problems_ask(sd_bus *manager, const char *unit, size_t *n_asked, StringList *ret) {
        if (*n_asked >= ASKED_MAX)
                return 0;

        (*n_asked)++;
        return manager_needs_reload(manager, unit) ? strlist_add(ret, unit) : 0;
}

/* Finds units that were changed since systemd has read them. Those that the broker has not read either come first. */
static int problems_find_unread(sd_bus *manager, const Config *config, const StringList *changed, StringList *ret) {
        size_t n_asked = 0;
        int r;

        r = problems_ask(manager, "fdpass.service", &n_asked, ret);
        for (size_t i = 0; r >= 0 && i < changed->n_items; i++)
                r = problems_ask(manager, changed->items[i], &n_asked, ret);
        for (size_t i = 0; r >= 0 && i < config->n_listeners; i++)
                r = problems_ask(manager, config->listeners[i].unit, &n_asked, ret);
        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                r = problems_ask(manager, config->routes[i].unit, &n_asked, ret);

        strlist_sort_unique(ret);
        return r;
}

void problems_print_changes(FILE *f, const Snapshot *s, sd_bus *manager, const Config *config) {
        _cleanup_strlist_ StringList changed = {}, unread = {};

        /* A broker of another version has no stamps. */
        if (!*value_string(&s->properties, "Stamp") || problems_find_changes(s, config, &changed) < 0)
                return;

        if (manager && problems_find_unread(manager, config, &changed, &unread) >= 0 && unread.n_items > 0) {
                fprintf(f, "Units changed since systemd read them: ");
                problems_print_names(f, &unread);
                fprintf(f, ". To have them read: systemctl daemon-reload.\n");
        }
        if (changed.n_items > 0) {
                fprintf(f, "Units changed since the broker read them: ");
                problems_print_names(f, &changed);
                fprintf(f, ". To have them read: fdpassctl reload, or systemctl reload fdpass.\n");
        }
}
