/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/flusher-config.h"

#include <stdio.h>

#include "basic/parse.h"
#include "flusher/flusher.h"
#include "probe/probe.h"

#define SERVER_DEFAULT "Server: fdpass"

void flusher_config_done(RouteConfig *route) {
        free(route->flusher);
        free(route->flusher_argument);
        free(route->flusher_path);
        free(route->response_reason);
        free(route->response_fields);
        flusher_unload(route->flusher_handle);
}

/* True without control characters. An instance's name may bring in any byte through a specifier, a line break too. */
static bool flusher_config_is_one_line(const char *s) {
        for (const char *p = s; *p; p++)
                if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f)
                        return false;

        return true;
}

/* Ends the first word of @s by a NUL. Returns the text after it without leading white space; "": none. */
static char *flusher_config_split(char *s) {
        s += strcspn(s, WHITESPACE);
        if (*s)
                *s++ = '\0';

        return s + strspn(s, WHITESPACE);
}

/* Parses "NAME" or "NAME ARGUMENT". The argument is the rest of the line. */
int config_parse_flusher(ConfigContext *c, const Assignment *a, void *field) {
        RouteDraft *d = CONTAINER_OF(field, RouteDraft, route.flusher);
        char value[VALUE_SIZE], *argument;
        bool is_none;
        int r;

        if (!config_expand(c, a, a->value, value))
                return 0;

        argument = flusher_config_split(value);
        is_none = !*value || (streq(value, "none") && !*argument);
        if (!is_none &&
            (streq(value, "none") || !flusher_name_is_valid(value) || !flusher_config_is_one_line(argument))) {
                config_bad_value(c, a, "\"none\", \"flush\", \"redirect\" or the name of another flusher");
                return 0;
        }

        d->flusher_line = is_none ? NULL : a;
        r = config_set_string(&d->route.flusher, is_none ? "" : value);
        return r < 0 ? r : config_set_string(&d->route.flusher_argument, argument);
}

/*
 * True for fields that ResponseHeader= must not set: the flusher writes them, or they would contradict how the response
 * ends. The end of the connection is the end of the body (RFC 9112 6.3, RFC 9110 7.6.1).
 */
static bool flusher_config_is_reserved(const char *name) {
        static const char *const names[] = {
                "Connection", "Content-Length", "Date", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
                "Transfer-Encoding", "Upgrade",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcasecmp(name, names[i]) == 0)
                        return true;

        return false;
}

int config_parse_response_header(ConfigContext *c, const Assignment *a, void *field) {
        RouteDraft *d = CONTAINER_OF(field, RouteDraft, response_headers);
        char value[VALUE_SIZE], line[2 * VALUE_SIZE], *colon, *text;

        if (!*a->value) {
                strlist_clear(&d->response_headers);
                return 0;
        }

        if (!config_expand(c, a, a->value, value))
                return 0;

        colon = strchr(value, ':');
        text = colon ? colon + 1 + strspn(colon + 1, WHITESPACE) : value;
        if (colon)
                *colon = '\0';

        if (!colon || !http_is_token(value) || !flusher_config_is_one_line(text)) {
                config_bad_value(c, a, "the name of a field, a colon, and its value, without control characters");
                return 0;
        }
        if (flusher_config_is_reserved(value)) {
                config_error(c, a, "%s= can't set %s, because the flusher decides how the response ends.", a->key,
                             value);
                return 0;
        }

        d->response_line = a;
        (void) snprintf(line, sizeof(line), "%s: %s", value, text);
        return strlist_add(&d->response_headers, line);
}

/*
 * True for a final status whose response has a body, because the worker writes the body. 1xx are interim (RFC 9110
 * 15.2). 204, 205 and 304 have no body (RFC 9110 15.3.5, 15.3.6, 15.4.5).
 */
static bool flusher_config_has_body(unsigned status) {
        return status >= 200 && status <= 599 && status != 204 && status != 205 && status != 304;
}

