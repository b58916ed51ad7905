/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-access.h"

#include "basic/array.h"
#include "fdpassctl/httpd-section.h"

static void access_section_done(HttpdSection *s) {
        httpd_rule_done(&s->group.rule);
        free(s->path);
}

void httpd_access_done(HttpdAccess *a) {
        for (size_t i = 0; i < a->n_rules; i++)
                httpd_rule_done(&a->rules[i]);
        for (size_t i = 0; i < a->n_hosts; i++) {
                strlist_clear(&a->hosts[i].names);
                free(a->hosts[i].addresses);
        }
        for (size_t i = 0; i < a->n_sections; i++)
                access_section_done(&a->sections[i]);

        free(a->rules);
        free(a->hosts);
        free(a->conditions);
        free(a->sections);
        free(a->remote_ip);
        *a = (HttpdAccess){};
}

size_t httpd_access_host(const HttpdAccess *a) {
        return httpd_section_top(a)->host;
}

size_t httpd_access_condition(const HttpdAccess *a) {
        return httpd_section_top(a)->condition;
}

/* Adds the rule, which is consumed, for the clients and paths of the section. */
static int access_add_rule(HttpdAccess *a, const HttpdSection *s, HttpdRule *rule) {
        HttpdRule *r;

        rule->path = strdup(s->path ?: "");
        if (!rule->path || !rule->directive || !ARRAY_GROW(a->rules, a->n_rules)) {
                httpd_rule_done(rule);
                return -ENOMEM;
        }

        r = &a->rules[a->n_rules++];
        *r = *rule;
        *rule = (HttpdRule){};
        r->host = s->host;
        r->rank = s->rank;
        r->paths = s->paths;
        r->condition = s->condition;
        return 0;
}

/* Adds a rule that no other section takes back. */
static int access_add_final(HttpdAccess *a, const HttpdPlace *place, char *directive, bool is_guess) {
        HttpdRule rule = {
                .place = *place, .directive = directive, .lets_in = HTTPD_LETS_IN_OTHER,
                .is_final = true, .is_guess = is_guess,
        };

        return access_add_rule(a, httpd_section_scope(a), &rule);
}

static int access_close_order(HttpdAccess *a, HttpdSection *s) {
        HttpdRule rule = {
                .place = s->order, .lets_in = HTTPD_LETS_IN_OTHER, .is_final = true,
        };

        if (s->order.line == 0 || s->has_allow_all)
                return 0;

        rule.directive = strdup("Order allow,deny");
        return access_add_rule(a, s, &rule);
}

/* Ends the innermost section, and gives its rule to what is around it. */
static int access_close(HttpdAccess *a) {
        HttpdSection s = *httpd_section_top(a);
        bool is_container = s.kind == ACCESS_ANY || s.kind == ACCESS_ALL || s.kind == ACCESS_NONE;
        HttpdRule rule;
        int r;

        a->n_sections--;
        httpd_section_finish(&s);
        rule = s.group.rule;
        s.group.rule = (HttpdRule){};

        r = access_close_order(a, &s);
        if (r < 0 || s.group.n_members == 0)
                httpd_rule_done(&rule);
        else if (is_container)
                r = httpd_section_add_member(httpd_section_group(a), &rule);
        else
                r = access_add_rule(a, &s, &rule);

        access_section_done(&s);
        return r;
}

static int access_set_condition(HttpdAccess *a, HttpdSection *s) {
        if (!ARRAY_GROW(a->conditions, a->n_conditions))
                return -ENOMEM;

        a->conditions[a->n_conditions] = s->condition;
        s->condition = a->n_conditions++;
        return 0;
}

static int access_set_host(HttpdAccess *a, HttpdSection *s, char *const *words, size_t n) {
        if (!ARRAY_GROW(a->hosts, a->n_hosts))
                return -ENOMEM;

        s->host = a->n_hosts;
        a->hosts[a->n_hosts] = (HttpdHost){ .addresses = n > 1 ? httpd_words_join(words + 1, n - 1) : strdup("") };
        return a->hosts[a->n_hosts++].addresses ? 0 : -ENOMEM;
}

/* <If> has the paths of the section around it. */
static int access_set_if(const HttpdAccess *a, HttpdSection *s) {
        const char *path = "";

        s->rank = HTTPD_RANK_IF;
        for (const HttpdSection *i = a->sections; i < s; i++)
                path = i->path ?: path;

        s->path = strdup(path);
        return s->path ? 0 : -ENOMEM;
}

