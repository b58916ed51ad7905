/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/match-config.h"

#include <arpa/inet.h>

#include "basic/array.h"
#include "basic/parse.h"
#include "probe/probe.h"

#define WHITESPACE " \t"

/* systemd's own limit for FileDescriptorName= (fdname_is_valid() in src/basic/fd-util.c). */
#define LISTENER_NAME_MAX 255

/* The index of routes has an entry for each host with each path (broker/match-index.c). */
#define HOST_PATH_PAIRS_MAX 65536U

/* Takes one word of a list. Returns 0, 1 where it is not what the key wants, or -ENOMEM. */
typedef int (*TakeWord)(const char *word, void *field);

/*
 * Splits the value into words, expands the specifiers in each, and gives it to @take. @wants is what an error
 * says that the key takes.
 */
static int each_word(ConfigContext *c, const Assignment *a, const char *wants, TakeWord take, void *field) {
        char word[VALUE_SIZE], expanded[VALUE_SIZE];
        size_t n;
        int r;

        for (const char *s = a->value; *s; s += n, s += strspn(s, WHITESPACE)) {
                n = strcspn(s, WHITESPACE);
                if (n >= sizeof(word)) {
                        config_error(c, a, "The value of %s= is too long.", a->key);
                        return 0;
                }

                memcpy(word, s, n);
                word[n] = '\0';

                if (!config_expand(c, a, word, expanded))
                        return 0;

                r = take(expanded, field);
                if (r < 0)
                        return r;
                if (r > 0) {
                        config_bad_value(c, a, "%s", wants);
                        return 0;
                }
        }

        return 0;
}

static int parse_strings(ConfigContext *c, const Assignment *a, const char *wants, TakeWord take, StringList *list) {
        if (!*a->value)
                strlist_clear(list);

        return each_word(c, a, wants, take, list);
}

static int take_listener(const char *word, void *field) {
        for (const char *p = word; *p; p++)
                if ((uint8_t) *p < ' ' || (uint8_t) *p >= 0x7f || *p == ':')
                        return 1;

        return *word && strlen(word) <= LISTENER_NAME_MAX ? strlist_add(field, word) : 1;
}

int config_parse_listeners(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                           _unused_ const void *fallback) {
        return parse_strings(c, a, "names as FileDescriptorName= takes them (ASCII, no \":\")", take_listener, field);
}

