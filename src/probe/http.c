/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http.h"

/*
 * The head is parsed strictly from left to right, and a byte is checked only against the bytes before it. Otherwise
 * further bytes could change the verdict on a beginning that was refused.
 */

/* Limit of empty lines before the request. RFC 9112 2.2 asks to ignore one, and some clients send two. */
#define LEADING_CRLF_MAX 2

/* Limit of a method, in bytes. The longest in IANA's registry, UPDATEREDIRECTREF, has 17. */
#define METHOD_MAX 32

typedef enum HttpLineEnd {
        HTTP_LINE_COMPLETE, /* CRLF follows the text */
        HTTP_LINE_PARTIAL,  /* the end has not arrived yet */
        HTTP_LINE_BAD,      /* a byte follows that is not allowed in a line */
} HttpLineEnd;

typedef struct HttpLine {
        Slice text;
        HttpLineEnd end;
        ProbeReason reason; /* with HTTP_LINE_BAD */
} HttpLine;

/* State of the fields parsed so far, for the rules about several fields. */
typedef struct HttpFieldState {
        bool has_host;
        bool has_length;
        bool has_coding;
} HttpFieldState;

static ProbeVerdict http_malformed(HttpFacts *facts, ProbeReason reason) {
        facts->reason = reason;
        return PROBE_MALFORMED;
}

/* tchar of RFC 9110 5.6.2. */
static bool http_is_token_char(uint8_t c) {
        /* One bit for each character: "!#$%&'*+-.^_`|~", the digits and the letters. */
        static const uint32_t map[8] = { 0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff };

        return map[c >> 5] >> (c & 31) & 1;
}

bool http_is_token(const char *s) {
        for (const char *p = s; *p; p++)
                if (!http_is_token_char((uint8_t) *p))
                        return false;

        return *s;
}

/*
 * Wider than RFC 3986, because browsers send "|" and "{", and some clients send UTF-8 without escapes. Excludes only
 * characters that could end a target.
 */
static bool http_is_target_char(uint8_t c) {
        return c > 0x20 && c != 0x7f && c != '#';
}

static HttpLine http_take_line(Slice s) {
        HttpLine line = { .text = s, .end = HTTP_LINE_PARTIAL };
        size_t n = slice_span_text(s);

        /* HTAB, SP, visible ASCII and obs-text (RFC 9110 5.5). */
        while (n < s.n && s.p[n] == '\t') {
                n++;
                n += slice_span_text(slice_skip(s, n));
        }

        line.text.n = n;

        if (n == s.n || (s.p[n] == '\r' && n + 1 == s.n))
                return line;

        if (s.p[n] == '\r' && s.p[n + 1] == '\n')
                line.end = HTTP_LINE_COMPLETE;
        else {
                line.end = HTTP_LINE_BAD;
                line.reason = s.p[n] == '\r' ? PROBE_REASON_HTTP_BARE_CR :
                              s.p[n] == '\n' ? PROBE_REASON_HTTP_BARE_LF :
                                               PROBE_REASON_HTTP_CONTROL;
        }

        return line;
}

/* Returns the verdict on a line without errors in its text. */
static ProbeVerdict http_line_verdict(const HttpLine *line, HttpFacts *facts) {
        if (line->end == HTTP_LINE_BAD)
                return http_malformed(facts, line->reason);

        return line->end == HTTP_LINE_COMPLETE ? PROBE_MATCH : PROBE_NEED_MORE;
}

