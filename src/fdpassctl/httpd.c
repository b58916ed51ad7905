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

#define LINE_MAX_SIZE 8192 /* httpd's own limit (MAX_STRING_LEN) */
#define WORDS_MAX 64
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1)

typedef struct Parser {
        const char *p, *end;
        unsigned next_line;         /* the number of the line at @p */
        unsigned line;              /* where the directive began */
        char text[LINE_MAX_SIZE];
        char *words[WORDS_MAX + 1]; /* of the directive, its name first */
        size_t n_words;

        char root[SOCKET_PATH_MAX + 1]; /* ServerRoot */
        bool in_host;
        unsigned host_line;
        StringList hosts;           /* of the virtual host that is open */
        size_t first_of_host;       /* the first route that is its own */
        bool in_location;
        char location[LINE_MAX_SIZE]; /* its path; "": one that can't be told */

        HttpdRoutes *routes;
        HttpdSay say;
        void *userdata;
} Parser;

void httpd_routes_done(HttpdRoutes *routes) {
        for (size_t i = 0; i < routes->n_items; i++) {
                HttpdRoute *r = &routes->items[i];

                strlist_clear(&r->hosts);
                free(r->path);
                free(r->worker);
                free(r->flusher);
        }

        free(routes->items);
        *routes = (HttpdRoutes){};
}

static void say(Parser *c, const char *format, ...) _printf_(2, 3);

static void say(Parser *c, const char *format, ...) {
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        utf8_mask(message);
        c->say(c->userdata, c->line, message);
}

/* So much of a word is shown in a message. */
#define SHOWN(s) (int) utf8_cut((s), 80), (s)

/* The next line, with those that continue it behind a backslash. False at the end; what is too long is cut. */
static bool next_line(Parser *c) {
        size_t n = 0;
        bool more = true;

        if (c->p == c->end)
                return false;

        c->line = c->next_line;
        while (more && c->p < c->end) {
                const char *nl = memchr(c->p, '\n', (size_t) (c->end - c->p)), *stop = nl ? nl : c->end;
                size_t k = (size_t) (stop - c->p);

                if (k > 0 && c->p[k - 1] == '\r')
                        k--;
                more = k > 0 && c->p[k - 1] == '\\';
                if (more)
                        k--;

                k = MIN(k, sizeof(c->text) - 1 - n);
                memcpy(c->text + n, c->p, k);
                n += k;
                c->p = nl ? nl + 1 : c->end;
                c->next_line++;
        }

        /* A NUL would hide what follows it. */
        for (size_t i = 0; i < n; i++)
                if (c->text[i] == '\0')
                        c->text[i] = '?';
        c->text[n] = '\0';
        return true;
}

