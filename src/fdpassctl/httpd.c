/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/httpd.h"

#include <ctype.h>
#include <stdarg.h>
#include <sys/un.h>

#include "basic/array.h"
#include "basic/utf8.h"
#include "flusher/flusher.h"
#include "probe/http.h"
#include "probe/name.h"

#define HTTPD_LINE_MAX 8192 /* limit of httpd itself (MAX_STRING_LEN) */
#define HTTPD_WORDS_MAX 64
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1)

typedef struct HttpdParser {
        const char *p, *end;
        unsigned next_line;         /* number of the line at @p, from 1 */
        unsigned line;              /* number of the directive's first line */
        char text[HTTPD_LINE_MAX];
        char *words[HTTPD_WORDS_MAX + 1]; /* of the directive; its name is the first */
        size_t n_words;
        bool is_cut;                /* text or words of the directive are missing */

        char root[SOCKET_PATH_MAX + 1]; /* ServerRoot */
        bool is_in_host;            /* between <VirtualHost> and </VirtualHost> */
        unsigned host_line;         /* number of the line of <VirtualHost> */
        StringList hosts;           /* names of the virtual host */
        size_t first_of_file;       /* index of the first route of the file */
        size_t first_of_host;       /* index of the first route of the virtual host */
        bool is_in_location;        /* between <Location> and </Location> */
        char location[HTTPD_LINE_MAX]; /* path of the location; "": Path= can't express it */

        HttpdRoutes *routes;
        HttpdSay say;
        void *userdata;
} HttpdParser;

static void httpd_say(HttpdParser *c, const char *format, ...) _printf_(2, 3);

static void httpd_say(HttpdParser *c, const char *format, ...) {
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        utf8_mask(message);
        c->say(c->userdata, c->line, message);
}

/* Arguments of "%.*s" for the first 80 bytes of a word. */
#define HTTPD_SHOWN(s) (int) utf8_cut((s), 80), (s)

/*
 * Reads the next line and its continuations behind backslashes. A line that is too long is cut. Returns false at the
 * end.
 */
static bool httpd_next_line(HttpdParser *c) {
        size_t n = 0;
        bool has_more = true;

        if (c->p == c->end)
                return false;

        c->line = c->next_line;
        while (has_more && c->p < c->end) {
                const char *nl = memchr(c->p, '\n', (size_t) (c->end - c->p)), *stop = nl ? nl : c->end;
                size_t k = (size_t) (stop - c->p);

                if (k > 0 && c->p[k - 1] == '\r')
                        k--;
                has_more = k > 0 && c->p[k - 1] == '\\';
                if (has_more)
                        k--;

                k = MIN(k, sizeof(c->text) - 1 - n);
                memcpy(c->text + n, c->p, k);
                n += k;
                c->p = nl ? nl + 1 : c->end;
                c->next_line++;
        }

        /* A NUL would hide the rest of the line. */
        for (size_t i = 0; i < n; i++)
                if (c->text[i] == '\0')
                        c->text[i] = '?';
        c->text[n] = '\0';
        c->is_cut = n == sizeof(c->text) - 1;
        return true;
}

/* Takes one word off *s, as ap_getword_conf() of httpd does: in quotes of either kind, a backslash escapes a quote. */
static char *httpd_next_word(char **s) {
        char *in = *s + strspn(*s, " \t\r\f\v"), *out = in, *word, quote;

        if (!*in)
                return NULL;

        quote = *in == '"' || *in == '\'' ? *in++ : '\0';
        word = out = in;

        while (*in && (quote ? *in != quote : !isspace((unsigned char) *in))) {
                if (quote && *in == '\\' && (in[1] == quote || in[1] == '\\'))
                        in++;
                *out++ = *in++;
        }

        *s = *in ? in + 1 : in;
        *out = '\0';
        return word;
}

