/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/match-config.h"

#include "basic/array.h"
#include "config/address-config.h"
#include "probe/probe.h"

/* Limit of systemd for FileDescriptorName=, in bytes (fdname_is_valid() in src/basic/fd-util.c of systemd). */
#define LISTENER_NAME_MAX 255

/* Limit of hosts times paths times prefixes of a route, because the index has an entry for each (match-index.c). */
#define ENTRIES_MAX 65536U

int config_take_listener(const char *word, void *field) {
        for (const char *p = word; *p; p++)
                if ((uint8_t) *p < ' ' || (uint8_t) *p >= 0x7f || *p == ':')
                        return 1;

        return *word && strlen(word) <= LISTENER_NAME_MAX ? strlist_add(field, word) : 1;
}

/* Stores the name in the form that probes report, so that the broker compares bytes. */
int config_take_host(const char *word, void *field) {
        const char *rest = startswith(word, "*.");
        char pattern[PROBE_NAME_MAX + 3];
        ProbeName name;
        uint16_t port;

        if (!probe_name_set_authority(&name, &port, slice_from_string(rest ?: word)) || port != 0)
                return 1;
        if (rest && name.text[0] == '[')
                return 1;

        pattern[0] = '*';
        pattern[1] = '.';
        memcpy(pattern + 2, name.text, (size_t) name.n + 1);
        return strlist_add(field, rest ? pattern : pattern + 2);
}

int config_take_path(const char *word, void *field) {
        size_t n = strlen(word);

        if (word[0] != '/' || strpbrk(word, "?#") || http_path_is_ambiguous(slice_from_string(word)))
                return 1;

        /* "/chat/" and "/chat" match the same paths. */
        if (n > 1 && word[n - 1] == '/')
                n--;

        return strlist_add_n(field, word, n);
}

int config_take_method(const char *word, void *field) {
        return http_is_token(word) ? strlist_add(field, word) : 1;
}

/* A protocol has at most 255 bytes, because one byte holds its length (RFC 7301 3.1). */
int config_take_alpn(const char *word, void *field) {
        return *word && strlen(word) <= UINT8_MAX ? strlist_add(field, word) : 1;
}

static int match_config_take_protocol(const char *word, void *field) {
        static const ProbeProtocol protocols[] = { PROBE_HTTP, PROBE_HTTP2, PROBE_TLS, PROBE_SSH };
        unsigned *mask = field;

        if (streq(word, "any"))
                *mask |= PROTOCOL_ANY;
        else if (streq(word, "silent"))
                *mask |= PROTOCOL_SILENT;
        else {
                for (size_t i = 0; i < ELEMENTSOF(protocols); i++)
                        if (streq(word, probe_protocol_to_string(protocols[i]))) {
                                *mask |= 1U << protocols[i];
                                return 0;
                        }

                return 1;
        }

        return 0;
}

int config_parse_protocols(ConfigContext *c, const Assignment *a, void *field) {
        unsigned *mask = field;
        int r = config_parse_words(c, a, "\"http\", \"http2\", \"tls\", \"ssh\", \"silent\" or \"any\"",
                                   match_config_take_protocol, field);

        if (*mask & 1U << PROBE_UNKNOWN && !(*mask & PROTOCOL_SILENT))
                *mask = 0;
        return r;
}

int config_parse_sources(ConfigContext *c, const Assignment *a, void *field) {
        RouteMatch *m = CONTAINER_OF(field, RouteMatch, sources);

        return config_parse_addresses(c, a, &m->sources, &m->n_sources);
}

static void match_config_clear_headers(RouteMatch *m) {
        for (size_t i = 0; i < m->n_headers; i++) {
                free(m->headers[i].name);
                free(m->headers[i].glob);
        }
        free(TAKE_PTR(m->headers));
        m->n_headers = 0;
}

static void match_config_lower(char *s) {
        for (; *s; s++)
                *s = (char) ascii_lower((uint8_t) *s);
}

