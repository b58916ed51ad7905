/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd-access.h"

#include <ctype.h>

#include "basic/array.h"
#include "basic/utf8.h"
#include "fdpassctl/httpd-address.h"
#include "probe/http.h"

#define ACCESS_NAME_MAX 32      /* bytes for the longest name of a section */
#define ACCESS_DIRECTIVE_MAX 80 /* bytes of a directive in a message */

typedef enum AccessKind {
        ACCESS_OTHER,
        ACCESS_FILES,     /* holds for no proxied request */
        ACCESS_HOST,
        ACCESS_PROXY,
        ACCESS_LOCATION,
        ACCESS_IF,        /* condition of a request */
        ACCESS_CONDITION, /* condition of the configuration */
        ACCESS_LIMIT,
        ACCESS_ANY,
        ACCESS_ALL,
        ACCESS_NONE,
} AccessKind;

/* Members of a section or of a container. */
typedef struct AccessGroup {
        size_t n_members, n_sources; /* members, and those that have sources */
        bool has_all;                /* a member lets in all clients */
        HttpdRule rule;              /* sources of the members, or the first line that Source= can't express */
} AccessGroup;

struct HttpdSection {
        char name[ACCESS_NAME_MAX];
        AccessKind kind;
        size_t host, condition;
        HttpdRank rank;
        HttpdPaths paths;
        char *path;
        AccessGroup group;
        HttpdPlace order;     /* of the line "Order allow,deny"; {}: none */
        bool has_allow_all;   /* "Allow from all" */
};

static void access_rule_done(HttpdRule *r) {
        strlist_clear(&r->sources);
        free(r->directive);
        free(r->path);
        *r = (HttpdRule){};
}

static void access_section_done(HttpdSection *s) {
        access_rule_done(&s->group.rule);
        free(s->path);
}

