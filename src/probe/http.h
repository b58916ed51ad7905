/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The head of an HTTP/1 request (RFC 9112), read as strictly as the strictest of the servers behind the
 * broker.
 *
 * The broker can't rewrite what it passes on, so a head on which two parsers could disagree is refused,
 * also where the RFC lets a recipient be lenient: lines end in CRLF only, nothing is folded, no name or
 * value has a control character in it, and no field that frames the request or names its host comes twice.
 */

#include "probe/name.h"
#include "probe/slice.h"
#include "probe/verdict.h"

typedef enum HttpForm {
        HTTP_FORM_ORIGIN,   /* "/path?query" */
        HTTP_FORM_ABSOLUTE, /* "http://host/path?query" */
        HTTP_FORM_ASTERISK, /* "*", of OPTIONS: no path at all */
} HttpForm;

/* The slices point into the probed bytes. */
typedef struct HttpFacts {
        ProbeReason reason; /* with MALFORMED only */
        Slice method;       /* is set as soon as the bytes are certainly HTTP/1, also with NEED_MORE */

        /* All others are valid with MATCH only. */
        HttpForm form;
        unsigned minor;     /* HTTP/1.minor: 0 or 1 */
        Slice target;       /* as sent */
        Slice path;         /* as sent, without the query; empty: nothing behind the host, which means "/";
                             * "*" with HTTP_FORM_ASTERISK */
        ProbeName host;     /* n = 0: none, in HTTP/1.0 */
        uint16_t port;      /* that came with host, 0: none */
        Slice fields;       /* the field lines, for http_next_field() */
        size_t head_length; /* where the body begins, or the next request */
} HttpFacts;

/*
 * Probes @n bytes at @p. A head that is not complete within its first @max bytes is MALFORMED (TOO_LARGE).
 * An error is found at the latest with the end of the line that it is in.
 */
ProbeVerdict probe_http1(const uint8_t *p, size_t n, size_t max, HttpFacts *ret);

/*
 * Takes the next field off *fields, which begins as a copy of HttpFacts.fields; false at the end. The value
 * has no white space around it.
 */
bool http_next_field(Slice *fields, Slice *ret_name, Slice *ret_value);

/*
 * True where the client asks to switch to @protocol ("websocket"): HTTP/1.1, the token "upgrade" in some
 * Connection field, and @protocol, with a version or without, in some Upgrade field (RFC 9110 7.8).
 */
bool http_wants_upgrade(const HttpFacts *facts, const char *protocol);

/*
 * True where servers do not agree on the segments that @path has, so that no rule about paths can be
 * applied: empty segments and "." and "..", a backslash, parameters (';'), and %-escapes of '/', '\', of
 * control characters, of characters that need none (RFC 3986 2.3: "%2e", "%61"), or of nothing ("%zz").
 */
bool http_path_is_ambiguous(Slice path);

/*
 * True where the first segments of @path are those of @prefix: "/a" takes "/a" and "/a/b", not "/ab"; "/"
 * takes all.
 */
bool http_path_has_prefix(Slice path, Slice prefix);

/* True for a token (RFC 9110 5.6.2): the name of a field or a method. */
bool http_is_token(const char *s);

/* The phrase that goes with a status ("Not Found"), "" where none is known here. */
const char *http_status_phrase(unsigned status);
