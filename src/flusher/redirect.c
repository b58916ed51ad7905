/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "flusher/redirect.h"

#include <stdio.h>

#define BODY "This is at another address.\n"

/* Characters that a URI has (RFC 3986 2), other than letters, digits and "%". */
#define URI_PUNCTUATION "-._~:/?#[]@!$&'()*+,;="

static bool redirect_is_uri_char(uint8_t c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c != 0 && strchr(URI_PUNCTUATION, c));
}

static bool redirect_has_prefix(Slice s, const char *prefix) {
        return slice_has_prefix(s, slice_from_string(prefix));
}

/* Returns the number of bytes of @s before the first one of @stops. */
static size_t redirect_span_until(Slice s, const char *stops) {
        size_t n = 0;

        while (n < s.n && !(s.p[n] != 0 && strchr(stops, s.p[n])))
                n++;

        return n;
}

static const char *redirect_parse_authority(Slice s, RedirectTarget *ret) {
        ProbeName any;

        ret->has_client_host = redirect_has_prefix(s, "%h");
        if (!ret->has_client_host)
                return probe_name_set_authority(&ret->host, &ret->port, s)
                               ? NULL
                               : "the host is neither \"%h\" nor a name or an address, with or without a port";

        s = slice_skip(s, 2);
        if (s.n == 0)
                return NULL;

        /* The port of any host has the same form. */
        if (s.p[0] != ':' || s.n < 2 || s.n > 7)
                return "only a colon and a port may stand between \"%h\" and the path";

        char text[16] = "x";
        memcpy(text + 1, s.p, s.n);
        return probe_name_set_authority(&any, &ret->port, (Slice){ (const uint8_t *) text, s.n + 1 }) ? NULL
                                                                                               : "the port is wrong";
}

/* Checks the literal part behind the host. */
static const char *redirect_check_path(Slice path, bool has_url) {
        for (size_t i = 0; i < path.n; i++) {
                bool is_escape = path.n - i > 2 && ascii_hex_value(path.p[i + 1]) >= 0 && ascii_hex_value(path.p[i + 2]) >= 0;

                if (path.p[i] == '%' && !is_escape)
                        return "\"%h\" may only be the host, \"%u\" only the end, and another \"%\" is written \"%%\" with "
                               "two hexadecimal digits behind it";
                if (path.p[i] != '%' && !redirect_is_uri_char(path.p[i]))
                        return "it has a character that no address has (RFC 3986)";
        }

        if (has_url && redirect_span_until(path, "?#") < path.n)
                return "\"%u\" has a path and a query of its own, so neither \"?\" nor \"#\" may stand before it";
        if (has_url && path.n > 0 && path.p[path.n - 1] == '/')
                return "\"%u\" begins with a slash, so no slash may stand before it";

        return NULL;
}

const char *redirect_target_parse(const char *template, RedirectTarget *ret) {
        Slice s = slice_from_string(template);
        const char *wrong;
        size_t n;

        *ret = (RedirectTarget){ .is_https = redirect_has_prefix(s, "https://") };

        if (s.n > REDIRECT_TARGET_MAX)
                return "it is too long";
        if (!ret->is_https && !redirect_has_prefix(s, "http://"))
                return "it begins with neither \"https://\" nor \"http://\"";

        s = slice_skip(s, ret->is_https ? strlen("https://") : strlen("http://"));
        if (s.n >= 2 && redirect_has_prefix(slice_skip(s, s.n - 2), "%u")) {
                ret->has_url = true;
                s.n -= 2;
        }

        n = redirect_span_until(s, "/?#");
        wrong = redirect_parse_authority(slice_head(s, n), ret);
        if (wrong)
                return wrong;

        ret->path = slice_skip(s, n);
        return redirect_check_path(ret->path, ret->has_url);
}

bool redirect_status_is_valid(unsigned status) {
        return status == 301 || status == 302 || status == 307 || status == 308;
}

/* The field lines of the response. */
typedef struct RedirectWriter {
        char p[FDPASS_FLUSHER_OUTPUT_MAX];
        size_t n;
        bool is_full; /* something did not fit */
} RedirectWriter;