void httpd_access_done(HttpdAccess *a) {
        for (size_t i = 0; i < a->n_rules; i++)
                access_rule_done(&a->rules[i]);
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

static HttpdSection *access_top(const HttpdAccess *a) {
        return &a->sections[a->n_sections - 1];
}

size_t httpd_access_host(const HttpdAccess *a) {
        return access_top(a)->host;
}

size_t httpd_access_condition(const HttpdAccess *a) {
        return access_top(a)->condition;
}

static bool access_is_inside(const HttpdAccess *a, AccessKind kind) {
        for (size_t i = 0; i < a->n_sections; i++)
                if (a->sections[i].kind == kind)
                        return true;

        return false;
}

/* Returns the section that the directives at this place belong to. */
static HttpdSection *access_scope(const HttpdAccess *a) {
        size_t i = a->n_sections - 1;

        while (i > 0 && a->sections[i].kind != ACCESS_HOST && a->sections[i].kind != ACCESS_PROXY &&
               a->sections[i].kind != ACCESS_LOCATION && a->sections[i].kind != ACCESS_IF)
                i--;

        return &a->sections[i];
}

/* Returns the container or section that a Require at this place belongs to. */
static HttpdSection *access_group(const HttpdAccess *a) {
        HttpdSection *scope = access_scope(a);

        for (HttpdSection *s = access_top(a); s > scope; s--)
                if (s->kind >= ACCESS_ANY)
                        return s;

        return scope;
}

static char *access_join(char *const *words, size_t n) {
        char text[ACCESS_DIRECTIVE_MAX + 1] = "";
        size_t k = 0;

        for (size_t i = 0; i < n && k < ACCESS_DIRECTIVE_MAX; i++)
                k += (size_t) snprintf(text + k, sizeof(text) - k, "%s%s", i > 0 ? " " : "", words[i]);
        text[utf8_cut(text, ACCESS_DIRECTIVE_MAX)] = '\0';
        return strdup(text[0] == '<' ? text + 1 : text);
}

/* Adds the rule, which is consumed, for the clients and paths of the section. */
static int access_add_rule(HttpdAccess *a, const HttpdSection *s, HttpdRule *rule) {
        HttpdRule *r;

        rule->path = strdup(s->path ?: "");
        if (!rule->path || !rule->directive || !ARRAY_GROW(a->rules, a->n_rules)) {
                access_rule_done(rule);
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

        return access_add_rule(a, access_scope(a), &rule);
}

/* Adds the member @rule, which is consumed, to a section or container. */
static int access_add_member(HttpdSection *s, HttpdRule *rule) {
        AccessGroup *g = &s->group;
        HttpdRule *mine = &g->rule;
        int r = 0;

        g->n_members++;
        g->has_all |= rule->lets_in == HTTPD_LETS_IN_ALL;
        g->n_sources += rule->lets_in == HTTPD_LETS_IN_SOURCES;

        if (s->kind == ACCESS_NONE || (s->kind == ACCESS_ALL && g->n_sources > 1))
                rule->lets_in = HTTPD_LETS_IN_OTHER;

        if (g->n_members == 1 || (rule->lets_in > mine->lets_in)) {
                StringList sources = mine->sources;

                mine->sources = (StringList){};
                access_rule_done(mine);
                *mine = *rule;
                *rule = (HttpdRule){ .sources = sources };
        }
        for (size_t i = 0; i < rule->sources.n_items && r >= 0; i++)
                if (!strlist_has(&mine->sources, rule->sources.items[i]))
                        r = strlist_add(&mine->sources, rule->sources.items[i]);

        access_rule_done(rule);
        return r;
}

/* Makes the members one rule: any of them has to let a client in, or all of them. */
static void access_finish_group(HttpdSection *s) {
        HttpdRule *rule = &s->group.rule;

        if (rule->lets_in != HTTPD_LETS_IN_OTHER && s->kind != ACCESS_ALL && s->group.has_all) {
                rule->lets_in = HTTPD_LETS_IN_ALL;
                strlist_clear(&rule->sources);
        }
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
        HttpdSection s = *access_top(a);
        bool is_container = s.kind == ACCESS_ANY || s.kind == ACCESS_ALL || s.kind == ACCESS_NONE;
        HttpdRule rule;
        int r;

        a->n_sections--;
        access_finish_group(&s);
        rule = s.group.rule;
        s.group.rule = (HttpdRule){};

        r = access_close_order(a, &s);
        if (r < 0 || s.group.n_members == 0)
                access_rule_done(&rule);
        else if (is_container)
                r = access_add_member(access_group(a), &rule);
        else
                r = access_add_rule(a, &s, &rule);

        access_section_done(&s);
        return r;
}

/* Finds the kind of a section by its name without "<". */
static AccessKind access_kind(const char *name) {
        static const struct {
                const char *name;
                AccessKind kind;
        } kinds[] = {
                { "VirtualHost", ACCESS_HOST }, { "Location", ACCESS_LOCATION },
                { "LocationMatch", ACCESS_LOCATION }, { "Proxy", ACCESS_PROXY },
                { "ProxyMatch", ACCESS_PROXY }, { "Directory", ACCESS_FILES },
                { "DirectoryMatch", ACCESS_FILES }, { "Files", ACCESS_FILES },
                { "FilesMatch", ACCESS_FILES }, { "If", ACCESS_IF },
                { "ElseIf", ACCESS_IF }, { "Else", ACCESS_IF },
                { "IfDefine", ACCESS_CONDITION }, { "IfModule", ACCESS_CONDITION },
                { "IfVersion", ACCESS_CONDITION }, { "IfFile", ACCESS_CONDITION },
                { "IfDirective", ACCESS_CONDITION }, { "IfSection", ACCESS_CONDITION },
                { "Limit", ACCESS_LIMIT },
                { "LimitExcept", ACCESS_LIMIT }, { "RequireAny", ACCESS_ANY },
                { "RequireAll", ACCESS_ALL }, { "RequireNone", ACCESS_NONE },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (strcasecmp(name, kinds[i].name) == 0)
                        return kinds[i].kind;

        return ACCESS_OTHER;
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
        a->hosts[a->n_hosts] = (HttpdHost){ .addresses = n > 1 ? access_join(words + 1, n - 1) : strdup("") };
        return a->hosts[a->n_hosts++].addresses ? 0 : -ENOMEM;
}

/* Reads the bytes that each path begins with that matches the expression. */
static int access_set_regex(HttpdSection *s, const char *regex) {
        size_t n = regex[0] == '^' ? strcspn(regex + 1, "()[]{}.*+?|$^\\@%") : 0;
        const char *rest = regex[0] == '^' ? regex + 1 + n : regex;

        s->paths = n > 0 && !*rest ? HTTPD_PATHS_BEGIN : HTTPD_PATHS_UNKNOWN;
        if (*rest && strchr("*?{", *rest) && n > 0)
                n--;
        if (strchr(regex, '|'))
                n = 0;

        s->path = strndup(regex + (n > 0), n);
        return s->path ? 0 : -ENOMEM;
}

/*
 * Reads the path of <Location>. httpd compares it with the decoded path, and "*" and "?" are wildcards. "$" and "@" may
 * begin a variable (Define, Macro).
 */
static int access_set_location(HttpdSection *s, char *const *words, size_t n) {
        const char *path = n == 2 ? words[1] : "";

        s->rank = HTTPD_RANK_LOCATION;
        if (n == 2 && strcasecmp(words[0], "<LocationMatch") == 0)
                return access_set_regex(s, words[1]);
        if (n == 3 && streq(words[1], "~"))
                return access_set_regex(s, words[2]);

        if (path[0] != '/' || strchr(path, '%') || http_path_is_ambiguous(slice_from_string(path)))
                path = "";
        s->path = strndup(path, strcspn(path, "*?[\\$@"));
        if (!s->path)
                return -ENOMEM;

        s->paths = *path && streq(path, s->path) ? HTTPD_PATHS_BELOW : HTTPD_PATHS_UNKNOWN;
        return 0;
}

/* Reads <Proxy>. One for URLs of another scheme holds for no route. */
static void access_set_proxy(HttpdSection *s, char *const *words, size_t n) {
        const char *url = n == 2 && strcasecmp(words[0], "<Proxy") == 0 ? words[1] : "";
        size_t k = 0;

        while (isalnum((unsigned char) url[k]))
                k++;

        s->rank = HTTPD_RANK_PROXY;
        s->paths = streq(url, "*") ? HTTPD_PATHS_ALL : HTTPD_PATHS_UNKNOWN;
        if (k > 0 && startswith(url + k, "://") && strncasecmp(url, "fd:", 3) != 0)
                s->kind = ACCESS_FILES;
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
        HttpdSection *s, *outer = access_top(a);
        HttpdSection section = {
                .kind = access_kind(words[0] + 1), .host = outer->host, .condition = outer->condition,
        };
        int r = 0;

        if (section.kind == ACCESS_OTHER)
                return 0;

        strcpy(section.name, words[0] + 1);
        outer = access_scope(a);
        section.rank = outer->rank;
        section.paths = outer->paths;

        if (!ARRAY_GROW(a->sections, a->n_sections))
                return -ENOMEM;

        s = &a->sections[a->n_sections++];
        *s = section;
        if (s->kind == ACCESS_LOCATION)
                return access_set_location(s, words, n);
        if (s->kind == ACCESS_HOST)
                return access_set_host(a, s, words, n);
        if (s->kind == ACCESS_CONDITION)
                return access_set_condition(a, s);
        if (s->kind == ACCESS_PROXY)
                access_set_proxy(s, words, n);
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

/* Reads the words behind "Require ip". */
static int access_read_sources(char *const *words, size_t n, HttpdRule *rule) {
        char source[HTTPD_ADDRESS_MAX];
        int r = 0;

        rule->lets_in = n > 0 ? HTTPD_LETS_IN_SOURCES : HTTPD_LETS_IN_OTHER;
        for (size_t i = 0; i < n && r >= 0; i++)
                if (httpd_address_to_source(words[i], source))
                        r = strlist_has(&rule->sources, source) ? 0 : strlist_add(&rule->sources, source);
                else
                        rule->lets_in = HTTPD_LETS_IN_OTHER;

        return r;
}

static int access_read_require(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n, bool is_cut) {
        HttpdRule rule = {
                .place = *place, .directive = access_join(words, n),
                .lets_in = HTTPD_LETS_IN_OTHER,
        };
        HttpdSection *scope = access_scope(a), *group = access_group(a);
        int r = 0;

        if (!rule.directive)
                return -ENOMEM;

        if (n == 3 && streq(words[1], "all") && strcasecmp(words[2], "granted") == 0)
                rule.lets_in = HTTPD_LETS_IN_ALL;
        else if (n > 2 && streq(words[1], "ip"))
                r = access_read_sources(words + 2, n - 2, &rule);

        /* The line may be missing in httpd, or hold for some methods only. */
        rule.is_guess = access_top(a)->condition != scope->condition;
        if (is_cut || rule.is_guess || access_is_inside(a, ACCESS_LIMIT))
                rule.lets_in = HTTPD_LETS_IN_OTHER;
        if (r < 0) {
                access_rule_done(&rule);
                return r;
        }

        return access_add_member(group, &rule);
}

/* Reads a directive of mod_access_compat. Returns whether it keeps clients out for itself. */
static bool access_read_compat(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n) {
        HttpdSection *scope = access_scope(a);
        bool is_plain = access_top(a)->condition == scope->condition && !access_is_inside(a, ACCESS_LIMIT);

        if (strcasecmp(words[0], "Allow") == 0 && n == 3 && strcasecmp(words[1], "from") == 0 &&
            strcasecmp(words[2], "all") == 0) {
                scope->has_allow_all |= is_plain;
                return false;
        }
        if (strcasecmp(words[0], "Order") == 0 && n == 2 && strcasecmp(words[1], "deny,allow") == 0)
                return false;
        if (strcasecmp(words[0], "Order") == 0 && n == 2 && strcasecmp(words[1], "allow,deny") == 0 && is_plain) {
                scope->order = *place;
                return false;
        }

        return strcasecmp(words[0], "Satisfy") != 0 || n != 2 || strcasecmp(words[1], "All") != 0;
}

/* Returns whether the flags of RewriteRule are among those that refuse a request. */
static bool access_has_flag_forbidden(char *const *words, size_t n) {
        const char *flags = n > 3 ? words[3] : "";

        for (flags += strspn(flags, "["); *flags; flags += strspn(flags, ", ")) {
                size_t k = strcspn(flags, ",] ");

                if ((k == 1 && (*flags == 'F' || *flags == 'f')) || (k == 9 && strncasecmp(flags, "forbidden", k) == 0))
                        return true;
                flags += k;
                if (*flags == ']')
                        break;
        }

        return false;
}

/* Returns whether another directive keeps clients out. Sets @ret_is_guess if that depends on what is not read here. */
static bool access_keeps_out(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n, bool *ret_is_guess) {
        static const char *const compat[] = { "Order", "Allow", "Deny", "Satisfy" };
        static const char *const always[] = { "AuthMerging", "SSLRequire", "SSLRequireSSL", "AllowMethods" };

        for (size_t i = 0; i < ELEMENTSOF(compat); i++)
                if (strcasecmp(words[0], compat[i]) == 0)
                        return access_read_compat(a, place, words, n);
        for (size_t i = 0; i < ELEMENTSOF(always); i++)
                if (strcasecmp(words[0], always[i]) == 0)
                        return true;

        if (strcasecmp(words[0], "SSLVerifyClient") == 0)
                return n != 2 || strcasecmp(words[1], "none") != 0;
        if (strcasecmp(words[0], "RewriteRule") == 0)
                return access_has_flag_forbidden(words, n);

        *ret_is_guess = strcasecmp(words[0], "Include") == 0 || strcasecmp(words[0], "IncludeOptional") == 0 ||
                        strcasecmp(words[0], "Use") == 0;
        return *ret_is_guess && access_scope(a) != a->sections; /* a file of the server is given to fdpassctl, too */
}

int httpd_access_read(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n, bool is_cut) {
        const char *name = words[0];
        bool is_guess = false;
        int r = 0;

        if (name[0] == '<' && name[1] == '/')
                return access_close_named(a, name + 2);
        if (name[0] == '<') {
                if (access_kind(name + 1) == ACCESS_HOST)
                        r = access_close_named(a, name + 1);
                return r < 0 ? r : access_open(a, words, n);
        }

        if (access_is_inside(a, ACCESS_FILES))
                return 0;
        if (strcasecmp(name, "Require") == 0)
                return access_read_require(a, place, words, n, is_cut);
        if (strncasecmp(name, "RemoteIP", 8) == 0 && !a->remote_ip) {
                a->remote_ip = access_join(words, 1);
                return a->remote_ip ? 0 : -ENOMEM;
        }

        return access_keeps_out(a, place, words, n, &is_guess) ?
                access_add_final(a, place, access_join(words, n), is_guess) : 0;
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
