/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/flusher-config.h"

#include <stdio.h>

#include "basic/parse.h"
#include "config/route-config.h"
#include "flusher/flusher.h"
#include "probe/probe.h"

#define WHITESPACE " \t"

#define SERVER_DEFAULT "Server: fdpass"

void flusher_draft_done(FlusherDraft *d) {
        free(d->name);
        free(d->argument);
        strlist_clear(&d->fields);
        free(d->reason);
}

void route_flusher_done(RouteConfig *route) {
        free(route->flusher);
        free(route->flusher_argument);
        free(route->flusher_path);
        free(route->response_reason);
        free(route->response_fields);
        flusher_unload(route->flusher_handle);
}

/* What goes out to the client, or on to a flusher, is one line: specifiers may have brought anything in. */
static bool is_one_line(const char *s) {
        for (const char *p = s; *p; p++)
                if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f)
                        return false;

        return true;
}

/* Flusher=NAME, and behind a space what is meant for it alone. */
int config_parse_flusher(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                         _unused_ const void *fallback) {
        FlusherDraft *d = field;
        char value[VALUE_SIZE], *argument;
        bool is_none;
        int r;

        if (!config_expand(c, a, a->value, value))
                return 0;

        argument = value + strcspn(value, WHITESPACE);
        if (*argument) {
                *argument++ = '\0';
                argument += strspn(argument, WHITESPACE);
        }

        is_none = !*value || (streq(value, "none") && !*argument);
        if (!is_none && (streq(value, "none") || !flusher_name_is_valid(value) || !is_one_line(argument))) {
                config_bad_value(c, a, "\"none\", \"flush\" or the name of another flusher");
                return 0;
        }

        d->line = is_none ? NULL : a;
        r = config_set_string(&d->name, is_none ? "" : value);
        return r < 0 ? r : config_set_string(&d->argument, argument);
}

/*
 * What a flusher says itself, and what would say something else about where the body ends or what becomes of the
 * connection than what happens: the end of the connection is the end of the body (RFC 9112 6.3, RFC 9110 7.6.1).
 */