static bool http_method_is_common(Slice method) {
        static const char *const names[] = {
                "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (slice_equal(method, slice_from_string(names[i])))
                        return true;

        return false;
}

/* Compares the beginning of @s with @prefix without regard to case. NEED_MORE: @s is too short. */
static ProbeVerdict http_compare_prefix_fold(Slice s, const char *prefix) {
        Slice wanted = slice_from_string(prefix);
        size_t n = MIN(s.n, wanted.n);

        if (!slice_equal_fold(slice_head(s, n), slice_head(wanted, n)))
                return PROBE_NO_MATCH;

        return n == wanted.n ? PROBE_MATCH : PROBE_NEED_MORE;
}

/* Matches "http://" or "https://" at the beginning of @target and sets *ret to its length. */
static ProbeVerdict http_match_scheme(Slice target, size_t *ret) {
        ProbeVerdict plain = http_compare_prefix_fold(target, "http://"),
                     secure = http_compare_prefix_fold(target, "https://");

        *ret = plain == PROBE_MATCH ? strlen("http://") : strlen("https://");
        return plain == PROBE_NO_MATCH ? secure : plain;
}

/*
 * Decides whether the bytes are HTTP/1, by the method. Many text protocols begin with a word and a space ("EHLO
 * example.org", "USER guest"). Thus an uncommon word is a method only if the target of a request follows.
 */
static ProbeVerdict http_match_method(Slice s, Slice *ret_method) {
        Slice method = s, target;
        size_t n = 0, scheme;

        while (n < s.n && n <= METHOD_MAX && http_is_token_char(s.p[n]))
                n++;
        if (n > METHOD_MAX)
                return PROBE_NO_MATCH;
        if (n == s.n)
                return PROBE_NEED_MORE;
        if (n == 0 || s.p[n] != ' ')
                return PROBE_NO_MATCH;

        method.n = n;

        if (!http_method_is_common(method)) {
                ProbeVerdict v;

                target = slice_skip(s, n + 1);
                if (target.n == 0)
                        return PROBE_NEED_MORE;

                v = target.p[0] == '/' || target.p[0] == '*' ? PROBE_MATCH : http_match_scheme(target, &scheme);
                if (v != PROBE_MATCH)
                        return v;
        }

        *ret_method = method;
        return PROBE_MATCH;
}

/* Methods are case-sensitive, but some servers ignore the case. All registered methods are in upper case. */
static bool http_method_is_allowed(Slice method) {
        for (size_t i = 0; i < method.n; i++)
                if (method.p[i] >= 'a' && method.p[i] <= 'z')
                        return false;

        /* CONNECT makes a tunnel and has no path. TRACE echoes the head (RFC 9110 9.3.6, 9.3.8). */
        return !slice_equal(method, SLICE_LITERAL("CONNECT")) &&
               !slice_equal(method, SLICE_LITERAL("TRACE"));
}

/* Sets *ret to the form of the target. @is_complete: the target has ended. NEED_MORE: more bytes decide the form. */
static ProbeVerdict http_match_form(Slice method, Slice target, bool is_complete, HttpForm *ret) {
        size_t scheme;
        ProbeVerdict v;

        if (target.n == 0)
                return is_complete ? PROBE_NO_MATCH : PROBE_NEED_MORE;

        if (target.p[0] == '/') {
                *ret = HTTP_FORM_ORIGIN;
                return PROBE_MATCH;
        }

        if (target.p[0] == '*') {
                *ret = HTTP_FORM_ASTERISK;
                return target.n == 1 && slice_equal(method, SLICE_LITERAL("OPTIONS")) ?
                        PROBE_MATCH : PROBE_NO_MATCH;
        }

        *ret = HTTP_FORM_ABSOLUTE;
        v = http_match_scheme(target, &scheme);
        return v == PROBE_NEED_MORE && is_complete ? PROBE_NO_MATCH : v;
}

/*
 * Matches "HTTP/1.0" to "HTTP/1.9" (RFC 9112 2.3). A later minor version than 1 counts as 1, because that is the latest
 * (RFC 9110 2.5).
 */
static ProbeVerdict http_match_version(Slice s, unsigned *ret_minor) {
        Slice name = SLICE_LITERAL("HTTP/1.");

        if (!slice_equal(slice_head(s, name.n), slice_head(name, s.n)))
                return PROBE_NO_MATCH;
        if (s.n <= name.n)
                return PROBE_NEED_MORE;
        if (s.n > name.n + 1 || s.p[name.n] < '0' || s.p[name.n] > '9')
                return PROBE_NO_MATCH;

        *ret_minor = s.p[name.n] > '0';
        return PROBE_MATCH;
}

/* Splits the target, whose form is valid, into host and path. Returns false for a wrong host. */
static bool http_split_target(HttpFacts *facts) {
        Slice s = facts->target;
        size_t scheme, n = 0;

        if (facts->form == HTTP_FORM_ABSOLUTE) {
                (void) http_match_scheme(s, &scheme);
                s = slice_skip(s, scheme);

                while (n < s.n && s.p[n] != '/' && s.p[n] != '?')
                        n++;
                if (!probe_name_set_authority(&facts->host, &facts->port, slice_head(s, n)))
                        return false;

                s = slice_skip(s, n);
        }

        for (n = 0; n < s.n && s.p[n] != '?'; n++)
                ;
        facts->path = slice_head(s, n);
        return true;
}

/*
 * Parses the request line after the method. RFC 9112 3 allows a recipient to accept any white space for the two spaces.
 * Servers differ in that, so only spaces are accepted.
 */
static ProbeVerdict http_parse_request_line(const HttpLine *line, HttpFacts *facts) {
        Slice s = slice_skip(line->text, facts->method.n + 1), target;
        bool is_complete = line->end == HTTP_LINE_COMPLETE;
        size_t n = 0;
        ProbeVerdict v;

        if (!http_method_is_allowed(facts->method))
                return http_malformed(facts, PROBE_REASON_HTTP_METHOD);

        while (n < s.n && http_is_target_char(s.p[n]))
                n++;
        target = slice_head(s, n);

        v = http_match_form(facts->method, target, n < s.n || is_complete, &facts->form);
        if (v == PROBE_NO_MATCH || (n < s.n && s.p[n] != ' '))
                return http_malformed(facts, PROBE_REASON_HTTP_TARGET);

        if (n == s.n)
                return is_complete ? http_malformed(facts, PROBE_REASON_HTTP_NO_VERSION) :
                                     http_line_verdict(line, facts);

        v = http_match_version(slice_skip(s, n + 1), &facts->minor);
        if (v == PROBE_NO_MATCH || (v == PROBE_NEED_MORE && is_complete))
                return http_malformed(facts, PROBE_REASON_HTTP_VERSION);
        if (!is_complete)
                return http_line_verdict(line, facts);

        facts->target = target;
        return http_split_target(facts) ? PROBE_MATCH : http_malformed(facts, PROBE_REASON_HTTP_HOST);
}

/* RFC 9112 3.2.2: a target in absolute form overrides Host. */
static ProbeVerdict http_parse_host(Slice value, HttpFacts *facts, HttpFieldState *state) {
        bool is_overridden = facts->form == HTTP_FORM_ABSOLUTE;
        ProbeName *host = is_overridden ? &facts->overridden_host : &facts->host;
        uint16_t port;

        if (state->has_host)
                return http_malformed(facts, PROBE_REASON_HTTP_TWO_HOSTS);

        state->has_host = true;
        return probe_name_set_authority(host, is_overridden ? &port : &facts->port, value) ?
                PROBE_MATCH : http_malformed(facts, PROBE_REASON_HTTP_HOST);
}

/*
 * Accepts one number only, although RFC 9112 6.3 allows a recipient to accept a list of equal numbers. The broker and
 * the worker must agree on the end of the request.
 */
static ProbeVerdict http_parse_length(Slice value, HttpFacts *facts, HttpFieldState *state) {
        if (state->has_coding)
                return http_malformed(facts, PROBE_REASON_HTTP_LENGTH_AND_CODING);
        if (state->has_length || value.n == 0 || value.n > 18) /* 10^18 - 1 fits into signed 64 bits */
                return http_malformed(facts, PROBE_REASON_HTTP_LENGTH);

        for (size_t i = 0; i < value.n; i++)
                if (value.p[i] < '0' || value.p[i] > '9')
                        return http_malformed(facts, PROBE_REASON_HTTP_LENGTH);

        state->has_length = true;
        return PROBE_MATCH;
}

/* RFC 9112 6.1: an error in HTTP/1.0, and with Content-Length perhaps an attempt at request smuggling. */
static ProbeVerdict http_parse_coding(HttpFacts *facts, HttpFieldState *state) {
        if (state->has_length)
                return http_malformed(facts, PROBE_REASON_HTTP_LENGTH_AND_CODING);
        if (state->has_coding || facts->minor == 0)
                return http_malformed(facts, PROBE_REASON_HTTP_CODING);

        state->has_coding = true;
        return PROBE_MATCH;
}

static ProbeVerdict http_parse_field(const HttpLine *line, HttpFacts *facts, HttpFieldState *state) {
        Slice s = line->text, name, value;
        size_t n = 0;
        bool is_space;

        while (n < s.n && http_is_token_char(s.p[n]))
                n++;
        name = slice_head(s, n);

        if (n == s.n)
                return line->end == HTTP_LINE_COMPLETE ? http_malformed(facts, PROBE_REASON_HTTP_FIELD_NAME) :
                                                    http_line_verdict(line, facts);

        is_space = s.p[n] == ' ' || s.p[n] == '\t';
        if (is_space)
                return http_malformed(facts, n == 0 ? PROBE_REASON_HTTP_FOLD :
                                                 PROBE_REASON_HTTP_SPACE_BEFORE_COLON);
        if (n == 0 || s.p[n] != ':')
                return http_malformed(facts, PROBE_REASON_HTTP_FIELD_NAME);
        if (line->end != HTTP_LINE_COMPLETE)
                return http_line_verdict(line, facts);

        value = slice_trim(slice_skip(s, n + 1));

        if (slice_equal_fold(name, SLICE_LITERAL("Host")))
                return http_parse_host(value, facts, state);
        if (slice_equal_fold(name, SLICE_LITERAL("Content-Length")))
                return http_parse_length(value, facts, state);
        if (slice_equal_fold(name, SLICE_LITERAL("Transfer-Encoding")))
                return http_parse_coding(facts, state);

        return PROBE_MATCH;
}

/* Checks after the last field. HTTP/1.0 has no Host, but many of its clients send one. */
static ProbeVerdict http_check_host(HttpFacts *facts, const HttpFieldState *state) {
        if (!state->has_host && facts->minor > 0)
                return http_malformed(facts, PROBE_REASON_HTTP_NO_HOST);

        return PROBE_MATCH;
}

static ProbeVerdict http_parse_fields(Slice s, HttpFacts *facts, HttpFieldState *state) {
        facts->fields = slice_head(s, 0);

        for (;;) {
                HttpLine line = http_take_line(s);
                ProbeVerdict v;

                if (line.text.n == 0) {
                        v = http_line_verdict(&line, facts);
                        return v == PROBE_MATCH ? http_check_host(facts, state) : v;
                }

                v = http_parse_field(&line, facts, state);
                if (v != PROBE_MATCH)
                        return v;

                s = slice_skip(s, line.text.n + 2);
                facts->fields.n += line.text.n + 2;
        }
}

static ProbeVerdict http_parse_head(Slice s, HttpFacts *facts) {
        const uint8_t *start = s.p;
        HttpFieldState state = {};
        ProbeVerdict v;
        HttpLine line;

        for (unsigned i = 0; i < LEADING_CRLF_MAX && s.n > 0 && s.p[0] == '\r'; i++) {
                if (s.n == 1)
                        return PROBE_NEED_MORE;
                if (s.p[1] != '\n')
                        return PROBE_NO_MATCH;

                s = slice_skip(s, 2);
        }

        v = http_match_method(s, &facts->method);
        if (v != PROBE_MATCH)
                return v;

        line = http_take_line(s);
        v = http_parse_request_line(&line, facts);
        if (v != PROBE_MATCH)
                return v;

        v = http_parse_fields(slice_skip(s, line.text.n + 2), facts, &state);
        if (v != PROBE_MATCH)
                return v;

        facts->head_length = (size_t) (facts->fields.p - start) + facts->fields.n + 2;
        return PROBE_MATCH;
}

ProbeVerdict probe_http1(const uint8_t *p, size_t n, size_t max, HttpFacts *ret) {
        ProbeVerdict v;

        *ret = (HttpFacts){};

        v = http_parse_head((Slice){ p, MIN(n, max) }, ret);
        if (v == PROBE_NEED_MORE && n >= max)
                return http_malformed(ret, PROBE_REASON_TOO_LARGE);

        return v;
}