static void httpd_split(HttpdParser *c) {
        char *s = c->text, *word;
        size_t n;

        c->n_words = 0;

        /* The ">" of a section does not belong to its last word. */
        s += strspn(s, " \t\r\f\v");
        n = strlen(s);
        while (n > 0 && isspace((unsigned char) s[n - 1]))
                n--;
        if (s[0] == '<' && n > 0 && s[n - 1] == '>')
                s[n - 1] = '\0';

        if (*s == '#')
                return;

        while (c->n_words < HTTPD_WORDS_MAX && (word = httpd_next_word(&s)))
                c->words[c->n_words++] = word;
        c->words[c->n_words] = NULL;
        c->is_cut |= c->n_words == HTTPD_WORDS_MAX;
}

static bool httpd_is(const HttpdParser *c, const char *directive) {
        return strcasecmp(c->words[0], directive) == 0;
}

/* Adds a name of the virtual host. A scheme and a port are ignored, and "*." may stand before the name. */
static int httpd_add_host(HttpdParser *c, const char *word) {
        const char *s = strstr(word, "://"), *rest;
        char pattern[PROBE_NAME_MAX + 3] = "*.";
        ProbeName name;
        uint16_t port;
        int r;

        s = s ? s + 3 : word;
        rest = startswith(s, "*.");
        if (!probe_name_set_authority(&name, &port, slice_from_string(rest ?: s)) || name.n == 0 ||
            strpbrk(rest ?: s, "*?") ||
            (rest && name.text[0] == '[')) {
                httpd_say(c, "Host= can't express the name \"%.*s\"; clients that ask for it are not matched.",
                          HTTPD_SHOWN(word));
                return httpd_access_add_name(&c->routes->access, NULL);
        }

        memcpy(pattern + 2, name.text, (size_t) name.n + 1);
        r = httpd_access_add_name(&c->routes->access, rest ? pattern : pattern + 2);
        return r < 0 ? r : strlist_add(&c->hosts, rest ? pattern : pattern + 2);
}

static int httpd_add_hosts(HttpdParser *c) {
        if (!c->is_in_host)
                return 0;

        for (size_t i = 1; i < c->n_words; i++) {
                int r = httpd_add_host(c, c->words[i]);

                if (r < 0)
                        return r;
        }

        return 0;
}

/* Gives the names to the routes at the end of the virtual host, because ServerName may stand behind ProxyPass. */
static int httpd_end_host(HttpdParser *c) {
        for (size_t i = c->first_of_host; i < c->routes->n_items; i++)
                for (size_t k = 0; k < c->hosts.n_items; k++) {
                        int r = strlist_add(&c->routes->items[i].hosts, c->hosts.items[k]);

                        if (r < 0)
                                return r;
                }

        if (c->routes->n_items > c->first_of_host && c->hosts.n_items == 0)
                httpd_say(c, "The virtual host of line %u has no name that can be matched: its routes take every host.",
                          c->host_line);

        strlist_clear(&c->hosts);
        c->is_in_host = false;
        return 0;
}

static int httpd_begin_host(HttpdParser *c) {
        int r = c->is_in_host ? httpd_end_host(c) : 0;

        c->is_in_host = true;
        c->host_line = c->line;
        c->first_of_host = c->routes->n_items;

        for (size_t i = 1; i < c->n_words; i++) {
                const char *port = strrchr(c->words[i], ':');

                if (port && !streq(port, ":80") && !streq(port, ":*") && !strchr(port, ']'))
                        httpd_say(c, "Add Listener= by hand for clients of port %.*s.", HTTPD_SHOWN(port + 1));
        }

        return r;
}

static void httpd_begin_location(HttpdParser *c) {
        bool is_path = httpd_is(c, "<Location") && c->n_words == 2 && c->words[1][0] == '/';

        c->is_in_location = true;
        c->location[0] = '\0';
        if (is_path && !strpbrk(c->words[1], "*?[#"))
                (void) snprintf(c->location, sizeof(c->location), "%s", c->words[1]);
}