int config_parse_response_status(ConfigContext *c, const Assignment *a, void *field) {
        RouteDraft *d = CONTAINER_OF(field, RouteDraft, route.response_status);
        char value[VALUE_SIZE], *reason;
        unsigned status = 200;

        if (!config_expand(c, a, a->value, value))
                return 0;

        reason = flusher_config_split(value);
        if (*value && (strlen(value) != 3 || parse_unsigned(value, &status) < 0 || !flusher_config_has_body(status) ||
                       !flusher_config_is_one_line(reason) || strlen(reason) > 128)) {
                config_bad_value(c, a, "a status from 200 to 599 whose response has a body, and a phrase or none");
                return 0;
        }

        d->route.response_status = status;
        d->response_line = *value ? a : d->response_line;
        d->status_line = *value ? a : NULL;
        return config_set_string(&d->route.response_reason, reason);
}

static bool flusher_config_has_header(const StringList *headers, const char *name) {
        size_t n = strlen(name);

        for (size_t i = 0; i < headers->n_items; i++)
                if (strncasecmp(headers->items[i], name, n) == 0 && headers->items[i][n] == ':')
                        return true;

        return false;
}

/* Joins the header lines as the client gets them. Adds a Server line if there is none. */
static int flusher_config_join_headers(const StringList *headers, char **ret) {
        size_t n = strlen(SERVER_DEFAULT "\r\n") + 1;
        char *p;

        for (size_t i = 0; i < headers->n_items; i++)
                n += strlen(headers->items[i]) + 2;

        *ret = p = malloc(n);
        if (!p)
                return -ENOMEM;

        *p = '\0';
        if (!flusher_config_has_header(headers, "Server"))
                p = stpcpy(p, SERVER_DEFAULT "\r\n");
        for (size_t i = 0; i < headers->n_items; i++)
                p = stpcpy(stpcpy(p, headers->items[i]), "\r\n");

        return 0;
}

/* Narrows the match to HTTP/1, or reports keys that would exclude it. */
static void flusher_config_check_match(ConfigContext *c, RouteDraft *d) {
        const unsigned http = 1U << PROBE_HTTP;
        RouteMatch *match = &d->route.match;

        /* A route with InternalName= matches no protocol. The broker parses the head when the response begins. */
        if (match->name)
                return;

        if (match->protocols == 0)
                match->protocols = http;
        else if (match->protocols != http)
                config_error(c, d->flusher_line, "Flusher=%s writes an HTTP/1 response, so Protocol= must be \"http\".",
                             d->route.flusher);

        if (match->n_prefixes > 0 || match->alpns)
                config_error(c, d->flusher_line, "Flusher=%s writes an HTTP/1 response, so no client would match %s=.",
                             d->route.flusher, match->alpns ? "ALPN" : "Prefix");
}

/* Leaves a route without a flusher, whose worker writes the whole response. */
static void flusher_config_finish_none(ConfigContext *c, RouteDraft *d) {
        const Assignment *a = d->response_line;

        if (a)
                reporter_say(c->reporter, CONFIG_WARNING, c->unit->id, a->path, a->line,
                             "%s= has no effect without Flusher=, because the worker writes the response; add Flusher=, "
                             "or remove the line.", a->key);

        free(TAKE_PTR(d->route.flusher_argument));
        free(TAKE_PTR(d->route.response_reason));
        d->route.response_status = 0;
}

int flusher_config_finish(ConfigContext *c, RouteDraft *d) {
        RouteConfig *route = &d->route;
        int r;

        if (!route->flusher) {
                flusher_config_finish_none(c, d);
                return 0;
        }

        flusher_config_check_match(c, d);

        r = flusher_config_join_headers(&d->response_headers, &route->response_fields);
        if (r < 0)
                return r;
        if (strlen(route->response_fields) > RESPONSE_FIELDS_MAX)
                config_error(c, d->response_line, "All ResponseHeader= lines together are longer than %u bytes.",
                             RESPONSE_FIELDS_MAX);

        if (!route->response_reason)
                route->response_reason = strdup(http_status_phrase(route->response_status));
        if (!route->flusher_argument)
                route->flusher_argument = strdup("");
        route->flusher_path = strdup(d->flusher_line->path);
        route->flusher_line = d->flusher_line->line;
        return route->response_reason && route->flusher_argument && route->flusher_path ? 0 : -ENOMEM;
}