static void redirect_write(RedirectWriter *w, const void *p, size_t n) {
        if (n >= sizeof(w->p) - w->n) {
                w->is_full = true;
                return;
        }

        memcpy(w->p + w->n, p, n);
        w->n += n;
        w->p[w->n] = '\0';
}

static void redirect_write_string(RedirectWriter *w, const char *s) {
        redirect_write(w, s, strlen(s));
}

/*
 * Writes what a request has behind its host. Bytes that no address has are escaped, which changes their form only (RFC
 * 3986 2.1). Otherwise a client would have to guess what they mean, and a backslash counts as a slash in some.
 */
static void redirect_write_escaped(RedirectWriter *w, Slice s) {
        char escape[4];
        size_t n;

        for (; s.n > 0 && !w->is_full; s = slice_skip(s, MAX(n, (size_t) 1))) {
                for (n = 0; n < s.n && (redirect_is_uri_char(s.p[n]) || s.p[n] == '%'); n++)
                        ;
                redirect_write(w, s.p, n);
                if (n > 0)
                        continue;

                (void) snprintf(escape, sizeof(escape), "%%%02X", s.p[0]);
                redirect_write(w, escape, 3);
        }
}

/* Writes the URL of the request: its target without a scheme and a host (RFC 9112 3.2). */
static void redirect_write_url(RedirectWriter *w, Slice target) {
        if (slice_equal(target, SLICE_LITERAL("*")))
                return; /* OPTIONS for the server as a whole has no path, nor has its absolute form (RFC 9112 3.2.4) */

        if (target.n > 0 && target.p[0] != '/') {
                target = slice_skip(target, MIN(redirect_span_until(target, "/") + 2, target.n));
                target = slice_skip(target, redirect_span_until(target, "/?"));
        }

        if (target.n == 0 || target.p[0] != '/')
                redirect_write_string(w, "/");
        redirect_write_escaped(w, target);
}

static void redirect_write_location(RedirectWriter *w, const RedirectTarget *t, const struct fdpass_flusher_request *request) {
        char port[8];

        redirect_write_string(w, t->is_https ? "Location: https://" : "Location: http://");
        if (t->has_client_host)
                redirect_write(w, request->host.bytes, request->host.len);
        else
                redirect_write(w, t->host.text, t->host.n);
        if (t->port > 0) {
                (void) snprintf(port, sizeof(port), ":%u", (unsigned) t->port);
                redirect_write_string(w, port);
        }

        redirect_write(w, t->path.p, t->path.n);
        if (t->has_url)
                redirect_write_url(w, (Slice){ (const uint8_t *) request->target.bytes, request->target.len });
        redirect_write_string(w, "\r\n");
}

static int redirect_refuse(struct fdpass_flusher_output *output, unsigned status) {
        output->len = 0;
        output->status = status;
        return FDPASS_FLUSHER_REFUSE;
}

static int redirect_run(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output) {
        char length[32];
        RedirectTarget target;
        RedirectWriter w;
        int r;

        w.n = 0;
        w.is_full = false;

        if (redirect_target_parse(request->argument, &target))
                return -1; /* can't happen: the argument was checked */
        if (target.has_client_host && request->host.len == 0)
                return redirect_refuse(output, 400);

        redirect_write_location(&w, &target, request);
        (void) snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(BODY));
        redirect_write_string(&w, "Content-Type: text/plain\r\n");
        redirect_write_string(&w, length);

        r = w.is_full ? -1 : request->head(request, output, w.p);
        if (r < 0 || (r == FDPASS_FLUSHER_GO && output->capacity - output->len < strlen(BODY)))
                return redirect_refuse(output, 414);
        if (r != FDPASS_FLUSHER_GO)
                return r;

        memcpy(output->bytes + output->len, BODY, strlen(BODY));
        output->len += strlen(BODY);
        return FDPASS_FLUSHER_DONE;
}

static int redirect_check(const char *argument) {
        RedirectTarget target;

        return redirect_target_parse(argument, &target) ? -1 : 0;
}

const struct fdpass_flusher flusher_redirect = {
        .abi = FDPASS_FLUSHER_ABI,
        .size = sizeof(struct fdpass_flusher),
        .name = "redirect",
        .flush = redirect_run,
        .check = redirect_check,
};