/* A unit has no control characters, and is UTF-8. */
static bool httpd_is_printable(const char *s) {
        for (; *s; s += utf8_printable(s))
                if (utf8_printable(s) == 0)
                        return false;

        return true;
}

/* Returns whether Path= can express the path. */
static bool httpd_path_is_expressible(const char *path) {
        return path[0] == '/' && !strpbrk(path, "?#\"' ") && httpd_is_printable(path) &&
               !http_path_is_ambiguous(slice_from_string(path));
}

/*
 * Replaces a regular expression by the path that it begins with. Returns false if it is more than such a path. Sets
 * @ret_has_empty_group if its group $1 is always empty.
 */
static bool httpd_take_regex(char *regex, bool *ret_has_empty_group) {
        char *p = regex + 1;
        const char *rest;

        *ret_has_empty_group = false;
        if (regex[0] != '^')
                return false;

        /* A backslash before punctuation makes it literal. */
        for (char *in = p; *in; p++, in++) {
                if (*in == '\\' && ispunct((unsigned char) in[1])) {
                        *p = *++in;
                        continue;
                }
                if (strchr("()[]{}.*+?|$^\\", *in)) {
                        rest = in;
                        if (startswith(rest, "()")) {
                                *ret_has_empty_group = true;
                                rest += 2;
                        }
                        if (*rest && !streq(rest, "$") && !streq(rest, ".*") && !streq(rest, ".*$"))
                                return false;
                        break;
                }
                *p = *in;
        }

        *p = '\0';
        memmove(regex, regex + 1, strlen(regex));
        return true;
}

/*
 * Makes the path of an fd:// URL absolute, below ServerRoot, as httpd does. Returns false if no unit can have such a
 * path.
 */
static bool httpd_make_worker(const HttpdParser *c, const char *rest, char ret[static SOCKET_PATH_MAX + 1]) {
        const char *root = *rest == '/' ? "" : c->root;
        int n = snprintf(ret, SOCKET_PATH_MAX + 1, "%s%s%s", root, *root && !endswith(root, "/") ? "/" : "", rest);

        if (n < 0 || (size_t) n > SOCKET_PATH_MAX || ret[0] != '/' || endswith(ret, "/") || endswith(ret, " ") ||
            strpbrk(ret, "*?$\"\\"))
                return false;

        if (!httpd_is_printable(ret))
                return false;

        if (startswith(ret, "/var/run/")) /* a symbolic link, which the broker does not follow */
                memmove(ret, ret + strlen("/var"), strlen(ret + strlen("/var")) + 1);

        /* systemd and the unit parser accept no "." and ".." in a path. */
        return !strstr(ret, "/../") && !strstr(ret, "/./") && !endswith(ret, "/..") && !endswith(ret, "/.") && *rest;
}

static int httpd_add_route(HttpdParser *c, const char *path, const char *worker, const char *flusher) {
        HttpdRoute *r;

        if (!ARRAY_GROW(c->routes->items, c->routes->n_items))
                return -ENOMEM;

        r = &c->routes->items[c->routes->n_items++];
        *r = (HttpdRoute){
                .line = c->line, .path = strdup(path), .worker = strdup(worker), .flusher = strdup(flusher),
                .host = httpd_access_host(&c->routes->access), .userdata = c->userdata,
                .condition = httpd_access_condition(&c->routes->access),
        };
        return r->path && r->worker && r->flusher ? 0 : -ENOMEM;
}

/* Says which lines before this one take its clients in httpd. */
static void httpd_check_order(HttpdParser *c, const char *path) {
        for (size_t i = c->is_in_host ? c->first_of_host : c->first_of_file; i < c->routes->n_items; i++)
                if (!streq(c->routes->items[i].path, path) &&
                    http_path_has_prefix(slice_from_string(path), slice_from_string(c->routes->items[i].path)))
                        httpd_say(c, "httpd never comes to this line, because line %u takes its paths. "
                                     "Here the longer path wins.",
                            c->routes->items[i].line);
}

