/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-config.h"

#include <stdarg.h>
#include <stdio.h>

#include "basic/utf8.h"

_printf_(3, 0)
static void config_say_list(const HttpdConfig *c, const HttpdPlace *place, const char *format, va_list ap) {
        char message[512];

        (void) vsnprintf(message, sizeof(message), format, ap);
        utf8_mask(message);
        c->options.say(c->options.userdata, place, message);
}

void httpd_say(const HttpdConfig *c, const HttpdPlace *place, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        config_say_list(c, place, format, ap);
        va_end(ap);
}

void httpd_say_once(const HttpdConfig *c, HttpdEntry *e, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (!e->is_said)
                config_say_list(c, &e->place, format, ap);
        va_end(ap);
        e->is_said = true;
}

const char *httpd_place(const HttpdPlace *place, const HttpdPlace *from, char ret[static HTTPD_PLACE_MAX]) {
        bool is_same = streq(place->file, from->file);

        (void) snprintf(ret, HTTPD_PLACE_MAX, "line %u%s%s", place->line, is_same ? "" : " of ",
                        is_same ? "" : place->file);
        return ret;
}

void httpd_condition_done(HttpdCondition *d) {
        free(d->name);
        free(d->text);
        *d = (HttpdCondition){};
}

const HttpdCondition *httpd_find_condition(const HttpdConfig *c, HttpdTruth truth) {
        for (size_t i = 0; i < c->n_conditions; i++)
                if (c->conditions[i].truth == truth)
                        return &c->conditions[i];

        return NULL;
}

void httpd_macro_done(HttpdMacro *m) {
        free(m->name);
        free(m->numbers);
        strlist_clear(&m->parameters);
        strlist_clear(&m->lines);
        *m = (HttpdMacro){};
}

void httpd_server_done(HttpdServer *s) {
        strlist_clear(&s->addresses);
        strlist_clear(&s->names);
        strlist_clear(&s->globs);
        *s = (HttpdServer){};
}

void httpd_entry_done(HttpdEntry *e) {
        for (size_t i = 0; i < e->n_areas; i++) {
                free(e->areas[i].path);
                free(e->areas[i].worker);
        }
        free(e->areas);
        free(e->flusher);
        *e = (HttpdEntry){};
}

void httpd_group_done(HttpdGroup *g) {
        strlist_clear(&g->listeners);
        strlist_clear(&g->addresses);
        free(g->servers);
        *g = (HttpdGroup){};
}

void httpd_close_conditions(HttpdConfig *c, size_t n) {
        while (c->n_conditions > n)
                httpd_condition_done(&c->conditions[--c->n_conditions]);
}

HttpdConfig *httpd_config_free(HttpdConfig *c) {
        httpd_close_conditions(c, 0);
        for (size_t i = 0; i < c->n_macros; i++)
                httpd_macro_done(&c->macros[i]);
        for (size_t i = 0; i < c->n_servers; i++)
                httpd_server_done(&c->servers[i]);
        for (size_t i = 0; i < c->n_entries; i++)
                httpd_entry_done(&c->entries[i]);
        for (size_t i = 0; i < c->n_groups; i++)
                httpd_group_done(&c->groups[i]);

        strlist_clear(&c->files);
        strlist_clear(&c->arguments);
        strlist_clear(&c->names);
        strlist_clear(&c->values);
        strlist_clear(&c->doubtful);
        strlist_clear(&c->modules);
        strlist_clear(&c->listens);
        httpd_access_done(&c->access);
        free(c->conditions);
        free(c->macros);
        free(c->skipped);
        free(c->servers);
        free(c->entries);
        free(c->groups);
        free(c);
        return NULL;
}