/* In the form in which probes find it, so that comparing bytes is enough. */
static int take_host(const char *word, void *field) {
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

int config_parse_hosts(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                       _unused_ const void *fallback) {
        return parse_strings(c, a, "names of hosts without a port, or \"*.\" before one for those below it", take_host,
                             field);
}

static int take_path(const char *word, void *field) {
        size_t n = strlen(word);

        if (word[0] != '/' || strpbrk(word, "?#") || http_path_is_ambiguous(slice_from_string(word)))
                return 1;

        /* "/chat/" takes what "/chat" takes. */
        if (n > 1 && word[n - 1] == '/')
                n--;

        return strlist_add_n(field, word, n);
}

int config_parse_paths(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                       _unused_ const void *fallback) {
        return parse_strings(c, a, "paths that begin with \"/\" and mean the same to every server (no \"//\", \"..\", "
                             "\";\" or escaped letters)", take_path, field);
}

static int take_method(const char *word, void *field) {
        return http_is_token(word) ? strlist_add(field, word) : 1;
}

int config_parse_methods(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                         _unused_ const void *fallback) {
        return parse_strings(c, a, "methods of HTTP, which are in upper case", take_method, field);
}

/* RFC 7301 3.1: one byte holds the length. */
static int take_alpn(const char *word, void *field) {
        return *word && strlen(word) <= UINT8_MAX ? strlist_add(field, word) : 1;
}

int config_parse_alpns(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                       _unused_ const void *fallback) {
        return parse_strings(c, a, "names of protocols, of at most 255 bytes", take_alpn, field);
}

static int take_protocol(const char *word, void *field) {
        static const ProbeProtocol protocols[] = { PROBE_HTTP, PROBE_HTTP2, PROBE_TLS, PROBE_SSH };
        unsigned *mask = field;

        if (streq(word, "any"))
                *mask = 0;
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

int config_parse_protocols(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                           _unused_ const void *fallback) {
        if (!*a->value)
                *(unsigned *) field = 0;

        return each_word(c, a, "\"http\", \"http2\", \"tls\", \"ssh\", \"silent\" or \"any\"", take_protocol, field);
}

void address_list_clear(AddressList *l) {
        free(l->items);
        *l = (AddressList){};
}

/* Bits behind the prefix would be a slip of the pen, or of the mind. */
static bool has_host_bits(const AddressRange *range) {
        size_t size = range->family == AF_INET ? 4 : 16;

        for (size_t i = range->n_bits; i < size * 8; i++)
                if (range->address[i / 8] & (0x80 >> i % 8))
                        return true;

        return false;
}

static bool parse_range(const char *word, AddressRange *ret) {
        const char *slash = strchr(word, '/');
        size_t n = slash ? (size_t) (slash - word) : strlen(word);
        char address[INET6_ADDRSTRLEN];
        AddressRange range = {};
        unsigned max;

        if (n >= sizeof(address))
                return false;

        memcpy(address, word, n);
        address[n] = '\0';

        range.family = strchr(address, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(range.family, address, range.address) != 1)
                return false;

        max = range.family == AF_INET ? 32 : 128;
        range.n_bits = max;
        if (slash && (parse_unsigned(slash + 1, &range.n_bits) < 0 || range.n_bits > max))
                return false;

        *ret = range;
        return !has_host_bits(&range);
}

static int take_address(const char *word, void *field) {
        AddressList *l = field;
        AddressRange range;

        if (!parse_range(word, &range))
                return 1;

        if (!ARRAY_GROW(l->items, l->n_items))
                return -ENOMEM;

        l->items[l->n_items++] = range;
        return 0;
}

int config_parse_addresses(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                           _unused_ const void *fallback) {
        if (!*a->value)
                address_list_clear(field);

        return each_word(c, a, "IP addresses, or networks such as 192.0.2.0/24 with no bits set behind the prefix",
                         take_address, field);
}

static void clear_headers(MatchDraft *d) {
        for (size_t i = 0; i < d->n_headers; i++) {
                free(d->headers[i].name);
                free(d->headers[i].glob);
        }
        free(TAKE_PTR(d->headers));
        d->n_headers = 0;
}

/* One field a line, because a value may have spaces in it. */
int config_parse_headers(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                         _unused_ const void *fallback) {
        MatchDraft *d = CONTAINER_OF(field, MatchDraft, headers);
        char value[VALUE_SIZE], *colon, *glob;
        HeaderMatch h;

        if (!*a->value) {
                clear_headers(d);
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

        for (char *p = value; *p; p++)
                *p = (char) ascii_lower((uint8_t) *p);
        glob = colon + 1 + strspn(colon + 1, WHITESPACE);

        if (!ARRAY_GROW(d->headers, d->n_headers))
                return -ENOMEM;

        h = (HeaderMatch){ .name = strdup(value), .glob = strdup(glob) };
        d->headers[d->n_headers++] = h; /* owned now, in whole or in part */
        return h.name && h.glob ? 0 : -ENOMEM;
}

static void clear_prefixes(MatchDraft *d) {
        for (size_t i = 0; i < d->n_prefixes; i++)
                free(d->prefixes[i].p);
        free(TAKE_PTR(d->prefixes));
        d->n_prefixes = 0;
}

static int hex_value(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One escape of C at *s, behind the backslash, and \s for a space as in units. Moves *s behind it. */
static bool unescape_one(const char **s, uint8_t *ret) {
        static const char names[] = "abfnrtv\\\"'s", values[] = "\a\b\f\n\r\t\v\\\"' ";
        const char *p = *s, *name;

        if (*p == 'x') {
                int high = hex_value(p[1]), low = high < 0 ? -1 : hex_value(p[2]);

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

static bool unescape(const char *s, uint8_t *buffer, size_t *ret_n) {
        size_t n = 0;

        while (*s)
                if (*s == '\\') {
                        s++;
                        if (!unescape_one(&s, &buffer[n++]))
                                return false;
                } else
                        buffer[n++] = (uint8_t) *s++;

        *ret_n = n;
        return n > 0;
}

static int take_prefix(const char *word, void *field) {
        MatchDraft *d = CONTAINER_OF(field, MatchDraft, prefixes);
        uint8_t buffer[VALUE_SIZE];
        BytesMatch b;

        if (!unescape(word, buffer, &b.n))
                return 1;

        if (!ARRAY_GROW(d->prefixes, d->n_prefixes))
                return -ENOMEM;

        b.p = malloc(b.n);
        if (!b.p)
                return -ENOMEM;

        memcpy(b.p, buffer, b.n);
        d->prefixes[d->n_prefixes++] = b;
        return 0;
}

int config_parse_prefixes(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                          _unused_ const void *fallback) {
        if (!*a->value)
                clear_prefixes(CONTAINER_OF(field, MatchDraft, prefixes));

        return each_word(c, a, "bytes, with \\xNN and the other escapes of C, and \\s for a space", take_prefix, field);
}

int config_parse_name(ConfigContext *c, _unused_ const ConfigKey *key, const Assignment *a, void *field,
                      _unused_ const void *fallback) {
        char value[VALUE_SIZE];

        if (!config_expand(c, a, a->value, value))
                return 0;

        if (*value && !http_is_token(value)) {
                config_bad_value(c, a, "one word");
                return 0;
        }

        return config_set_string(field, value);
}

void match_draft_done(MatchDraft *d) {
        strlist_clear(&d->listeners);
        strlist_clear(&d->hosts);
        strlist_clear(&d->paths);
        strlist_clear(&d->methods);
        strlist_clear(&d->alpns);
        address_list_clear(&d->sources);
        clear_headers(d);
        clear_prefixes(d);
        free(TAKE_PTR(d->name));
}

static char **finish_strings(StringList *l) {
        strlist_sort_unique(l);
        l->n_items = 0;
        return TAKE_PTR(l->items);
}

static int compare_ranges(const void *a, const void *b) {
        return memcmp(a, b, sizeof(AddressRange));
}

static int compare_headers(const void *x, const void *y) {
        const HeaderMatch *a = x, *b = y;
        int d = strcmp(a->name, b->name);

        return d != 0 ? d : strcmp(a->glob, b->glob);
}

static int compare_prefixes(const void *x, const void *y) {
        const BytesMatch *a = x, *b = y;
        int d = memcmp(a->p, b->p, MIN(a->n, b->n));

        return d != 0 ? d : (a->n > b->n) - (a->n < b->n);
}

static void sort(void *items, size_t n, size_t size, int (*compare)(const void *, const void *)) {
        if (n > 1)
                qsort(items, n, size, compare);
}

/* Duplicates in the sorted lists of structs are harmless; only the order makes equal lists equal. */
void match_draft_finish(MatchDraft *d, RouteMatch *ret) {
        sort(d->sources.items, d->sources.n_items, sizeof(AddressRange), compare_ranges);
        sort(d->headers, d->n_headers, sizeof(HeaderMatch), compare_headers);
        sort(d->prefixes, d->n_prefixes, sizeof(BytesMatch), compare_prefixes);

        *ret = (RouteMatch){
                .priority = d->priority,
                .listeners = finish_strings(&d->listeners),
                .protocols = d->protocols,
                .hosts = finish_strings(&d->hosts),
                .paths = finish_strings(&d->paths),
                .methods = finish_strings(&d->methods),
                .headers = TAKE_PTR(d->headers),
                .n_headers = d->n_headers,
                .alpns = finish_strings(&d->alpns),
                .sources = TAKE_PTR(d->sources.items),
                .n_sources = d->sources.n_items,
                .prefixes = TAKE_PTR(d->prefixes),
                .n_prefixes = d->n_prefixes,
                .name = TAKE_PTR(d->name),
        };
        d->sources.n_items = d->n_headers = d->n_prefixes = 0;
}

static size_t count_strings(char **l) {
        size_t n = 0;

        while (l && l[n])
                n++;

        return n;
}

void match_check_size(ConfigContext *c, const RouteMatch *m) {
        size_t n_hosts = count_strings(m->hosts), n_paths = count_strings(m->paths);

        /* Neither product overflows: a unit has 1 MiB at most. */
        if (n_hosts * n_paths > HOST_PATH_PAIRS_MAX)
                config_error(c, config_last(c->unit, SECTION_FDPASS, "Path"),
                             "%zu values of Host= and %zu of Path= are %zu pairs; a unit may have %u of them.", n_hosts,
                             n_paths, n_hosts * n_paths, HOST_PATH_PAIRS_MAX);
}

static void free_strings(char **l) {
        for (char **i = l; i && *i; i++)
                free(*i);
        free(l);
}

void route_match_done(RouteMatch *m) {
        MatchDraft rest = {
                .headers = m->headers,
                .n_headers = m->n_headers,
                .sources = { m->sources, m->n_sources },
                .prefixes = m->prefixes,
                .n_prefixes = m->n_prefixes,
                .name = m->name,
        };

        match_draft_done(&rest);
        free_strings(m->listeners);
        free_strings(m->hosts);
        free_strings(m->paths);
        free_strings(m->methods);
        free_strings(m->alpns);
        *m = (RouteMatch){};
}
