/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd.h"

#include "basic/utf8.h"

/* A unit's name has at most 255 bytes with its type (unit_name_is_valid() of systemd). */
#define HTTPD_STEM_MAX 200

/* Returns whether the character needs no escaping in a unit's name and has no meaning there. */
static bool httpd_unit_is_plain(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
}

static void httpd_unit_make_stem(const HttpdRoute *route, char ret[static HTTPD_STEM_MAX + 1]) {
        char text[HTTPD_STEM_MAX + 1];
        size_t n = 0;

        (void) snprintf(text, sizeof(text), "httpd-%s%s", route->name, route->paths.items[0]);

        /* One dash replaces each run of other characters. */
        for (const char *p = text; *p; p++)
                if (httpd_unit_is_plain(*p))
                        ret[n++] = *p;
                else if (n > 0 && ret[n - 1] != '-')
                        ret[n++] = '-';
        while (n > 0 && ret[n - 1] == '-')
                n--;
        ret[n] = '\0';
}

void httpd_unit_name(const HttpdRoutes *routes, size_t i, char *ret, size_t size) {
        char stem[HTTPD_STEM_MAX + 1], other[HTTPD_STEM_MAX + 1];
        unsigned same = 1, same_line = 1;

        httpd_unit_make_stem(&routes->items[i], stem);
        for (size_t k = 0; k < i; k++) {
                httpd_unit_make_stem(&routes->items[k], other);
                same += streq(stem, other);
                same_line += streq(stem, other) && same > 2 &&
                             routes->items[k].place.line == routes->items[i].place.line;
        }

        if (same_line > 1)
                (void) snprintf(ret, size, "%s-line%u-%u.target", stem, routes->items[i].place.line, same);
        else if (same > 1)
                (void) snprintf(ret, size, "%s-line%u.target", stem, routes->items[i].place.line);
        else
                (void) snprintf(ret, size, "%s.target", stem);
}

/* Doubles percent signs, because one begins a specifier. */
static void httpd_unit_print_value(FILE *f, const char *key, const char *value) {
        fprintf(f, "%s=", key);
        for (const char *p = value; *p; p++)
                fputs(*p == '%' ? "%%" : (char[]){ *p, '\0' }, f);
        fputc('\n', f);
}

void httpd_unit_print(const HttpdRoute *route, FILE *f) {
        const char *file = route->place.file;

        fprintf(f, "[Unit]\nDescription=Clients that httpd Passed by Line %u of ", route->place.line);
        for (size_t n; *file; file += MAX(n, (size_t) 1)) {
                n = *file == '\\' ? 0 : utf8_printable(file);
                fprintf(f, "%.*s", n > 0 ? (int) n : 1, n == 0 ? "?" : file);
                if (*file == '%')
                        fputc('%', f);
        }
        fputs("\n\n[X-FDPass]\n", f);

        /* The worker listens itself, as it did for httpd, so this is no socket unit. */
        httpd_unit_print_value(f, "Worker", route->worker);
        for (size_t i = 0; i < route->listeners.n_items; i++)
                httpd_unit_print_value(f, "Listener", route->listeners.items[i]);
        for (size_t i = 0; i < route->hosts.n_items; i++)
                httpd_unit_print_value(f, "Host", route->hosts.items[i]);
        for (size_t i = 0; i < route->paths.n_items; i++)
                if (route->paths.n_items > 1 || !streq(route->paths.items[i], "/"))
                        httpd_unit_print_value(f, "Path", route->paths.items[i]);
        for (size_t i = 0; i < route->sources.n_items; i++)
                httpd_unit_print_value(f, "Source", route->sources.items[i]);
        httpd_unit_print_value(f, "Flusher", route->flusher);
        fputs("\n[Install]\nWantedBy=fdpass.target\n", f);
}