/* Takes one word off *s, as ap_getword_conf() of httpd: quotes of both kinds, in which a backslash frees one. */
static char *next_word(char **s) {
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

static void split(Parser *c) {
        char *s = c->text, *word;
        size_t n;

        c->n_words = 0;

        /* The ">" of a section is no part of its last word. */
        s += strspn(s, " \t\r\f\v");
        n = strlen(s);
        while (n > 0 && isspace((unsigned char) s[n - 1]))
                n--;
        if (s[0] == '<' && n > 0 && s[n - 1] == '>')
                s[n - 1] = '\0';

        if (*s == '#')
                return;

        while (c->n_words < WORDS_MAX && (word = next_word(&s)))
                c->words[c->n_words++] = word;
        c->words[c->n_words] = NULL;
}

static bool is(const Parser *c, const char *directive) {
        return strcasecmp(c->words[0], directive) == 0;
}

/* A name of the virtual host: with a scheme or a port perhaps, which don't matter, and perhaps with "*." before it. */
static int add_host(Parser *c, const char *word) {
        const char *s = strstr(word, "://"), *rest;
        char pattern[PROBE_NAME_MAX + 3] = "*.";
        ProbeName name;
        uint16_t port;

        s = s ? s + 3 : word;
        rest = startswith(s, "*.");
        if (!probe_name_set_authority(&name, &port, slice_from_string(rest ?: s)) || name.n == 0 || strpbrk(rest ?: s, "*?") ||
            (rest && name.text[0] == '[')) {
                say(c, "Host= can't express the name \"%.*s\"; clients that ask for it are not matched.", SHOWN(word));
                return 0;
        }

        memcpy(pattern + 2, name.text, (size_t) name.n + 1);
        return strlist_add(&c->hosts, rest ? pattern : pattern + 2);
}

static int add_hosts(Parser *c) {
        if (!c->in_host)
                return 0;

        for (size_t i = 1; i < c->n_words; i++) {
                int r = add_host(c, c->words[i]);

                if (r < 0)
                        return r;
        }

        return 0;
}

/* ServerName may stand behind ProxyPass: the names are known when the virtual host ends. */
static int end_host(Parser *c) {
        for (size_t i = c->first_of_host; i < c->routes->n_items; i++)
                for (size_t k = 0; k < c->hosts.n_items; k++) {
                        int r = strlist_add(&c->routes->items[i].hosts, c->hosts.items[k]);

                        if (r < 0)
                                return r;
                }

        if (c->routes->n_items > c->first_of_host && c->hosts.n_items == 0)
                say(c, "The virtual host of line %u has no name that can be matched: its routes take every host.", c->host_line);

        strlist_clear(&c->hosts);
        c->in_host = false;
        return 0;
}

static int begin_host(Parser *c) {
        int r = c->in_host ? end_host(c) : 0;

        c->in_host = true;
        c->host_line = c->line;
        c->first_of_host = c->routes->n_items;

        for (size_t i = 1; i < c->n_words; i++) {
                const char *port = strrchr(c->words[i], ':');

                if (port && !streq(port, ":80") && !streq(port, ":*") && !strchr(port, ']'))
                        say(c, "Clients of port %.*s are told by Listener=, which is to be added by hand.", SHOWN(port + 1));
        }

        return r;
}

static void begin_location(Parser *c) {
        bool is_path = is(c, "<Location") && c->n_words == 2 && c->words[1][0] == '/';

        c->in_location = true;
        c->location[0] = '\0';
        if (is_path && !strpbrk(c->words[1], "*?[#"))
                (void) snprintf(c->location, sizeof(c->location), "%s", c->words[1]);
}

/* The path as Path= has it. False where that can't say the same. */
static bool path_is_fine(const char *path) {
        return path[0] == '/' && !strpbrk(path, "?#\"' \t") && utf8_is_valid(path) &&
               !http_path_is_ambiguous(slice_from_string(path));
}

/* The literal beginning of a regular expression that is no more than that. Sets what $1 stands for: always nothing? */
static bool take_regex(char *regex, bool *ret_empty_group) {
        char *p = regex + 1;
        const char *rest;

        *ret_empty_group = false;
        if (regex[0] != '^')
                return false;

        /* Escapes of a character that means itself. */
        for (char *in = p; *in; p++, in++) {
                if (*in == '\\' && ispunct((unsigned char) in[1])) {
                        *p = *++in;
                        continue;
                }
                if (strchr("()[]{}.*+?|$^\\", *in)) {
                        rest = in;
                        if (startswith(rest, "()")) {
                                *ret_empty_group = true;
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

/* An fd:// URL's path, as httpd makes it: relative to ServerRoot where it is not absolute. */
static bool worker_of(const Parser *c, const char *rest, char ret[static SOCKET_PATH_MAX + 1]) {
        const char *root = *rest == '/' ? "" : c->root;
        int n = snprintf(ret, SOCKET_PATH_MAX + 1, "%s%s%s", root, *root && !endswith(root, "/") ? "/" : "", rest);

        if (n < 0 || (size_t) n > SOCKET_PATH_MAX || ret[0] != '/' || endswith(ret, "/") || endswith(ret, " ") || strpbrk(ret, "*?$\"\\"))
                return false;

        for (const char *p = ret; *p; p += utf8_printable(p))
                if (utf8_printable(p) == 0)
                        return false;

        /* As systemd and the unit parser want it. */
        return !strstr(ret, "/../") && !strstr(ret, "/./") && !endswith(ret, "/..") && !endswith(ret, "/.") && *rest;
}

static int add_route(Parser *c, const char *path, const char *worker, const char *flusher) {
        HttpdRoute *r;

        if (!ARRAY_GROW(c->routes->items, c->routes->n_items))
                return -ENOMEM;

        r = &c->routes->items[c->routes->n_items++];
        *r = (HttpdRoute){ .line = c->line, .path = strdup(path), .worker = strdup(worker), .flusher = strdup(flusher) };
        return r->path && r->worker && r->flusher ? 0 : -ENOMEM;
}

static void say_order(Parser *c, const char *path) {
        for (size_t i = c->in_host ? c->first_of_host : 0; i < c->routes->n_items; i++)
                if (!streq(c->routes->items[i].path, path) &&
                    http_path_has_prefix(slice_from_string(path), slice_from_string(c->routes->items[i].path)))
                        say(c, "httpd never comes to this line, because line %u takes its paths; here the longer path wins.",
                            c->routes->items[i].line);
}

/* What stands behind the URL. Only flusher= has a meaning for mod_proxy_fdpass. */
static const char *read_options(Parser *c, size_t first) {
        const char *flusher = "flush", *value;

        for (size_t i = first; i < c->n_words; i++) {
                value = startswith(c->words[i], "flusher=");
                if (value)
                        flusher = value;
                else
                        say(c, "%.*s has no effect with fd:// in httpd, and has none here.", SHOWN(c->words[i]));
        }

        if (!flusher_name_is_valid(flusher) || streq(flusher, "none")) {
                say(c, "Flusher= can't express flusher=%.*s; no unit is printed.", SHOWN(flusher));
                return NULL;
        }
        if (!streq(flusher, "flush"))
                say(c, "The flusher %s of httpd has to be written anew: see fdpass-flusher(3).", flusher);

        return flusher;
}

static const char *skip_scheme(const char *url) {
        const char *bar = startswith(url, "unix:") ? strchr(url, '|') : NULL;

        url = bar ? bar + 1 : url;
        return strncasecmp(url, "fd://", 5) == 0 ? url + 5 : NULL;
}

/* ProxyPass and ProxyPassMatch, whose path is that of the section they are in, or their first word. */
static int read_proxy_pass(Parser *c) {
        bool is_match = is(c, "ProxyPassMatch"), empty_group = false;
        size_t url_at = c->in_location ? 1 : 2;
        char worker[SOCKET_PATH_MAX + 1], *path, *dollar;
        const char *rest, *flusher;

        if (c->n_words <= url_at)
                return 0;
        if (streq(c->words[url_at], "!")) {
                say(c, "An exception can't be expressed: give its path a route of its own, if it needs one.");
                return 0;
        }

        rest = skip_scheme(c->words[url_at]);
        if (!rest)
                return 0; /* another module's */

        path = c->in_location ? c->location : c->words[1];
        if (is_match && !c->in_location && !take_regex(path, &empty_group)) {
                say(c, "Path= can't express the expression \"%.*s\"; no unit is printed.", SHOWN(path));
                return 0;
        }

        /* "$1" with an empty group is how httpd is kept from adding what the client has asked for. */
        dollar = strchr(rest, '$');
        if (dollar && (!is_match || !empty_group || !streq(dollar, "$1"))) {
                say(c, "The client's request is part of the socket's path: no unit does that; none is printed.");
                return 0;
        }
        if (dollar)
                *dollar = '\0';
        else
                say(c, "httpd adds what the request's path has more than \"%.*s\" to the path of the socket; this is not done here.",
                    SHOWN(path));

        if (!path_is_fine(path)) {
                say(c, "Path= can't express the path \"%.*s\"; no unit is printed.", SHOWN(path));
                return 0;
        }
        if (!worker_of(c, rest, worker)) {
                say(c, "\"%.*s\" is no path of a socket; no unit is printed.", SHOWN(rest));
                return 0;
        }

        flusher = read_options(c, url_at + 1);
        if (!flusher)
                return 0;

        if (is_match)
                say(c, "Not all paths that the expression takes are the same here: Path= takes whole segments, and all below.");
        say_order(c, path);
        return add_route(c, path, worker, flusher);
}

static void set_root(Parser *c) {
        if (c->n_words < 2 || c->words[1][0] != '/' || strlen(c->words[1]) >= sizeof(c->root))
                say(c, "ServerRoot wants an absolute path; %s stays.", c->root);
        else
                strcpy(c->root, c->words[1]);
}

static bool mentions_fd(const Parser *c) {
        for (size_t i = 1; i < c->n_words; i++)
                if (strcasestr(c->words[i], "fd://"))
                        return true;

        return false;
}

/* What is not read, and may concern the routes. */
static void say_others(Parser *c) {
        static const char *const conditions[] = { "<If", "<ElseIf", "<Else", "<IfDefine", "<IfVersion", "<Macro" };

        for (size_t i = 0; i < ELEMENTSOF(conditions); i++)
                if (is(c, conditions[i]))
                        say(c, "%s is not evaluated: what is in it is read as if it applied.", c->words[0] + 1);

        if (is(c, "Include") || is(c, "IncludeOptional"))
                say(c, "%s is not followed: give its files to this command as well.", c->words[0]);
        else if (is(c, "Header") || is(c, "RequestHeader"))
                say(c, "%s is not read: ResponseHeader= adds fields to what a flusher writes.", c->words[0]);
        else if (mentions_fd(c))
                say(c, "%.*s with fd:// can't be expressed; no unit is printed.", SHOWN(c->words[0]));
}

static int read_directive(Parser *c) {
        if (is(c, "ServerRoot"))
                set_root(c);
        else if (is(c, "<VirtualHost"))
                return begin_host(c);
        else if (is(c, "</VirtualHost"))
                return end_host(c);
        else if (is(c, "ServerName") || is(c, "ServerAlias"))
                return add_hosts(c);
        else if (is(c, "<Location") || is(c, "<LocationMatch"))
                begin_location(c);
        else if (is(c, "</Location") || is(c, "</LocationMatch"))
                c->in_location = false;
        else if (is(c, "ProxyPass") || is(c, "ProxyPassMatch"))
                return read_proxy_pass(c);
        else
                say_others(c);

        return 0;
}

int httpd_parse(const char *text, size_t n, const char *server_root, HttpdSay f, void *userdata, HttpdRoutes *ret) {
        Parser *c = calloc(1, sizeof(*c));
        int r = 0;

        if (!c)
                return -ENOMEM;

        *ret = (HttpdRoutes){};
        *c = (Parser){ .p = text, .end = text + n, .next_line = 1, .routes = ret, .say = f, .userdata = userdata };
        (void) snprintf(c->root, sizeof(c->root), "%s", server_root);

        while (r >= 0 && next_line(c)) {
                split(c);
                if (c->n_words > 0)
                        r = read_directive(c);
        }

        if (r >= 0 && c->in_host)
                r = end_host(c);
        strlist_clear(&c->hosts);
        free(c);

        if (r < 0)
                httpd_routes_done(ret);
        return r;
}