static int access_open(HttpdAccess *a, char *const *words, size_t n) {
        HttpdSection *s, *outer = httpd_section_top(a);
        HttpdSection section = {
                .kind = httpd_section_kind(words[0] + 1), .host = outer->host, .condition = outer->condition,
        };
        int r = 0;

        if (section.kind == ACCESS_OTHER)
                return 0;

        strcpy(section.name, words[0] + 1);
        outer = httpd_section_scope(a);
        section.rank = outer->rank;
        section.paths = outer->paths;

        if (!ARRAY_GROW(a->sections, a->n_sections))
                return -ENOMEM;

        s = &a->sections[a->n_sections++];
        *s = section;
        if (s->kind == ACCESS_LOCATION)
                return httpd_section_set_location(s, words, n);
        if (s->kind == ACCESS_HOST)
                return access_set_host(a, s, words, n);
        if (s->kind == ACCESS_CONDITION)
                return access_set_condition(a, s);
        if (s->kind == ACCESS_PROXY)
                httpd_section_set_proxy(s, words, n);
        if (s->kind == ACCESS_IF)
                r = access_set_if(a, s);

        return r;
}

/* Ends the innermost section of the name, and those in it. A name that no section has is ignored. */
static int access_close_named(HttpdAccess *a, const char *name) {
        size_t i = a->n_sections - 1;
        int r = 0;

        while (i > 0 && strcasecmp(a->sections[i].name, name) != 0)
                i--;
        while (i > 0 && a->n_sections > i && r >= 0)
                r = access_close(a);

        return r;
}

/* Returns whether another directive keeps clients out. Sets @ret_is_guess if that depends on what is not read here. */
static bool access_keeps_out(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n,
                             bool *ret_is_guess) {
        static const char *const compat[] = { "Order", "Allow", "Deny", "Satisfy" };
        static const char *const always[] = { "AuthMerging", "SSLRequire", "SSLRequireSSL", "AllowMethods" };

        for (size_t i = 0; i < ELEMENTSOF(compat); i++)
                if (strcasecmp(words[0], compat[i]) == 0)
                        return httpd_read_compat(a, place, words, n);
        for (size_t i = 0; i < ELEMENTSOF(always); i++)
                if (strcasecmp(words[0], always[i]) == 0)
                        return true;

        if (strcasecmp(words[0], "SSLVerifyClient") == 0)
                return n != 2 || strcasecmp(words[1], "none") != 0;
        if (strcasecmp(words[0], "RewriteRule") == 0)
                return httpd_rewrite_is_forbidden(words, n);

        *ret_is_guess = strcasecmp(words[0], "Include") == 0 || strcasecmp(words[0], "IncludeOptional") == 0 ||
                        strcasecmp(words[0], "Use") == 0;
        return *ret_is_guess && httpd_section_scope(a) != a->sections;
}

int httpd_access_read(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n, bool is_cut) {
        const char *name = words[0];
        bool is_guess = false;
        int r = 0;

        if (name[0] == '<' && name[1] == '/')
                return access_close_named(a, name + 2);
        if (name[0] == '<') {
                if (httpd_section_kind(name + 1) == ACCESS_HOST)
                        r = access_close_named(a, name + 1);
                return r < 0 ? r : access_open(a, words, n);
        }

        if (httpd_section_is_inside(a, ACCESS_FILES))
                return 0;
        if (strcasecmp(name, "Require") == 0)
                return httpd_read_require(a, place, words, n, is_cut);
        if (strncasecmp(name, "RemoteIP", 8) == 0 && !a->remote_ip) {
                a->remote_ip = httpd_words_join(words, 1);
                return a->remote_ip ? 0 : -ENOMEM;
        }

        return access_keeps_out(a, place, words, n, &is_guess) ?
                access_add_final(a, place, httpd_words_join(words, n), is_guess) : 0;
}

int httpd_access_add_name(HttpdAccess *a, const char *name) {
        HttpdHost *host = &a->hosts[httpd_access_host(a)];

        if (name)
                return strlist_add(&host->names, name);

        host->has_others = true;
        return 0;
}

int httpd_access_begin_file(HttpdAccess *a) {
        if (!ARRAY_GROW(a->sections, a->n_sections))
                return -ENOMEM;

        a->sections[a->n_sections++] = (HttpdSection){};
        if (a->n_hosts > 0)
                return 0;

        if (!ARRAY_GROW(a->hosts, 0) || !ARRAY_GROW(a->conditions, 0))
                return -ENOMEM;

        a->hosts[a->n_hosts++] = (HttpdHost){};
        a->conditions[a->n_conditions++] = 0;
        return 0;
}

int httpd_access_end_file(HttpdAccess *a) {
        int r = 0;

        while (a->n_sections > 0 && r >= 0)
                r = access_close(a);

        return r;
}