static bool is_reserved(const char *name) {
        static const char *const names[] = {
                "Connection", "Content-Length", "Date", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
                "Transfer-Encoding", "Upgrade",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (slice_equal_fold(slice_from_string(name), slice_from_string(names[i])))
                        return true;

        return false;
}

int config_parse_response_header(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                                 _unused_ const void *fallback) {
        FlusherDraft *d = field;
        char value[VALUE_SIZE], line[2 * VALUE_SIZE], *colon, *text;

        if (!*a->value) {
                strlist_clear(&d->fields);
                return 0;
        }

        if (!config_expand(c, a, a->value, value))
                return 0;

        colon = strchr(value, ':');
        text = colon ? colon + 1 + strspn(colon + 1, WHITESPACE) : value;
        if (colon)
                *colon = '\0';

        if (!colon || !http_is_token(value) || !is_one_line(text)) {
                config_bad_value(c, a, "the name of a field, a colon, and its value, without control characters");
                return 0;
        }
        if (is_reserved(value)) {
                config_error(c, a, "%s= can't set %s: a flusher says itself how the response ends.", a->key, value);
                return 0;
        }

        d->response_line = a;
        (void) snprintf(line, sizeof(line), "%s: %s", value, text);
        return strlist_add(&d->fields, line);
}

/* What has no body leaves nothing to the worker (RFC 9110 15.3.5, 15.3.6, 15.4.5); 1xx is no response yet. */
static bool status_is_fine(unsigned status) {
        return status >= 200 && status <= 599 && status != 204 && status != 205 && status != 304;
}

int config_parse_response_status(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                                 _unused_ const void *fallback) {
        FlusherDraft *d = field;
        char value[VALUE_SIZE], *reason;
        unsigned status = 200;

        if (!config_expand(c, a, a->value, value))
                return 0;

        reason = value + strcspn(value, WHITESPACE);
        if (*reason) {
                *reason++ = '\0';
                reason += strspn(reason, WHITESPACE);
        }

        if (*value && (strlen(value) != 3 || parse_unsigned(value, &status) < 0 || !status_is_fine(status) ||
                       !is_one_line(reason) || strlen(reason) > 128)) {
                config_bad_value(c, a, "a status from 200 to 599 whose response has a body, and a phrase or none");
                return 0;
        }

        d->status = status;
        d->response_line = *value ? a : d->response_line;
        return config_set_string(&d->reason, reason);
}

static bool has_field(const StringList *fields, const char *name) {
        size_t n = strlen(name);

        for (size_t i = 0; i < fields->n_items; i++)
                if (strncasecmp(fields->items[i], name, n) == 0 && fields->items[i][n] == ':')
                        return true;

        return false;
}

/* All lines as they go out. */
static int join_fields(const StringList *fields, char **ret) {
        size_t n = strlen(SERVER_DEFAULT "\r\n") + 1;
        char *p;

        for (size_t i = 0; i < fields->n_items; i++)
                n += strlen(fields->items[i]) + 2;

        *ret = p = malloc(n);
        if (!p)
                return -ENOMEM;

        *p = '\0';
        if (!has_field(fields, "Server"))
                p = stpcpy(p, SERVER_DEFAULT "\r\n");
        for (size_t i = 0; i < fields->n_items; i++)
                p = stpcpy(stpcpy(p, fields->items[i]), "\r\n");

        return 0;
}

static void check_match(ConfigContext *c, const FlusherDraft *d, RouteMatch *match) {
        const unsigned http = 1U << PROBE_HTTP;

        /* Whom another worker names has no protocol to be matched; it is looked at when the response begins. */
        if (match->name)
                return;

        if (match->protocols == 0)
                match->protocols = http;
        else if (match->protocols != http)
                config_error(c, d->line, "%s=%s begins a response of HTTP/1, so Protocol= has to be http.", d->line->key,
                             d->name);

        if (match->n_prefixes > 0 || match->alpns)
                config_error(c, d->line, "%s=%s begins a response of HTTP/1, so %s= would take no client.", d->line->key,
                             d->name, match->alpns ? "ALPN" : "Prefix");
}

int flusher_draft_finish(ConfigContext *c, FlusherDraft *d, RouteConfig *route) {
        int r;

        if (!d->name) {
                if (d->response_line)
                        reporter_say(c->reporter, CONFIG_WARNING, c->unit->id, d->response_line->path, d->response_line->line,
                                     "%s= means nothing without Flusher=: the worker writes the response.", d->response_line->key);
                return 0;
        }

        check_match(c, d, &route->match);

        r = join_fields(&d->fields, &route->response_fields);
        if (r < 0)
                return r;
        if (strlen(route->response_fields) > RESPONSE_FIELDS_MAX)
                config_error(c, d->response_line, "All ResponseHeader= together have more than %u bytes.", RESPONSE_FIELDS_MAX);

        route->response_status = d->status;
        route->response_reason = d->reason ? TAKE_PTR(d->reason) : strdup(http_status_phrase(d->status));
        route->flusher = TAKE_PTR(d->name);
        route->flusher_argument = d->argument ? TAKE_PTR(d->argument) : strdup("");
        route->flusher_path = strdup(d->line->path);
        route->flusher_line = d->line->line;
        return route->response_reason && route->flusher_argument && route->flusher_path ? 0 : -ENOMEM;
}

static bool texts_differ(const char *a, const char *b) {
        return !a || !b ? a != b : !streq(a, b);
}

bool route_config_flushes_alike(const RouteConfig *a, const RouteConfig *b) {
        return !texts_differ(a->flusher, b->flusher) && !texts_differ(a->flusher_argument, b->flusher_argument) &&
               !texts_differ(a->response_fields, b->response_fields) &&
               !texts_differ(a->response_reason, b->response_reason) && a->response_status == b->response_status;
}

static void say(Reporter *reporter, const RouteConfig *route, const char *why, const char *more) {
        reporter_say(reporter, CONFIG_ERROR, route->unit, route->flusher_path, route->flusher_line,
                     "Flusher=%s%s%s%s", route->flusher, why, more ? ": " : "", more ?: ".");
}

/* Returns 1 where the route has its flusher now, 0 after an error was reported, or -ENOMEM. */
static int load_one(Reporter *reporter, RouteConfig *route, const char *directory, bool load) {
        const char *why = NULL;
        int r = 0;

        if (streq(route->flusher, flusher_flush.name))
                route->provider = &flusher_flush;
        else
                r = load ? flusher_load(directory, route->flusher, &route->provider, &route->flusher_handle, &why)
                         : flusher_find(directory, route->flusher, NULL);

        switch (r) {
        case 0:
                break;

        case FLUSHER_MISSING:
                say(reporter, route, " is not installed", directory);
                return 0;

        case FLUSHER_UNUSABLE:
                say(reporter, route, " can't be loaded", why);
                return 0;

        case FLUSHER_FOREIGN:
                say(reporter, route, " is no flusher: its file does not export what one has to, under this name", NULL);
                return 0;

        case FLUSHER_VERSION:
                say(reporter, route, " was made for another version of fdpass-flusher.h", NULL);
                return 0;

        default:
                return r;
        }

        if (!route->provider)
                return 1;

        if (route->provider->check ? route->provider->check(route->flusher_argument) != 0 : *route->flusher_argument) {
                say(reporter, route, " does not understand", route->flusher_argument);
                return 0;
        }

        return 1;
}

int config_load_flushers(Config *config, const char *directory, bool load, ConfigReport report, void *userdata) {
        Reporter reporter = { .report = report, .userdata = userdata };
        size_t n = 0;

        for (size_t i = 0; i < config->n_routes; i++) {
                RouteConfig *route = &config->routes[i], copy;
                int r = route->flusher ? load_one(&reporter, route, directory, load) : 1;

                if (r < 0)
                        return r;
                if (r == 0) {
                        route_config_done(route);
                        continue;
                }

                copy = *route;
                *route = (RouteConfig){};
                config->routes[n++] = copy;
        }

        config->n_routes = n;
        config->n_errors += reporter.n_errors;
        return 0;
}
