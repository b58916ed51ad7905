/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/import-sink.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/config.h"
#include "fdpassctl/add-recipes.h"
#include "fdpassctl/add-units.h"

void import_say(const ImportSink *sink, unsigned line, const char *format, ...) {
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        sink->say(sink->userdata, sink->file, line, message);
}

/* @userdata is the sink. The line of a unit that is not written tells nothing. */
static void import_report(void *userdata, ConfigSeverity severity, const char *unit, const char *path, unsigned line,
                          const char *message) {
        const ImportSink *sink = userdata;

        if (severity == CONFIG_ERROR)
                import_say(sink, 0, "No unit %s: %s", unit, message);
}

int import_make(const ImportSink *sink, AddPlan *plan) {
        _cleanup_(add_files_done) AddFiles files = {};
        ImportSink copy = *sink;
        char unit[256];
        int r;

        plan->recipe = add_recipe_find(plan);
        if (!plan->recipe)
                return -EINVAL;

        r = add_units_make(plan, &files);
        if (r >= 0)
                r = config_check_text(add_unit_name(plan, unit), files.items[0].path, files.items[0].text,
                                      import_report, &copy);
        if (r != 0)
                return r < 0 ? r : 0;

        r = sink->take(sink->userdata, &files);
        files = (AddFiles){};
        return r;
}

int import_add_key(AddPlan *plan, const char *key, const char *value) {
        _cleanup_free_ char *line = add_units_line(key, value);

        return line ? strlist_add(&plan->keys, line) : -ENOMEM;
}

static bool import_is_plain(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void import_name(const char *prefix, const char *text, char ret[static ADD_NAME_MAX + 1]) {
        size_t n = (size_t) (stpcpy(ret, prefix) - ret);

        ret[n++] = '-';
        for (; *text && n < ADD_NAME_MAX; text++)
                if (import_is_plain(*text))
                        ret[n++] = *text;
                else if (ret[n - 1] != '-')
                        ret[n++] = '-';
        while (ret[n - 1] == '-')
                n--;
        ret[n] = '\0';
}
