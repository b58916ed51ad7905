/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A server for `metrics --serve` and `health --serve`: one question and one answer for each connection, in one thread.
 * It speaks on the sockets that systemd passed in. A socket of AF_UNIX is that of a worker, and brings clients of a
 * broker. A question takes at most 5 s, and the server ends after 2 minutes without one. systemd starts the next.
 */

#include <stdbool.h>
#include <stddef.h>

#include "probe/http.h"

/* Bytes of a question. */
#define SERVE_QUESTION_MAX 8192

typedef struct ServePeer {
        const char *socket;  /* FileDescriptorName= of the socket that it came by; borrowed */
        char question[SERVE_QUESTION_MAX];
        size_t n_question;
        bool is_complete;    /* no more bytes come: it has ended its side, or sent nothing for SERVE_QUIET_USEC */
        char *reply;         /* owned */
        size_t n_reply;
} ServePeer;

/* Time without a further byte after which an incomplete question is shown to the handler once more, in µs. */
#define SERVE_QUIET_USEC (200 * USEC_PER_MSEC)

/* Sets the reply to the question. Returns false if the question has to have more bytes. */
typedef bool ServeHandler(void *userdata, ServePeer *peer);

/* Serves until it is idle or stopped. Prints its own errors. Returns as a verb (verbs.h). */
int serve(ServeHandler *handler, void *userdata);

/* Sets the reply to @text, which is copied. */
void serve_reply(ServePeer *peer, const char *text);

/*
 * Sets the reply to a response of HTTP. @status: "200 OK". @body is left out of the answer to a HEAD request, with
 * @has_body.
 */
void serve_reply_http(ServePeer *peer, const char *status, const char *type, const char *body, size_t n, bool has_body);

/* The same with the status as the body. */
void serve_reply_status(ServePeer *peer, const char *status);

/*
 * Reads the question as a head of HTTP. Returns true with *ret if it is one of GET or HEAD. Otherwise *ret_more says
 * whether more bytes are needed, and if not, the reply is set.
 */
bool serve_read_http(ServePeer *peer, HttpFacts *ret, bool *ret_more);
