/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FDPASS_FLUSHER_H
#define FDPASS_FLUSHER_H

/*
 * Flushers: what writes the start of a response before the client is handed to its worker. See fdpass-flusher(3).
 *
 * A flusher is a shared object NAME.so in the broker's directory of flushers, chosen by Flusher=NAME in a worker's
 * unit, which exports one object:
 *
 *         FDPASS_FLUSHER_PUBLIC const struct fdpass_flusher fdpass_flusher = {
 *                 FDPASS_FLUSHER_ABI, sizeof(struct fdpass_flusher), "NAME", flush, NULL
 *         };
 *
 * It is called from the broker's only thread, and everybody waits until it returns: it reads the request, puts bytes
 * into the output, and says what becomes of the client. It gets no socket. It does not sleep, wait or do any I/O.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FDPASS_FLUSHER_ABI 1U

#if defined(__GNUC__)
#  define FDPASS_FLUSHER_PUBLIC __attribute__((visibility("default")))
#else
#  define FDPASS_FLUSHER_PUBLIC
#endif

/* So many bytes may be put out, at least. */
#define FDPASS_FLUSHER_OUTPUT_MAX 8192

struct sockaddr;
struct fdpass_flusher_request;

/* Somebody else's bytes, without a NUL behind them. Nothing there: len is 0. */
struct fdpass_flusher_text {
        const char *bytes;
        size_t len;
};

struct fdpass_flusher_output {
        size_t size;     /* of this struct, as the broker knows it */
        char *bytes;     /* where the response goes */
        size_t capacity; /* how many fit: FDPASS_FLUSHER_OUTPUT_MAX or more */
        size_t len;      /* how many were put there: set by the flusher, 0 before */
        unsigned status; /* the response's status, which the worker is told: set by the flusher, or left 0 for 200. With
                          * FDPASS_FLUSHER_REFUSE from 400 to 599, or left 0 for 503 */
};

/* What becomes of the client. */
enum {
        /* The output is the start of the response; the worker gets the client and writes the rest. */
        FDPASS_FLUSHER_GO = 0,

        /* The output is the whole response: it is sent, and the connection ended. No worker gets the client. */
        FDPASS_FLUSHER_DONE = 1,

        /* No worker gets the client: the broker answers with output->status. The output is not sent. */
        FDPASS_FLUSHER_REFUSE = 2

        /* Anything else is the flusher's own failure: 503, and a line in the journal. */
};

/* One request. All of it lives until flush() returns, and belongs to the broker. */
struct fdpass_flusher_request {
        size_t size; /* of this struct, as the broker knows it: later versions have more at its end */

        /* The head of the request, of HTTP/1. It was read strictly: whatever servers could differ about was refused. */
        struct fdpass_flusher_text method; /* "GET" */
        struct fdpass_flusher_text target; /* as it was sent, with its query */
        struct fdpass_flusher_text host;   /* in lower case, without the port; none in some requests of HTTP/1.0 */
        struct fdpass_flusher_text fields; /* the lines "Name: value", each with its CR LF */
        unsigned minor;                    /* HTTP/1.minor: 0 or 1 */

        /* The unit. */
        const char *argument;              /* what follows the name in Flusher=, "" where nothing does */
        const char *route;                 /* the worker's unit, "chat.socket" */
        const char *listener;              /* FileDescriptorName= of the public socket */
        unsigned status;                   /* ResponseStatus=, 200 if not given */
        const char *reason;                /* its phrase, "OK" */
        const char *response_fields;       /* Server, and ResponseHeader=: lines as above, ended by a NUL */

        /* The connection. IPv4 addresses on a socket for both have the form ::ffff:192.0.2.1. */
        const struct sockaddr *peer;       /* where the client comes from, perhaps by the word of a proxy */
        size_t peer_len;
        const struct sockaddr *local;      /* where it went to */
        size_t local_len;

        /* The time. */
        const char *date;                  /* "Sun, 06 Nov 1994 08:49:37 GMT" */
        uint64_t now_usec;                 /* microseconds of CLOCK_MONOTONIC */

        /*
         * Finds the field line number @index (from 0) of this @name, which is compared in any case. Returns 1 and sets
         * *ret_value, without white space around it, or 0 where there is none.
         */
        int (*header)(const struct fdpass_flusher_request *request, const char *name, size_t index,
                      struct fdpass_flusher_text *ret_value);

        /*
         * Appends the head of the response as Flusher=flush writes it: the status line, Date, response_fields,
         * "Connection: close", and @fields before the last, which are further lines with CR LF, or NULL. Before it 100
         * (Continue) where the client waits for that. Sets output->status. Returns
         *
         *   FDPASS_FLUSHER_GO      a body follows, the flusher's own beginning of it first, if it has one;
         *   FDPASS_FLUSHER_DONE    the request was a HEAD: that was all;
         *   FDPASS_FLUSHER_REFUSE  the client expects something unheard of: output->status is 417;
         *   a negative number      the output has no room for it: nothing was appended.
         *
         * Unless it is GO, a flusher returns the same.
         */
        int (*head)(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output,
                    const char *fields);
};

struct fdpass_flusher {
        unsigned abi;     /* FDPASS_FLUSHER_ABI */
        size_t size;      /* sizeof(struct fdpass_flusher) */
        const char *name; /* NAME, as in the name of the file */

        /* Called once for a client, whatever becomes of it later. */
        int (*flush)(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output);

        /*
         * Is this argument in order? 0, or anything else for no: then the unit is wrong. Called as units are read,
         * also by fdpassctl. NULL: an argument is none.
         */
        int (*check)(const char *argument);
};

#ifdef __cplusplus
}
#endif

#endif