/* A line has one field, because a pattern may have spaces in it. */
int config_parse_headers(ConfigContext *c, const Assignment *a, void *field) {
        RouteMatch *m = CONTAINER_OF(field, RouteMatch, headers);
        char value[VALUE_SIZE], *colon, *glob;
        HeaderMatch h;

        if (!*a->value) {
                match_config_clear_headers(m);
                return 0;
        }

        if (!config_expand(c, a, a->value, value))
                return 0;

        colon = strchr(value, ':');
        if (colon)
                *colon = '\0';
        if (!colon || !http_is_token(value)) {
                config_bad_value(c, a, "the name of a field, a colon, and a pattern for its value");
                return 0;
        }

        match_config_lower(value);
        glob = colon + 1 + strspn(colon + 1, WHITESPACE);
        if (http_field_is_list(value))
                match_config_lower(glob);

        if (!ARRAY_GROW(m->headers, m->n_headers))
                return -ENOMEM;

        h = (HeaderMatch){ .name = strdup(value), .glob = strdup(glob) };
        m->headers[m->n_headers++] = h; /* owned from here on, even if one of the two is NULL */
        return h.name && h.glob ? 0 : -ENOMEM;
}

static void match_config_clear_prefixes(RouteMatch *m) {
        for (size_t i = 0; i < m->n_prefixes; i++)
                free(m->prefixes[i].p);
        free(TAKE_PTR(m->prefixes));
        m->n_prefixes = 0;
}

/*
 * Decodes one escape of C, or "\s" for a space as in units. *s begins after the backslash, and moves past the escape.
 * Returns false for an unknown escape.
 */
static bool match_config_unescape_one(const char **s, uint8_t *ret) {
        static const char names[] = "abfnrtv\\\"'s", values[] = "\a\b\f\n\r\t\v\\\"' ";
        const char *p = *s, *name;

        if (*p == 'x') {
                int high = ascii_hex_value((uint8_t) p[1]), low = high < 0 ? -1 : ascii_hex_value((uint8_t) p[2]);

                if (low < 0)
                        return false;
                *ret = (uint8_t) (high << 4 | low);
                *s = p + 3;
                return true;
        }

        if (*p >= '0' && *p <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' && p[2] <= '7') {
                *ret = (uint8_t) ((p[0] - '0') << 6 | (p[1] - '0') << 3 | (p[2] - '0'));
                *s = p + 3;
                return true;
        }

        name = *p ? strchr(names, *p) : NULL;
        if (!name)
                return false;
        *ret = (uint8_t) values[name - names];
        *s = p + 1;
        return true;
}

static bool match_config_unescape(const char *s, uint8_t *buffer, size_t *ret_n) {
        size_t n = 0;

        while (*s)
                if (*s == '\\') {
                        s++;
                        if (!match_config_unescape_one(&s, &buffer[n++]))
                                return false;
                } else
                        buffer[n++] = (uint8_t) *s++;

        *ret_n = n;
        return n > 0;
}

static int match_config_take_prefix(const char *word, void *field) {
        RouteMatch *m = CONTAINER_OF(field, RouteMatch, prefixes);
        uint8_t buffer[VALUE_SIZE];
        BytesMatch b;

        if (!match_config_unescape(word, buffer, &b.n))
                return 1;

        if (!ARRAY_GROW(m->prefixes, m->n_prefixes))
                return -ENOMEM;

        b.p = malloc(b.n);
        if (!b.p)
                return -ENOMEM;

        memcpy(b.p, buffer, b.n);
        m->prefixes[m->n_prefixes++] = b;
        return 0;
}

int config_parse_prefixes(ConfigContext *c, const Assignment *a, void *field) {
        if (!*a->value)
                match_config_clear_prefixes(CONTAINER_OF(field, RouteMatch, prefixes));

        return config_parse_words(c, a, "bytes, with \\xNN and the other escapes of C, and \\s for a space",
                                  match_config_take_prefix, field);
}

