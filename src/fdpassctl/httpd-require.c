/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Require and its containers, and the directives of mod_access_compat. */

#include <stdio.h>

#include "basic/utf8.h"
#include "fdpassctl/httpd-address.h"
#include "fdpassctl/httpd-section.h"

#define REQUIRE_DIRECTIVE_MAX 80 /* bytes of a directive in a message */

char *httpd_words_join(char *const *words, size_t n) {
        char text[REQUIRE_DIRECTIVE_MAX + 1] = "";
        size_t k = 0;

        for (size_t i = 0; i < n && k < REQUIRE_DIRECTIVE_MAX; i++)
                k += (size_t) snprintf(text + k, sizeof(text) - k, "%s%s", i > 0 ? " " : "", words[i]);
        text[utf8_cut(text, REQUIRE_DIRECTIVE_MAX)] = '\0';
        return strdup(text[0] == '<' ? text + 1 : text);
}

int httpd_section_add_member(HttpdSection *s, HttpdRule *rule) {
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
                httpd_rule_done(mine);
                *mine = *rule;
                *rule = (HttpdRule){ .sources = sources };
        }
        for (size_t i = 0; i < rule->sources.n_items && r >= 0; i++)
                if (!strlist_has(&mine->sources, rule->sources.items[i]))
                        r = strlist_add(&mine->sources, rule->sources.items[i]);

        httpd_rule_done(rule);
        return r;
}

void httpd_section_finish(HttpdSection *s) {
        HttpdRule *rule = &s->group.rule;

        if (rule->lets_in != HTTPD_LETS_IN_OTHER && s->kind != ACCESS_ALL && s->group.has_all) {
                rule->lets_in = HTTPD_LETS_IN_ALL;
                strlist_clear(&rule->sources);
        }
}

/* Reads the words behind "Require ip". */
static int require_read_sources(char *const *words, size_t n, HttpdRule *rule) {
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

int httpd_read_require(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n, bool is_cut) {
        HttpdRule rule = {
                .place = *place, .directive = httpd_words_join(words, n),
                .lets_in = HTTPD_LETS_IN_OTHER,
        };
        HttpdSection *scope = httpd_section_scope(a), *group = httpd_section_group(a);
        int r = 0;

        if (!rule.directive)
                return -ENOMEM;

        if (n == 3 && streq(words[1], "all") && strcasecmp(words[2], "granted") == 0)
                rule.lets_in = HTTPD_LETS_IN_ALL;
        else if (n > 2 && streq(words[1], "ip"))
                r = require_read_sources(words + 2, n - 2, &rule);

        /* The line may be missing in httpd, or hold for some methods only. */
        rule.is_guess = httpd_section_top(a)->condition != scope->condition;
        if (is_cut || rule.is_guess || httpd_section_is_inside(a, ACCESS_LIMIT))
                rule.lets_in = HTTPD_LETS_IN_OTHER;
        if (r < 0) {
                httpd_rule_done(&rule);
                return r;
        }

        return httpd_section_add_member(group, &rule);
}

bool httpd_read_compat(HttpdAccess *a, const HttpdPlace *place, char *const *words, size_t n) {
        HttpdSection *scope = httpd_section_scope(a);
        bool is_plain = httpd_section_top(a)->condition == scope->condition &&
                        !httpd_section_is_inside(a, ACCESS_LIMIT);

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

bool httpd_rewrite_is_forbidden(char *const *words, size_t n) {
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
