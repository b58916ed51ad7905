/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ProxyPass and ProxyPassMatch: the paths that a line takes, and the socket for each (add_pass() of mod_proxy). */

#include "basic/array.h"
#include "basic/utf8.h"
#include "fdpassctl/httpd-config.h"
#include "fdpassctl/httpd-url.h"
#include "flusher/flusher.h"

/* One line. */
typedef struct Pass {
        const HttpdLine *line;
        HttpdEntry *entry;
        const char *path;   /* path or expression */
        const char *url;    /* path of the socket, behind "fd://"; NULL: the line is for something else */
        bool is_regex;      /* @path is an expression */
        bool has_dollar;    /* "$1" in @url is replaced */
} Pass;

/* Reads the words behind the URL, of which mod_proxy_fdpass uses flusher= only. Returns the flusher, or NULL. */
static const char *pass_read_options(HttpdConfig *c, const HttpdLine *l, size_t first) {
        const char *flusher = "flush", *value;

        for (size_t i = first; i < l->n_words; i++) {
                value = startswith(l->words[i], "flusher=");
                if (value)
                        flusher = value;
                else
                        httpd_say(c, &l->place, "%.*s has no effect with fd:// in httpd, and has none here.",
                                  HTTPD_SHOWN(l->words[i]));
        }

        if (!flusher_name_is_valid(flusher) || streq(flusher, "none")) {
                httpd_say(c, &l->place, "Flusher= can't express flusher=%.*s; no unit is printed.",
                                        HTTPD_SHOWN(flusher));
                return NULL;
        }
        if (!streq(flusher, "flush"))
                httpd_say(c, &l->place, "The flusher %s of httpd has to be written again: see fdpass-flusher(3).",
                                        flusher);

        return flusher;
}

/* Finds the worker of the path. Returns 1, 0 after a message if no unit can express it, or -ENOMEM. */
static int pass_find_worker(HttpdConfig *c, const Pass *pass, const HttpdAlternative *a, char **ret) {
        char url[HTTPD_URL_MAX], worker[HTTPD_SOCKET_MAX + 1];
        HttpdEntry *e = pass->entry;
        int r = pass->has_dollar ? httpd_url_substitute(pass->url, a, url) : 1;

        if (!pass->has_dollar)
                strcpy(url, pass->url);

        if (r < 0)
                httpd_say_once(c, e, "httpd answers 500 here, because it adds the request's path to the socket's "
                                     "\"%.*s\" if that has no \"$1\"; no unit is printed.", HTTPD_SHOWN(pass->url));
        else if (r == 0)
                httpd_say_once(c, e, "The client's request is part of the socket's path \"%.*s\". No unit can express "
                                     "that, so none is printed.", HTTPD_SHOWN(pass->url));
        else if (!httpd_path_is_expressible(a->text))
                httpd_say_once(c, e, "Path= can't express the path \"%.*s\"; no unit is printed for it.",
                               HTTPD_SHOWN(a->text));
        else if (!httpd_url_make_worker(c->root, url, worker))
                httpd_say_once(c, e, "\"%.*s\" is no path of a socket; no unit is printed for it.", HTTPD_SHOWN(url));
        else {
                *ret = strdup(worker);
                return *ret ? 1 : -ENOMEM;
        }

        return 0;
}

static int pass_add_area(HttpdConfig *c, const Pass *pass, const HttpdAlternative *a) {
        HttpdEntry *e = pass->entry;
        HttpdArea *area;
        int r = 0;

        if (!ARRAY_GROW(e->areas, e->n_areas))
                return -ENOMEM;

        area = &e->areas[e->n_areas++];
        *area = (HttpdArea){ .kind = a->kind, .path = strdup(a->text) };
        if (!area->path)
                return -ENOMEM;

        if (e->flusher && a->kind != HTTPD_AREA_UNKNOWN)
                r = pass_find_worker(c, pass, a, &area->worker);
        return MIN(r, 0);
}

static int pass_add_path(HttpdConfig *c, const Pass *pass, HttpdAreaKind kind, const char *path, size_t n) {
        _cleanup_free_ HttpdAlternative *a = calloc(1, sizeof(*a));

        if (!a)
                return -ENOMEM;

        if (n > HTTPD_REGEX_TEXT_MAX) {
                kind = HTTPD_AREA_UNKNOWN;
                n = HTTPD_REGEX_TEXT_MAX;
        }
        memcpy(a->text, path, n);
        a->kind = kind;
        a->groups[0].end = (int) n;
        if (kind == HTTPD_AREA_UNKNOWN && pass->url)
                httpd_say_once(c, pass->entry, "Path= can't express the expression \"%.*s\"; no unit is printed.",
                               HTTPD_SHOWN(pass->path));
        return pass_add_area(c, pass, a);
}

static void pass_remove_area(HttpdEntry *e, size_t i) {
        free(e->areas[i].path);
        free(e->areas[i].worker);
        memmove(&e->areas[i], &e->areas[i + 1], (--e->n_areas - i) * sizeof(*e->areas));
}

/* Returns whether one area is "/x" alone, and the other all that begins with "/x/". */
static bool pass_are_segments(const HttpdArea *exact, const HttpdArea *begin) {
        const char *rest = startswith(begin->path, exact->path);

        return exact->kind == HTTPD_AREA_EXACT && begin->kind == HTTPD_AREA_BEGIN && rest && streq(rest, "/");
}

