/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/verify-tls.h"

#include <stdio.h>
#include <unistd.h>

#include "basic/array.h"
#include "config/unit.h"
#include "fdpassctl/certificates.h"
#include "fdpassctl/load-units.h"
#include "fdpassctl/options.h"
#include "fdpassctl/tls-check.h"
#include "fdpassctl/worker-service.h"
#include "match/match.h"
#include "probe/probe.h"

/* The route of a TLS stage, with what its service says. */
typedef struct TlsStageUnit {
        const RouteConfig *route;
        char *directory;           /* of its certificates, below the root directory; owned */
        bool offers_http2;
        bool demands_certificate;  /* --client-ca= */
        Certificates certificates; /* found by fdpass-tls; empty if an earlier stage has the same directory */
        size_t owner;              /* the stage that has the certificates; SIZE_MAX: they are not known */
} TlsStageUnit;

typedef struct VerifyTls {
        const Config *config;
        UnitPath *path;
        TlsStageUnit *stages;
        size_t n_stages;
} VerifyTls;

static void verify_tls_stage_done(TlsStageUnit *s) {
        free(s->directory);
        certificates_done(&s->certificates);
}

static void verify_tls_done(VerifyTls *v) {
        for (size_t i = 0; i < v->n_stages; i++)
                verify_tls_stage_done(&v->stages[i]);
        free(v->stages);
        unit_path_free(v->path);
}

/* Returns the path in LoadCredential=tls:PATH, or NULL. The string belongs to @service. */
static const char *verify_tls_find_directory(const Unit *service) {
        const char *found = NULL;

        for (size_t i = 0; i < service->n_assignments; i++) {
                const Assignment *a = service->assignments[i];

                if (a->section != SECTION_SERVICE || !streq(a->key, "LoadCredential"))
                        continue;
                if (!*a->value)
                        found = NULL;
                found = startswith(a->value, "tls:") ?: found;
        }

        return found && *found == '/' && !strchr(found, '%') ? found : NULL;
}

/* True if the words of a line have --alpn= with "h2". The last one counts. *ret stays as it is without any. */
static void verify_tls_read_alpn(const char *line, bool *ret) {
        for (const char *p = line; (p = strstr(p, "--alpn"));) {
                size_t n;

                p += strlen("--alpn");
                p += strspn(p, "= ");
                n = strcspn(p, " \t\"'");
                *ret = false;
                for (size_t i = 0, k; i < n; i += k + 1) {
                        k = strcspn(p + i, ", \t\"'");
                        *ret = *ret || (k == 2 && strncmp(p + i, "h2", 2) == 0);
                }
        }
}

static void verify_tls_read_client_ca(const char *line, bool *ret) {
        *ret = *ret || strstr(line, "--client-ca=") || strstr(line, "--client-ca ");
}

/* The options are in the command line, and in TLS_OPTIONS=, which stands at its end. */
static bool verify_tls_read_options(const Unit *service, void (*read)(const char *line, bool *ret)) {
        static const char *const keys[] = { "ExecStart", "Environment" };
        bool result = false;

        for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                for (size_t i = 0; i < service->n_assignments; i++)
                        if (service->assignments[i]->section == SECTION_SERVICE && streq(service->assignments[i]->key, keys[k]))
                                read(service->assignments[i]->value, &result);

        return result;
}

static int verify_tls_add_stage(VerifyTls *v, const RouteConfig *route) {
        _cleanup_(unit_freep) Unit *service = NULL;
        const char *directory;
        TlsStageUnit s = { .route = route };
        int r;

        r = worker_service_load(v->path, route, &service);
        if (r < 0 || !service || !(worker_service_has(service, "ExecStart", "/fdpass-tls", "")))
                return r;

        s.offers_http2 = verify_tls_read_options(service, verify_tls_read_alpn);
        s.demands_certificate = verify_tls_read_options(service, verify_tls_read_client_ca);
        directory = verify_tls_find_directory(service);
        if (directory && asprintf(&s.directory, "%s%s", streq(arg_root, "/") ? "" : arg_root, directory) < 0)
                return -ENOMEM;
        if (!ARRAY_GROW(v->stages, v->n_stages)) {
                verify_tls_stage_done(&s);
                return -ENOMEM;
        }

        v->stages[v->n_stages++] = s;
        return 0;
}

static void verify_tls_warn_of_certificates(const TlsStageUnit *s) {
        const Certificates *c = &s->certificates;
        char text[512], end[128], value[512];

        (void) snprintf(value, sizeof(value), "tls:%.500s", s->directory);

        for (size_t i = 0; i < c->n_problems; i++) {
                (void) snprintf(text, sizeof(text), "%.500s", c->problems[i].text);
                load_warn(s->route, "LoadCredential", value, text);
        }

        for (size_t i = 0; i < c->n_items; i++)
                if (certificate_describe_end(&c->items[i], end, sizeof(end))) {
                        (void) snprintf(text, sizeof(text), "The certificate %.255s %s; put a new one there.",
                                        c->items[i].name, end);
                        load_warn(s->route, "LoadCredential", value, text);
                }
}

/* Reads the certificates of a stage, unless an earlier stage has the same. */
static int verify_tls_check_stage(VerifyTls *v, size_t i) {
        TlsStageUnit *s = &v->stages[i];
        const char *why;
        int r;

        s->owner = SIZE_MAX;
        if (!s->directory)
                return 0; /* its credentials are of another kind, or their path is not known yet */

        for (size_t k = 0; k < i; k++)
                if (v->stages[k].directory && streq(v->stages[k].directory, s->directory)) {
                        s->owner = v->stages[k].owner;
                        return 0;
                }

        r = tls_check(s->directory, &s->certificates, &why);
        if (r < 0)
                return r;
        if (r == TLS_CHECK_IMPOSSIBLE) {
                load_note(s->route, "LoadCredential", s->directory, why);
                return 0;
        }

        s->owner = i;
        verify_tls_warn_of_certificates(s);
        return 0;
}

