/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FDPASS_FLUSHER_H
#define FDPASS_FLUSHER_H

/*
 * Flushers write the start of a response before the broker passes the client to its worker. See fdpass-flusher(3).
 *
 * A flusher is a shared object NAME.so in the broker's directory of flushers. Flusher=NAME in a worker's unit selects
 * it. It exports one object:
 *
 *         FDPASS_FLUSHER_PUBLIC const struct fdpass_flusher fdpass_flusher = {
 *                 FDPASS_FLUSHER_ABI, sizeof(struct fdpass_flusher), "NAME", flush, NULL
 *         };
 *
 * The broker calls it in its only thread, and serves no client until it returns. A flusher reads the request, writes
 * bytes into the output, and decides what happens to the client. It gets no socket, and must not sleep, wait or do I/O.
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

/* Minimum of fdpass_flusher_output.capacity, in bytes. */
#define FDPASS_FLUSHER_OUTPUT_MAX 8192

struct sockaddr;
struct fdpass_flusher_request;

/* Borrowed bytes without a NUL at the end. len is 0 if there are none. */
struct fdpass_flusher_text {
        const char *bytes;
        size_t len;
};

struct fdpass_flusher_output {
        size_t size;     /* size of this struct in the broker, in bytes */
        char *bytes;     /* buffer for the response */
        size_t capacity; /* size of the buffer, in bytes: FDPASS_FLUSHER_OUTPUT_MAX or more */
        size_t len;      /* length of the response, in bytes; 0 at first, set by the flusher */
        unsigned status; /* status of the response, which the worker gets; 0 at first, meaning 200. With
                          * FDPASS_FLUSHER_REFUSE 400 to 599, or 0 for 503 */
};

/* Return values of flush(): the next step for the client. */
enum {
        /* The output is the start of the response. The worker gets the client and writes the rest. */
        FDPASS_FLUSHER_GO = 0,

        /* The output is the whole response. The broker sends it and ends the connection. No worker gets the client. */
        FDPASS_FLUSHER_DONE = 1,

        /* No worker gets the client: the broker answers with output->status. The output is not sent. */
        FDPASS_FLUSHER_REFUSE = 2

        /* Any other value is a failure of the flusher: the client gets 503, and the journal a line. */
};

/* A request. The broker owns all of it, and frees it when flush() returns. */
struct fdpass_flusher_request {
        size_t size; /* size of this struct in the broker, in bytes; later versions add fields at the end */

        /* The head of the HTTP/1 request. The broker has refused a head that servers could interpret differently. */
        struct fdpass_flusher_text method; /* "GET" */
        struct fdpass_flusher_text target; /* as sent, with the query */
        struct fdpass_flusher_text host;   /* in lower case, without the port; empty in some HTTP/1.0 requests */
        struct fdpass_flusher_text fields; /* lines "Name: value", each with CR LF */
        unsigned minor;                    /* HTTP/1.minor: 0 or 1 */

        /* The unit. */
        const char *argument;              /* text after the name in Flusher=; "": none */
        const char *route;                 /* name of the worker's unit, "chat.socket" */
        const char *listener;              /* FileDescriptorName= of the public socket */
        unsigned status;                   /* ResponseStatus=, 200 by default */
        const char *reason;                /* phrase of the status, "OK" */
        const char *response_fields;       /* Server and ResponseHeader=, lines as in @fields, with a NUL at the end */

        /* The connection. On a socket for IPv4 and IPv6, IPv4 addresses have the form ::ffff:192.0.2.1. */
        const struct sockaddr *peer;       /* source address, which a trusted proxy may have given */
        size_t peer_len;
        const struct sockaddr *local;      /* destination address, likewise */
        size_t local_len;

        /* The time. */
        const char *date;                  /* "Sun, 06 Nov 1994 08:49:37 GMT" */
        uint64_t now_usec;                 /* CLOCK_MONOTONIC, in microseconds */

        /*
         * Finds field line number @index, from 0, with this @name in any case. Returns 1 and sets *ret_value, which has
         * no white space around it, or returns 0 if there is none.
         */
        int (*header)(const struct fdpass_flusher_request *request, const char *name, size_t index,
                      struct fdpass_flusher_text *ret_value);

        /*
         * Appends the head of the response as Flusher=flush writes it: the status line, Date, response_fields, @fields
         * and "Connection: close". @fields is further lines with CR LF, or NULL. Writes 100 (Continue) before the head
         * if the client waits for it. Sets output->status. Returns
         *
         *   FDPASS_FLUSHER_GO      a body follows, and the flusher may append its beginning;
         *   FDPASS_FLUSHER_DONE    the request was a HEAD, and the response is complete;
         *   FDPASS_FLUSHER_REFUSE  the client has an unknown expectation; output->status is 417;
         *   a negative number      the output has no room for the head, and nothing was appended.
         *
         * A flusher must return every value other than FDPASS_FLUSHER_GO itself.
         */
        int (*head)(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output,
                    const char *fields);
};

struct fdpass_flusher {
        unsigned abi;     /* FDPASS_FLUSHER_ABI */
        size_t size;      /* sizeof(struct fdpass_flusher) */
        const char *name; /* NAME of the file NAME.so */

        /* Called once for a client, also if several workers get it in turn. */
        int (*flush)(const struct fdpass_flusher_request *request, struct fdpass_flusher_output *output);

        /*
         * Checks an argument. Returns 0 if it is valid, and any other value is an error of the unit. Called when units
         * are read, also by fdpassctl. NULL: no argument is valid but the empty one.
         */
        int (*check)(const char *argument);
};

#ifdef __cplusplus
}
#endif

#endif