/* Makes one of two areas with the same worker: "^/x(/|$)" is the path and those below, and "^/x/?" is "^/x". */
static void pass_join(HttpdEntry *e) {
        for (size_t i = 0; i + 1 < e->n_areas;) {
                HttpdArea *a = &e->areas[i], *b = &e->areas[i + 1];
                bool is_same = a->worker && b->worker && streq(a->worker, b->worker);

                if (is_same && (pass_are_segments(a, b) || pass_are_segments(b, a))) {
                        size_t begin = a->kind == HTTPD_AREA_BEGIN ? i : i + 1;

                        e->areas[2 * i + 1 - begin].kind = HTTPD_AREA_BELOW;
                        pass_remove_area(e, begin);
                } else if (is_same && httpd_area_covers(b, a))
                        pass_remove_area(e, i);
                else {
                        i++;
                        continue;
                }
                i -= i > 0;
        }
}

static int pass_add_regex(HttpdConfig *c, const Pass *pass) {
        _cleanup_free_ HttpdAlternative *all = NULL;
        size_t n = 0, k;
        int r = httpd_regex_expand(pass->path, &all, &n);

        if (r == 0) {
                k = httpd_regex_prefix(pass->path);
                return pass_add_path(c, pass, HTTPD_AREA_UNKNOWN, pass->path + (k > 0), k);
        }

        for (size_t i = 0; i < n && r >= 0; i++) {
                if (!all[i].text[0] && all[i].kind == HTTPD_AREA_BEGIN)
                        strcpy(all[i].text, "/"); /* every path begins so */
                if (all[i].text[0] == '/')
                        r = pass_add_area(c, pass, &all[i]);
        }

        pass_join(pass->entry);
        return r;
}

/* In a location, the path or expression is that of the section. */
static int pass_add_areas(HttpdConfig *c, const Pass *pass) {
        const char *path = pass->path;

        if (!pass->is_regex && c->location.number > 0 && (c->location.is_regex || strpbrk(path, "*?["))) {
                size_t k = c->location.is_regex ? httpd_regex_prefix(path) : strcspn(path, "*?[\\");

                return pass_add_path(c, pass, HTTPD_AREA_UNKNOWN, path + (c->location.is_regex && k > 0), k);
        }
        if (pass->is_regex)
                return pass_add_regex(c, pass);
        if (path[0] == '/')
                return pass_add_path(c, pass, HTTPD_AREA_BELOW, path, strlen(path));

        if (pass->url)
                httpd_say_once(c, pass->entry, "Path= can't express the path \"%.*s\"; no unit is printed.",
                                               HTTPD_SHOWN(path));
        return 0;
}

/* httpd takes the last line of a location. */
static void pass_forget_location(HttpdConfig *c, const HttpdEntry *e) {
        for (size_t i = 0; e->location > 0 && &c->entries[i] < e; i++)
                if (c->entries[i].location == e->location) {
                        if (c->entries[i].is_fd)
                                httpd_say(c, &c->entries[i].place, "httpd never comes to this line, because line %u of "
                                                                   "the same section replaces it; no unit is printed.",
                                                                   e->place.line);
                        httpd_entry_done(&c->entries[i]);
                }
}

static HttpdEntry *pass_new_entry(HttpdConfig *c, const HttpdLine *l) {
        HttpdEntry *e;

        if (!ARRAY_GROW(c->entries, c->n_entries))
                return NULL;

        e = &c->entries[c->n_entries++];
        *e = (HttpdEntry){
                .place = l->place, .server = c->server, .condition = httpd_access_condition(&c->access),
                .location = c->location.number,
        };
        pass_forget_location(c, e);
        return e;
}

int httpd_read_pass(HttpdConfig *c, const HttpdLine *l) {
        bool is_match = httpd_is(l, "ProxyPassMatch"), is_here = c->location.number > 0;
        bool has_tilde = !is_match && l->n_words > 1 && streq(l->words[1], "~");
        size_t url_at = (is_here ? 1u : 2u) + has_tilde;
        const char *flusher;
        Pass pass;
        int r;

        if (!is_match && !httpd_is(l, "ProxyPass"))
                return 0;
        if (l->n_words <= url_at)
                return 1;
        if (streq(l->words[url_at], "!"))
                httpd_say(c, &l->place, "An exception can't be expressed: give its path a route of its own, if it "
                                        "needs one.");

        pass = (Pass){
                .line = l, .entry = pass_new_entry(c, l), .path = is_here ? c->location.path : l->words[url_at - 1],
                .url = httpd_url_skip_scheme(l->words[url_at]), .has_dollar = is_match || has_tilde,
                .is_regex = (is_match || has_tilde) && (!is_here || c->location.is_regex),
        };
        if (!pass.entry)
                return -ENOMEM;

        pass.entry->is_fd = pass.url;
        if (pass.url && l->undefined[0])
                httpd_say_once(c, pass.entry, "${%s} has no value; no unit is printed. If httpd gets it from its "
                                              "environment, give it to fdpassctl, too.", l->undefined);
        flusher = pass.url && !pass.entry->is_said ? pass_read_options(c, l, url_at + 1) : NULL;
        if (flusher) {
                pass.entry->flusher = strdup(flusher);
                if (!pass.entry->flusher)
                        return -ENOMEM;
        }

        r = pass_add_areas(c, &pass);
        if (r >= 0 && pass.url && !pass.has_dollar && pass.entry->n_areas > 0 && pass.entry->areas[0].worker)
                httpd_say(c, &l->place, "httpd answers 500 to paths below \"%.*s\", because it adds the rest of them "
                                        "to the path of the socket. The unit passes them to the worker.",
                                        HTTPD_SHOWN(pass.path));
        return r < 0 ? r : 1;
}