/* Reads the words behind the URL, of which mod_proxy_fdpass uses flusher= only. Returns the flusher, or NULL. */
static const char *httpd_read_options(HttpdParser *c, size_t first) {
        const char *flusher = "flush", *value;

        for (size_t i = first; i < c->n_words; i++) {
                value = startswith(c->words[i], "flusher=");
                if (value)
                        flusher = value;
                else
                        httpd_say(c, "%.*s has no effect with fd:// in httpd, and has none here.",
                                  HTTPD_SHOWN(c->words[i]));
        }

        if (!flusher_name_is_valid(flusher) || streq(flusher, "none")) {
                httpd_say(c, "Flusher= can't express flusher=%.*s; no unit is printed.", HTTPD_SHOWN(flusher));
                return NULL;
        }
        if (!streq(flusher, "flush"))
                httpd_say(c, "The flusher %s of httpd has to be written again: see fdpass-flusher(3).", flusher);

        return flusher;
}

static char *httpd_skip_scheme(char *url) {
        char *bar = startswith(url, "unix:") ? strchr(url, '|') : NULL;

        url = bar ? bar + 1 : url;
        return strncasecmp(url, "fd://", 5) == 0 ? url + 5 : NULL;
}

/*
 * Takes "$1" off the URL's path @rest. An empty group and "$1" keep httpd from adding the rest of the request's path to
 * the URL. Returns false if the URL has more of the request in it.
 */
static bool httpd_take_dollar(HttpdParser *c, char *rest, bool has_empty_group, const char *path) {
        char *dollar = strchr(rest, '$');

        if (!dollar)
                httpd_say(c, "httpd adds the part of the request's path behind \"%.*s\" to the path of the socket. "
                             "A unit does not.",
                          HTTPD_SHOWN(path));
        else if (!has_empty_group || !streq(dollar, "$1")) {
                httpd_say(c, "The client's request is part of the socket's path. No unit can express that, "
                             "so none is printed.");
                return false;
        } else
                *dollar = '\0';

        return true;
}

/* Adds the route from @path to the URL's path @rest, if a unit can express both. */
static int httpd_add_proxy_pass(HttpdParser *c, const char *path, const char *rest, size_t first_option) {
        char worker[SOCKET_PATH_MAX + 1];
        const char *flusher;

        if (!httpd_path_is_expressible(path)) {
                httpd_say(c, "Path= can't express the path \"%.*s\"; no unit is printed.", HTTPD_SHOWN(path));
                return 0;
        }
        if (!httpd_make_worker(c, rest, worker)) {
                httpd_say(c, "\"%.*s\" is no path of a socket; no unit is printed.", HTTPD_SHOWN(rest));
                return 0;
        }

        flusher = httpd_read_options(c, first_option);
        if (!flusher)
                return 0;

        if (httpd_is(c, "ProxyPassMatch"))
                httpd_say(c, "The expression may take other paths than Path=, which takes whole segments "
                             "and all paths below.");
        httpd_check_order(c, path);
        return httpd_add_route(c, path, worker, flusher);
}

/* Reads ProxyPass or ProxyPassMatch. The path is that of the location around it, or the first word. */
static int httpd_read_proxy_pass(HttpdParser *c) {
        bool is_match = httpd_is(c, "ProxyPassMatch"), has_empty_group = false;
        size_t url_at = c->is_in_location ? 1 : 2;
        char *path, *rest;

        if (c->n_words <= url_at)
                return 0;
        if (streq(c->words[url_at], "!")) {
                httpd_say(c, "An exception can't be expressed: give its path a route of its own, if it needs one.");
                return 0;
        }

        rest = httpd_skip_scheme(c->words[url_at]);
        if (!rest)
                return 0; /* the line belongs to another module */

        path = c->is_in_location ? c->location : c->words[1];
        if (is_match && !c->is_in_location && !httpd_take_regex(path, &has_empty_group)) {
                httpd_say(c, "Path= can't express the expression \"%.*s\"; no unit is printed.", HTTPD_SHOWN(path));
                return 0;
        }

        if (!httpd_take_dollar(c, rest, has_empty_group, path))
                return 0;

        return httpd_add_proxy_pass(c, path, rest, url_at + 1);
}