/* True if @pattern, a value of Host=, takes @host, which may be a wildcard too. */
static bool verify_tls_host_is_in(const char *host, const char *pattern) {
        return streq(host, pattern) || (pattern[0] == '*' && strlen(host) > strlen(pattern + 1) && endswith(host, pattern + 1));
}

static bool verify_tls_takes_host(const RouteMatch *m, const char *host) {
        for (char **h = m->hosts; h && *h; h++)
                if (verify_tls_host_is_in(host, *h))
                        return true;

        return false;
}

/* True if a route for HTTP/2 takes clients of a host that the stage takes. */
static bool verify_tls_meets(const RouteMatch *stage, const RouteMatch *route) {
        if (!(route->protocols & (1U << PROBE_HTTP2)) || route->tls == TLS_MATCH_NO)
                return false;
        if (!stage->hosts || !route->hosts)
                return true;

        for (char **h = route->hosts; *h; h++)
                if (verify_tls_takes_host(stage, *h))
                        return true;
        for (char **h = stage->hosts; *h; h++)
                if (verify_tls_takes_host(route, *h))
                        return true;

        return false;
}

static void verify_tls_check_http2(const VerifyTls *v, const TlsStageUnit *s) {
        for (size_t i = 0; i < v->config->n_routes; i++)
                if (verify_tls_meets(&s->route->match, &v->config->routes[i].match))
                        return;

        load_warn(s->route, load_worker_key(s->route), s->route->worker, "Its service offers h2 (--alpn=), and no route has "
                  "Protocol=http2 for these clients, so they are refused; add such a route, or remove h2.");
}

/* True if clients without TLS reach a service by this route, and no key says that this is meant. */
static bool verify_tls_is_open(const RouteConfig *route) {
        const RouteMatch *m = &route->match;

        return m->tls == TLS_MATCH_ANY && (m->protocols == 0 || m->protocols & (1U << PROBE_HTTP)) &&
               !(route->flusher && streq(route->flusher, "redirect"));
}

/* Warns about routes for hosts of which the stage demands certificates of clients, if there is a way around the stage. */
static void verify_tls_check_demands(const VerifyTls *v, const TlsStageUnit *s) {
        char text[512];

        for (size_t i = 0; i < v->config->n_routes; i++) {
                const RouteConfig *route = &v->config->routes[i];

                for (char **h = route != s->route && verify_tls_is_open(route) ? route->match.hosts : NULL; h && *h; h++)
                        if (verify_tls_takes_host(&s->route->match, *h)) {
                                (void) snprintf(text, sizeof(text), "Clients without TLS reach it, too, without the certificate "
                                                "that %.200s demands; write TLS=yes.", s->route->unit);
                                load_warn(route, "Host", *h, text);
                        }
        }
}

/* Returns the stage that does the handshake for @host: that with the name, or else one for all names. NULL: there is none. */
static const TlsStageUnit *verify_tls_find_stage(const VerifyTls *v, const char *host) {
        const TlsStageUnit *found = NULL;

        for (size_t i = 0; i < v->n_stages; i++) {
                const TlsStageUnit *s = &v->stages[i];

                if (verify_tls_takes_host(&s->route->match, host))
                        return s;
                if (!s->route->match.hosts)
                        found = s;
        }

        return found;
}

static void verify_tls_check_host(const VerifyTls *v, const RouteConfig *route, const char *host) {
        const TlsStageUnit *s = verify_tls_find_stage(v, host);
        const Certificates *c = s && s->owner != SIZE_MAX ? &v->stages[s->owner].certificates : NULL;
        char text[512];

        if (!c || c->n_items == 0)
                return;
        for (size_t i = 0; i < c->n_items; i++)
                if (certificate_has_host(&c->items[i], host))
                        return;

        (void) snprintf(text, sizeof(text), "No certificate in %.300s has this name, so clients refuse the one that they get; "
                        "add one, or remove the name.", s->directory);
        load_warn(route, "Host", host, text);
}

/* Checks the names of stages, and those of routes that take clients of stages only. */
static void verify_tls_check_hosts(const VerifyTls *v) {
        for (size_t i = 0; i < v->config->n_routes; i++) {
                const RouteConfig *route = &v->config->routes[i];
                bool is_stage = false;

                for (size_t k = 0; k < v->n_stages; k++)
                        is_stage = is_stage || v->stages[k].route == route;
                for (char **h = is_stage || route->match.tls == TLS_MATCH_YES ? route->match.hosts : NULL; h && *h; h++)
                        verify_tls_check_host(v, route, *h);
        }
}

int verify_tls(int root_fd, const Config *config) {
        _cleanup_(verify_tls_done) VerifyTls v = { .config = config };
        Reporter silent = {};
        int r;

        r = unit_path_new(root_fd, &silent, &v.path);
        for (size_t i = 0; r >= 0 && i < config->n_routes; i++)
                if (config->routes[i].match.protocols & (1U << PROBE_TLS))
                        r = verify_tls_add_stage(&v, &config->routes[i]);
        for (size_t i = 0; r >= 0 && i < v.n_stages; i++)
                r = verify_tls_check_stage(&v, i);
        if (r < 0)
                return r;

        for (size_t i = 0; i < v.n_stages; i++) {
                if (v.stages[i].offers_http2)
                        verify_tls_check_http2(&v, &v.stages[i]);
                if (v.stages[i].demands_certificate)
                        verify_tls_check_demands(&v, &v.stages[i]);
        }
        if (v.n_stages > 0)
                verify_tls_check_hosts(&v);
        return 0;
}
