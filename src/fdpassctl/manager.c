/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "basic/time.h"

#define MANAGER_NAME "org.freedesktop.systemd1"
#define MANAGER_PRIVATE "unix:path=/run/systemd/private"

/* The manager answers in milliseconds. A bus daemon that hangs must not keep fdpassctl waiting for long. */
#define MANAGER_TIMEOUT_USEC (2 * USEC_PER_SEC)

/* Entries of the journal about a unit at which manager_find_reason() looks. */
#define MANAGER_ENTRIES_MAX 20

static int manager_open_private(sd_bus **ret) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, MANAGER_PRIVATE);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }

        *ret = bus;
        return 0;
}

int manager_open(sd_bus **ret) {
        int r = geteuid() == 0 ? manager_open_private(ret) : -EACCES;

        if (r < 0)
                r = sd_bus_open_system(ret);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(*ret, MANAGER_TIMEOUT_USEC);
        return r < 0 ? r : 0;
}

static bool manager_wants_property(const char *name) {
        static const char *const names[] = {
                "LoadState", "ActiveState", "SubState", "Result", "UnitFileState",
                "ExecMainStatus", "NRestarts", "Triggers", "TriggeredBy",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(names[i], name))
                        return true;

        return false;
}

/* Reads the value of one property, or skips it. There are some hundred, also of types that Value does not have. */
static int manager_read_property(sd_bus_message *m, Value *dict) {
        _cleanup_value_ Value value = {};
        const char *name;
        Value *entry;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;
        if (!manager_wants_property(name))
                return sd_bus_message_skip(m, "v");

        entry = value_add(dict, name, VALUE_NULL);
        if (!entry)
                return -ENOMEM;

        r = value_read(m, &value);
        if (r < 0)
                return r;

        value.name = TAKE_PTR(entry->name);
        *entry = value;
        value = (Value){};
        return 0;
}

static int manager_read_properties(sd_bus_message *m, Value *dict) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = manager_read_property(m, dict);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int manager_get_unit(sd_bus *manager, const char *unit, Value *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_value_ Value dict = { .kind = VALUE_DICT };
        _cleanup_free_ char *path = NULL;
        int r;

        *ret = (Value){};
        if (!manager)
                return -ENOTCONN;

        /* The manager loads the unit of a path that is asked for. An empty name stands for all interfaces. */
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
        if (r >= 0)
                r = sd_bus_call_method(manager, MANAGER_NAME, path, "org.freedesktop.DBus.Properties", "GetAll", NULL,
                                       &m, "s", "");
        if (r >= 0)
                r = manager_read_properties(m, &dict);
        if (r < 0)
                return r;

        *ret = dict;
        dict = (Value){};
        return 0;
}

bool manager_needs_reload(sd_bus *manager, const char *unit) {
        _cleanup_free_ char *path = NULL;
        int needs_reload = 0;

        return sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) >= 0 &&
               sd_bus_get_property_trivial(manager, MANAGER_NAME, path, MANAGER_NAME ".Unit", "NeedDaemonReload", NULL,
                                           'b', &needs_reload) >= 0 && needs_reload;
}

/* Returns the text of the current entry behind "@unit: ", or NULL if it does not begin so. The caller frees it. */
static char *manager_read_message(sd_journal *j, const char *unit) {
        const char *p, *text;
        size_t n, n_unit = strlen(unit);
        const void *data;

        if (sd_journal_get_data(j, "MESSAGE", &data, &n) < 0 || n < strlen("MESSAGE="))
                return NULL;

        p = (const char *) data + strlen("MESSAGE=");
        n -= strlen("MESSAGE=");
        if (n < n_unit + 2 || memcmp(p, unit, n_unit) != 0 || memcmp(p + n_unit, ": ", 2) != 0)
                return NULL;

        text = p + n_unit + 2;
        return strndup(text, n - n_unit - 2);
}

/* True for the entries that tell why a start failed. "Failed with result" follows them, and tells less. */
static bool manager_is_reason(const char *message) {
        return startswith(message, "Failed to ") || startswith(message, "Failed at step ") ||
               strstr(message, "refusing");
}

static char *manager_search(sd_journal *j, const char *unit) {
        char *found = NULL;

        for (unsigned i = 0; i < MANAGER_ENTRIES_MAX && sd_journal_previous(j) > 0; i++) {
                _cleanup_free_ char *message = manager_read_message(j, unit);

                if (!message || !manager_is_reason(message)) {
                        if (found)
                                break;
                        continue;
                }

                /* The first of several entries about one start tells most, and is the last one here. */
                free(found);
                found = TAKE_PTR(message);
        }

        return found;
}

char *manager_find_reason(const char *unit) {
        _cleanup_free_ char *match = NULL;
        char *found = NULL;
        sd_journal *j;
        int r;

        if (sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM) < 0)
                return NULL;

        if (asprintf(&match, "UNIT=%s", unit) < 0)
                match = NULL;
        r = match ? sd_journal_add_match(j, match, 0) : -ENOMEM;
        if (r >= 0)
                r = sd_journal_add_match(j, "_UID=0", 0); /* any process may write entries about a unit */
        if (r >= 0)
                r = sd_journal_seek_tail(j);
        if (r >= 0)
                found = manager_search(j, unit);

        sd_journal_close(j);
        return found;
}

/* Exit statuses with which systemd itself ends a service that it can't start (systemd.exec(5), PROCESS EXIT CODES). */
static const char *manager_status_meaning(int64_t status) {
        switch (status) {
        case 200:
                return ": its WorkingDirectory= can't be used";
        case 203:
                return ": the program can't be executed";
        case 208:
        case 209:
                return ": its standard input or output can't be set up";
        case 216:
        case 217:
                return ": its User= or Group= does not exist";
        case 226:
                return ": its sandbox can't be set up";
        case 233:
        case 238:
        case 239:
        case 240:
        case 241:
                return ": one of its directories can't be made";
        case 243:
                return ": a credential can't be read";
        default:
                return "";
        }
}

/* Writes "exit-code 203: the program can't be executed", or the result alone. "" for a unit that has not failed. */
static void manager_describe_result(const Value *unit, char *ret, size_t size) {
        const char *result = value_string(unit, "Result");
        int64_t status = value_get(unit, "ExecMainStatus")->i;

        ret[0] = '\0';
        if (streq(result, "exit-code") && status != 0)
                (void) snprintf(ret, size, "%s %" PRIi64 "%s", result, status, manager_status_meaning(status));
        else if (*result && !streq(result, "success"))
                (void) snprintf(ret, size, "%s", result);
}

void manager_describe(const Value *unit, char *ret, size_t size) {
        const char *load = value_string(unit, "LoadState"), *active = value_string(unit, "ActiveState");
        const char *sub = value_string(unit, "SubState");
        uint64_t n_restarts = value_number(unit, "NRestarts");
        char result[128], restarts[48] = "";
        bool has_sub = !streq(active, sub);

        manager_describe_result(unit, result, sizeof(result));
        if (n_restarts > 0)
                (void) snprintf(restarts, sizeof(restarts), ", restarted %" PRIu64 " time%s", n_restarts,
                                n_restarts == 1 ? "" : "s");

        if (streq(load, "not-found") || streq(load, "masked"))
                (void) snprintf(ret, size, "%s", load);
        else if (has_sub || *result)
                (void) snprintf(ret, size, "%s (%s%s%s)%s", active, has_sub ? sub : "", has_sub && *result ? "; " : "",
                                result, restarts);
        else
                (void) snprintf(ret, size, "%s%s", active, restarts);
}