static void httpd_set_root(HttpdParser *c) {
        if (c->n_words < 2 || c->words[1][0] != '/' || strlen(c->words[1]) >= sizeof(c->root))
                httpd_say(c, "ServerRoot wants an absolute path; %s stays.", c->root);
        else
                strcpy(c->root, c->words[1]);
}

static bool httpd_mentions_fd(const HttpdParser *c) {
        for (size_t i = 1; i < c->n_words; i++)
                if (strcasestr(c->words[i], "fd://"))
                        return true;

        return false;
}

/* Names directives that this parser does not read, but that may change the routes. */
static void httpd_check_others(HttpdParser *c) {
        static const char *const conditions[] = { "<If", "<ElseIf", "<Else", "<IfDefine", "<IfVersion", "<Macro" };

        for (size_t i = 0; i < ELEMENTSOF(conditions); i++)
                if (httpd_is(c, conditions[i]))
                        httpd_say(c, "%s is not evaluated: its lines are read as if the condition were true.",
                                  c->words[0] + 1);

        if (httpd_is(c, "Include") || httpd_is(c, "IncludeOptional"))
                httpd_say(c, "%s is not followed: give its files to this command, too. They may keep clients out.",
                          c->words[0]);
        else if (httpd_is(c, "Header") || httpd_is(c, "RequestHeader"))
                httpd_say(c, "%s is not read: ResponseHeader= adds fields to what a flusher writes.", c->words[0]);
        else if (httpd_mentions_fd(c))
                httpd_say(c, "%.*s with fd:// can't be expressed; no unit is printed.", HTTPD_SHOWN(c->words[0]));
}

static int httpd_read_directive(HttpdParser *c) {
        if (httpd_is(c, "ServerRoot"))
                httpd_set_root(c);
        else if (httpd_is(c, "<VirtualHost"))
                return httpd_begin_host(c);
        else if (httpd_is(c, "</VirtualHost"))
                return httpd_end_host(c);
        else if (httpd_is(c, "ServerName") || httpd_is(c, "ServerAlias"))
                return httpd_add_hosts(c);
        else if (httpd_is(c, "<Location") || httpd_is(c, "<LocationMatch"))
                httpd_begin_location(c);
        else if (httpd_is(c, "</Location") || httpd_is(c, "</LocationMatch"))
                c->is_in_location = false;
        else if (httpd_is(c, "ProxyPass") || httpd_is(c, "ProxyPassMatch"))
                return httpd_read_proxy_pass(c);
        else
                httpd_check_others(c);

        return 0;
}

static int httpd_read_lines(HttpdParser *c) {
        HttpdAccess *access = &c->routes->access;
        int r = httpd_access_begin_file(access, c->userdata);

        while (r >= 0 && httpd_next_line(c)) {
                httpd_split(c);
                if (c->n_words > 0)
                        r = httpd_access_read(access, c->line, c->words, c->n_words, c->is_cut);
                if (c->n_words > 0 && r >= 0)
                        r = httpd_read_directive(c);
        }

        if (r >= 0 && c->is_in_host)
                r = httpd_end_host(c);
        return r < 0 ? r : httpd_access_end_file(access);
}

int httpd_read(HttpdRoutes *routes, const char *text, size_t n, const char *server_root, HttpdSay f, void *userdata) {
        HttpdParser *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;

        *c = (HttpdParser){
                .p = text, .end = text + n, .next_line = 1, .routes = routes, .first_of_file = routes->n_items,
                .say = f, .userdata = userdata,
        };
        (void) snprintf(c->root, sizeof(c->root), "%s", server_root);

        r = httpd_read_lines(c);
        strlist_clear(&c->hosts);
        free(c);
        return r;
}
