/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/http.h"

/*
 * The head is read strictly from left to right, and a byte is judged only by what stands before it. So a
 * beginning of a head that was refused stays refused, for the same reason, however much follows.
 */

/* RFC 9112 2.2 wants one empty line before the request ignored; some clients send two. */
#define LEADING_CRLF_MAX 2

/* The longest method in IANA's registry, UPDATEREDIRECTREF, has 17. What is longer is no HTTP. */
#define METHOD_MAX 32

typedef enum LineEnd {
        LINE_COMPLETE, /* with CRLF, which is not part of it */
        LINE_PARTIAL,  /* its end is not there yet */
        LINE_BAD,      /* a byte that no line may have follows it */
} LineEnd;

typedef struct Line {
        Slice text;
        LineEnd end;
        ProbeReason reason; /* with LINE_BAD */
} Line;

/* What the fields say about each other, while they are read. */
typedef struct FieldState {
        bool has_host;
        bool has_length;
        bool has_coding;

        /* Of a target in absolute form. */
        ProbeName target_host;
        uint16_t target_port;  /* the scheme's where it names none */
        uint16_t default_port; /* the scheme's */
} FieldState;

static ProbeVerdict malformed(HttpFacts *facts, ProbeReason reason) {
        facts->reason = reason;
        return PROBE_MALFORMED;
}

/* RFC 9110 5.6.2 */
static bool is_token_char(uint8_t c) {
        /* One bit for each character: "!#$%&'*+-.^_`|~", the digits and the letters. */
        static const uint32_t map[8] = { 0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff };

        return map[c >> 5] >> (c & 31) & 1;
}

bool http_is_token(const char *s) {
        for (const char *p = s; *p; p++)
                if (!is_token_char((uint8_t) *p))
                        return false;

        return *s;
}

/* RFC 3986 allows less, but browsers do send "|" and "{": only what could end a target is taken out. */
static bool is_target_char(uint8_t c) {
        return c > 0x20 && c < 0x7f && c != '#';
}

static Line next_line(Slice s) {
        Line line = { .text = s, .end = LINE_PARTIAL };
        size_t n = slice_span_text(s);

        /* HTAB, SP, visible ASCII and what lies behind it: RFC 9110 5.5, with obs-text. */
        while (n < s.n && s.p[n] == '\t') {
                n++;
                n += slice_span_text(slice_skip(s, n));
        }

        line.text.n = n;

        if (n == s.n || (s.p[n] == '\r' && n + 1 == s.n))
                return line;

        if (s.p[n] == '\r' && s.p[n + 1] == '\n')
                line.end = LINE_COMPLETE;
        else {
                line.end = LINE_BAD;
                line.reason = s.p[n] == '\r' ? PROBE_REASON_HTTP_BARE_CR :
                              s.p[n] == '\n' ? PROBE_REASON_HTTP_BARE_LF :
                                               PROBE_REASON_HTTP_CONTROL;
        }

        return line;
}

/* The verdict on a line of which all that is there is in order. */
static ProbeVerdict line_verdict(const Line *line, HttpFacts *facts) {
        if (line->end == LINE_BAD)
                return malformed(facts, line->reason);

        return line->end == LINE_COMPLETE ? PROBE_MATCH : PROBE_NEED_MORE;
}