int config_parse_name(ConfigContext *c, const Assignment *a, void *field) {
        char value[VALUE_SIZE];

        if (!config_expand(c, a, a->value, value))
                return 0;

        if (*value && !http_is_token(value)) {
                config_bad_value(c, a, "one word");
                return 0;
        }

        return config_set_string(field, value);
}

/* Moves the strings to @ret, sorted and without duplicates. Returns how many there are. */
static size_t match_config_move_strings(StringList *l, char ***ret) {
        StringList sorted = *l;

        *l = (StringList){};
        strlist_sort_unique(&sorted);
        *ret = sorted.items;
        return sorted.n_items;
}

static int match_config_compare_sources(const void *a, const void *b) {
        return memcmp(a, b, sizeof(AddressRange));
}

static int match_config_compare_headers(const void *x, const void *y) {
        const HeaderMatch *a = x, *b = y;
        int d = strcmp(a->name, b->name);

        return d != 0 ? d : strcmp(a->glob, b->glob);
}

static int match_config_compare_prefixes(const void *x, const void *y) {
        const BytesMatch *a = x, *b = y;
        int d = memcmp(a->p, b->p, MIN(a->n, b->n));

        return d != 0 ? d : (a->n > b->n) - (a->n < b->n);
}

static void match_config_sort(void *items, size_t n, size_t size, int (*compare)(const void *, const void *)) {
        if (n > 1)
                qsort(items, n, size, compare);
}

/* The product can't overflow, because a unit has 1 MiB at most. A long list of one key is allowed. */
static void match_config_check_entries(ConfigContext *c, size_t n_hosts, size_t n_paths, size_t n_prefixes) {
        size_t n = MAX(n_hosts, (size_t) 1) * MAX(n_paths, (size_t) 1) * MAX(n_prefixes, (size_t) 1);

        if (n <= ENTRIES_MAX || n == MAX(n_prefixes, MAX(n_hosts, n_paths)))
                return;

        if (n_prefixes > 1)
                config_error(c, config_last(c->unit, SECTION_FDPASS, "Prefix"),
                             "%zu values of Host=, %zu of Path= and %zu of Prefix= are %zu combinations, but a unit may "
                             "have %u; use several units.", n_hosts, n_paths, n_prefixes, n, ENTRIES_MAX);
        else
                config_error(c, config_last(c->unit, SECTION_FDPASS, "Path"),
                             "%zu values of Host= and %zu of Path= are %zu pairs, but a unit may have %u; use several "
                             "units.", n_hosts, n_paths, n, ENTRIES_MAX);
}

void match_config_finish(ConfigContext *c, RouteDraft *d) {
        RouteMatch *m = &d->route.match;
        size_t n_hosts = match_config_move_strings(&d->hosts, &m->hosts);
        size_t n_paths = match_config_move_strings(&d->paths, &m->paths);

        (void) match_config_move_strings(&d->listeners, &m->listeners);
        (void) match_config_move_strings(&d->methods, &m->methods);
        (void) match_config_move_strings(&d->alpns, &m->alpns);

        /* Duplicates in these lists do no harm. The order makes equal lists equal. */
        match_config_sort(m->sources, m->n_sources, sizeof(AddressRange), match_config_compare_sources);
        match_config_sort(m->headers, m->n_headers, sizeof(HeaderMatch), match_config_compare_headers);
        match_config_sort(m->prefixes, m->n_prefixes, sizeof(BytesMatch), match_config_compare_prefixes);

        match_config_check_entries(c, n_hosts, n_paths, m->n_prefixes);
}

static void match_config_free_strings(char **l) {
        for (char **i = l; i && *i; i++)
                free(*i);
        free(l);
}

void match_config_done(RouteMatch *m) {
        match_config_free_strings(m->listeners);
        match_config_free_strings(m->hosts);
        match_config_free_strings(m->paths);
        match_config_free_strings(m->methods);
        match_config_free_strings(m->alpns);
        match_config_clear_headers(m);
        match_config_clear_prefixes(m);
        free(m->sources);
        free(m->name);
        *m = (RouteMatch){};
}
