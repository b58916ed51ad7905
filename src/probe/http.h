/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The head of an HTTP/1 request (RFC 9112), parsed as strictly as the strictest server does.
 *
 * The broker can't rewrite the bytes that a worker receives. Therefore it refuses a head that two parsers could
 * interpret differently, also if the RFC allows a recipient to be lenient. Lines end with CRLF and are not folded.
 * Names and values have no control characters. A field that frames the request or names its host occurs once.
 */

#include "probe/name.h"
#include "probe/slice.h"
#include "probe/verdict.h"

typedef enum HttpForm {
        HTTP_FORM_ORIGIN,   /* "/path?query" */
        HTTP_FORM_ABSOLUTE, /* "http://host/path?query" */
        HTTP_FORM_ASTERISK, /* "*", for OPTIONS only: no path */
} HttpForm;

/* The slices point into the probed bytes. */
typedef struct HttpFacts {
        ProbeReason reason; /* with MALFORMED only */
        Slice method;       /* set once the bytes are certainly HTTP/1, also with NEED_MORE */

        /* All others are valid with MATCH only. */
        HttpForm form;
        unsigned minor;     /* HTTP/1.minor: 0, or 1 for all later ones */
        Slice target;       /* as sent */
        Slice path;         /* as sent, without the query; "*" with HTTP_FORM_ASTERISK; empty: no path, meaning "/" */
        ProbeName host;     /* host of the target, or of Host without one; n = 0: none, in HTTP/1.0 only */
        ProbeName overridden_host; /* with HTTP_FORM_ABSOLUTE: host of Host, which the target overrides; n = 0: none */
        uint16_t port;      /* port of @host; 0: none */
        Slice fields;       /* field lines, for http_next_field() */
        size_t head_length; /* length of the head in bytes; the body or the next request follows */
} HttpFacts;

/*
 * Probes @n bytes at @p. A head that is incomplete after @max bytes is MALFORMED (TOO_LARGE). An error is reported at
 * the end of its line at the latest.
 */
ProbeVerdict probe_http1(const uint8_t *p, size_t n, size_t max, HttpFacts *ret);

/*
 * Removes the next field from *fields, which begins as a copy of HttpFacts.fields. The value has no white space around
 * it. Returns false at the end.
 */
bool http_next_field(Slice *fields, Slice *ret_name, Slice *ret_value);

/*
 * True for a field of requests whose value is a list of names that have no case, such as Upgrade. @name may be in any
 * case.
 */
bool http_field_is_list(const char *name);

/*
 * Takes the next element off the comma-separated @list (RFC 9110 5.6.1), without the white space around it. Skips empty
 * elements. Returns false at the end.
 */
bool http_next_element(Slice *list, Slice *ret);

/* Returns what stands before the first ";" of the element: "gzip" of "gzip;q=0.5". */
Slice http_element_name(Slice element);

/* True if a parameter of the element is the weight 0: the client does not want it (RFC 9110 12.4.2). */
bool http_element_is_excluded(Slice element);

/*
 * True if the client asks to switch to @protocol ("websocket") in HTTP/1.1. A Connection field has the token "upgrade",
 * and an Upgrade field has @protocol, with or without a version (RFC 9110 7.8).
 */
bool http_wants_upgrade(const HttpFacts *facts, const char *protocol);

/*
 * True if servers disagree on the segments of @path, so that it is no value for Path=. Such paths have empty, "." or
 * ".." segments, a backslash or parameters (';'). Others have escapes of '/', '\\', ';', '?', '#', control characters,
 * characters that need none (RFC 3986 2.3: "%2e", "%61"), or of escapes ("%252e"), invalid escapes ("%zz"), or overlong
 * UTF-8.
 */
bool http_path_is_ambiguous(Slice path);

/*
 * True if all servers cut @path into the same segments, and if no escape in it stands for a byte that a target may also
 * have without one. It is a fast check, and says false for some paths of which a thorough check would say true.
 */
bool http_path_is_plain(Slice path);

/*
 * Orders paths that are not ambiguous by their segments, in the way of strcmp(3). Segments are compared decoded first,
 * and as they are written if that finds no difference. Thus all paths below another one follow it.
 */
int http_path_compare(Slice a, Slice b);

/* Compares the first segments of @a and @b decoded. Both begin after a '/'. */
int http_path_compare_segments(Slice a, Slice b);

/* True if @path begins with the segments of @prefix: "/a" matches "/a" and "/a/b", not "/ab". "/" matches all paths. */
bool http_path_has_prefix(Slice path, Slice prefix);

/* True for a token (RFC 9110 5.6.2): the name of a field or a method. */
bool http_is_token(const char *s);

/* Returns the phrase of a status ("Not Found"); "" for an unknown status. */
const char *http_status_phrase(unsigned status);
