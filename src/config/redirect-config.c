/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/redirect-config.h"

#include "flusher/redirect.h"
#include "probe/http.h"

/* An address in a format. */
#define EXAMPLE "https://%%h%%u"

bool redirect_config_is_on(const RouteConfig *route) {
        return route->flusher && streq(route->flusher, flusher_redirect.name);
}

/*
 * Doubles the "%" of "%h" and "%u", so that they are left when specifiers are expanded. systemd has other values for
 * these two (systemd.unit(5)), which no route can use. Returns false if the result does not fit.
 */
static bool redirect_config_protect(const char *s, char ret[static VALUE_SIZE]) {
        size_t n = 0;

        for (; *s; s++) {
                bool is_pair = s[0] == '%' && s[1] != '\0';

                if (n + 4 > VALUE_SIZE)
                        return false;
                if (is_pair && (s[1] == 'h' || s[1] == 'u'))
                        ret[n++] = '%';
                ret[n++] = *s;
                if (is_pair)
                        ret[n++] = *++s;
        }

        ret[n] = '\0';
        return true;
}

int config_parse_redirect_to(ConfigContext *c, const Assignment *a, void *field) {
        RouteDraft *d = CONTAINER_OF(field, RouteDraft, redirect_to);
        char text[VALUE_SIZE], value[VALUE_SIZE];
        RedirectTarget target;
        const char *wrong;

        d->redirect_line = *a->value ? a : NULL;
        if (!*a->value)
                return config_set_string(&d->redirect_to, "");

        if (!redirect_config_protect(a->value, text)) {
                config_error(c, a, "The address in %s= is too long.", a->key);
                return 0;
        }
        if (!config_expand(c, a, text, value))
                return 0;

        wrong = redirect_target_parse(value, &target);
        if (wrong) {
                config_error(c, a, "%s= wants an address such as " EXAMPLE ", not \"%.200s\": %s.", a->key, a->value, wrong);
                return 0;
        }

        return config_set_string(&d->redirect_to, value);
}

static bool redirect_config_has_host(const RouteMatch *match, const RedirectTarget *t) {
        if (t->has_client_host || !match->hosts)
                return true;

        for (char **h = match->hosts; *h; h++) {
                const char *below = startswith(*h, "*");
                size_t n = below ? strlen(below) : 0;

                if (streq(*h, t->host.text) || (below && t->host.n > n && streq(t->host.text + t->host.n - n, below)))
                        return true;
        }

        return false;
}

static bool redirect_config_has_path(const RouteMatch *match, const RedirectTarget *t) {
        Slice path = t->path;
        size_t n = 0;

        if (!match->paths || (t->has_url && path.n == 0))
                return true;

        while (n < path.n && path.p[n] != '?' && path.p[n] != '#')
                n++;
        path = n > 0 ? slice_head(path, n) : SLICE_LITERAL("/");

        for (char **p = match->paths; *p; p++)
                if (http_path_has_prefix(path, slice_from_string(*p)))
                        return true;

        return false;
}

bool redirect_config_leads_back(const RouteConfig *route) {
        RedirectTarget target;

        if (redirect_target_parse(route->flusher_argument, &target))
                return false;

        return redirect_config_has_host(&route->match, &target) && redirect_config_has_path(&route->match, &target);
}

/* Reports keys that have no meaning without a flusher that redirects. */
static void redirect_config_finish_other(ConfigContext *c, const RouteDraft *d) {
        const Assignment *a = d->redirect_line;

        if (a)
                config_error(c, a, "%s= needs Flusher=redirect, which no line of this unit says; add it, or remove this "
                             "line.", a->key);
}

static void redirect_config_check_headers(ConfigContext *c, const RouteDraft *d) {
        static const char *const names[] = { "Location:", "Content-Type:" };

        for (size_t i = 0; i < d->response_headers.n_items; i++)
                for (size_t k = 0; k < ELEMENTSOF(names); k++)
                        if (strncasecmp(d->response_headers.items[i], names[k], strlen(names[k])) == 0)
                                config_error(c, d->response_line, "ResponseHeader= can't set %.*s, because "
                                             "Flusher=redirect writes it.", (int) strlen(names[k]) - 1, names[k]);
}

/* 308 keeps the method of the request, as no other permanent one does (RFC 9110 15.4.9). */
static int redirect_config_finish_status(ConfigContext *c, RouteDraft *d) {
        if (!d->status_line) {
                d->route.response_status = 308;
                return config_set_string(&d->route.response_reason, "");
        }

        if (!redirect_status_is_valid(d->route.response_status))
                config_error(c, d->status_line, "With Flusher=redirect, ResponseStatus= must be 301, 302, 307 or 308, not %u.",
                             d->route.response_status);
        return 0;
}

int redirect_config_finish(ConfigContext *c, RouteDraft *d) {
        RouteConfig *route = &d->route;
        RedirectTarget target;

        route->redirects = redirect_config_is_on(route);
        if (!route->redirects) {
                redirect_config_finish_other(c, d);
                return 0;
        }

        if (route->flusher_argument && *route->flusher_argument)
                config_error(c, d->flusher_line, "Flusher=redirect takes no argument; write RedirectTo=" EXAMPLE " or "
                             "another address.");
        if (!d->redirect_to) {
                if (!d->redirect_line)
                        config_error(c, d->flusher_line, "Flusher=redirect needs RedirectTo=; write RedirectTo=" EXAMPLE
                                     " to send clients to the same address with https.");
                return 0;
        }

        redirect_config_check_headers(c, d);
        free(route->flusher_argument);
        route->flusher_argument = TAKE_PTR(d->redirect_to);
        (void) redirect_target_parse(route->flusher_argument, &target);
        if (target.is_https && route->match.tls == TLS_MATCH_ANY && redirect_config_leads_back(route))
                route->match.tls = TLS_MATCH_NO;

        return redirect_config_finish_status(c, d);
}
