/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The request of a client in a form for the log (LogHandoffs=yes). It is noted before the client is sent, because the
 * worker reads the bytes.
 */

#include "probe/probe.h"

/* Limits of a method and a path, in bytes. A longer one is cut, and ends with "…". */
#define REQUEST_METHOD_MAX 24
#define REQUEST_PATH_MAX 200

typedef struct ClientRequest {
        char method[4 * REQUEST_METHOD_MAX + 4]; /* "": the client does not speak HTTP/1 */
        char path[4 * REQUEST_PATH_MAX + 4];     /* without the query; "": none */
        char host[PROBE_NAME_MAX + 1];           /* name in Host, in the target, or in a TLS hello; "": none */
} ClientRequest;

/*
 * Notes the request of a head. A byte that is not visible ASCII, a quotation mark and a backslash are written as \xNN.
 * Returns 0 and sets *ret, which the caller frees; NULL: the head tells nothing. Returns -ENOMEM.
 */
int client_request_new(const Probe *probe, ClientRequest **ret);

/* Writes "GET example.org/path", or the host of a TLS client, to @ret. Returns @ret. */
const char *client_request_to_text(const ClientRequest *r, char *ret, size_t size);

#define REQUEST_TEXT_MAX (sizeof(ClientRequest) + 2)