static bool method_is_common(Slice method) {
        static const char *const names[] = {
                "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (slice_equal(method, slice_from_string(names[i])))
                        return true;

        return false;
}

/* How far @s agrees with @prefix in any case: NEED_MORE where it ends first. */
static ProbeVerdict compare_prefix_fold(Slice s, const char *prefix) {
        Slice wanted = slice_from_string(prefix);
        size_t n = MIN(s.n, wanted.n);

        if (!slice_equal_fold(slice_head(s, n), slice_head(wanted, n)))
                return PROBE_NO_MATCH;

        return n == wanted.n ? PROBE_MATCH : PROBE_NEED_MORE;
}

/* The "http://" or "https://" at the beginning of @target, whose length goes into *ret. */
static ProbeVerdict match_scheme(Slice target, size_t *ret) {
        ProbeVerdict plain = compare_prefix_fold(target, "http://"),
                     secure = compare_prefix_fold(target, "https://");

        *ret = plain == PROBE_MATCH ? strlen("http://") : strlen("https://");
        return plain == PROBE_NO_MATCH ? secure : plain;
}

/*
 * Is this HTTP at all? Many protocols of text begin with a word and a space ("EHLO example.org", "USER
 * guest"), so an uncommon word has to be followed by what can only be a request's target.
 */
static ProbeVerdict recognise(Slice s, Slice *ret_method) {
        Slice method = s, target;
        size_t n = 0, scheme;

        while (n < s.n && n <= METHOD_MAX && is_token_char(s.p[n]))
                n++;
        if (n > METHOD_MAX)
                return PROBE_NO_MATCH;
        if (n == s.n)
                return PROBE_NEED_MORE;
        if (n == 0 || s.p[n] != ' ')
                return PROBE_NO_MATCH;

        method.n = n;

        if (!method_is_common(method)) {
                ProbeVerdict v;

                target = slice_skip(s, n + 1);
                if (target.n == 0)
                        return PROBE_NEED_MORE;

                v = target.p[0] == '/' || target.p[0] == '*' ? PROBE_MATCH : match_scheme(target, &scheme);
                if (v != PROBE_MATCH)
                        return v;
        }

        *ret_method = method;
        return PROBE_MATCH;
}

/*
 * Methods are case-sensitive tokens, but some servers fold them; the registered ones are all in upper case.
 */
static bool method_is_fine(Slice method) {
        for (size_t i = 0; i < method.n; i++)
                if (method.p[i] >= 'a' && method.p[i] <= 'z')
                        return false;

        /* CONNECT makes a tunnel and has no path; TRACE echoes the head (RFC 9110 9.3.6, 9.3.8). */
        return !slice_equal(method, SLICE_LITERAL("CONNECT")) &&
               !slice_equal(method, SLICE_LITERAL("TRACE"));
}

/* Which form the target has. @is_complete: nothing follows @target. NEED_MORE: it may become one. */
static ProbeVerdict match_form(Slice method, Slice target, bool is_complete, HttpForm *ret) {
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
        v = match_scheme(target, &scheme);
        return v == PROBE_NEED_MORE && is_complete ? PROBE_NO_MATCH : v;
}

/* RFC 9112 2.3. Other minor versions exist in no client. */
static ProbeVerdict match_version(Slice s, unsigned *ret_minor) {
        Slice name = SLICE_LITERAL("HTTP/1.");

        if (!slice_equal(slice_head(s, name.n), slice_head(name, s.n)))
                return PROBE_NO_MATCH;
        if (s.n <= name.n)
                return PROBE_NEED_MORE;
        if (s.n > name.n + 1 || (s.p[name.n] != '0' && s.p[name.n] != '1'))
                return PROBE_NO_MATCH;

        *ret_minor = s.p[name.n] - (unsigned) '0';
        return PROBE_MATCH;
}

/* Takes target, which is in order as to its form, apart into host and path. */
static bool split_target(HttpFacts *facts, FieldState *state) {
        Slice s = facts->target;
        size_t scheme, n = 0;

        if (facts->form == HTTP_FORM_ABSOLUTE) {
                (void) match_scheme(s, &scheme);
                s = slice_skip(s, scheme);

                while (n < s.n && s.p[n] != '/' && s.p[n] != '?')
                        n++;
                if (!probe_name_set_authority(&state->target_host, &state->target_port, slice_head(s, n)))
                        return false;

                state->default_port = scheme == strlen("http://") ? 80 : 443;
                if (state->target_port == 0)
                        state->target_port = state->default_port;

                s = slice_skip(s, n);
        }

        for (n = 0; n < s.n && s.p[n] != '?'; n++)
                ;
        facts->path = slice_head(s, n);
        return true;
}

/*
 * Reads the request line behind the method. RFC 9112 3 lets a recipient take any white space for its two
 * spaces; servers differ in that, so we don't.
 */
static ProbeVerdict parse_request_line(const Line *line, HttpFacts *facts, FieldState *state) {
        Slice s = slice_skip(line->text, facts->method.n + 1), target;
        bool is_complete = line->end == LINE_COMPLETE;
        size_t n = 0;
        ProbeVerdict v;

        if (!method_is_fine(facts->method))
                return malformed(facts, PROBE_REASON_HTTP_METHOD);

        while (n < s.n && is_target_char(s.p[n]))
                n++;
        target = slice_head(s, n);

        v = match_form(facts->method, target, n < s.n || is_complete, &facts->form);
        if (v == PROBE_NO_MATCH || (n < s.n && s.p[n] != ' '))
                return malformed(facts, PROBE_REASON_HTTP_TARGET);

        if (n == s.n)
                return is_complete ? malformed(facts, PROBE_REASON_HTTP_NO_VERSION) :
                                     line_verdict(line, facts);

        v = match_version(slice_skip(s, n + 1), &facts->minor);
        if (v == PROBE_NO_MATCH || (v == PROBE_NEED_MORE && is_complete))
                return malformed(facts, PROBE_REASON_HTTP_VERSION);
        if (!is_complete)
                return line_verdict(line, facts);

        facts->target = target;
        return split_target(facts, state) ? PROBE_MATCH : malformed(facts, PROBE_REASON_HTTP_HOST);
}

static ProbeVerdict note_host(Slice value, HttpFacts *facts, FieldState *state) {
        if (state->has_host)
                return malformed(facts, PROBE_REASON_HTTP_TWO_HOSTS);

        state->has_host = true;
        return probe_name_set_authority(&facts->host, &facts->port, value) ?
                PROBE_MATCH : malformed(facts, PROBE_REASON_HTTP_HOST);
}

/*
 * RFC 9112 6.3 lets a recipient take a list of equal lengths for one. We take one number: whatever follows
 * the head is the worker's, and all who look at this head must agree on where it ends.
 */
static ProbeVerdict note_length(Slice value, HttpFacts *facts, FieldState *state) {
        if (state->has_coding)
                return malformed(facts, PROBE_REASON_HTTP_LENGTH_AND_CODING);
        if (state->has_length || value.n == 0 || value.n > 18) /* 10^18 - 1 fits into any 64 bits */
                return malformed(facts, PROBE_REASON_HTTP_LENGTH);

        for (size_t i = 0; i < value.n; i++)
                if (value.p[i] < '0' || value.p[i] > '9')
                        return malformed(facts, PROBE_REASON_HTTP_LENGTH);

        state->has_length = true;
        return PROBE_MATCH;
}

/* RFC 9112 6.1: in HTTP/1.0 it is a fault, and together with Content-Length an attempt at smuggling. */
static ProbeVerdict note_coding(HttpFacts *facts, FieldState *state) {
        if (state->has_length)
                return malformed(facts, PROBE_REASON_HTTP_LENGTH_AND_CODING);
        if (state->has_coding || facts->minor == 0)
                return malformed(facts, PROBE_REASON_HTTP_CODING);

        state->has_coding = true;
        return PROBE_MATCH;
}

static ProbeVerdict parse_field(const Line *line, HttpFacts *facts, FieldState *state) {
        Slice s = line->text, name, value;
        size_t n = 0;
        bool is_space;

        while (n < s.n && is_token_char(s.p[n]))
                n++;
        name = slice_head(s, n);

        if (n == s.n)
                return line->end == LINE_COMPLETE ? malformed(facts, PROBE_REASON_HTTP_FIELD_NAME) :
                                                    line_verdict(line, facts);

        is_space = s.p[n] == ' ' || s.p[n] == '\t';
        if (is_space)
                return malformed(facts, n == 0 ? PROBE_REASON_HTTP_FOLD :
                                                 PROBE_REASON_HTTP_SPACE_BEFORE_COLON);
        if (n == 0 || s.p[n] != ':')
                return malformed(facts, PROBE_REASON_HTTP_FIELD_NAME);
        if (line->end != LINE_COMPLETE)
                return line_verdict(line, facts);

        value = slice_trim(slice_skip(s, n + 1));

        if (slice_equal_fold(name, SLICE_LITERAL("Host")))
                return note_host(value, facts, state);
        if (slice_equal_fold(name, SLICE_LITERAL("Content-Length")))
                return note_length(value, facts, state);
        if (slice_equal_fold(name, SLICE_LITERAL("Transfer-Encoding")))
                return note_coding(facts, state);

        return PROBE_MATCH;
}

/*
 * Behind the last field: do Host and the target agree (RFC 9112 3.2, 3.2.2)? A target that names a host
 * while Host is missing, in HTTP/1.0, is refused: HAProxy 2.6 takes it for a request without a host, nginx
 * does not.
 */
static ProbeVerdict check_host(HttpFacts *facts, const FieldState *state) {
        uint16_t port = facts->port;

        if (!state->has_host && (facts->minor > 0 || facts->form == HTTP_FORM_ABSOLUTE))
                return malformed(facts, PROBE_REASON_HTTP_NO_HOST);
        if (facts->form != HTTP_FORM_ABSOLUTE)
                return PROBE_MATCH;

        if (port == 0)
                port = state->default_port;
        if (!probe_name_equal(&facts->host, &state->target_host) || port != state->target_port)
                return malformed(facts, PROBE_REASON_HTTP_HOST_MISMATCH);

        return PROBE_MATCH;
}

static ProbeVerdict parse_fields(Slice s, HttpFacts *facts, FieldState *state) {
        facts->fields = slice_head(s, 0);

        for (;;) {
                Line line = next_line(s);
                ProbeVerdict v;

                if (line.text.n == 0) {
                        v = line_verdict(&line, facts);
                        return v == PROBE_MATCH ? check_host(facts, state) : v;
                }

                v = parse_field(&line, facts, state);
                if (v != PROBE_MATCH)
                        return v;

                s = slice_skip(s, line.text.n + 2);
                facts->fields.n += line.text.n + 2;
        }
}

static ProbeVerdict parse_head(Slice s, HttpFacts *facts) {
        const uint8_t *start = s.p;
        FieldState state = {};
        ProbeVerdict v;
        Line line;

        for (unsigned i = 0; i < LEADING_CRLF_MAX && s.n > 0 && s.p[0] == '\r'; i++) {
                if (s.n == 1)
                        return PROBE_NEED_MORE;
                if (s.p[1] != '\n')
                        return PROBE_NO_MATCH;

                s = slice_skip(s, 2);
        }

        v = recognise(s, &facts->method);
        if (v != PROBE_MATCH)
                return v;

        line = next_line(s);
        v = parse_request_line(&line, facts, &state);
        if (v != PROBE_MATCH)
                return v;

        v = parse_fields(slice_skip(s, line.text.n + 2), facts, &state);
        if (v != PROBE_MATCH)
                return v;

        facts->head_length = (size_t) (facts->fields.p - start) + facts->fields.n + 2;
        return PROBE_MATCH;
}

ProbeVerdict probe_http1(const uint8_t *p, size_t n, size_t max, HttpFacts *ret) {
        ProbeVerdict v;

        *ret = (HttpFacts){};

        v = parse_head((Slice){ p, MIN(n, max) }, ret);
        if (v == PROBE_NEED_MORE && n >= max)
                return malformed(ret, PROBE_REASON_TOO_LARGE);

        return v;
}
