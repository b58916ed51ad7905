/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Flusher=redirect: the broker answers the request with an address where it is served, and no worker gets the client.
 *
 * The address is a template of three parts, in this order: "http://" or "https://" and a host with or without a port;
 * a path; "%u", the URL of the request. "%h" in the place of the host is the host of the request. No other part of the
 * address comes from a request, so no client can lead others to a host of its choice.
 */

#include "flusher/flusher.h"
#include "probe/name.h"

/* Limit of a template, in bytes. */
#define REDIRECT_TARGET_MAX 2048

typedef struct RedirectTarget {
        bool is_https;
        bool has_client_host; /* the host is that of the request */
        ProbeName host;       /* otherwise this one */
        uint16_t port;        /* 0: none, which means that of the scheme */
        Slice path;           /* literal part behind the host; points into the template */
        bool has_url;         /* the URL of the request follows */
} RedirectTarget;

/* Parses a template. Returns NULL, or what is wrong with it, as a sentence without its full stop. */
const char *redirect_target_parse(const char *template, RedirectTarget *ret);

/* True if a response may have this status: 301, 302, 307 or 308. */
bool redirect_status_is_valid(unsigned status);

/* Flusher=redirect. Its argument is the template. */
extern const struct fdpass_flusher flusher_redirect;
